"""The facts for an answer, the rule's answer, and what the check finds in a model's."""

from __future__ import annotations

import random
import re

import pytest

import grounding
from grounding import Measurement
from grounding.facts import resolve
from grounding.questions import Asked, Plan, compose_answer, declines, faults, plan, question_prompt, read_question


@pytest.fixture(scope="module")
def blocked() -> Measurement:
    """Complete right bundle branch block, PR 166 ms."""
    return grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_424")))


def said(text: str, measurement: Measurement) -> str:
    made = plan(read_question(text), measurement)
    tagged = compose_answer(made)
    assert not faults(tagged, made)
    return " ".join(sentence.text for sentence in resolve(tagged, made.items))


def test_presence_follows_the_findings(blocked: Measurement) -> None:
    assert said("Any bundle branch block?", blocked).startswith(
        "Yes, the recording shows complete right bundle branch block. Measured: QRS duration "
    )
    assert said("LBBB?", blocked).startswith("No, the recording shows no complete left bundle branch block.")
    for name, finding in grounding.criteria.assess(blocked).findings.items():
        state = plan(read_question(f"Is there {finding.label}?"), blocked).asked
        if finding.group in ("hypertrophy", "infarction") and state:
            expected = {True: "present", False: "absent", None: "unknown"}[finding.present]
            assert state[0].state == expected, name


def test_values_are_those_of_the_measurement(blocked: Measurement) -> None:
    assert said("What is the PR interval?", blocked) == f"The PR interval is {blocked.intervals['pr']:.0f} ms (normal)."
    row = blocked.lead_summary.set_index("lead").loc["V5"]
    assert f"{row['r_mv']:.2f} mV" in said("How high is the R wave in V5?", blocked)
    assert said("Is the QRS wide?", blocked).startswith("Yes. The QRS duration is ")


def test_relations_are_answered(blocked: Measurement) -> None:
    assert said("Does every P conduct?", blocked) == "Yes. P waves that no QRS follows: 0."
    assert said("Is the PR interval constant?", blocked) == "Yes. Standard deviation of the PR interval is 3 ms."
    row = blocked.lead_summary.set_index("lead")["r_mv"]
    higher, lower = ("V5", "V6") if row["V5"] > row["V6"] else ("V6", "V5")
    assert said(f"Is R in {higher} taller than in {lower}?", blocked).startswith("Yes. R amplitude in ")
    net = blocked.lead_summary.set_index("lead")[["q_mv", "r_mv", "s_mv"]].sum(axis=1)  # Q and S are negative
    for lead in net.abs().nlargest(3).index:
        shown, other = ("positive", "negative") if net[lead] > 0 else ("negative", "positive")
        assert said(f"Is lead {lead} {shown}?", blocked).startswith(f"Yes. QRS is {shown} in {lead}")
        assert said(f"Is lead {lead} {other}?", blocked).startswith("No.")
    assert said(f"Is the R wave taller in {lower} than in {higher}?", blocked).startswith("No. R amplitude in ")


@pytest.mark.parametrize(
    "question",
    [
        "Where is the R/S transition?",
        "In which lead is the transition zone?",
        "Where does R become larger than S?",
        "How is the R-wave progression?",
        "Wo liegt der R/S-Umschlag?",
    ],
)
def test_the_transition_is_where_r_outgrows_s(question: str) -> None:
    measurement = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_286")))
    rows = measurement.lead_summary.set_index("lead").loc["V1":"V6"]
    grown = rows["r_mv"] >= rows["s_mv"].abs().combine(rows["q_mv"].abs(), max)  # a QS counts as S
    after = int(grown.to_numpy().argmax())
    assert said(question, measurement) == f"The R/S transition is between V{after} and V{after + 1}."
    two = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_286")).select(["I", "II", "V1"]))
    assert "can't be measured here: " in said(question, two)


def test_the_ratio_of_r_and_s(blocked: Measurement) -> None:
    rows = blocked.lead_summary.set_index("lead")
    r, s = rows.loc["V2", ["r_mv", "r2_mv"]].abs().max(), rows.loc["V2", ["s_mv", "s2_mv"]].abs().max()
    alone = re.match(
        r"The R/S ratio is ([\d.]+) in V2 \(R amplitude in V2 ", said("What is the R/S ratio in V2?", blocked)
    )
    assert alone is not None
    assert float(alone[1]) == pytest.approx(r / s, abs=0.02)  # amplitudes are rounded to microvolts
    both = said("Where is the R/S transition, and what is R/S in V1 and V2?", blocked)
    assert both.startswith("The R/S transition is ")
    assert re.search(rf"R/S ratio is [\d.]+ in V1 \(R .* {alone[1]} in V2 \(R ", both)
    before = [("What is the R/S ratio in V1?", "")]
    assert read_question("And in V6?", before).links[0].leads == ("V6",)
    assert said("Is the R/S ratio in V2 above 20?", blocked).startswith("No. R amplitude in V2 ")


