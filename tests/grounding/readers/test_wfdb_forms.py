"""WFDB as it is found: every storage format, odd headers, segments, layouts, gaps, skew, gains that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from grounding import EcgError, EcgFormatError, ECGRecord, read_record, sample_path
from grounding.readers.stored import FORMATS
from grounding.readers.wfdb import _Segment
from grounding.readers.wfdb_header import patient_meta, read_header

PLAIN = [name for name in FORMATS if int(name) < 500]
FLAC = [name for name in FORMATS if int(name) > 500]


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return read_record(sample_path())


def physical(header: Path) -> np.ndarray:
    """Every signal of a record, in its unit."""
    segment = _Segment(read_header(header))
    return np.stack([segment.physical(row) for row in range(len(segment.header.signals))])


def write(
    folder: Path, signal: np.ndarray, name: str = "r", gain: str = "1000(0)/mV", fs: float = 500, leads: str = "I II V1"
) -> Path:
    """Leads in format 16, as integers."""
    signal.T.astype("<i2").tofile(folder / f"{name}.dat")
    lines = "".join(f"{name}.dat 16 {gain} 16 0 0 0 0 {lead}\n" for lead in leads.split()[: len(signal)])
    (folder / f"{name}.hea").write_text(f"{name} {len(signal)} {fs:g} {signal.shape[1]}\n{lines}")
    return folder / f"{name}.hea"


@pytest.mark.parametrize("storage", PLAIN)
@pytest.mark.parametrize(("signals", "length"), [(1, 1000), (2, 999), (3, 1001), (5, 7), (1, 1), (12, 500)])
@pytest.mark.parametrize("frame", [1, 2])
def test_every_storage_format_as_the_wfdb_package_reads_it(
    tmp_path: Path, storage: str, signals: int, length: int, frame: int
) -> None:
    import wfdb

    offset = 24 if frame == 1 else 0
    n_bytes = FORMATS[storage].bytes_of(signals * length * frame) + offset
    raw = np.random.default_rng(int(storage)).integers(0, 256, n_bytes, dtype=np.uint8)
    if storage == "311":
        raw[offset + 3 :: 4] &= 63  # two bits that no sample has, which the package reads as some
    raw.tofile(tmp_path / "a.dat")
    lines = "".join(f"a.dat {storage}x{frame}+{offset} 200(3)/mV 12 0 {k - 2} 0 0 ch{k}\n" for k in range(signals))
    (tmp_path / "a.hea").write_text(f"a {signals} 360 {length}\n{lines}")
    expected = np.stack(wfdb.rdrecord(str(tmp_path / "a"), smooth_frames=False).e_p_signal)
    np.testing.assert_allclose(physical(tmp_path / "a.hea"), expected, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("storage", [*FLAC, "16", "24", "32", "80", "212"])
def test_what_the_wfdb_package_writes(tmp_path: Path, storage: str) -> None:
    import wfdb

    missing = FORMATS[storage].missing
    assert missing is not None
    stored = np.random.default_rng(1).integers(missing // 2, -(missing // 2), (1234, 3))
    stored[5, 1] = missing
    wfdb.wrsamp(
        "a",
        fs=360,
        units=["mV"] * 3,
        sig_name=["I", "II", "V1"],
        d_signal=stored,
        fmt=[storage] * 3,
        adc_gain=[200.0] * 3,
        baseline=[1, 2, 3],
        write_dir=str(tmp_path),
    )
    found = physical(tmp_path / "a.hea")
    np.testing.assert_allclose(
        found, ((stored - [1, 2, 3]) / 200).T * np.where(stored == missing, np.nan, 1).T, rtol=1e-6
    )
    assert np.isnan(found).sum() == 1


def test_format_61_in_a_record(tmp_path: Path, record: ECGRecord) -> None:
    stored = np.round(record.signal[0] * 1000)
    stored.astype(">i2").tofile(tmp_path / "x.dat")
    (tmp_path / "x.hea").write_text("x 1 500 5000\nx.dat 61 1000(0)/mV 16 0 0 0 0 I\n")
    np.testing.assert_allclose(read_record(tmp_path / "x").lead("I"), stored / 1000, atol=1e-6)


ODD = {
    "ISO date": ("r 1 500 5000 2014-05-08 05:05:15", True),
    "year alone": ("r 1 500 5000 2006", True),
    "year of three digits": ("r 1 500 5000 12:00:00 1/1/199", True),
    "month first": ("r 1 500 5000 12:00:00 05/30/2020", True),
    "words": ("r 1 500 5000 on Monday", True),
    "as it should be": ("r 1 500 5000 12:00:00.123 30/05/2020", False),
    "time alone": ("r 1 500 5000 12:00", False),
    "record in a folder": ("set/r 1 500 5000", False),
    "length 0": ("r 1 500 0", False),
    "no length": ("r 1 500", False),
    "counter frequency": ("r 1 500/360(10) 5000", False),
    "tabs": ("r\t1\t500.0\t5000", False),
}


@pytest.mark.parametrize("name", ODD)
def test_headers_as_other_tools_write_them(tmp_path: Path, record: ECGRecord, name: str) -> None:
    line, problems = ODD[name]
    stored = np.round(record.signal[:1] * 1000)
    header = write(tmp_path, stored)
    header.write_text(f"\ufeff# made by a test\r\n\r\n{line}\r\nr.dat 16 1000(0)/mV 16 0 0 0 0 I\r\n", encoding="utf-8")
    found = read_record(header)
    np.testing.assert_allclose(found.signal, stored / 1000, atol=1e-6)
    assert found.fs == 500
    assert any("is not as WFDB has it" in line for line in found.meta["warnings"]) == problems


@pytest.mark.parametrize("name", ["set/r.dat", "set\\r.dat", "./r.dat", "/elsewhere/r.dat", "../../up/r.dat"])
def test_folders_in_names_of_files(tmp_path: Path, record: ECGRecord, name: str) -> None:
    """The file lies beside the header, or in the folder below it; one outside is not looked at."""
    header = (
        write(tmp_path / "in", np.round(record.signal[:1] * 1000)) if (tmp_path / "in").mkdir() is None else tmp_path
    )
    header.write_text(header.read_text().replace("r.dat", name))
    assert read_record(header).n_samples == 5000
    if name == "set/r.dat":
        (header.parent / "set").mkdir()
    moved = header.parent / "set" / "r.dat" if name == "set/r.dat" else tmp_path / "r.dat"
    (header.parent / "r.dat").rename(moved)
    if name == "set/r.dat":
        assert read_record(header).n_samples == 5000
    else:
        with pytest.raises(EcgFormatError, match="is missing"):
            read_record(header)


def test_a_signal_without_a_gain_is_not_millivolts(tmp_path: Path, record: ECGRecord) -> None:
    stored = np.round(record.signal[:3] * 1000)
    for gain in ("0", "0(0)/mV", "none"):
        header = write(tmp_path, stored, gain=gain)
        if gain == "none":  # nor a name, which comes behind it
            header.write_text("r 3 500 5000\n" + "r.dat 16\n" * 3)
        found = read_record(header)
        assert found.meta["units"] == "adu"
        assert not found.has_millivolts
        assert any("not calibrated" in line for line in found.meta["warnings"])
        np.testing.assert_array_equal(found.signal, stored)
    given = read_record(write(tmp_path, stored, gain="0"), units="uV")
    np.testing.assert_allclose(given.signal, stored / 1000, atol=1e-6)


@pytest.mark.parametrize(
    ("gain", "scale", "zero"),
    [("200", 200, 0), ("200/mV", 200, 0), ("1e3(-5)/mV", 1000, -5), ("0.2(7)/uV", 200, 7), ("-500(0)/mV", -500, 0)],
)
def test_gains_as_they_are_written(tmp_path: Path, record: ECGRecord, gain: str, scale: float, zero: int) -> None:
    stored = np.round(record.signal[:2] * 400)
    found = read_record(write(tmp_path, stored, gain=gain))
    np.testing.assert_allclose(found.signal, (stored - zero) / scale, rtol=1e-5, atol=1e-5)
    assert found.meta["units"] == "mV"


def test_the_baseline_is_the_converters_zero_where_none_is_written(tmp_path: Path) -> None:
    stored = np.round(1000 + 100 * np.sin(np.arange(2000) / 30))[None]
    header = write(tmp_path, stored)
    header.write_text("r 1 500 2000\nr.dat 16 100/mV 12 1024 0 0 0 II\n")
    np.testing.assert_allclose(read_record(header).signal, (stored - 1024) / 100, atol=1e-5)


@pytest.mark.parametrize("storage", ["16", "212", "310"])
def test_skew_moves_a_signal_and_leaves_its_end_missing(tmp_path: Path, storage: str) -> None:
    import wfdb

    n_bytes = FORMATS[storage].bytes_of(1500)
    np.random.default_rng(0).integers(0, 256, n_bytes, dtype=np.uint8).tofile(tmp_path / "s.dat")
    lines = "".join(
        f"s.dat {storage}{skew} 200(0)/mV 12 0 0 0 0 {n}\n" for skew, n in (("", "I"), (":7", "II"), ("", "V1"))
    )
    (tmp_path / "s.hea").write_text(f"s 3 360 500\n{lines}")
    found = physical(tmp_path / "s.hea")
    np.testing.assert_allclose(found, wfdb.rdrecord(str(tmp_path / "s")).p_signal.T, atol=1e-4)
    assert np.isnan(found[1, -7:]).all()


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        ("16 1000", "16:100000000 1000", "shifts I by 100000000"),
        ("16 1000", "16:5000 1000", "shifts I by 5000"),
        ("16 1000", "16+99999999 1000", "empty"),
        ("16 1000", "17 1000", "storage format 17"),
        ("r.dat 16", "r.dat", "does not describe a signal"),
        ("r 1 500 5000", "r 1 500 5001", "truncated: 5000 of 5001"),
        ("r 1 500 5000", "r 2 500 5000", "announces 2 signals and describes 1"),
        ("r 1 500 5000", "r 1 nan 5000", "sampling rate"),
        ("r 1 500 5000", "r/9 1 500 5000", "segments"),
    ],
)
def test_impossible_figures_are_refused_before_memory_is_taken(
    tmp_path: Path, record: ECGRecord, old: str, new: str, problems: str
) -> None:
    header = write(tmp_path, np.round(record.signal[:1] * 1000))
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new))
    with pytest.raises(EcgFormatError, match=problems):
        read_record(header)


def test_a_layout_and_segments_as_in_mimic(tmp_path: Path, record: ECGRecord) -> None:
    """The layout names all signals, segments have some of them, in other orders, gains and units; ``~`` is a gap."""
    stored = np.round(record.signal[[0, 1, 6]] * 1000)
    (tmp_path / "lay.hea").write_text(
        "lay 3 500 0\n~ 0 1000/mV 16 0 0 0 0 I\n~ 0 1000/mV 16 0 0 0 0 II\n~ 0 1000/mV 16 0 0 0 0 V1\n"
    )
    write(tmp_path, stored[:, :1500], "s1")
    write(tmp_path, stored[[1, 0]][:, 1500:2500], "s2", gain="1/uV", leads="II I")
    (tmp_path / "rec.hea").write_text(
        "rec/4 3 500 3000 10:44:18.529 04/05/2704\nlay 0\ns1 1500\n~ 500\ns2 1000\n# <age>: 64  <sex>: F\n"
    )
    found = read_record(tmp_path / "rec")
    assert found.leads == ("I", "II", "V1")
    assert found.n_samples == 3000
    np.testing.assert_allclose(found.signal[:, :1500], stored[:, :1500] / 1000, atol=1e-6)
    np.testing.assert_allclose(found.signal[:2, 2000:], stored[:2, 1500:2500] / 1000, atol=1e-6)
    assert np.isnan(found.signal[:, 1500:2000]).all()
    assert np.isnan(found.signal[2, 2000:]).all()
    assert "1 of 6 s lie between its segments" in found.meta["warnings"][0]
    assert (found.meta["age"], found.meta["sex"]) == (64.0, "female")


def test_segments_that_do_not_fit_are_errors_that_name_them(tmp_path: Path, record: ECGRecord) -> None:
    stored = np.round(record.signal[[0, 1, 6]] * 1000)
    write(tmp_path, stored[:, :1500], "s1")
    whole = tmp_path / "rec.hea"
    for text, problems in (
        ("rec/2 3 500 3000\ns1 1500\ns9 1500\n", "s9.hea is missing"),
        ("rec/1 3 500 2000\ns1 2000\n", "truncated|1500 of 2000"),
        ("rec/1 3 250 1500\ns1 1500\n", "at 500 Hz, not 250"),
        ("rec/1 3 500 1500\n~ 1500\n", "none of its segments"),
        ("rec/1 3 500 1500\nrec 1500\n", "segments itself"),
        ("rec/2 3 500 1500\ns1 1500\n", "announces 2 segments and lists 1"),
        ("rec/2 3 500 900000000\n~ 80000000\ns1 1500\n", "unpacks to"),
    ):
        whole.write_text(text)
        with pytest.raises(EcgFormatError, match=problems):
            read_record(whole)


@pytest.mark.parametrize("packed", [False, True])
def test_matlab_5_in_place_of_version_4(tmp_path: Path, record: ECGRecord, packed: bool) -> None:
    """The Challenges' files are of version 4, which an offset of 24 bytes skips; saved again they are of version 5."""
    import scipy.io

    stored = np.round(record.signal * 1000).astype(np.int16)
    lines = "".join(f"m.mat 16+24 1000/mV 16 0 0 0 0 {lead}\n" for lead in record.leads)
    (tmp_path / "m.hea").write_text(f"m 12 500 5000\n{lines}")
    for version, options in (("4", {}), ("5", {"do_compression": packed})):
        scipy.io.savemat(tmp_path / "m.mat", {"val": stored}, format=version, **options)
        np.testing.assert_allclose(read_record(tmp_path / "m.mat").signal, stored / 1000, atol=1e-6)
    scipy.io.savemat(tmp_path / "m.mat", {"val": stored[:5]})
    with pytest.raises(EcgFormatError, match="5 x 5000"):
        read_record(tmp_path / "m")


