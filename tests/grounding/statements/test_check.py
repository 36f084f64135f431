from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import grounding
from grounding import Claim, check, measure, read_record, sample_path
from grounding.readers.samples import sample_names
from grounding.statements.parsing import read_statements, statements_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def inferior(make_measurement: Any) -> Any:
    """PR 236 ms, axis -42, ST elevation in II, III, aVF, T inversion in V2-V3, sinus rhythm of 71 bpm."""
    leads = {lead: {"j_mv": 0.2, "st60_mv": 0.2} for lead in ("II", "III", "aVF")} | {
        lead: {"t_mv": -0.3} for lead in ("V2", "V3")
    }
    return make_measurement(
        leads=leads, axis=-42.0, intervals={"pr": 236.0, "qtc_bazett": 431.0, "qtc_fridericia": 425.0}
    )


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("Heart rate 72 bpm.", "supported"),
        # a heading is about its whole list, up to the next matter
        ("PMH: AF, LBBB, bradycardia. Heart rate 72 bpm.", "not_checkable not_checkable not_checkable supported"),
        ("Anamnese: VHF, Linksschenkelblock, Bradykardie.", "not_checkable not_checkable not_checkable"),
        ("History: AF, LBBB; ECG: bradycardia.", "not_checkable not_checkable contradicted"),
        ("PMH: AF, ECG shows bradycardia.", "not_checkable contradicted"),
        ("PMH: AF, HR 120 bpm.", "not_checkable contradicted"),
        ("Heart rate 90 bpm.", "contradicted"),
        # Swedish, as one device of PTB-XL writes it
        (
            "sinusrytm a-v block i extrem vänster el-axel eljest normalt ekg",
            "supported supported supported contradicted",
        ),
        ("regelbunden rytm, inga p-våg funna", "supported contradicted"),
        ("inferior myokardskada kan ej uteslutas", "unsupported"),
        ("förmaksflimmer/-fladder med hög kammarfrekvens", "contradicted contradicted"),
        ("avvikande qrs(t) förlopp", "not_checkable"),
        # results: a sign, a word, a count, an answer
        ("LBBB (-), RBBB (-)", "supported supported"),
        ("LBBB: negative. T waves: negative.", "supported supported"),
        ("Zero PVCs were seen.", "supported"),
        ("Atrial fibrillation? No.", "supported"),
        ("Is there ST elevation in II? No, sinus rhythm.", "contradicted supported"),
        ("Is there ST elevation in V4? No ST elevation is seen in V4.", "not_checkable supported"),
        ("Ventricular rate 71 bpm with narrow complexes.", "supported supported"),
        ("QTc 431 ms (Bazett), 425 ms (Fridericia)", "supported supported"),
        ("QTc 425 ms (Bazett), 380 ms (Fridericia)", "supported contradicted"),
        ("QTc normal (< 440 ms)", "supported"),
        ("Standard deviation of the PR interval 4 ms", "supported"),
        ("Standard deviation of the PR interval 40 ms", "contradicted"),
        ("Standard deviation of the RR intervals 4 ms", "not_checkable"),
        ("Number of P waves that no QRS follows 0", "not_checkable"),
        ("Sinus rhythm at 70/min with first-degree AV block.", "supported supported supported"),
        ("PR interval 236 ms, prolonged", "supported supported"),
        ("PR interval 236 ms, normal", "supported contradicted"),
        ("The PR interval is 0.24 s.", "supported"),
        ("PR interval >200 ms (normal range 120-200 ms).", "supported"),
        ("A prolonged PR interval of 230-240 ms.", "supported supported"),
        ("The PR interval is not prolonged.", "contradicted"),
        ("QRS duration is 92 ms (normal)", "supported supported"),
        ("Narrow QRS complexes.", "supported"),
        ("The QTc (Bazett) is 431 ms", "supported"),
        ("The QTc (Bazett) is 480 ms", "contradicted"),
        ("Left axis deviation (-42°)", "supported supported"),
        ("Left axis deviation (42°)", "supported contradicted"),
        ("Right axis deviation", "contradicted"),
        ("The axis is normal.", "contradicted"),
        ("ST elevation in II, III and aVF", "supported"),
        ("ST elevation in V2", "unsupported"),
        ("ST-segment elevation in the inferior leads.", "supported"),
        ("In leads II, III and aVF there is ST elevation.", "supported"),
        ("No ST elevation in V1-V4.", "supported"),
        ("no ST elevation", "contradicted"),
        ("T wave inversion in V2-V3", "supported"),
        ("Inverted T waves in V2 and V3.", "supported"),
        (
            "st elevation in ii, iii and avf. t waves inverted in v2,3. no st depression in i, avl, v4,5,6",
            "supported supported supported",
        ),
        ("st elevation in ii, v5,6", "unsupported"),
        ("R wave progression is normal.", "supported"),
        ("No left or right bundle branch block.", "supported"),
        ("T waves are inverted in V5.", "unsupported"),
        ("No evidence of left bundle branch block, LVH or atrial fibrillation.", "supported supported supported"),
        ("Atrial fibrillation is not present.", "supported"),
        ("Atrial fibrillation is present.", "contradicted"),
        ("Possible inferior infarction.", "unsupported"),
        ("Right bundle branch block cannot be excluded.", "unsupported"),
        ("P waves are absent.", "contradicted"),
        ("The rhythm is irregular.", "contradicted"),
        ("No atrial fibrillation, but first degree AV block.", "supported supported"),
        ("The QT interval is not measurable (no T wave end).", "contradicted"),
        ("Normal ECG.", "contradicted"),
        ("The patient is a 65-year-old man with chest pain.", "not_checkable"),
        ("Recorded at 25 mm/s and 10 mm/mV.", "not_checkable"),
        ("", ""),
        ("?!", ""),
    ],
)
def test_statements_and_their_verdicts(inferior: Any, text: str, verdicts: str) -> None:
    claims = grounding.check(text, inferior)
    assert [claim.verdict for claim in claims] == verdicts.split(), claims


