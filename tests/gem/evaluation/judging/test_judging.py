"""Judges: marks as the authors compute them, endpoints that answer nonsense, agreement, and the ladder of damage."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import grounding
from gem.cli.entry import main
from gem.endpoint import ChatEndpoint
from gem.errors import GemInputError
from gem.evaluation import Item, run_benchmark
from gem.evaluation.grounded import lead_sentences
from gem.evaluation.judging import icc, mean_score, weighted_kappa
from gem.evaluation.judging.ladder import DAMAGE, SHARES, agreement_with_grades, climb
from gem.evaluation.judging.model_free import model_free_marks
from gem.evaluation.rubrics import ARENA, GROUNDED, REPORT, Opinion
from gem.evaluation.scripted import ScriptedEndpoint

ITEM = Item("a", "arena", "What is it?", "What is it?", ("Sinus rhythm.",), turns=("And then?",))


def test_marks_are_summed_as_the_authors_do() -> None:
    marks = {
        "DiagnosisAccuracy": (2.0, 1.0, 0.0),
        "AnalysisCompleteness": (1.0, 0.0, 1.0),
        "AnalysisRelevance": (2.0, 1.0),
        "LeadAssessmentCoverage": (1.0,) * 14,
        "LeadAssessmentAccuracy": (2.0,) * 13,
        "ECGFeatureGrounding": (80.0,),
        "EvidenceBasedReasoning": (50.0,),
        "ClinicalDiagnosticFidelity": (0.0,),
    }
    values = GROUNDED.published(marks)
    assert values["diagnosis_accuracy"] == pytest.approx(2 / 3)  # a 1 counts as fully right
    assert (values["analysis_completeness_points"], values["analysis_relevance_points"]) == (2, 3)
    assert values["lead_coverage"] == 1  # more than twelve leads are clipped
    assert values["lead_accuracy"] == pytest.approx(26 / 24)  # and here they are not
    assert (values["feature_grounding"], values["clinical_fidelity"]) == (0.8, 0)
    strict = GROUNDED.strict(marks)
    assert strict["diagnosis_accuracy"] == 0.5
    assert strict["lead_accuracy"] == 1
    assert strict["overall"] == pytest.approx(np.mean([value for name, value in strict.items() if name != "overall"]))


def test_replies_are_read_and_never_run() -> None:
    whole = {one.name: [{"Score": one.scale[1], "Explanation": "x"}] for one in GROUNDED.criteria}
    text = json.dumps(whole).replace("ECGFeatureGrounding", "GroundedECGUnderstanding")  # the key of the repository
    assert GROUNDED.read(f"Here it is:\n```json\n{text}\n```\nDone.")["ECGFeatureGrounding"] == (100.0,)
    for reply, problem in (
        ("no", "no JSON object"),
        ("{'Accuracy': 1}", "Expecting"),
        ('{"Accuracy": 1}', "no Completeness"),
        ('{"Accuracy": 11, "Completeness": 1, "Instruction Adherence": 1}', "no mark from 0 to 10"),
        ('{"Accuracy": true, "Completeness": 1, "Instruction Adherence": 1}', "no mark"),
        ('{"Accuracy": [], "Completeness": 1, "Instruction Adherence": 1}', "no marks"),
        ('{"Accuracy": "__import__(1)", "Completeness": 1, "Instruction Adherence": 1}', "no mark"),
        ('{"Accuracy": NaN, "Completeness": 1, "Instruction Adherence": 1}', "no mark"),
    ):
        with pytest.raises(ValueError, match=problem):
            ARENA.read(reply)
    prompt = ARENA.prompt((ITEM.prompt, *ITEM.turns), ITEM.truth, "I see.")
    assert all(part in prompt for part in ("What is it?", "And then?", "Sinus rhythm.", "I see.", "Accuracy"))


def test_agreement_is_that_of_the_literature() -> None:
    # table 2 of Shrout and Fleiss (1979), whose ICC(2,1) is 0.29
    table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert icc(table) == pytest.approx(0.29, abs=0.005)
    assert icc([[1, 1], [2, 2]]) == 1
    assert np.isnan(icc([[1, 2]]))
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 5, 60), rng.integers(0, 5, 60)
    assert weighted_kappa(one, other) == pytest.approx(cohen_kappa_score(one, other, weights="quadratic"), abs=1e-12)
    assert np.isnan(weighted_kappa([1, 1], [1, 1]))


def test_a_score_is_the_mean_of_the_judges_that_gave_marks() -> None:
    opinions = [Opinion("a", {"Accuracy": (4,), "Completeness": (4,), "Instruction Adherence": (4,)}), Opinion("b")]
    assert mean_score(ARENA, opinions).values["accuracy"] == 0.4
    assert mean_score(ARENA, opinions[1:]).reason == "judge_failed"


class _Judges(ScriptedEndpoint):
    """A judge by the name of the model; ``moody`` fails, answers nonsense, and leaves its scale."""

    def __init__(self) -> None:
        super().__init__()
        self.well = False
        self.steps = [self._mark]

    def _mark(self, body: Any) -> bytes:
        right = "Sinus rhythm" in str(body["messages"][0]["content"]).split("<answer>")[1]
        mark = {"kind": 9 if right else 6, "stern": 7 if right else 2}.get(body["model"], 5)
        content = json.dumps(
            {key: [{"Score": mark, "Explanation": "."}] for key in ("Diagnosis", "Waveform", "Rhythm")}
        )
        if body["model"] == "moody" and not self.well:
            content = ["\x00{]", "", '{"Diagnosis": 99}', content[:-3]][len(self.requests) % 4]
        usage = {"prompt_tokens": 100, "completion_tokens": 7}
        return json.dumps({"choices": [{"message": {"content": content}}], "usage": usage}).encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    init = ChatEndpoint.__init__

    def quick(self: ChatEndpoint, url: str, model: str, retries: int, max_tokens: int = 1024) -> None:
        init(self, url, model, timeout_s=5, retries=1, wait_s=0.01, max_tokens=max_tokens)

    monkeypatch.setattr(ChatEndpoint, "__init__", quick)
    with _Judges() as server:
        yield server


def test_several_judges_repeats_and_one_that_answers_nonsense(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"openai:{server.url}#"
    judges = [f"{url}{model}" for model in ("kind", "stern", "moody")]
    run = tmp_path / "run"
    figures = run_benchmark("ecgbench-report", "random", out=run, limit=4, judges=judges, judge_repeats=2)
    told = figures["judges"]["judges"]
    assert list(told) == [f"{model} {repeat}" for model in ("kind", "stern", "moody") for repeat in (1, 2)]
    assert [told[name]["failed"] for name in told] == [0, 0, 0, 0, 4, 4]
    assert told["kind 1"] == {"n": 4, "failed": 0, "prompt_tokens": 400, "completion_tokens": 28}
    assert figures["judges"]["agreement"] == {}  # no answer was marked by all
    assert figures["not_scored"] == {}
    server.well = True
    again = run_benchmark("ecgbench-report", "random", out=run, limit=4, judges=judges, judge_repeats=2)
    assert again["judges"] == figures["judges"]  # nothing is asked twice
    agreeing = run_benchmark("ecgbench-report", "random", limit=10, judges=judges[:2], judge_price=(2.5, 10.0))
    cell = agreeing["judges"]["agreement"]["diagnosis"]
    assert cell["n"] == 10
    assert -1 <= cell["kappa"] <= 1
    assert -1 <= cell["icc"] <= 1
    assert agreeing["judges"]["judges"]["stern"]["cost"] == pytest.approx((1000 * 2.5 + 70 * 10) / 1e6)
    words = ["evaluate", "ecgbench-report", "--model", "random", "--limit", "2", "--judge", judges[0]]
    assert main([*words, "--judge-price", "1", "2"]) == 0
    assert "judge kind: 2 answers, 0 failed, 200 + 14 tokens, cost 0.0002" in capsys.readouterr().out


def test_a_failed_judge_is_asked_again_and_the_model_is_not(server: Any, tmp_path: Path) -> None:
    judge = [f"openai:{server.url}#moody"]
    first = run_benchmark("ecgbench-report", "random", out=tmp_path, limit=3, judges=judge)
    assert first["reasons"]["published"] == {"judge_failed": 3}
    answers = [json.loads(line)["answer"] for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    server.well = True
    second = run_benchmark("ecgbench-report", "random", out=tmp_path, limit=3, judges=judge, retry=True)
    assert second["reasons"]["published"] == {}
    assert second["scorings"]["published"]["report"]["diagnosis"]["value"] == 0.5
    rows = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert [row["answer"] for row in rows] == answers


def test_a_benchmark_without_a_rubric_takes_no_judge() -> None:
    with pytest.raises(GemInputError, match="scored without a judge"):
        run_benchmark("ecgbench-csn", "random", judges=["openai:http://x/v1#m"])
    with pytest.raises(GemInputError, match="0 repeats"):
        run_benchmark("ecgbench-arena", "random", judges=["openai:http://x/v1#m"], judge_repeats=0)
    assert {one.metric for one in REPORT.criteria} == {"diagnosis", "waveform", "rhythm"}


@pytest.fixture(scope="module")
def interpreted() -> tuple[str, grounding.Measurement]:
    measurement = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_424")))
    values = measurement.intervals
    text = (
        f"Sinus rhythm. Heart rate {measurement.heart_rate:.0f} bpm. The QRS axis is {measurement.axis:.0f} degrees. "
        f"PR interval {values['pr']:.0f} ms. QRS duration {values['qrs']:.0f} ms. QT interval {values['qt']:.0f} ms. "
        f"{lead_sentences(measurement)} Complete right bundle branch block."
    )
    return text, measurement


def test_marks_without_a_model_have_their_causes(interpreted: tuple[str, grounding.Measurement]) -> None:
    text, measurement = interpreted
    marks = model_free_marks(text, text, measurement)
    assert set(marks) == {one.name for one in GROUNDED.criteria}
    assert set(marks["DiagnosisAccuracy"]) == {2.0}
    assert marks["LeadAssessmentCoverage"] == (1.0,) * 12
    invented = model_free_marks(f"{text} Atrial fibrillation.", text, measurement)
    assert 0.0 in invented["DiagnosisAccuracy"]
    assert sum(model_free_marks("Hm.", text, measurement)["AnalysisRelevance"]) == 0
    other = model_free_marks(text.replace("Complete right", "Complete left"), text, measurement)
    assert other["DiagnosisAccuracy"].count(0.0) == 2  # one is missing, one invented


def test_the_score_falls_with_every_step_of_the_damage(interpreted: tuple[str, grounding.Measurement]) -> None:
    text, measurement = interpreted

    def mark(said: str) -> float:
        return GROUNDED.strict(model_free_marks(said, text, measurement))["overall"]

    ladder = climb(mark, text)
    assert set(ladder) == set(DAMAGE)
    for kind, marks in ladder.items():
        assert all(a > b for a, b in itertools.pairwise(marks)), (kind, marks)
    told = agreement_with_grades([ladder])
    assert told["all"]["falls"] == 1
    assert told["all"]["spearman"] > 0.75
    flat = agreement_with_grades([{kind: [1.0] * len(SHARES) for kind in DAMAGE}])  # a judge that marks all the same
    assert flat["all"]["falls"] == 0
    assert flat["all"]["icc"] < 0.1
