"""WFDB: the bundled and the shared recordings, their traps, and broken files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from grounding import EcgError, EcgFormatError, EcgSignalError, read_record, sample_path
from grounding.readers import sample_names


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The default sample as ``rec.hea`` and ``rec.dat`` in a folder of its own."""
    source = sample_path()
    (tmp_path / "rec.hea").write_text(source.read_text().replace(source.stem, "rec"))
    shutil.copyfile(source.with_suffix(".dat"), tmp_path / "rec.dat")
    return tmp_path / "rec.hea"


def edit(header: Path, old: str, new: str, count: int = -1) -> None:
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new, count))


@pytest.mark.parametrize("name", sample_names())
def test_samples_are_whole_and_obey_lead_algebra(name: str) -> None:
    record = read_record(sample_path(name))
    assert (record.n_leads, record.fs, record.n_samples) == (12, 500.0, 5000)
    assert record.record_id == name
    assert record.meta["sex"] in ("female", "male")
    assert 18 <= record.meta["age"] <= 120
    error = record.lead("I") + record.lead("III") - record.lead("II")
    assert np.abs(error).max() < 0.011
    assert 0.3 < np.ptp(record.lead("II")) < 6


def test_equals_the_wfdb_package() -> None:
    import wfdb

    path = sample_path("ptbxl_413")
    expected = wfdb.rdrecord(str(path.with_suffix(""))).p_signal.T
    np.testing.assert_allclose(read_record(path).signal, expected, atol=1e-6)


@pytest.mark.parametrize("suffix", ["", ".hea", ".dat"])
def test_any_of_its_names_will_do(copy: Path, suffix: str) -> None:
    record = read_record(str(copy.with_suffix(suffix)))
    np.testing.assert_array_equal(record.signal, read_record(sample_path()).signal)
    assert record.record_id == "rec"


def test_normalised_gains_are_undone_and_said() -> None:
    record = read_record(sample_path("ludb_13"))
    assert any("1 uV per unit" in line for line in record.meta["warnings"])
    spans = np.ptp(record.signal, axis=1)
    assert spans.max() / spans.min() > 1.5


def test_ordinary_gains_are_left_alone() -> None:
    assert read_record(sample_path("ptbxl_413")).meta["warnings"] == ()


def test_units_differ_per_signal(copy: Path) -> None:
    edit(copy, "1000.0(0)/mV 16 0 ", "1.0(0)/uV 16 0 ", 3)
    np.testing.assert_allclose(read_record(copy).signal, read_record(sample_path()).signal, atol=1e-6)


def test_signals_that_are_not_voltages_are_left_out_and_named(copy: Path) -> None:
    lines = copy.read_text().splitlines()
    lines[12] = lines[12].replace("/mV", "/mmHg").replace(" V6", " ABP")
    copy.write_text("\n".join(lines) + "\n")
    record = read_record(copy)
    assert record.n_leads == 11
    assert "ABP (mmHg)" in record.meta["warnings"][0]
    copy.write_text("\n".join(lines).replace("/mV", "/mmHg") + "\n")
    with pytest.raises(EcgSignalError, match="no signal is a voltage"):
        read_record(copy)


def test_wrong_gain_is_warned_of(copy: Path) -> None:
    edit(copy, "1000.0(0)/mV", "2000000.0(0)/mV")
    assert any("implausible amplitude" in line for line in read_record(copy).meta["warnings"])


def test_signals_at_different_rates(tmp_path: Path) -> None:
    import wfdb

    t = np.arange(2000) / 500
    fast, slow = np.sin(2 * np.pi * 2 * t), np.cos(2 * np.pi * 2 * t[::2])
    wfdb.wrsamp(
        "multi",
        fs=250,
        units=["mV", "mV"],
        sig_name=["I", "II"],
        e_p_signal=[fast, slow],
        samps_per_frame=[2, 1],
        fmt=["16", "16"],
        write_dir=str(tmp_path),
    )
    record = read_record(tmp_path / "multi")
    assert (record.fs, record.n_samples) == (500.0, 2000)
    assert "resampled to 500 Hz" in record.meta["warnings"][0]
    np.testing.assert_allclose(record.lead("I"), fast, atol=1e-3)
    inner = slice(100, -100)
    np.testing.assert_allclose(record.lead("II")[inner], np.cos(2 * np.pi * 2 * t)[inner], atol=0.01)