def test_a_claim_says_what_it_read_and_what_it_was_held_against(inferior: Any) -> None:
    text = "Unremarkable patient. The PR interval is 236 ms."
    claim = grounding.check(text, inferior)[-1]
    assert text[claim.start : claim.end] == claim.text == "PR interval is 236 ms"
    assert claim.evidence[0].quantity == "pr"
    assert claim.evidence[0].value == 236.0
    assert claim.reason == "measured PR interval is 236 ms"
    assert Claim.from_dict(claim.to_dict()) == claim


def test_doubt_is_kept_in_the_kind(inferior: Any) -> None:
    assert grounding.check("Possible anterior infarction.", inferior)[0].kind == "possible_finding"
    assert grounding.check("Anterior infarction.", inferior)[0].kind == "finding"


def test_what_was_not_measured_is_not_contradicted(make_measurement: Any) -> None:
    measurement = make_measurement(intervals={"pr": None}, reasons={"pr": "no P waves"}, has_millivolts=False)
    claims = grounding.check("PR interval 180 ms. ST elevation in V2. The PR interval is not measurable.", measurement)
    assert [claim.verdict for claim in claims] == ["not_checkable", "not_checkable", "supported"]
    assert "no P waves" in claims[0].reason


def test_importing_the_module_does_not_hide_the_function(inferior: Any) -> None:
    importlib.import_module("grounding.statements")
    assert grounding.check("Heart rate 72 bpm.", inferior)[0].verdict == "supported"


@pytest.mark.parametrize(
    "text", ["Paper speed 25 mm/", "10 mm/.", "5 mV/", "2 mm/ ", "25 mm/s/", "HR 70/", "70 / min /", "PR 160 ms/"]
)
def test_a_unit_may_be_cut_off(inferior: Any, text: str) -> None:
    for beside in ("", "Sinus rhythm. "):
        assert len(grounding.check(beside + text, inferior)) >= (1 if beside else 0)


def test_no_character_that_counts_is_an_error(inferior: Any) -> None:
    """Python calls "²" and "①" digits, but no float is made of them."""
    counting = [char for char in map(chr, range(sys.maxunicode + 1)) if char.isdigit() or char.isnumeric()]
    assert len(counting) > 1000
    for chars in (counting[at : at + 50] for at in range(0, len(counting), 50)):
        for pattern in ("PR {0} ms. ", "HR {0}.5-6{0} bpm. ", "V{0}-V6 1{0} mm. ", "{0},{0}/{0} . "):
            grounding.check("".join(pattern.format(char) for char in chars), inferior)
    assert grounding.check("PR ٢٣٦ ms", inferior)[0].verdict == "supported"


