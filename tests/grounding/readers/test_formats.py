"""The clinical formats: one recording in each gives what its WFDB file gives, and broken files give an EcgError."""

from __future__ import annotations

import contextlib
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from writers import WRITERS

import grounding
from grounding import EcgError, EcgFormatError, ECGRecord, read_record, sample_path
from grounding.readers import readers


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return read_record(sample_path())


@pytest.fixture(scope="module")
def files(record: ECGRecord, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("formats")
    made = {}
    for name, (suffix, write) in WRITERS.items():
        made[name] = folder / f"{name}_rec{suffix}"
        write(record, made[name])
    return made


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_recording(files: dict[str, Path], record: ECGRecord, name: str) -> None:
    found = read_record(files[name])
    assert found.meta["format"] == name
    assert found.fs == record.fs
    assert found.leads == record.leads
    assert found.record_id == f"{name}_rec"
    np.testing.assert_allclose(found.signal, record.signal, atol=2.1e-3 if "derived_leads" in found.meta else 1e-3)
    assert found.meta["warnings"] == ()


@pytest.mark.parametrize("name", ["dicom", "muse", "scp", "cardiosoft", "schiller", "mortara", "ishne"])
def test_age_and_sex(files: dict[str, Path], name: str) -> None:
    meta = read_record(files[name]).meta
    assert (meta["age"], meta["sex"]) == (64.0, "male")


@pytest.mark.parametrize("name", ["muse", "scp"])
def test_eight_leads_become_twelve_and_it_is_said(files: dict[str, Path], name: str) -> None:
    assert read_record(files[name]).meta["derived_leads"] == ("III", "aVR", "aVL", "aVF")


@pytest.mark.parametrize("name", WRITERS)
def test_content_tells_the_format_where_the_extension_does_not(
    files: dict[str, Path], record: ECGRecord, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "export.bin"
    path.write_bytes(files[name].read_bytes())
    assert read_record(path).meta["format"] == name
    assert read_record(path, format=name).n_leads == 12


# the number of samples in an ISHNE header is nominal in many files: a warning, in test_ishne
@pytest.mark.parametrize("name", sorted(set(WRITERS) - {"ishne"}))
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_truncated_files_are_refused(files: dict[str, Path], name: str, share: float, tmp_path: Path) -> None:
    data = files[name].read_bytes()
    path = tmp_path / files[name].name
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(EcgError) as caught:
        read_record(path)
    assert caught.value.remedy


@pytest.mark.parametrize("name", WRITERS)
def test_mutated_bytes_give_a_record_or_an_ecg_error(record: ECGRecord, name: str, tmp_path: Path) -> None:
    """Most changes fall on the structure: the file holds a second only, and half the changes its first 2 kB."""
    suffix, write = WRITERS[name]
    path = tmp_path / f"rec{suffix}"
    write(record.crop(0, 1), path)
    original = path.read_bytes()
    rng = np.random.default_rng(7)
    refused, start = 0, time.perf_counter()
    for trial in range(120):
        data = bytearray(original)
        for _ in range(rng.integers(1, 6)):
            data[rng.integers(2000 if trial % 2 else len(data))] = rng.integers(256)
        path.write_bytes(bytes(data))
        try:
            read_record(path)
        except EcgError:
            refused += 1
    assert refused > 0 or name == "ishne"  # of whose header few bytes are used
    assert time.perf_counter() - start < 30


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "lol">{entities}]><%s>&a9;</%s>'
    for name, tag in (
        ("aecg", "AnnotatedECG"),
        ("muse", "RestingECG"),
        ("philips", "restingecgdata"),
        ("cardiosoft", "CardiologyXML"),
        ("schiller", "SchillerEDI"),
        ("mortara", "ECG"),
    ):
        path = tmp_path / f"{name}.xml"
        path.write_text(bomb % (tag, tag))
        with pytest.raises(EcgFormatError):
            read_record(path, format=name)


def test_an_unknown_xml_is_refused_with_the_list_of_readers(tmp_path: Path) -> None:
    path = tmp_path / "rec.xml"
    path.write_text("<svg></svg>")
    with pytest.raises(EcgFormatError, match="aecg"):
        read_record(path)


def test_a_dicom_waveform_group_that_is_not_there(files: dict[str, Path]) -> None:
    with pytest.raises(EcgFormatError, match="no waveform group 3"):
        read_record(files["dicom"], group=3)


def test_every_reader_has_a_test() -> None:
    others = {"healforce", "wfdb", "csv", "npy", "npz", "mat", "parquet", "picture"}  # with tests of their own
    assert set(readers) == set(WRITERS) | others


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_measurement(files: dict[str, Path], record: ECGRecord, name: str) -> None:
    """With steps of 1 uV, and limb leads derived if a format stores eight, no interval changes by 0.5 ms."""
    expected, found = grounding.measure(record), grounding.measure(read_record(files[name]))
    for interval, value in expected.intervals.items():
        assert found.intervals[interval] == pytest.approx(value, abs=0.5), interval
    assert found.axis == pytest.approx(expected.axis, abs=0.5)
    assert found.beats["type"].tolist() == expected.beats["type"].tolist()


ABSURD = [
    ("bdf", 236, b"99999999"),
    ("bdf", 184, b"99999999"),
    ("bdf", 252, b"9999"),
    ("bdf", 244, b"1e-300  "),
    ("edf", 236, b"99999999"),
    ("edf", 184, b"99999999"),
    ("edf", 252, b"9999"),
    ("edf", 244, b"1e-300  "),
    ("dicom", b"\x3a\x00\x10\x00UL\x04\x00", b"\xff\xff\xff\x7f"),
    ("dicom", b"\x3a\x00\x05\x00US\x02\x00", b"\xff\xff"),
    ("muse", b"<LeadSampleCountTotal>", b"999999999</LeadSampleCountTotal><x>"),
    ("muse", b"<SampleBase>", b"1e300</SampleBase><x>"),
    ("philips", b'durationperchannel="', b'99999999999" x="'),
    ("philips", b'numberofleads="', b'999999999" x="'),
    ("philips", b'samplespersecond="', b'1e300" x="'),
    ("aecg", b"<increment value=", b'"1e-300" x='),
    ("aecg", b"<scale value=", b'"1e300" x='),
    ("scp", 2, b"\xff\xff\xff\x7f"),
    ("scp", 26, b"\xff\xff\xff\x7f"),
]


@pytest.mark.parametrize(("name", "where", "what"), ABSURD, ids=[f"{n}-{w}" for n, w, _ in ABSURD])
def test_absurd_numbers_cost_neither_memory_nor_time(
    files: dict[str, Path], name: str, where: int | bytes, what: bytes, tmp_path: Path
) -> None:
    """Lengths, counts and rates that the file can't hold, at an offset or behind the bytes that name them."""
    data = bytearray(files[name].read_bytes())
    at = where if isinstance(where, int) else data.index(where) + len(where)
    data[at : at + len(what)] = what
    path = tmp_path / files[name].name
    path.write_bytes(bytes(data))
    tracemalloc.start()
    begun = time.process_time()
    samples = 0
    with contextlib.suppress(EcgError):
        samples = read_record(path).signal.size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert samples < 1e6
    assert peak < 100e6
    assert time.process_time() - begun < 5
