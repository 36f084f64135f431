"""Printed values and lead names: from lines of text, from pages drawn here, and from real pages."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import grounding
from grounding import ECGRecord
from grounding.paper import draw
from grounding.photographs import compare_printed, lettering, printed
from grounding.photographs.arrangement import LAYOUTS, cells_of, parse_layout
from grounding.photographs.lettering import PrintedLine
from grounding.photographs.names import LeadName, arrange_by_names, lead_names
from grounding.photographs.printed import PageText, printed_values
from tests.grounding.photographs.conftest import snr_db

PERIOD = 40
CABRERA = ("aVL", "I", "aVR", "II", "aVF", "III", "V1", "V2", "V3", "V4", "V5", "V6")


def line(text: str, left: float = 0.0, middle: float = 1.0, confidence: float = 0.95) -> PrintedLine:
    """A line of text, one grid period high."""
    right = left + 0.5 * len(text)
    corners = [(left, middle - 0.5), (right, middle - 0.5), (right, middle + 0.5), (left, middle + 0.5)]
    at = np.array(corners)
    return PrintedLine(text, confidence, at * 10, at)


def values(*texts: str) -> dict[str, float]:
    return {one.name: one.value for one in printed_values([line(text, middle=2 * i) for i, text in enumerate(texts)])}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Vent. rate 80 BPM", {"rate": 80}),
        ("HR: 61/min", {"rate": 61}),
        ("HF 72 /min", {"rate": 72}),
        ("Heart rate = 101", {"rate": 101}),
        ("80 bpm", {"rate": 80}),
        ("PR interval 162 ms", {"pr": 162}),
        ("PR 162 ms", {"pr": 162}),
        ("PQ 150ms", {"pr": 150}),
        ("P-R int. 158", {"pr": 158}),
        ("QRS 88 ms", {"qrs": 88}),
        ("QRSD 94", {"qrs": 94}),
        ("QRS duration 112 ms", {"qrs": 112}),
        ("QT/QTc 394/412 ms", {"qt": 394, "qtc": 412}),
        ("QT/QTcB: 394 / 412", {"qt": 394, "qtc": 412}),
        ("QT 394 ms", {"qt": 394}),
        ("QTc(Bazett) 421", {"qtc": 421}),
        ("P-R-T axes 35 40 -20", {"axis_p": 35, "axis": 40, "axis_t": -20}),
        ("P/QRS/T 35/-40/20", {"axis_p": 35, "axis": -40, "axis_t": 20}),
        ("P-R-T axes * 40 -20", {"axis": 40, "axis_t": -20}),
        ("QRS axis -31", {"axis": -31}),
        ("RR 982 ms", {"rr": 982}),
        ("P duration 114 ms", {"p": 114}),
        ("25mm/s 10mm/mV 0.05-150 Hz", {"speed": 25, "gain": 10}),
        ("12,5 mm/sec", {"speed": 12.5}),
        ("PR interval * ms", {}),
        ("25 mm", {}),
        ("27 mm/s", {}),
        ("QRS 8 ms", {}),
        ("Rate 900", {}),
        ("2024-11-03 10:25", {}),
        ("Possible inferior infarct, age undetermined", {}),
    ],
)
def test_usual_wordings(text: str, found: dict[str, float]) -> None:
    assert values(text) == found


def test_columns_of_names_numbers_and_units_are_joined() -> None:
    lines = [
        line("Vent. rate", 10, 2.4),
        line("80", 19, 2.5),
        line("BPM", 20.4, 2.5),
        line("Sinus rhythm", 24, 2.4),
    ]
    lines += [line("PR interval", 10, 3.1), line("148", 19, 3.1), line("ms", 21, 3.2)]
    found = printed_values(lines)
    assert {one.name: one.value for one in found} == {"rate": 80.0, "pr": 148.0}
    rate = next(one for one in found if one.name == "rate")
    assert (rate.unit, rate.words) == ("bpm", "Vent. rate 80")
    assert rate.box[0].tolist() == lines[0].box[0].tolist()
    assert rate.box[2].tolist() == lines[1].box[2].tolist()


def test_nothing_about_the_patient_is_kept() -> None:
    found = printed_values([line("DOE, JANE 4711 PR 162 ms born 1950")])
    assert [(one.name, one.words) for one in found] == [("pr", "PR 162")]


def test_doubtful_lines_are_left_out_and_the_surest_wording_counts() -> None:
    assert printed_values([line("PR 162 ms", confidence=0.4)]) == ()
    # devices print the axis of QRS after its duration
    assert values("QT/QTc 394/412", "QT 999", "QT 300")["qt"] == 394


def test_a_speed_and_a_gain_that_are_read_without_the_space_between_them() -> None:
    # such a page was read at 25 mm/s, half as fast as it was
    assert values("50 mm/s10 mm/mV500 Hz") == {"speed": 50.0, "gain": 10.0}
    assert values("50 mm/sample 10 mm/mVx") == {}


def test_printed_scales_are_used_where_none_is_given() -> None:
    text = PageText.of([line("50 mm/s 5 mm/mV")])
    speed, gain, warnings = text.scales(None, None, 5.0)
    assert (speed, gain, warnings) == (50.0, 5.0, [])
    speed, gain, warnings = text.scales(None, None, 10.0)
    assert (speed, gain) == (50.0, 5.0)
    assert "calibration pulses are 10 mm" in warnings[0]
    speed, gain, warnings = text.scales(25.0, 10.0, 10.0)
    assert (speed, gain) == (25.0, 10.0)
    assert len(warnings) == 2
    assert PageText.of([]).scales(None, None, None) == (
        25.0,
        10.0,
        ["no calibration pulse is seen: 10 mm/mV is assumed", "no paper speed is read: 25 mm/s is assumed"],
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("aVR", ("aVR", 1, True)),
        ("-aVR", ("aVR", -1, True)),
        ("AVF", ("aVF", 1, True)),
        ("V4", ("V4", 1, True)),
        ("\u2193V5", ("V5", 1, True)),
        ("\u2161", ("II", 1, False)),
        ("\u2161I", ("III", 1, False)),
        ("II", ("II", 1, False)),
        ("laVR", ("aVR", 1, False)),
        ("vl", ("V1", 1, False)),
        ("VA", ("V4", 1, False)),
        ("V7", ("V7", 1, False)),
        ("V4r", ("V4R", 1, False)),
        ("ms", None),
        ("Abnormal ECG", None),
    ],
)
def test_lead_names(text: str, name: tuple[str, int, bool] | None) -> None:
    found = lead_names([line(text)])
    assert [(one.lead, one.sign, one.sure) for one in found] == ([] if name is None else [name])


def rows_of(record: ECGRecord, leads: list[str], inverted: bool = False) -> list[np.ndarray]:
    """Two columns of five seconds each: lines as ``arrange`` gets them, at 200 columns a second."""

    def part(lead: str, start_s: float) -> np.ndarray:
        values = record.lead(lead)[int(start_s * record.fs) : int((start_s + 5) * record.fs)]
        sign = -1 if inverted and lead == "aVR" else 1
        return np.interp(np.arange(1000) / 200, np.arange(len(values)) / record.fs, sign * values)

    return [np.concatenate([part(leads[row], 0), part(leads[row + 6], 5)]) for row in range(6)]


def names_of(table: tuple[tuple[str, ...], ...], missing: tuple[str, ...] = ()) -> list[LeadName]:
    """Names half a period behind their stretches' beginnings, three above their rows, which are six apart."""
    cells = cells_of(table, 0, 50 * PERIOD, PERIOD, 25.0)
    return [
        LeadName(cell.lead, 1, not cell.lead.startswith("I"), cell.start / PERIOD + 0.5, 6.0 * cell.row + 5 - 3)
        for cell in cells
        if cell.lead not in missing
    ]