@pytest.mark.parametrize(
    "line",
    [
        "QT/QTc {qt:.0f}/{qtc_bazett:.0f} ms",
        "QT/QTcB: {qt:.0f}/{qtc_bazett:.0f} ms",
        "QT/QTcF {qt:.0f}/{qtc_fridericia:.0f} ms",
        "PR/QRS/QT/QTcB {pr:.0f}/{qrs:.0f}/{qt:.0f}/{qtc_bazett:.0f} ms",
        "QRS {qrs:.0f} ms, QTcB {qtc_bazett:.0f} ms, QTcF {qtc_fridericia:.0f} ms",
        "P axis {p:.0f} degrees, T axis {t:.0f} degrees",
        "P-R-T axes {p:.0f} {axis:.0f} {t:.0f}",
        "P/QRS/T axes: {p:.0f}/{axis:.0f}/{t:.0f} deg",
    ],
)
def test_lines_that_every_cart_prints(line: str) -> None:
    measurement = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_102")))
    axes = {"p": measurement.axes["p"], "axis": measurement.axis, "t": measurement.axes["t"]}
    claims = grounding.check(line.format(**{**measurement.intervals, **axes}), measurement)
    assert len(claims) == line.count("{")
    assert {claim.verdict for claim in claims} == {"supported"}, [(claim.text, claim.reason) for claim in claims]


def test_a_qtc_is_held_against_the_formula_that_is_meant() -> None:
    measurement = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_102")))
    bazett = f"{measurement.intervals['qtc_bazett']:.0f} ms"
    assert grounding.check(f"QTc {bazett}", measurement)[0].reason == f"measured QTc is {bazett}"


def test_what_is_no_text_and_no_measurement_is_said(inferior: Any) -> None:
    for text in (None, 5, b"PR 120 ms", ["x"]):
        with pytest.raises(grounding.EcgError, match="the text is"):
            grounding.check(text, inferior)  # type: ignore[arg-type]
    for measurement in (None, 5, {}):
        with pytest.raises(grounding.EcgError, match="the measurement is"):
            grounding.check("PR is 120 ms", measurement)  # type: ignore[arg-type]
        with pytest.raises(grounding.EcgError, match="the measurement is"):
            grounding.find(measurement)  # type: ignore[arg-type]
    for record in (None, 5, "x"):
        with pytest.raises(grounding.EcgError, match="the record is"):
            grounding.measure(record)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "unit", ["no " * 3000, "V1-" * 3000, "PR 1 ms, " * 2000, "(" * 8000, "1-2-" * 3000, "st elevation in v1 and " * 800]
)
def test_odd_texts_take_linear_time(inferior: Any, unit: str) -> None:
    start = time.perf_counter()
    grounding.check(unit, inferior)
    half = time.perf_counter() - start
    assert half < 5.0


@pytest.fixture(scope="module")
def mutations() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_mutations", ROOT / "benchmarks" / "check_mutations.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_changed_word_or_number_is_noticed(mutations: ModuleType) -> None:
    measurements = [measure(read_record(sample_path(name))) for name in sample_names()]
    made, flagged, plain, _, wrong = mutations.run(measurements, seed=1)
    assert sum(made.values()) >= 25
    assert all(made[kind] for kind in ("number", "presence", "word"))
    assert sum(flagged.values()) >= 0.99 * sum(made.values()), wrong
    assert plain["texts_with_alarm"] == 0, wrong
    assert plain["supported"] > 100


@pytest.mark.parametrize(
    "text",
    [
        "LBBB can't be excluded.",
        "LBBB CAN'T BE EXCLUDED.",
        "LBBB can\u2019t be ruled out.",
        "Can't exclude LBBB.",
        "Could not exclude LBBB.",
        "LBBB cannot be excluded.",
    ],
)
def test_what_cannot_be_excluded_is_possible_and_not_denied(inferior: Any, text: str) -> None:
    (claim,) = grounding.check(text, inferior)
    assert (claim.kind, claim.verdict) == ("possible_finding", "unsupported")


@pytest.mark.parametrize("text", ["There isn't any LBBB.", "It doesn't show LBBB."])
def test_a_contracted_not_denies(inferior: Any, text: str) -> None:
    (claim,) = grounding.check(text, inferior)
    assert (claim.kind, claim.verdict) == ("finding", "supported")


