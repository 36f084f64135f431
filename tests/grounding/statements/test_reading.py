"""How sentences are read: what a denial reaches, and to what leads and qualifying words belong."""

from __future__ import annotations

from typing import Any

import pytest

import grounding
from grounding.statements.lexicon import GROUPS
from grounding.statements.parsing import read_statements


@pytest.fixture(scope="module")
def blocked(make_measurement: Any) -> Any:
    """Sinus rhythm of 71 bpm, PR 236 ms, QRS 92 ms, axis 20, ST elevation in II, III, aVF, T inversion in V2-V3."""
    leads = {lead: {"j_mv": 0.2, "st60_mv": 0.2} for lead in ("II", "III", "aVF")} | {
        lead: {"t_mv": -0.3} for lead in ("V2", "V3")
    }
    return make_measurement(
        leads=leads, axis=20.0, intervals={"pr": 236.0, "qtc_bazett": 431.0, "qtc_fridericia": 425.0}
    )


def short(claim: grounding.Claim) -> str:
    """The first letter of the verdict, "-" behind it for a denial."""
    return claim.verdict[0].upper() + ("-" if claim.denied else "")


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        # a denial behind a comma
        ("Normal axis, LVH not seen", "S S-"),
        ("Sinus rhythm, LBBB not seen", "S S-"),
        ("Sinus rhythm present, AF absent", "S S-"),
        ("First-degree AV block, LBBB not present.", "S S-"),
        ("Normal QRS, no AF, LBBB absent.", "S S- S-"),
        ("Sinusrhythmus, Linksschenkelblock nicht vorhanden", "S S-"),
        ("Lagetyp normal, Schenkelblock fehlt", "S S-"),
        ("AF and LBBB absent", "S- S-"),
        ("AF, LBBB and RBBB are absent", "S- S- S-"),
        ("AF, LBBB absent", "U S-"),
        ("LBBB present, AF absent", "C S-"),
        ("In the absence of ST depression, Q waves are absent", "S- S-"),
        # "and" behind words of exclusion
        ("Free of ectopy, block and atrial fibrillation", "S- S-"),
        ("P waves before each QRS, ruling out AF and LBBB.", "S S- S-"),
        # verbs
        ("LBBB isn't present.", "S-"),
        ("PVCs aren't present.", "S-"),
        ("LBBB hasn't been seen", "S-"),
        ("PVCs did not occur.", "S-"),
        ("LBBB does not exist", "S-"),
        ("LVH can't be diagnosed", "S-"),
        ("AF could not be confirmed", "S-"),
        ("ST depressions did not reach 1 mm", "N S"),
        ("QRS of 91 ms speaks against LBBB", "S S-"),
        ("The QRS is inconsistent with LBBB", "S-"),
        ("There is nothing to support LBBB", "S-"),
        ("Insufficient evidence for LVH", "S-"),
        ("Hardly any ST depression", "S-"),
        ("Non-paced rhythm", "S-"),
        ("STEMI criteria aren't met; doesn't meet LVH criteria", "C- S-"),
        ("LVH - negative, AF neg", "S- S-"),
        ("I don't see AF or LBBB", "S- S-"),
        ("I disagree with the diagnosis of LVH", "S-"),
        ("This tracing was misread as AF", "S-"),
        ("In the absence of LBBB, the ST segments can be interpreted", "S-"),
        ("No prior infarct.", "S-"),
        ("No prior LBBB.", "N-"),
        ("Nicht vereinbar mit Vorhofflimmern", "S-"),
        ("Normal QRS and QTc, AF absent", "S S S-"),
        ("Excluded diagnoses: AF, LBBB", "S- S-"),
        ("Not AF: sinus rhythm with first-degree AV block", "S- S S"),
        ("(-) AF, (-) LBBB", "S- S-"),
        ("Automated interpretation of LBBB is incorrect.", "S-"),
        ("Neg. for AF. LVH criteria negative. PVC count 0", "S- S- S-"),
        ("No ST depression, only mild ST elevation in II", "S- S"),
        ("No ST depression and 2 mm ST elevation in II", "S- S S"),
    ],
)
def test_what_a_denial_reaches(blocked: Any, text: str, verdicts: str) -> None:
    claims = grounding.check(text, blocked)
    assert [short(claim) for claim in claims] == verdicts.split(), claims


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("ST elevation can be seen in leads V1, V2 and V3.", "U"),
        ("ST elevation can be seen in leads II, III and aVF.", "S"),
        ("Leads V1, V2, and V3 exhibit ST elevation.", "U"),
        ("Leads II, III, and aVF exhibit ST elevation.", "S"),
        ("ST elevation (2 mm) in V1 and V2", "U C"),
        ("ST elevation (2 mm) in II, III and aVF", "S S"),
        ("ST elevation with a concave morphology in V1-V3", "U"),
        ("T wave inversion, symmetric and deep, in V5 and V6", "U"),
        ("T wave inversion, symmetric and deep, in V2 and V3", "S"),
        ("ST elevation localized to V1", "U"),
        ("ST elevation reaching 2 mm in II", "S S"),
        ("The lateral leads exhibit no ST elevation.", "S-"),
        ("ST elevation in inferior leads (II, III, aVF), T wave inversions in anterior leads (V2-V3)", "S S"),
        ("In the inferior leads (II, III, aVF) ST elevation is present, T inversion in V2", "S S"),
        ("Inferior ST elevation (II, III, aVF), T wave inversion", "S S"),
        ("No ST elevation was found in the anterior or lateral leads", "S-"),
        ("No ST elevation was found in the lateral or inferior leads", "C-"),
        ("R waves are tall in V5, with significant ST elevation", "S"),
    ],
)
def test_leads_belong_to_the_finding_beside_them(blocked: Any, text: str, verdicts: str) -> None:
    claims = grounding.check(text, blocked)
    assert [short(claim) for claim in claims] == verdicts.split(), claims