def test_the_same_twice_is_a_fault(blocked: Measurement) -> None:
    made = plan(read_question("What is the PR interval?"), blocked)
    assert faults("The <q1> is <v1>. The <q1> is <v1>.", made) == ["it says the same twice"]


def test_the_best_lead_is_the_one_with_the_largest_deflection() -> None:
    record = grounding.read_record(grounding.sample_path())
    measurement = grounding.measure(record)
    found = next(f for f in grounding.find(measurement) if f.name == "t_wave_inversion")
    assert found.present
    sizes = {p.leads[0]: -float(p.value) for p in found.evidence if p.quantity == "t_mv" and len(p.leads) == 1}  # type: ignore[arg-type]
    states = grounding.criteria.lead_states(measurement, "t_wave_inversion")
    best = max((lead for lead in sizes if states.get(lead)), key=lambda lead: sizes[lead])
    assert f"It is seen best in {best} " in said("Which lead shows the T wave inversion best?", measurement)


def test_the_prompt_has_no_number_and_no_name(blocked: Measurement) -> None:
    made = plan(read_question("Is there AV block, and what is the PR interval?"), blocked)
    text = question_prompt(made)
    assert (
        text
        == "Facts: <q1> absent <c1> <e1> <q2> measured <v2>. Question: Is there <q1>, and what is the <q2>? Answer:"
    )


def test_options_are_judged(blocked: Measurement) -> None:
    pr = blocked.intervals["pr"]
    assert pr is not None
    question = f"The PR interval is\nA. {pr + 60:.0f} ms\nB. {pr - 1:.0f} ms\nC. {pr - 70:.0f} ms"
    assert said(question, blocked).startswith(f"B) {pr - 1:.0f} ms.")
    assert said("What is seen?\nA. LBBB\nB. RBBB\nC. none of these", blocked) == "B) RBBB."
    assert said("What is seen?\nA. LBBB\nB. atrial flutter\nC. none of these", blocked) == "C) none of these."
    assert said("How is the PR interval?\nA. prolonged\nB. normal", blocked).startswith("B) normal.")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        # QRS 145 ms, 72 bpm, QTc 440 ms, axis -136 degrees
        ("The QRS duration is in which range? A. <100 ms B. 100-120 ms C. 120-150 ms D. >150 ms", "C) 120-150 ms."),
        ("What is the heart rate? A. below 60 bpm B. 60 to 70 bpm C. 70 bpm or more", "C) 70 bpm or more."),
        ("What is the axis? A. -180 to -90 degrees B. -90 to -30 C. -30 to 90 D. 90 to 180", "A) -180 to -90 degrees."),
        ("What is the axis? A. -90 to -30 B. -30 to 90 C. 180 to 270 degrees", "C) 180 to 270 degrees."),
        # R in V5 1.13 mV and the tallest; S in V2 -0.37 mV
        ("What is the R amplitude in V5? A. 0.5 mV B. 1.1 mV C. 2 mV", "B) 1.1 mV."),
        ("What is the R amplitude in V5? A. under 5 mm B. 5 to 15 mm C. over 15 mm", "B) 5 to 15 mm."),
        ("What is the S amplitude in V2? A. 0.4 mV B. 0.9 mV", "A) 0.4 mV."),
        ("What is the R amplitude in V5? A. 0.1 mV B. 3 mV", "None of the options holds."),
        ("What is the R/S ratio in V2? A. below 1 B. above 1", "B) above 1."),
        ("In which lead is the R wave tallest? A. V1 B. V2 C. II D. V5", "D) V5."),
        ("Which of the following leads has the tallest R wave? A. I B. V5", "B) V5."),
        ("In which leads is there ST elevation? A. V1-V3 B. II, III, aVF C. none", "C) none."),
        ("Where is the R/S transition? A. V3-V4 B. V5-V6 C. V1", "C) V1."),
        ("Which interval is prolonged? A. PR B. QRS C. none", "B) QRS."),
        ("How many beats are there? A. 10 B. 11 C. 12", "C) 12."),
        ("What is the shape of the QRS in V1? A. QS B. rsR' C. Rs", "B) rsR'."),
    ],
)
def test_ranges_amplitudes_and_leads_are_chosen_among(question: str, answer: str, blocked: Measurement) -> None:
    assert said(question, blocked).startswith(answer)