@pytest.mark.parametrize(
    ("text", "leads"),
    [
        ("In lead V1 the R wave is 0.3 mV.", [("V1",)]),
        ("In V1, the R wave is 0.3 mV and in V5 it is 1.2 mV.", [("V1",), ("V5",)]),
        ("In V1 there is an R wave of 0.3 mV, in V5 an R wave of 1.2 mV.", [("V1",), ("V5",)]),
        ("T inversion in V1, R wave 0.3 mV.", [()]),
    ],
)
def test_a_lead_before_a_wave_is_its_lead(text: str, leads: list[tuple[str, ...]]) -> None:
    assert [one.leads for one in read_statements(text) if one.kind == "amplitude"] == leads


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("J point -0.30 mV in II.", "supported"),
        ("J point -0.05 mV in II.", "contradicted"),
        ("ST 60 ms after the J point -0.05 mV in II.", "supported"),
        ("ST 60 ms after the J point -0.30 mV in II, 0.20 mV in III.", "contradicted supported"),
        ("ST in II -0.30 mV.", "supported"),  # neither point is named: either may be meant
        ("ST in II -0.05 mV.", "supported"),
        ("ST in II -0.60 mV.", "contradicted"),
        ("T wave 0.40 mV in V2.", "supported"),
        ("T wave -0.40 mV in V2.", "contradicted"),  # it is upright
        ("second R wave 0.50 mV in V1.", "supported"),
        ("second R wave 0.10 mV in V1, 0.50 mV in V2.", "contradicted contradicted"),
        ("The Q wave duration is 45 ms in III.", "supported"),
        ("duration of the Q wave 45 ms in III, 80 ms in aVF", "supported contradicted"),
        ("Q wave -0.20 mV in III, -0.10 mV in aVF.", "supported supported supported"),
        ("Q wave -0.20 mV in III, -0.30 mV in aVF.", "supported supported contradicted"),
        ("R-peak time 62 ms in V6.", "supported"),
        ("R-peak time 20 ms in V6.", "contradicted"),
        ("VAT 62 ms.", "not_checkable"),  # in which lead?
        # ("abnormal QRS" may be one of its shape)
        ("Abnormal QRS.", "not_checkable"),
        ("QRS duration is abnormal.", "contradicted"),
    ],
)
def test_a_number_is_held_against_the_point_that_it_names(make_measurement: Any, text: str, verdicts: str) -> None:
    leads = {
        "II": {"j_mv": -0.3, "st60_mv": -0.05},
        "III": {"j_mv": 0.2, "st60_mv": 0.2, "q_ms": 45.0, "q_mv": -0.2},
        "aVF": {"q_ms": 30.0, "q_mv": -0.1},
        "V1": {"r_mv": 0.1, "r2_mv": 0.5},
        "V2": {"t_mv": 0.4, "r2_mv": 0.0},
        "V6": {"r_peak_time_ms": 62.0},
    }
    found = grounding.check(text, make_measurement(leads=leads))
    assert " ".join(claim.verdict for claim in found) == verdicts, [claim.reason for claim in found]


def test_a_remembered_sentence_is_read_as_a_new_one() -> None:
    text = "Heart rate 72 bpm. No LBBB, PR 160 ms."
    statements_of.cache_clear()
    first = read_statements(text)
    again = read_statements(f"Old infarction.\n{text}")
    assert statements_of.cache_info().hits == 2
    assert first == [one.shifted(-16) for one in again[1:]]
    assert [text[one.start : one.end] for one in first] == [
        f"Old infarction.\n{text}"[one.start : one.end] for one in again[1:]
    ]
    number = again[1].number
    assert number is not None
    assert f"Old infarction.\n{text}"[number.start : number.end] == "72 bpm"
    again[1].negated = True  # a copy: what is remembered stays
    assert not read_statements(text)[0].negated