_DEGREES = ("first_degree_av_block", "second_degree_av_block", "third_degree_av_block")
_BESIDE = {
    _DEGREES[2:]: "3° AVB|AV block, third degree|AV block (3rd degree)|AV block: complete|AV block grade 3|"
    "Third-degree (complete) AV block|3. degree AV block|AV-Block (III. Grades)|3RD DEGREE AV BLOCK",
    _DEGREES[1:2]: "2° AVB|Second-degree (type I) AV block|AV block Mobitz II|AV block with 2:1 conduction",
    _DEGREES[1:]: "high-degree AV block|Advanced AV block|höhergradiger AV-Block|No 2ND/3RD DEGREE AV BLOCK|"
    "No AV block of second or third degree|No AV block beyond first degree|No AV block except for first-degree",
    _DEGREES: "No 1st, 2nd or 3rd degree AV block|No first-, second-, or third-degree AV block|Kein AV-Block I°-III°|"
    "Kein AV-Block I., II. oder III. Grades.|No AV block",
    _DEGREES[:2]: "No 1st or 2nd degree AV block",
    ("complete_left_bundle_branch_block",): "Left BBB|Bundle branch block, left|left-sided bundle branch block|"
    "kompletter Schenkelblock links|Bundle branch block, left type|Bundle branch block (left), axis 20",
    (
        "incomplete_right_bundle_branch_block",
    ): "RBBB (incomplete)|Right bundle branch block, incomplete|RSB, inkomplett",
    ("incomplete_left_bundle_branch_block",): "LBBB, incomplete|incomplete left BBB|BBB, incomplete, left",
    ("left_axis_deviation",): "axis deviation to the left|axis deviation (left)",
    ("left_ventricular_hypertrophy",): "ventricular hypertrophy, left|hypertrophy of the left ventricle",
    ("left_atrial_enlargement",): "Atrial enlargement, left",
    ("left_anterior_fascicular_block",): "hemiblock, left anterior",
    ("premature_atrial_complex",): "Extrasystoles, supraventricular",
    ("premature_ventricular_complex",): "Extrasystolen, ventrikulär",
}


@pytest.mark.parametrize(
    ("text", "names"), [(text, names) for names, texts in _BESIDE.items() for text in texts.split("|")]
)
def test_words_beside_a_name_say_which_finding_it_is(text: str, names: tuple[str, ...]) -> None:
    assert read_statements(text)[0].findings == (names,)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("No left or right BBB", GROUPS["bundle"]),
        ("BBB, left axis deviation", GROUPS["bundle"]),
        ("AV block, 2 PVCs", GROUPS["av_block"]),
    ],
)
def test_words_of_something_else_do_not(text: str, names: Any) -> None:
    assert read_statements(text)[0].findings == names


def test_leads_before_a_degree_are_leads() -> None:
    first, second = read_statements("ST elevation in leads I, II and third-degree AV block")
    assert (first.leads, second.findings) == (("I", "II"), (("third_degree_av_block",),))