HEIGHTS = [PERIOD * (6.0 * row + 5) for row in range(6)]


@pytest.mark.parametrize("inverted", [False, True])
def test_cabrera_order_is_told_by_names_and_the_sign_of_avr_by_the_others(record: ECGRecord, inverted: bool) -> None:
    names = names_of(LAYOUTS["6x2-cabrera"], missing=("V3", "aVF", "I"))
    rows = rows_of(record, list(CABRERA), inverted)
    cells, fit = arrange_by_names(rows, HEIGHTS, (0, 50 * PERIOD), PERIOD, None, names)
    assert (fit.order, fit.differ) == ("as printed", ())
    assert [cell.lead for cell in cells] == [lead for row in range(6) for lead in (CABRERA[row], CABRERA[row + 6])]
    assert [cell.sign for cell in cells if cell.lead == "aVR"] == [-1 if inverted else 1]
    assert fit.warnings


def test_the_usual_order_is_confirmed_and_single_misread_names_do_not_change_it(record: ECGRecord) -> None:
    names = names_of(LAYOUTS["6x2"])
    rows = rows_of(record, list(grounding.STANDARD_LEADS))
    wrong = [LeadName("V4", 1, True, one.left, one.middle) if one.lead == "V1" else one for one in names]
    usual = [lead for row in LAYOUTS["6x2"] for lead in row]
    for these, differ in ((names, ()), (wrong, ("V4 where V1 is assumed",)), ([], ())):
        cells, fit = arrange_by_names(rows, HEIGHTS, (0, 50 * PERIOD), PERIOD, None, these)
        assert [cell.lead for cell in cells] == usual
        assert (fit.order, fit.differ, fit.warnings) == ("usual", differ, [])
        assert fit.agree == max(0, len(these) - len(differ))