@pytest.fixture(scope="module")
def normal() -> Any:
    """Sinus rhythm of 79 bpm, PR 128 ms, QRS 100 ms, no ST deviation, T inverted in aVR (-0.20 mV) and V1."""
    return measure(read_record(sample_path("ptbxl_13")))


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        # a size that is denied, or only limited
        ("No ST elevation > 1 mm.", "not_checkable supported"),
        ("No ST elevation > 1 mm in V2-V4.", "not_checkable supported"),
        ("No ST elevation of 1 mm or more", "not_checkable supported"),
        ("No ST-segment deviation exceeding 0.1 mV.", "not_checkable supported"),
        ("ST depression is less than 0.5 mm in all leads.", "not_checkable supported"),
        ("No significant ST elevation (< 1 mm).", "supported"),
        ("ST elevation > 1 mm in V2", "contradicted contradicted"),
        # a T wave is negative in aVR whatever the criterion of T inversion looks at
        ("T-wave inversion in aVR, which is normal.", "supported"),
        ("T wave inversion only in aVR and V1.", "supported"),
        ("T-wave inversion in V4", "contradicted"),
        ("T wave inversion in aVR and V5", "unsupported"),
        # what is set against the finding is not claimed
        ("Low likelihood of STEMI.", "supported"),
        ("Unlike AF, P waves are visible before each QRS.", "not_checkable supported"),
        ("Sinus rhythm rather than AF.", "supported not_checkable"),
        ("? LVH", "unsupported"),
        ("Sinusrhythmus statt Vorhofflimmern.", "supported not_checkable"),
        ("On admission HR 120. On ECG HR 79.", "not_checkable supported"),
        ("LBBB - no; RBBB - no", "supported supported"),
        ("LBBB: no, RBBB: no, LVH: no", "supported supported supported"),
        ("LBBB - no, sinus rhythm", "supported supported"),
        ("Vorhofflimmern: nein", "supported"),
        ("No, this is sinus rhythm.", "supported"),
        ("AF was considered but P waves are present.", "unsupported supported"),
        ("PACs: 0, PVCs: 0", "supported supported"),
        ("0 PVCs", "supported"),
        ("PVCs: 3", "contradicted"),
        ("ST elevation: 0 mm in all leads", "not_checkable supported"),
        # of two formulas (467 and 446 ms) the one that was meant
        ("The QTc does not exceed 460 ms.", "supported"),
        ("The QTc does not exceed 400 ms.", "contradicted"),
        ("The QRS lasts 140 ms or more.", "contradicted"),
        ("The QRS is 80 ms or longer.", "supported"),
        ("QTc 440 ms and above, PR 400 ms oder mehr", "supported contradicted"),
        ("Rate 60 bpm or less", "contradicted"),
        ("R wave in V5 taller than 30 mm", "contradicted"),
        ("Every QRS has a P wave.", "supported"),
        ("QRS is above 60 and below 140 ms", "supported supported"),
        ("Sokolow-Lyon index is not > 3.5 mV", "supported"),
        ("Sokolow-Lyon index is not above 1 mV", "contradicted"),
        # squares of the paper are not read
        ("The QRS is 2.5 small squares wide.", "not_checkable"),
        ("RR interval is 4 large squares", "not_checkable"),
        ("PR is 3 small boxes, QRS 100 ms", "supported"),
    ],
)
def test_physicians_ways_to_say_it(text: str, verdicts: str, normal: Any) -> None:
    assert [claim.verdict for claim in check(text, normal)] == verdicts.split()


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("ST depression of 1.2 mm in V5", "supported supported"),
        ("1 mm ST depression in V5", "supported supported"),
        ("No ST depression > 1 mm in V5", "not_checkable contradicted"),
        ("No ST depression exceeding 2 mm", "not_checkable supported"),
        # the ST segment is lowered there, which is no size of an elevation
        ("ST elevation of 1 mm in V5", "contradicted contradicted"),
        ("1 mm ST elevation in V5", "contradicted contradicted"),
        ("No ST elevation > 1 mm", "not_checkable supported"),
        ("No ST elevation above 1 mm in V5", "not_checkable supported"),
    ],
)
def test_a_deviation_to_the_other_side_is_no_size(text: str, verdicts: str) -> None:
    depressed = measure(read_record(sample_path("ptbxl_102")))  # -0.12 mV in V5
    assert [claim.verdict for claim in check(text, depressed)] == verdicts.split()


def test_a_size_that_is_there_contradicts_its_denial(inferior: Any) -> None:
    assert [claim.verdict for claim in check("No ST elevation > 1 mm in II, III and aVF.", inferior)][
        -1
    ] == "contradicted"
    assert [claim.verdict for claim in check("No ST elevation > 3 mm.", inferior)] == ["not_checkable", "supported"]


def test_a_normal_ecg_needs_most_criteria() -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13"))
    flat = grounding.ECGRecord.from_array([[0.0] * 5000] * 12, 500, grounding.STANDARD_LEADS)
    for text in ("Normal ECG.", "Otherwise normal ECG.", "Abnormal ECG."):
        for other in (flat, record.select(["V4"])):
            (claim,) = grounding.check(text, grounding.measure(other))
            assert claim.verdict == "not_checkable", (text, claim.reason)
    assert grounding.check("Normal ECG.", grounding.measure(record))[0].verdict == "supported"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        # T in I -0.09, aVR -0.14, V2 0.55, V5 -0.14 mV
        ("The T wave is upright in aVR.", "contradicted"),
        ("T waves are negative in aVR.", "supported"),
        ("The T wave is positive in I.", "unsupported"),
        ("T waves are positive in V5.", "contradicted"),
        ("T waves are upright in V2.", "supported"),
        ("T waves are inverted in V5.", "supported"),
        ("T waves are not inverted in V2.", "supported"),
    ],
)
def test_t_waves_have_a_sign(text: str, verdict: str) -> None:
    measurement = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_102")))
    assert [claim.verdict for claim in grounding.check(text, measurement)] == [verdict]