def test_packed_files_that_would_fill_the_memory(tmp_path: Path) -> None:
    import scipy.io
    import soundfile

    scipy.io.savemat(tmp_path / "m.mat", {"val": np.zeros((1, 60_000_000), np.int16)}, do_compression=True)
    (tmp_path / "m.hea").write_text("m 1 500 60000000\nm.mat 16+24 1000/mV 16 0 0 0 0 I\n")
    soundfile.write(tmp_path / "f.dat", np.zeros((20_000_000, 1), "int16"), 48000, format="FLAC", subtype="PCM_16")
    (tmp_path / "f.hea").write_text("f 1 500\nf.dat 516 1000/mV 16 0 0 0 0 I\n")
    for name in ("m", "f"):
        with pytest.raises(EcgFormatError, match="unpacks to"):
            read_record(tmp_path / name)


def test_signals_of_several_rates_in_segments(tmp_path: Path) -> None:
    time = np.arange(2000) / 500
    fast, slow = np.sin(6 * time), np.cos(6 * time[::2])
    frames = np.empty((1000, 3))
    frames[:, :2], frames[:, 2] = fast.reshape(-1, 2), slow
    for name, part in (("a", frames[:400]), ("b", frames[400:])):
        np.round(part * 1000).astype("<i2").tofile(tmp_path / f"{name}.dat")
        (tmp_path / f"{name}.hea").write_text(
            f"{name} 2 250 {len(part)}\n{name}.dat 16x2 1000/mV 16 0 0 0 0 I\n{name}.dat 16 1000/mV 16 0 0 0 0 II\n"
        )
    (tmp_path / "w.hea").write_text("w/2 2 250 1000\na 400\nb 600\n")
    found = read_record(tmp_path / "w")
    assert (found.fs, found.n_samples) == (500.0, 2000)
    np.testing.assert_allclose(found.lead("I"), fast, atol=1e-3)
    np.testing.assert_allclose(found.lead("II")[200:-200:2], slow[100:-100], atol=0.01)