def test_segments_are_joined(tmp_path: Path) -> None:
    import wfdb

    signal = read_record(sample_path()).signal.T.astype(float)
    for name, part in (("a", signal[:2000]), ("b", signal[2000:])):
        wfdb.wrsamp(
            name,
            fs=500,
            units=["mV"] * 2,
            sig_name=["I", "II"],
            p_signal=part[:, :2],
            fmt=["16"] * 2,
            adc_gain=[1000.0] * 2,
            baseline=[0] * 2,
            write_dir=str(tmp_path),
        )
    (tmp_path / "whole.hea").write_text("whole/2 2 500 5000\na 2000\nb 3000\n")
    np.testing.assert_allclose(read_record(tmp_path / "whole").signal, signal[:, :2].T, atol=1e-3)


def test_truncated_signal_file(copy: Path) -> None:
    dat = copy.with_suffix(".dat")
    dat.write_bytes(dat.read_bytes()[:60_001])
    with pytest.raises(EcgFormatError, match="truncated: 2500 of 5000 samples"):
        read_record(copy)


def test_missing_and_empty_files(copy: Path, tmp_path: Path) -> None:
    dat = copy.with_suffix(".dat")
    dat.write_bytes(b"")
    with pytest.raises(EcgFormatError, match="empty"):
        read_record(copy)
    dat.unlink()
    with pytest.raises(EcgFormatError, match=r"rec\.dat is missing"):
        read_record(copy)
    copy.rename(tmp_path / "other.hea")
    with pytest.raises(EcgFormatError, match="no such file"):
        read_record(copy)
    dat.write_bytes(b"\0" * 100)
    with pytest.raises(EcgFormatError, match="no header"):
        read_record(copy.with_suffix(""))
    with pytest.raises(EcgFormatError, match="no header"):
        read_record(dat)
    copy.write_bytes(b"")
    with pytest.raises(EcgFormatError, match="empty"):
        read_record(copy)
    with pytest.raises(EcgFormatError, match="folder"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rec 12 500 5000", "rec 12 500 500000000000"),
        ("rec 12 500 5000", "rec 40000 500 5000"),
        ("rec 12 500 5000", "rec 0 500 5000"),
        ("rec 12 500 5000", "rec 12 -7 5000"),
        ("rec 12 500 5000", "rec 12 0.001 5000"),
        ("rec 12 500 5000", "rec twelve leads"),
        ("rec.dat 16", "rec.dat 999"),
        ("rec.dat 16", "../../etc/passwd 16"),
        ("rec.dat 16", "rec.dat 16x999999999"),
        ("rec", "\x00\xff\x01"),
    ],
)
def test_nonsense_headers_are_refused(copy: Path, old: str, new: str) -> None:
    edit(copy, old, new)
    with pytest.raises(EcgError) as caught:
        read_record(copy)
    assert caught.value.remedy


def test_mutated_bytes_give_a_record_or_an_ecg_error(copy: Path) -> None:
    rng = np.random.default_rng(0)
    original = copy.read_bytes()
    refused = 0
    for _ in range(150):
        data = bytearray(original)
        for _ in range(rng.integers(1, 6)):
            data[rng.integers(len(data))] = rng.integers(256)
        copy.write_bytes(bytes(data))
        try:
            read_record(copy)
        except EcgError:
            refused += 1
    assert 0 < refused < 150


def test_matlab_files_of_the_challenges(copy: Path) -> None:
    """``16+24``: samples lie behind the 24 bytes that open a MATLAB 4 file."""
    from scipy.io import savemat

    units = np.fromfile(copy.with_suffix(".dat"), "<i2").reshape(-1, 12).T
    savemat(copy.with_suffix(".mat"), {"val": units}, format="4")
    copy.with_suffix(".dat").unlink()
    edit(copy, "rec.dat 16", "rec.mat 16+24")
    copy.write_text(copy.read_text() + "#Dx: 426783006,270492004\n")
    record = read_record(copy)
    np.testing.assert_array_equal(record.signal, read_record(sample_path()).signal)
    assert record.leads[:6] == ("I", "II", "III", "aVR", "aVL", "aVF")
    assert record.meta["dx"]


@pytest.mark.parametrize("folder", ["ptbxl/records500", "ludb", "challenge", "cinc2011"])
def test_every_tenth_shared_record(shared: Path, folder: str) -> None:
    for header in sorted((shared / "data" / folder).glob("*.hea"))[::10]:
        record = read_record(header)
        assert record.leads[:6] == ("I", "II", "III", "aVR", "aVL", "aVF")
        assert record.n_leads == 12
        assert record.fs == 500
        normalised = any("1 uV per unit" in line for line in record.meta["warnings"])
        assert normalised == (folder == "ludb")
        if folder == "challenge":
            assert record.meta["dx"]
            assert record.meta["sex"] in ("female", "male")