def test_a_block_within_flutter_is_none_of_its_own() -> None:
    for text in ("Atrial flutter with 2:1 AV block", "Vorhofflattern mit 2:1 AV-Block", "Flutter, variable AV block"):
        assert [one.findings for one in read_statements(text)] == [(("atrial_flutter",),), ()]


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("PR is longer than normal", "S"),
        ("PR 236 ms, above normal", "S S"),
        ("QTc exceeds normal limits.", "C"),
        ("PR exceeds the upper limit of normal.", "S"),
        ("HR above normal", "C"),
        ("HR outside the normal range", "C"),
        ("HR 71, above the normal range of 60-100 bpm", "S C"),
        ("QTc is below the upper limit of normal", "S-"),
        ("QRS is not wider than normal", "S-"),
        ("PR shorter than normal", "C"),
        ("PQ-Zeit oberhalb der Norm", "S"),
        ("QRS below 120 ms, normal", "S S"),
    ],
)
def test_a_value_past_what_is_normal(blocked: Any, text: str, verdicts: str) -> None:
    claims = grounding.check(text, blocked)
    assert [short(claim) for claim in claims] == verdicts.split(), claims


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("No conduction abnormality other than first-degree AV block", "S- S"),
        ("No conduction abnormality other than LBBB", "C- C"),
        ("Intervals normal except for a prolonged PR interval.", "S S S"),
        ("All intervals except PR are normal.", "S S"),
        ("All intervals except QRS are normal.", "C S"),
        ("Apart from a prolonged PR, the intervals are normal.", "S S S"),
        ("T waves are upright in all leads except V2, V3 and aVR", "S-"),
        ("T waves are upright in all leads except aVR", "C-"),
        ("No T inversion except in V2 and V3.", "S-"),
        ("No T inversion except in V5.", "C-"),
        ("No ST changes apart from ST elevation in II, III and aVF", "S- S"),
        # an adjective and its noun are one
        ("No ischemic ST-T wave changes in this ECG, PR 236 ms", "C- S"),
    ],
)
def test_exceptions_are_no_part_of_what_is_said(blocked: Any, text: str, verdicts: str) -> None:
    claims = grounding.check(text, blocked)
    assert [short(claim) for claim in claims] == verdicts.split(), claims


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("No signs of:\n- AF\n- LBBB\nSinus rhythm.", "N S- S- S"),
        ("There is no:\n* ST depression\n* AF", "N S- S-"),
        ("Negative findings:\n1. AF\n2. LBBB\n\nRhythm: sinus", "S- S- S"),
        ("Findings:\n- AF\n- LBBB", "C C"),
        ("Pertinent negatives: LBBB, AF", "S- S-"),
        ("Not seen: AF, LBBB", "S- S-"),
        ("Absent: AF, LBBB, ST depression", "S- S- S-"),
        ("Past medical history:\n- AF\n- LBBB\nECG: sinus rhythm", "N N N S"),
        ("PMHx: HTN. AF. LBBB. Sinus rhythm.", "N N S"),
        ("Past medical history significant for AF, LBBB and MI", "N N N"),
        ("Problem list: AF, LVH", "N N"),
        ("Background: AF on apixaban.", "N"),
        ("AF since 2010, now sinus rhythm", "N S"),
        ("Metoprolol for rate control of atrial fibrillation", "N"),
        ("90% stenosis of the LAD", "N"),
        ("LAD, normal QRS", "C S"),
        ("Type 2 MI due to demand", "N"),
    ],
)
def test_lists_and_histories(blocked: Any, text: str, verdicts: str) -> None:
    claims = grounding.check(text, blocked)
    assert [short(claim) for claim in claims] == verdicts.split(), claims


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("Im Vor-EKG vom 3.4. Vorhofflimmern mit 120/min, jetzt Sinusrhythmus 71/min.", "N N S S"),
        ("Vorhofflimmern in der Vorgeschichte", "N"),
        ("The ECG from January showed complete heart block; today's ECG shows sinus rhythm.", "N S"),
        ("Rhythm is now sinus; it was AF on the tracing of 3 March", "S N"),
        ("Compared with 2019, when the patient was in AF with RVR, now sinus rhythm", "N N S"),
        ("EMS ECG: ST elevation in V2.", "N"),
        ("The patient had AF before the ablation", "N"),
        ("Previously PR 300 ms, QRS 160 ms. Now PR 236 ms", "N N S"),
        ("QTc 520 → 431 ms", "N S"),
        ("PR 300 -> 236 ms", "N S"),
        ("LBBB is gone", "S-"),
        ("AF converted to sinus rhythm", "S- S"),
        ("T wave inversions in V5-V6 have normalized", "S-"),
        ("T wave inversions in V2-V3 have normalized", "C-"),
        ("ST elevation has not resolved", "S"),
        ("QTc has normalized", "N"),
        ("The PR interval was 300 ms before; PR is 236 ms now.", "N S"),
        ("Holter 2020: 2000 PVCs, NSVT.", "N N"),
    ],
)
def test_what_is_over_or_of_another_time(blocked: Any, text: str, verdicts: str) -> None:
    claims = grounding.check(text, blocked)
    assert [short(claim) for claim in claims] == verdicts.split(), claims


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("| LBBB | No |", "S-"),
        ("| Finding | Present? |\n|---|---|\n| AF | No |\n| First-degree AV block | Yes |", "S- S"),
        ("| PR interval | 600 ms |\n| QRS | 92 ms |", "C S"),
        ("| Parameter | Value | Normal |\n|---|---|---|\n| PR interval | 236 ms | 120-200 |", "S"),
        ("| II, III, aVF | ST elevation |\n| V1 | ST elevation |", "S U"),
        ("[ ] LBBB\n[x] First-degree AV block", "N S"),
        ("LBBB (no), AF (no)", "S- S-"),
        ('{"lbbb": false, "af": false}', "S- S-"),
        ("AF=false", "S-"),
        ("LBBB: N/A", "N"),
        ("AF: N, LBBB: N", "S- S-"),
        ("AF 0, LBBB 0", "S- S-"),
        ("VHF: Ø", "S-"),
        ("Atrial fibrillation ✗", "S-"),
        ("A. Atrial fibrillation - incorrect.", "S-"),
        ("Probability of AF 2%", "N"),
        ("LBBB? No: QRS is 92 ms.", "S- S"),
        ("Answer: no, sinus rhythm.", "S"),
        # a cause is there
        ("No further analysis because of first-degree AV block", "S"),
        ("LVH not assessable in first-degree AV block", "N S"),
        # the last of a list
        ("No ST depression, ST elevation in II is present", "S- S"),
        ("No AV block or bundle branch block is present", "C- S-"),
        # each of the leads
        ("T-wave inversion in every lead", "U"),
        ("T-wave inversion in all precordial leads", "U"),
        ("T-wave inversion in the precordial leads", "S"),
        ("T wave amplitude in V2: +0.3 mV", "C"),
        ("T wave amplitude in V2: -0.3 mV", "S"),
        ("- V2: T inversion 3 mm, ST elevation", "S S U"),
    ],
)
def test_results_tables_and_causes(blocked: Any, text: str, verdicts: str) -> None:
    claims = grounding.check(text, blocked)
    assert [short(claim) for claim in claims] == verdicts.split(), claims


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("QTc = QT / √RR = 390 / √0.845 ≈ 431 ms", "S"),
        ("HR = 300/4.2 = 71 bpm", "S"),
        ("HR = 300/2.1 = 142 bpm", "C"),
        ("236 ms (PR), 92 ms (QRS), 425 ms (QTc)", "S S S"),
        ("236 ms PR · 92 ms QRS", "S S"),
        ("a 92 ms wide QRS complex", "S"),
        ("a 160 ms wide QRS complex", "C"),
        ("FIRST DEGREE AV BLOCK [210+ ms PR INTERVAL]", "S"),
        ("SINUS RHYTHM [100+ bpm]", "S"),
        ("-- AXIS --\nQRS 20\n", "S"),
        ("PR interval\n236\nms\nQRS duration\n92 ms", "S S"),
        ("PR interval\nQRS duration\n92\n236", ""),
        ("The hallmark of AF is an irregularly irregular rhythm", "N N"),
        ("Possible causes: pericarditis, inferior MI", "N N"),
        ("RR intervals are equal", "S"),
        ("AV conduction is normal", "C-"),
        ("Intraventricular conduction is normal", "S-"),
        ("schmaler QRS-Komplex, keine ES", "S S-"),
        ("Frequenz um 71/min", "S"),
        ("ST↑ II, III, aVF, T↓ V2-V3", "S S"),
        ("ST elev. in V1. T neg. in V2. Sinus rhythm", "U S S"),
    ],
)
def test_calculations_printouts_and_short_forms(blocked: Any, text: str, verdicts: str) -> None:
    claims = grounding.check(text, blocked)
    assert [short(claim) for claim in claims] == verdicts.split(), claims


@pytest.mark.parametrize(
    "text", ["n't LBBB", "LBBB n't", "isn't", "can't 't", "[", "| |", "except", "AV block (", "1st"]
)
def test_fragments_are_read_without_an_error(text: str) -> None:
    assert all(0 <= one.start < one.end <= len(text) for one in read_statements(text))


def test_a_sum_is_checked_by_its_result() -> None:
    for text in ("SV1 + RV5 = 0.65 + 0.56 = 1.21 mV", "Sokolow-Lyon = 6.5 + 5.6 = 12.1 mm"):
        (statement,) = read_statements(text)
        assert statement.number is not None
        assert statement.number.low == pytest.approx(1.21)
