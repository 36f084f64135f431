"""Delimited text as devices, programs and people write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from grounding import EcgError, EcgFormatError, ECGRecord, EcgSignalError, read_record, sample_path

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return read_record(sample_path()).crop(0, 2)


def rows(
    record: ECGRecord,
    leads: tuple[str, ...] = LEADS,
    sep: str = ",",
    end: str = "",
    before: Callable[[int], str] | None = None,
    decimal: str = ".",
) -> str:
    """A line per sample; ``before`` gives what stands in front of the leads."""
    signal = record.select(leads).signal.T
    lines = []
    for k, sample in enumerate(signal):
        fields = ([before(k)] if before else []) + [f"{value:.4f}".replace(".", decimal) for value in sample]
        lines.append(sep.join(fields) + end)
    return "\n".join(lines) + "\n"


def check(found: ECGRecord, record: ECGRecord, leads: tuple[str, ...] = LEADS, fs: float = 500) -> None:
    assert found.leads == leads
    assert found.fs == pytest.approx(fs)
    np.testing.assert_allclose(found.signal, record.select(leads).signal, atol=1e-4)


HEADER = ",".join(LEADS)


@pytest.mark.parametrize(
    ("header", "end"),
    [(HEADER, ","), (HEADER, ",,"), (HEADER + ",", ","), (HEADER + ",", ""), (HEADER + ",,", ",")],
)
def test_delimiters_at_the_ends_of_lines(record: ECGRecord, tmp_path: Path, header: str, end: str) -> None:
    path = tmp_path / "rec.csv"
    for sep in ",;\t":
        path.write_text((header + "\n" + rows(record, end=end)).replace(",", sep))
        check(read_record(path, fs=500), record)


def test_rows_that_begin_with_their_number(record: ECGRecord, tmp_path: Path) -> None:
    """R's write.table gives the row names no header."""
    path = tmp_path / "rec.csv"
    path.write_text(HEADER + "\n" + rows(record, before=lambda k: f'"{k + 1}"'))
    check(read_record(path, fs=500), record)


@pytest.mark.parametrize("names", [LEADS[:11], LEADS[:8], (*LEADS, "V7"), (*LEADS, "V7", "V8")])
def test_a_header_that_does_not_fit_is_an_error(record: ECGRecord, tmp_path: Path, names: tuple[str, ...]) -> None:
    path = tmp_path / "rec.csv"
    path.write_text(",".join(names) + "\n" + rows(record))
    with pytest.raises(EcgFormatError, match=f"header names {len(names)} columns .* rows hold 12 fields"):
        read_record(path, fs=500)