def test_times_within_the_qrs_are_in_milliseconds(blocked: Measurement) -> None:
    row = blocked.lead_summary.set_index("lead").loc["V6"]
    assert (
        said("What is the R peak time in V6?", blocked) == f"The R-peak time in V6 is {row['r_peak_time_ms']:.0f} ms."
    )


def test_the_extremes_and_the_spread_of_the_rr_intervals(blocked: Measurement) -> None:
    rhythm = blocked.rhythm
    for question, name in (
        ("What is the shortest RR interval?", "rr_min_ms"),
        ("What is the maximum heart rate?", "rr_min_ms"),
        ("What is the longest RR interval?", "rr_max_ms"),
        ("How variable is the RR interval?", "rr_sd_ms"),
    ):
        value = rhythm[name]
        assert value is not None
        assert f" is {value:.0f} ms" in said(question, blocked)
    assert said("What is the maximum heart rate?", blocked).endswith(f"({60000 / rhythm['rr_min_ms']:.0f} bpm).")


def test_the_recording_itself(blocked: Measurement) -> None:
    assert said("How long is the recording?", blocked) == "The length of the recording is 10.0 s."
    assert said("What's the sampling rate?", blocked) == "The sampling rate is 500 Hz."
    few = grounding.measure(grounding.read_record(grounding.sample_path()).select(["I", "II", "V1"]))
    assert said("Which leads are missing?", few).startswith("The set of leads is 3 (I, II, V1; III, aVR, ")


def test_the_same_value_is_told_once(blocked: Measurement) -> None:
    assert said("What's the ST level 60 ms after the J point in V3?", blocked).count("mV") == 1
    assert said("Is the rhythm regular?", blocked).startswith("Yes. ")
    assert said("What's the rhythm and is it regular?", blocked).startswith("The rhythm is sinus rhythm")


def test_two_words_or_limits_for_one_value(blocked: Measurement) -> None:
    assert said("Is the QRS narrow or wide?", blocked) == "The QRS duration is 145 ms (prolonged)."
    assert said("Is the heart rate below 60 or above 100?", blocked).startswith("No. The heart rate is 72 bpm")
    assert said("Is the PR interval prolonged (greater than 200 ms)?", blocked).startswith("No. The PR interval is 166")
    defined = "Is the QRS duration prolonged? Note that a QRS duration is prolonged if it is greater than 120 ms."
    assert said(defined, blocked) == "Yes. The QRS duration is 145 ms (prolonged)."
    assert said("Is the R wave in V5 taller than 10 mm?", blocked).startswith("Yes. ")
    assert said("Does every QRS have a P wave?", blocked).startswith("Yes. ")
    assert said("How many leads show ST depression?", blocked).count("lead") < 3  # not also how many there are
    assert said("How many P waves per QRS?", blocked) == "The P waves per QRS is 1."


def test_findings_are_listed(blocked: Measurement) -> None:
    assert plan(read_question("List all abnormal findings."), blocked).is_report
    assert "Cornell product can't be told" in said("What is the Cornell product?", blocked)


def test_shapes_and_beats_are_told(blocked: Measurement) -> None:
    forms = blocked.lead_summary.set_index("lead")["qrs_form"]
    assert said("What is the shape of the QRS in V1?", blocked) == f"The shape of the QRS is {forms['V1']} in V1."
    assert said("QRS morphology in V1 and V6?", blocked).endswith(f"{forms['V1']} in V1, {forms['V6']} in V6.")
    forms = blocked.lead_summary.set_index("lead")["p_form"]
    assert said("What does the P wave look like in V1?", blocked) == f"The shape of the P wave is {forms['V1']} in V1."
    assert said("How many beats are there?", blocked) == f"The number of beats is {blocked.n_beats}."
    assert said("How many premature beats are there?", blocked) == "The number of premature beats is 0."


def test_missing_lead_and_recording_without_beats() -> None:
    record = grounding.read_record(grounding.sample_path()).select(["I", "II"])
    answer = said("How high is the R wave in V5?", grounding.measure(record))
    assert answer.startswith("The R-wave amplitude in V5 can't be measured here: ")
    flat = grounding.ECGRecord.from_array([[0.0] * 5000] * 12, 500, grounding.STANDARD_LEADS)
    for question in ("What is the heart rate?", "What is the rhythm?", "LVH?", "Describe V1"):
        assert "can't be" in said(question, grounding.measure(flat)), question