def test_names_that_fit_no_layout_are_a_warning(record: ECGRecord) -> None:
    shuffled = ["V2", "aVL", "V6", "V3", "aVF", "V1", "V5", "aVR", "V4", "II", "III", "I"]
    table = tuple((shuffled[row], shuffled[row + 6]) for row in range(6))
    _, fit = arrange_by_names(
        rows_of(record, list(grounding.STANDARD_LEADS)), HEIGHTS, (0, 50 * PERIOD), PERIOD, None, names_of(table)
    )
    assert fit.order == "usual"
    assert "printed lead names differ" in fit.warnings[0]


def test_two_rows_are_read_by_their_names_alone(record: ECGRecord) -> None:
    rows = rows_of(record, list(grounding.STANDARD_LEADS))[:2]
    names = [LeadName("V4", 1, True, 10.0, 2.5), LeadName("V5", 1, True, 0.5, 8.5)]
    cells, _ = arrange_by_names(rows, HEIGHTS[:2], (0, 50 * PERIOD), PERIOD, None, names)
    # what stands before V4 is of an unnamed lead
    assert [(cell.lead, cell.start, cell.start_s) for cell in cells] == [("V4", 400.0, 2.0), ("V5", 0, 0.0)]
    with pytest.raises(grounding.EcgSignalError, match="2 rows"):
        arrange_by_names(rows, HEIGHTS[:2], (0, 50 * PERIOD), PERIOD, None, names[:1])


def test_fifteen_leads_are_told_by_their_names(record: ECGRecord) -> None:
    table = tuple((*row[:4], last) for row, last in zip(LAYOUTS["3x5"], ("V7", "V8", "V9"), strict=True))
    rows, names = rows_of(record, list(grounding.STANDARD_LEADS))[:3], names_of(table)
    for these, last in ((names, ["V7", "V8", "V9"]), (names[:-1], ["V7", "V8", "ECG 15"])):
        cells, fit = arrange_by_names(rows, HEIGHTS[:3], (0, 50 * PERIOD), PERIOD, None, these)
        assert [cell.lead for cell in cells if cell.start_s == 8.0] == last
        assert (fit.order, fit.differ) == ("as printed", ())
    assert parse_layout("3x5+1") == ("3x5", 1)


HEADER = ("Vent. rate 64 BPM", "PR interval 162 ms", "QRS duration 96 ms", "QT/QTc 402/421 ms", "Jane Doe 4711")