def test_a_title_is_no_header(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "rec.txt"
    path.write_text("Rhythm signal: 1000 X 12\n" + rows(record, sep=" "))
    with pytest.raises(EcgSignalError, match=r"1000 x 12 array are not named. pass leads="):
        read_record(path, fs=500)
    check(read_record(path, fs=500, leads=LEADS), record)
    path.write_text("Patient 17\nRecorded at 500 Hz, filter 150 Hz off\n\n" + HEADER + "\n" + rows(record))
    check(read_record(path, fs=500), record)
    path.write_text("Patient 17\nRecorded at 500 Hz\nFilter 150 Hz\n\n" + HEADER + "\n" + rows(record))
    check(read_record(path), record)


@pytest.mark.parametrize(
    "header",
    ["# made somewhere\n" + HEADER, "# " + HEADER, "#" + HEADER + "\n# and more", "% x\n%\n" + HEADER, "\n\n" + HEADER],
)
def test_comments_above_and_a_header_that_is_one(record: ECGRecord, tmp_path: Path, header: str) -> None:
    path = tmp_path / "rec.csv"
    text = rows(record).splitlines()
    path.write_text(header + "\n" + "\n".join([*text[:500], "# a remark", "", *text[500:]]))
    check(read_record(path, fs=500), record)


def test_a_hash_in_a_name(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "rec.csv"
    path.write_text("#,Lead #I,Lead #II\n" + rows(record, ("I", "II"), before=str))
    check(read_record(path, fs=500), record, ("I", "II"))


WATCHES = {
    "English": ("Name", "Date of Birth", "Sample Rate", "hertz", "Lead", "Lead I", "Unit", "."),
    "German": ("Name", "Geburtsdatum", "Messrate", "Hertz", "Ableitung", "Ableitung I", "Einheit", ","),
    "French": (
        "Nom",
        "Date de naissance",
        "Fréquence d’échantillonnage",
        "hertz",
        "Dérivation",
        "Dérivation I",
        "Unité",
        ",",
    ),
    "Spanish": ("Nombre", "Fecha", "Frecuencia de muestreo", "hercios", "Derivación", "Derivación I", "Unidad", ","),
    "Swedish": ("Namn", "Födelsedatum", "Samplingsfrekvens", "hertz", "Avledning", "Avledning I", "Enhet", ","),
}


@pytest.mark.parametrize("language", WATCHES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_apple_watch(record: ECGRecord, tmp_path: Path, language: str, encoding: str) -> None:
    name, birth, rate, hertz, lead, value, unit, decimal = WATCHES[language]
    numbers = "".join(f"{1000 * sample:.3f}\n".replace(".", decimal) for sample in record.lead("I"))
    if language == "Swedish" and encoding != "latin-1":
        numbers = numbers.replace("-", "\u2212")
    text = (
        f'{name},Test\n{birth},"Jan 1, 1980"\nSoftware,1.90\nDevice,"Watch6,1"\n{rate},512 {hertz}\n\n\n'
        f"{lead},{value}\n{unit},µV\n\n{numbers}"
    )
    path = tmp_path / "ecg.csv"
    path.write_bytes(text.encode(encoding, errors="replace"))
    found = read_record(path)
    check(found, record, ("I",), 512)
    assert found.has_millivolts
    assert read_record(path, fs=511).fs == 511


@pytest.mark.parametrize(
    ("word", "units", "stamp"),
    [
        ("'Elapsed time'", "'seconds','mV','mV'", lambda k: f"{k / 500:.3f}"),
        ("'Elapsed time'", "'hh:mm:ss.mmm','mV','mV'", lambda k: f"'0:{k / 500:06.3f}'"),
        (
            "'Elapsed time'",
            "'hh:mm:ss.mmm','mV','mV'",
            lambda k: f"'59:{59 + k / 500:06.3f}'" if k < 500 else f"'1:00:0{k / 500 - 1:.3f}'",
        ),
        ("'Time and date'", "'hh:mm:ss.mmm','mV','mV'", lambda k: f"'[10:00:{k / 500:06.3f} 01/01/2020]'"),
        ("'sample interval'", "'0.002 sec','mV','mV'", str),
    ],
)
def test_physiobank(record: ECGRecord, tmp_path: Path, word: str, units: str, stamp: Callable[[int], str]) -> None:
    path = tmp_path / "samples.csv"
    path.write_text(f"{word},'MLII','V5'\n{units}\n" + rows(record, ("II", "V5"), before=stamp))
    found = read_record(path)
    check(found, record, ("II", "V5"))
    assert found.meta["channel_names"] == {"II": "MLII"}
    assert found.meta["warnings"] == ()


def test_a_row_of_units(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "rec.csv"
    for row in ("ms,uV,mV", "[ms],[µV],(mV)", "ms;uV;mV"):
        body = rows(record, ("I", "II"), before=lambda k: str(2 * k))
        path.write_text("Zeit,I,II\n" + row.replace(";", ",") + "\n" + body)
        found = read_record(path)
        np.testing.assert_allclose(found.lead("I"), record.lead("I") / 1000, atol=1e-6)
        np.testing.assert_allclose(found.lead("II"), record.lead("II"), atol=1e-4)
        assert found.fs == 500


@pytest.mark.parametrize("sep", [";", "\t", " "])
def test_decimal_commas(record: ECGRecord, tmp_path: Path, sep: str) -> None:
    path = tmp_path / "rec.txt"
    path.write_text(sep.join(LEADS) + "\n" + rows(record, sep=sep, decimal=","))
    check(read_record(path, fs=500), record)
    path.write_text(
        '"'
        + '","'.join(LEADS)
        + '"\n'
        + '"'
        + rows(record, sep='","', end='"', decimal=",").replace("\n", '\n"').rstrip('"')
    )
    check(read_record(path, fs=500), record)


@pytest.mark.parametrize(
    ("name", "stamp"),
    [
        ("time", lambda k: f"{k / 500}"),
        ("Zeit [ms]", lambda k: str(2 * k)),
        ("t_us", lambda k: str(2000 * k)),
        ("sensor timestamp [ns]", lambda k: str(599616000000000000 + 2000000 * k)),
        (
            "timestamp",
            lambda k: f"2020-01-31T23:59:{59 + k / 500:06.3f}" if k < 500 else f"2020-02-01T00:00:{k / 500 - 1:06.3f}",
        ),
        ("time", lambda k: f"2020-01-01 10:00:{k / 500:06.3f}Z"),
        ("Uhrzeit", lambda k: f"23:59:{59 + k / 500:06.3f}" if k < 500 else f"00:00:{k / 500 - 1:06.3f}"),
        ("when", lambda k: f"00:{k / 500:06.3f}"),
    ],
)
def test_time_columns(record: ECGRecord, tmp_path: Path, name: str, stamp: Callable[[int], str]) -> None:
    path = tmp_path / "rec.csv"
    path.write_text(f"{name},{HEADER}\n" + rows(record, before=stamp))
    found = read_record(path)
    check(found, record)
    assert found.meta["warnings"] == ()


def test_what_is_no_ecg_is_left_out_and_named(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "monitor.csv"
    body = "".join(f"{k / 500},{x:.4f},75,0.5,N,\n" for k, x in enumerate(record.lead("II")))
    path.write_text("Zeit,Ableitung II,HR,RESP,rhythm,remark\n" + body)
    found = read_record(path)
    check(found, record, ("II",))
    assert found.meta["warnings"] == ("no numbers, left out: rhythm", "no ECG by name, left out: HR, RESP, remark")


def test_short_and_long_rows_are_named(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "rec.csv"
    lines = (HEADER + "\n" + rows(record)).splitlines()
    for change, message in (
        (lambda line: line + ",0.5", "row 101 has 13 fields, the others 12"),
        (lambda line: line.rsplit(",", 1)[0], "row 101 has 11 fields, the others 12"),
        (lambda line: "oops" + line[5:], "row 101 holds 'oops"),
    ):
        path.write_text("\n".join([*lines[:100], change(lines[100]), *lines[101:]]))
        with pytest.raises(EcgFormatError, match=message):
            read_record(path, fs=500)
    path.write_text("\n".join(lines)[:-30])
    with pytest.raises(EcgFormatError, match="may have been cut off"):
        read_record(path, fs=500)


def test_units_in_names(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "rec.csv"
    path.write_text("I (Einthoven),II [µV]\n" + rows(record, ("I", "II")), encoding="latin-1")
    found = read_record(path, fs=500)
    np.testing.assert_allclose(found.lead("I"), record.lead("I"), atol=1e-4)
    np.testing.assert_allclose(found.lead("II"), record.lead("II") / 1000, atol=1e-6)
    path.write_text("I [parsec],II [parsec]\n" + rows(record, ("I", "II")))
    found = read_record(path, fs=500)
    assert found.meta["units"] == "unknown"
    assert "not millivolts" in found.meta["warnings"][0]
    assert read_record(path, fs=500, units="mV").has_millivolts


def test_column_numbers_are_a_header(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "rec.csv"
    for header, before in (("0,1,2", None), (",0,1,2", str), ("1,2,3", None)):
        path.write_text(header + "\n" + rows(record, ("I", "II", "V1"), before=before))
        check(read_record(path, fs=500, leads=["I", "II", "V1"]), record, ("I", "II", "V1"))


@pytest.mark.parametrize("named", [False, True])
def test_a_row_per_lead(record: ECGRecord, tmp_path: Path, named: bool) -> None:
    path = tmp_path / "rec.csv"
    for part in (record, record.crop(0, 20 / 500)):
        lines = [[name] * named + [f"{x:.4f}" for x in part.lead(name)] for name in LEADS]
        path.write_text("\n".join(",".join(line) for line in lines))
        check(read_record(path, fs=500, **({} if named else {"leads": LEADS})), part)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_ends_of_lines(record: ECGRecord, tmp_path: Path, end: str) -> None:
    path = tmp_path / "rec.csv"
    path.write_bytes(("x y z\n\n" + HEADER + "\n" + rows(record)).replace("\n", end).encode())
    check(read_record(path, fs=500), record)


def test_other_programs(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "rec.txt"
    labchart = "Interval=\t0.002 s\nChannelTitle=\tECG\tResp\nRange=\t10 mV\t1 V\n"
    path.write_text(labchart + "".join(f"{k / 500:.3f}\t{x:.4f}\t0.1\n" for k, x in enumerate(record.lead("I"))))
    found = read_record(path)
    assert (found.leads, found.fs) == (("ECG",), 500)
    polar = "Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV]\n"
    lines = (
        f"2023-01-01T10:00:{k // 50 * 0.1:06.3f};{599616000000000000 + k * 2000000};{2 * k}.0;{1000 * x:.0f}\n"
        for k, x in enumerate(record.lead("I"))
    )
    path.write_text(polar + "".join(lines))
    found = read_record(path)
    assert (found.leads, found.fs) == (("ecg",), 500)
    np.testing.assert_allclose(found.signal[0], record.lead("I"), atol=1e-3)


def test_a_time_column_that_tells_no_rate(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "rec.csv"
    path.write_text("time,I\n" + rows(record, ("I",), before=str))
    with pytest.raises(EcgSignalError, match=r"'time' gives 1 Hz.*time_ms"):
        read_record(path)
    check(read_record(path, fs=500), record, ("I",))


@pytest.mark.parametrize(
    "content", [b"\0\1\2" * 500, b"\xff\xfe\0", b"I,II\n", b"a\nb\nc\n", b'"' * 1000, b"\n" * 1000]
)
def test_what_holds_no_numbers(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rec.csv"
    path.write_bytes(content)
    with pytest.raises(EcgError, match="no row of numbers"):
        read_record(path, fs=500)