def test_a_name_that_no_file_can_have(tmp_path: Path, record: ECGRecord) -> None:
    header = write(tmp_path, np.round(record.signal[:1] * 1000))
    text = header.read_text()
    for name in ("..", ".", "x" * 5000, "\0", "a\\..\\..", "/"):
        header.write_text(text.replace("r.dat", name))
        with pytest.raises(EcgError):
            read_record(header)


def test_a_whole_recording_is_decoded_a_channel_at_a_time(tmp_path: Path) -> None:
    """A file longer than a block, its number of channels no multiple of the samples that share bytes."""
    stored = np.random.default_rng(0).integers(-900, 900, (700_000, 3)).astype(np.int16)
    low, high = stored.reshape(-1, 2).T
    packed = np.stack([low & 255, low >> 8 & 15 | (high >> 8 & 15) << 4, high & 255], axis=1).astype(np.uint8)
    packed.tofile(tmp_path / "l.dat")
    (tmp_path / "l.hea").write_text(
        "l 3 500 700000\n" + "".join(f"l.dat 212 200/mV 12 0 0 0 0 {n}\n" for n in ("I", "II", "V1"))
    )
    np.testing.assert_allclose(physical(tmp_path / "l.hea"), stored.T / 200, atol=1e-6)


@pytest.mark.parametrize(
    ("comment", "age", "sex"),
    [
        ("Age: 64", 64.0, None),
        ("Age=64", 64.0, None),
        ("Age (years): 64", 64.0, None),
        ("Age (months): 6", 0.5, None),
        ("Age: 6 months", 0.5, None),
        ("age: 006M", 0.5, None),
        ("age: 064Y", 64.0, None),
        ("Age: 64 Jahre", 64.0, None),
        ("Age: 55 yo", 55.0, None),
        ("Age: 12 Sex: F", 12.0, "female"),
        ("<age>: 64  <sex>: M  <diagnoses> (none)", 64.0, "male"),
        ("<age>: 6 M  <sex>: F", None, "female"),  # months, or a sex?
        ("Age: 300", None, None),  # PTB-XL: 90 or more
        ("Age: 1957-03-02", None, None),
        ("Mother's age: 30", None, None),
        ("Sex: 1", None, None),
    ],
)
def test_age_and_sex_as_comments_write_them(comment: str, age: float | None, sex: str | None) -> None:
    meta = patient_meta([comment])
    assert (meta.get("age"), meta.get("sex")) == (age, sex)
