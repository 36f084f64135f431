"""ECG-QA: its questions in template and paraphrase, its numeric features, and the scores of made-up answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import grounding
from gem.cli.entry import main
from gem.errors import GemInputError
from gem.evaluation import Item, run_benchmark
from gem.evaluation.ecg_qa import (
    NORMAL_MS,
    answer_by_rules,
    load_items,
    not_read,
    numeric_features,
    published_score,
    strict_score,
)
from gem.evaluation.ecg_qa.noise import has_noise, noise_figures
from gem.evaluation.ecg_qa.numeric import is_abnormal
from gem.evaluation.ecg_qa.reading import attribute_of, read
from gem.evaluation.inputs import Inputs
from grounding.synthetic import synthesize

NUMERIC = ("none", *NORMAL_MS)


def question(**changes: Any) -> dict[str, Any]:
    return {
        "template_id": 26,
        "question_id": 1,
        "sample_id": 1,
        "question_type": "single-verify",
        "attribute_type": "noise",
        "question": "Does this ECG show baseline drift?",
        "answer": ["no"],
        "ecg_id": [1],
        "attribute": ["baseline drift"],
        **changes,
    }


def write(folder: Path, *questions: dict[str, Any]) -> Path:
    (folder / "template").mkdir(parents=True)
    (folder / "template" / "test.json").write_text(json.dumps(list(questions)))
    return folder


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("What numeric features of the second ECG now have become normal as compared to the first ECG?", True, False),
        ("What numeric measurements of the second ECG have changed from abnormal to normal?", True, False),
        ("Which numerical features in the second ECG are no longer abnormal?", True, False),
        ("Which numeric measurements in the second ECG are now considered stable compared to the first?", True, False),
        ("Which numeric values of the second ECG are newly considered abnormal compared to the first?", False, True),
        ("Which numerical features of the second ECG are not still normal compared to the first ECG?", True, True),
        ("What numerical measurements in the second ECG deviate from the normal range of the first?", False, True),
        ("What numerical measurements of the second ECG are still not normal compared to the first?", True, True),
        ("Which numerical factors of the second ECG continue to be abnormal?", True, True),
        ("Which numeric features of the second ECG remain normal compared to the first ECG?", False, False),
    ],
)
def test_a_change_is_read_in_many_words(text: str, before: bool, after: bool) -> None:
    asked = read(text, ecgs=2)
    assert (asked.about, asked.before, asked.after) == ("numeric", before, after)


def test_noise_its_lead_and_leads_are_read() -> None:
    asked = read("Can burst noise be detected in lead aVL based on the ECG results?")
    assert (asked.about, asked.noises, asked.lead) == ("noise", ("burst noise",), "aVL")
    assert read("What leads are showing static noise in this ECG?").which_leads
    other = read("Is lead V6 on this ECG showing any signs of interference or distortion?")
    assert (other.about, other.noises, other.lead) == ("noise", (), "V6")
    assert not read("Does this ECG show any kind of noises in lead II?").which_leads
    assert read("Is the corrected QT within the normal range?").features == ("qt corrected",)


@pytest.mark.parametrize(("rate", "rr_abnormal"), [(75, False), (48, True), (120, True)])
def test_numeric_features_follow_a_synthetic_rhythm(rate: float, rr_abnormal: bool) -> None:
    features = numeric_features(synthesize(rate)[0])
    assert features["rr interval"] == pytest.approx(60000 / rate, abs=6)
    assert is_abnormal("rr interval", features["rr interval"]) is rr_abnormal
    assert features["qt corrected"] == pytest.approx(
        features["qt interval"] / np.sqrt(features["rr interval"] / 1000), abs=4
    )


def test_what_cannot_be_measured_counts_as_abnormal() -> None:
    flat = grounding.ECGRecord.from_array(np.zeros((12, 5000)), 500.0, grounding.STANDARD_LEADS)
    features = numeric_features(flat)
    assert set(features) == set(NORMAL_MS)
    assert all(is_abnormal(name, value) for name, value in features.items())


def test_noise_that_was_added_is_found() -> None:
    clean = synthesize(70)[0]
    signal, t = np.array(clean.signal), np.arange(clean.signal.shape[1]) / clean.fs
    rng = np.random.default_rng(0)

    def noisy(change: np.ndarray, leads: slice = slice(None)) -> grounding.ECGRecord:
        other = signal.copy()
        other[leads] += change
        return grounding.ECGRecord.from_array(other, clean.fs, clean.leads)

    assert not has_noise(noise_figures(clean), "static noise")
    assert not has_noise(noise_figures(clean), "baseline drift")
    assert has_noise(noise_figures(noisy(rng.normal(0, 0.05, signal.shape))), "static noise")
    drift = noise_figures(noisy(0.5 * np.sin(2 * np.pi * 0.2 * t), slice(6, 7)))
    assert has_noise(drift, "baseline drift", "V1")
    assert not has_noise(drift, "baseline drift", "V2")
    burst = np.where((t > 4) & (t < 4.3), rng.normal(0, 0.2, len(t)), 0)
    found = noise_figures(noisy(burst, slice(7, 8)))
    assert has_noise(found, "burst noise", "V2")
    assert not has_noise(found, "burst noise", "V5")


def test_scores_of_a_perfect_a_wrong_and_a_useless_answer() -> None:
    item = Item("a", "comparison_irrelevant-query", "?", "?", ("pr interval", "qt interval"), NUMERIC, (), True)
    for answer in ("qt interval, pr interval", "PR interval, QT interval"):
        assert strict_score(item, answer).values["exact"] == published_score(item, answer).values["exact"] == 1
    said = "The changed features are the PR interval and the QT interval."
    assert strict_score(item, said).values["exact"] == 1  # published wants the bare list
    assert published_score(item, said).reason == "wrong_format"
    assert strict_score(item, "pr interval").reason == published_score(item, "pr interval").reason == "wrong_value"
    assert strict_score(item, "pr interval").values["jaccard"] == 0.5
    assert strict_score(item, "I'm unable to interpret ECGs.").reason == "model_refused"
    assert strict_score(item, "banana").reason == "wrong_format"
    verify = Item("b", "single-verify", "?", "?", ("no",), ("no", "yes"))
    assert strict_score(verify, "No, there is no noise.").values["exact"] == 1
    assert strict_score(verify, "Yes, not a doubt; no question.").reason == "wrong_value"
    assert strict_score(verify, "It is noteworthy.").reason == "wrong_format"  # "no" is not a whole word there


def test_files_that_are_missing_or_broken_are_told(tmp_path: Path) -> None:
    with pytest.raises(GemInputError, match=r"Jwoo5/ecg-qa"):
        load_items(tmp_path)
    (tmp_path / "test.json").write_text('[{"question": "?"}]')
    with pytest.raises(GemInputError, match="no template_id"):
        load_items(tmp_path)
    (tmp_path / "test.json").write_text("{")
    with pytest.raises(GemInputError, match="JSON"):
        load_items(tmp_path)


def test_rules_majority_and_random_through_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ptbxl_like: Path
) -> None:
    one, other = 13, 424
    abnormal = {}
    for number in (one, other):
        values = numeric_features(grounding.read_record(grounding.sample_path(f"ptbxl_{number}")))
        abnormal[number] = {name for name, value in values.items() if is_abnormal(name, value)}
    kind = {"question_type": "comparison_irrelevant-query", "template_id": 70}
    still = "What numeric features of the second ECG are still abnormal as compared to the first ECG?"
    now = "What numeric features of the second ECG are now considered abnormal values as compared to the first ECG?"
    both, new = sorted(abnormal[one] & abnormal[other]), sorted(abnormal[other] - abnormal[one])
    assert both or new
    data = write(
        tmp_path / "data",
        question(**kind, question=still, ecg_id=[one, other], answer=both or ["none"]),
        question(**kind, question=now, ecg_id=[one, other], answer=new or ["none"]),
        question(**kind, question=still, ecg_id=[one, 99999], answer=[*NORMAL_MS]),
        question(**kind, question=still, ecg_id=[one, 99999], answer=["none"]),
        question(ecg_id=[one]),
    )
    figures = run_benchmark("ecg-qa", "rules", data, ptbxl_like)
    assert figures["not_scored"] == {"input_missing": 2}
    assert figures["scorings"]["strict"]["comparison_irrelevant-query"]["exact"]["value"] == 1
    out = tmp_path / "figures.json"
    for model in ("majority", "random"):
        words = ["ecg-qa", "--model", model, "--data", str(data), "--records", str(ptbxl_like), "--json", str(out)]
        assert main(["evaluate", *words]) == 0
        assert json.loads(out.read_text())["model"] == model
    assert "single-verify" in capsys.readouterr().out
    assert main(["evaluate", "ecg-qa", "--model", "rules"]) == 0
    assert "the bundled items, not the benchmark's own" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "Does this ECG show symptoms of left bundle branch block, excluding uncertain symptoms?",
            "left bundle branch block",
        ),
        ("Are there any signs of ventricular extrasystoles in this ECG?", "ventricular extrasystoles"),
        ("Can signs of myocardial infarction be detected in this ECG?", "myocardial infarction"),
        (
            "Does the second ECG still show symptoms of sinus bradycardia as compared to the first ECG?",
            "sinus bradycardia",
        ),
        ("Compared to the first ECG, is atrial fibrillation newly detected in the second ECG?", "atrial fibrillation"),
        ("Has left axis deviation disappeared in the second ECG?", "left axis deviation"),
        ("Does this ECG show inverted t-waves in lead V1?", "inverted t-waves"),
        ("Is this ECG showing early stage of myocardial infarction?", "early stage of myocardial infarction"),
    ],
)
def test_an_attribute_is_read_in_many_words(text: str, what: str) -> None:
    assert attribute_of(text) == what


def test_what_rules_cannot_read_is_counted_and_not_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ptbxl_like: Path
) -> None:
    scp = {"attribute_type": "scp_code", "ecg_id": [13]}
    data = write(
        tmp_path / "data",
        question(**scp, question="Does this ECG show symptoms of digitalis-effect?"),
        question(**scp, question="Does this ECG show symptoms of atrial fibrillation?"),
        question(
            **scp,
            template_id=2,
            question_type="single-choose",
            question="Which symptom does this ECG show, high qrs voltage or atrial flutter?",
            attribute=["high qrs voltage", "atrial flutter"],
            answer=["none"],
        ),
        question(
            **scp,
            template_id=3,
            question_type="single-query",
            question="What symptoms does this ECG show?",
            answer=["sinus rhythm", "abnormal qrs"],
        ),
        question(
            **scp,
            template_id=4,
            question_type="single-query",
            question="Which leads show digitalis-effect in this ECG?",
            answer=["lead v1"],
        ),
    )
    verify, known, choose, query, leads = load_items(data)
    assert not_read(leads) == ("digitalis-effect",)
    assert not_read(verify) == ("digitalis-effect",)
    assert not_read(known) == ()
    assert not_read(choose) == ("high qrs voltage",)
    assert choose.options == ("atrial flutter", "high qrs voltage", "none")
    assert not_read(query) == ("abnormal qrs",)
    figures = run_benchmark("ecg-qa", "rules", data, ptbxl_like, tmp_path / "run")
    assert figures["not_read"]["items"] == 4
    assert figures["not_read"]["what"]["digitalis-effect"] == 2
    assert set(figures["not_read"]["what"]) == {"digitalis-effect", "high qrs voltage", "abnormal qrs"}
    rows = [json.loads(line) for line in (tmp_path / "run" / "items.jsonl").read_text().splitlines()]
    assert [row["reason"] for row in rows] == ["model_refused", None, "model_refused", "wrong_value", "model_refused"]
    assert rows[3]["answer"] == "sinus rhythm"
    assert "not_read" not in run_benchmark("ecg-qa", "majority", data, ptbxl_like)
    assert main(["evaluate", "ecg-qa", "--model", "rules", "--data", str(data), "--records", str(ptbxl_like)]) == 0
    assert "not read by rules: 4 of 5 items: digitalis-effect (2)" in capsys.readouterr().out


def test_every_question_of_the_data_set_is_read(shared: Path) -> None:
    """Its own ``attribute`` says what each is about."""
    items = load_items(shared / "data" / "ecg_qa")
    assert len(items) == 4684
    assert not [item.question for item in items if not_read(item)]
    rows = json.loads((shared / "data" / "ecg_qa" / "paraphrased_train.json").read_text())
    for row in rows:
        if row["attribute_type"] == "noise":
            asked = read(row["question"])
            assert row["attribute"] == [*(asked.noises or ("any kind of noises",))], row["question"]


def test_leads_are_listed_although_options_are_in_small_letters(tmp_path: Path, ptbxl_like: Path) -> None:
    """Lead V1 is made noisy, and the answer names it and no other."""
    lead_question = question(
        template_id=30,
        question_type="single-query",
        question="What leads are showing baseline drift in this ECG?",
        answer=[f"lead {lead}" for lead in grounding.STANDARD_LEADS],
        ecg_id=[13],
    )
    item = load_items(write(tmp_path / "data", lead_question))[0]
    assert "lead avr" in item.options
    record = Inputs(ptbxl_like).record("13")
    signal = np.array(record.signal)
    drift = 0.5 * np.sin(2 * np.pi * 0.2 * np.arange(signal.shape[1]) / record.fs)
    signal[list(record.leads).index("aVR")] += drift.astype(signal.dtype)
    given = Inputs(ptbxl_like)
    given.record = lambda name: grounding.ECGRecord.from_array(signal, record.fs, record.leads)  # type: ignore[assignment]
    assert answer_by_rules(item, given) == "lead avr"


def test_mimic_is_found_by_study_and_has_its_patient(tmp_path: Path) -> None:
    folder = tmp_path / "mimic" / "files" / "p1000" / "p10000032" / "s40689238"
    folder.mkdir(parents=True)
    header = grounding.sample_path("ptbxl_330")
    (folder / "40689238.dat").write_bytes(header.with_suffix(".dat").read_bytes())
    (folder / "40689238.hea").write_text(header.read_text().replace("ptbxl_330", "40689238"))
    (tmp_path / "mimic" / "record_list.csv").write_text(
        "subject_id,study_id,file_name,ecg_time,path\n"
        "10000032,40689238,40689238,2180-07-23 08:44:00,files/p1000/p10000032/s40689238/40689238\n"
    )
    inputs = Inputs(tmp_path / "mimic")
    assert np.array_equal(inputs.record("40689238").signal, grounding.read_record(header).signal)
    assert inputs.patient("40689238") == "10000032"
    assert inputs.patient("files/p1000/p10000032/s40689238/40689238") == "10000032"
    asked = question(question="Does this ECG show atrial fibrillation?", ecg_id=[40689238], answer=["yes"])
    figures = run_benchmark("ecg-qa", "rules", write(tmp_path / "data", asked), tmp_path / "mimic")
    assert figures["scorings"]["strict"]["single-verify"]["exact"]["value"] == 1
    (tmp_path / "mimic" / "record_list.csv").write_text("study\n1\n")
    with pytest.raises(GemInputError, match="study_id"):
        Inputs(tmp_path / "mimic")


def test_the_numeric_questions_of_the_data_set(shared: Path, tmp_path: Path) -> None:
    """ECG-QA's own answers about raw records that lie beside the checkout."""
    raw = {int(path.name[:5]) for path in (shared / "data" / "ptbxl" / "records500").rglob("*_hr.hea")}
    rows = json.loads((shared / "data" / "ecg_qa" / "paraphrased_train.json").read_text())
    chosen = [row for row in rows if row["attribute_type"] == "numeric_feature" and set(row["ecg_id"]) <= raw][:12]
    assert chosen
    figures = run_benchmark("ecg-qa", "rules", write(tmp_path / "data", *chosen), shared / "data")
    assert figures["scorings"]["strict"]["comparison_irrelevant-query"]["exact"]["value"] >= 0.9