WRONG = [
    ("LVH?", "absent", "qce", "Yes, the recording shows <q1>.", "yes"),
    ("LVH?", "present", "qce", "No, the recording shows no <q1>. Measured: <e1>.", "no"),
    ("LVH?", "present", "qce", "Yes, the recording shows no <q1>.", "absent"),
    ("LVH?", "present", "qce", "Yes, the recording shows <q2>.", "does not exist"),
    ("LVH?", "present", "qc", "Yes, the recording shows <q1>. Measured: <e1>.", "does not exist"),
    ("LVH?", "present", "qce", "Yes, the recording shows <q1>, of 3 mV.", "number of its own"),
    ("LVH?", "present", "qce", "Yes, the recording shows <q1> and fibrillation.", "fibrillation"),
    ("LVH? Which lead shows it best?", "present", "qcel", "Yes, the recording shows <q1>.", "<l1> is missing"),
    ("Why LVH?", "present", "qcel", "Yes, the recording shows <q1>. Measured: <e1>.", "<c1> is missing"),
    ("PR?", "measured", "qv", "Yes, the <q1> is <v1>.", "yes"),
    ("PR?", "measured", "qv", "The recording shows <q1>.", "<v1> is missing"),
    ("PR?", "missing", "qr", "The <q1> is not measurable in this recording.", "reason"),
    ("PR?", "measured", "qv", "", "empty"),
]


@pytest.mark.parametrize(("question", "state", "has", "text", "fault"), WRONG)
def test_faults_are_found(question: str, state: str, has: str, text: str, fault: str) -> None:
    found = faults(text, Plan(read_question(question), (Asked(1, state, has),)))
    assert any(fault in one for one in found), found


def test_the_wrong_option_is_found() -> None:
    made = Plan(read_question("Which?\nA. LBBB\nB. RBBB"), options={"A": "false", "B": "true"})
    assert faults("B) <o2>.", made) == []
    for text in ("A) <o1>.", "A) <o2>.", "A) <o1>. B) <o2>.", "<o2>."):
        assert faults(text, made)


def test_every_wording_of_the_rule_passes_the_check() -> None:
    from gem.data.questions import WEIGHTS, random_plan, random_question

    pick = random.Random(0)
    for kind in WEIGHTS:
        for _ in range(40):
            made = random_plan(random_question(kind, pick), pick)
            text = compose_answer(made, pick)
            if not made.is_report:
                assert faults(text, made) == [], (made.question.text, text)


def test_what_declines() -> None:
    assert declines("That can't be told from an ECG recording.")
    assert declines("<q1> can't be told from this recording: <r1>.")
    assert not declines("The <q1> is <v1>.")


def test_nothing_measured_is_no_normal_ecg() -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13"))
    assert said("Is this ECG normal?", grounding.measure(record)).startswith("Yes.")
    one_lead = grounding.measure(record.select(["V4"]))
    flat = grounding.ECGRecord.from_array([[0.0] * 5000] * 12, 500, grounding.STANDARD_LEADS)
    short = grounding.measure(record.crop(0.0, 0.8))
    for measurement in (one_lead, grounding.measure(flat), short):
        for question in ("Is this ECG normal?", "Is this ECG abnormal?"):
            assert "criteria can't be decided" in said(question, measurement)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        # T in I -0.09, II 0.27, aVR -0.14, aVL -0.17, V2 0.55, V5 -0.14 mV
        ("Is the T wave in aVR upright?", "No. T wave is negative in aVR (-0.14 mV)."),
        ("Is the T wave in aVR negative?", "Yes. T wave is negative in aVR (-0.14 mV)."),
        ("Is the T wave in aVR inverted?", "Yes, the recording shows T-wave inversion in aVR."),
        ("Is the T wave in I positive?", "No. T wave is negative in I (-0.09 mV)."),
        ("Are the T waves upright in II and V2?", "Yes. T wave is positive (0.27 mV in II, 0.55 mV in V2)."),
        ("Are the T waves upright in all leads?", "No. T wave is negative (-0.09 mV in I, "),
    ],
)
def test_t_waves_are_positive_and_negative_by_their_sign(question: str, answer: str) -> None:
    measurement = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_102")))
    assert said(question, measurement).startswith(answer)


def test_t_waves_behind_a_block_and_in_one_lead() -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_286"))
    assert said("Is the T wave negative in aVL?", grounding.measure(record)).startswith("Yes.")
    assert said("Is the T wave inverted in aVL?", grounding.measure(record)).startswith("Yes, ")
    one = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_102")).select(["II"]))
    assert said("Is the T wave upright in all leads?", one).startswith("It can't be told")


def test_texts_are_whole() -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13")).select(["V4"])
    answer = said("Is the ST segment in V5 normal?", grounding.measure(record))
    assert answer.startswith("It can't be told whether there is evidence for 'ST segment in V5 normal': ")
    flat = grounding.ECGRecord.from_array([[0.0] * 5000] * 2, 500, ["I", "II"])
    assert "af_probability" not in said("Is there AF?", grounding.measure(flat))