@pytest.fixture(scope="module")
def page(record: ECGRecord, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan of a page in Cabrera order, with a header that states other values than the recording has."""
    drawn = draw(record, leads=CABRERA, px_per_mm=6).image.convert("RGB")
    image = Image.new("RGB", (drawn.width, drawn.height + 130), "white")
    image.paste(drawn, (0, 130))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=18)
    for number, text in enumerate(HEADER):
        pen.text((1000, 6 + 23 * number), text, fill="black", font=font)
    path = tmp_path_factory.mktemp("printed") / "page.png"
    image.save(path)
    return path


def test_a_page_with_a_header_in_another_order(page: Path, record: ECGRecord) -> None:
    pytest.importorskip("rapidocr")
    found = grounding.read_record(page)
    about = found.meta["picture"]
    assert about["text"] == "read"
    values = {one.name: one.value for one in about["printed"]}
    assert values == {"rate": 64, "pr": 162, "qrs": 96, "qt": 402, "qtc": 421, "speed": 25, "gain": 10}
    assert not any("Jane" in one.words or "4711" in one.words for one in about["printed"])
    width, height = Image.open(page).size
    for one in about["printed"]:
        assert (one.box >= 0).all()
        assert (one.box <= (width, height)).all()
    boxes = {one.name: one.box for one in about["printed"]}
    assert boxes["rate"][0, 1] < boxes["pr"][0, 1] < boxes["qrs"][0, 1] < boxes["qt"][0, 1] < boxes["speed"][0, 1]
    assert about["lead_names"]["order"] == "as printed"
    assert snr_db(record, found) > 5  # also aVR, which is printed upright
    compared = {one.name: one for one in compare_printed(about["printed"], grounding.measure(found))}
    assert compared["pr"].difference == pytest.approx(grounding.measure(found).intervals["pr"] - 162)
    assert str(compared["rate"]).startswith("rate: printed 64 bpm, measured 6")


def test_without_the_package_nothing_is_read_and_that_is_said(
    photograph,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    for module in (lettering, printed):
        monkeypatch.setattr(module, "text_is_read", lambda: False)
    about = grounding.read_record(photograph()).meta["picture"]
    assert 'pip install "gem-ecg[ocr]"' in about["text"]
    assert about["printed"] == ()
    assert about["lead_names"] == {"order": "usual", "read": 0, "agree": 0, "differ": []}


@pytest.mark.parametrize("number", ["00016", "00018", "00024"])
def test_printed_values_of_real_pages(shared: Path, number: str) -> None:
    pytest.importorskip("rapidocr")
    by_eye = Path(__file__).parents[3] / "benchmarks" / "photo_layouts.csv"
    name = f"ecg{number}.jpg"
    row = next(row for row in csv.DictReader(by_eye.open(encoding="utf-8")) if row["picture"] == name)
    about = grounding.read_record(shared / "data/pictures/layouts" / name).meta["picture"]
    values = {one.name: one.value for one in about["printed"]}
    for quantity, column in (
        ("rate", "printed_rate_bpm"),
        ("pr", "printed_pr_ms"),
        ("qrs", "printed_qrs_ms"),
        ("qt", "printed_qt_ms"),
        ("qtc", "printed_qtc_ms"),
        ("axis", "printed_axis_degrees"),
        ("axis_t", "printed_axis_t_degrees"),
    ):
        assert values.get(quantity) == (float(row[column]) if row[column] else None)
    assert about["lead_names"]["agree"] >= 10
    assert about["lead_names"]["differ"] == []


# five columns of two seconds; columns whose rows stand at different heights; two rows with tall T waves; tremor
@pytest.mark.parametrize("name", ["ecg00020.jpg", "ecg00006.png", "ecg00008.jpg", "ecg00028.jpg"])
def test_leads_and_rate_of_real_pages(shared: Path, name: str) -> None:
    pytest.importorskip("rapidocr")
    by_eye = Path(__file__).parents[3] / "benchmarks" / "photo_layouts.csv"
    row = next(row for row in csv.DictReader(by_eye.open(encoding="utf-8")) if row["picture"] == name)
    read = grounding.read_record(shared / "data/pictures/layouts" / name)
    assert len(read.leads) == int(row["leads"])
    assert grounding.measure(read).heart_rate == pytest.approx(float(row["rate_bpm"]), abs=3)
