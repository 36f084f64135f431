"""Benchmarks of labelled recordings: what is read in an answer, which claims count, and how runs of them go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gem
from gem.cli.entry import main
from gem.data.samples import SUPERCLASSES
from gem.errors import GemInputError
from gem.evaluation import (
    Item,
    answerers,
    classification_items,
    explanations,
    item_benchmarks,
    leaderboard,
    retrieval,
    run_benchmark,
)
from gem.evaluation.answerers import InBatches
from gem.evaluation.classification import logits_by_inputs, sigmoid
from gem.evaluation.comparing import compare_runs
from gem.evaluation.inputs import BUNDLED, Inputs
from gem.evaluation.labelled import bundled_samples, named_by_rules, superclasses_by_rules
from grounding import ECGRecord


def classification_item(number: str) -> Any:
    return next(item for item in classification_items.items_of(bundled_samples()) if item.item_id == number)


def test_labels_of_a_text_and_of_a_head() -> None:
    item = classification_item("102")
    assert item.truth == ("STTC", "CD")
    assert "AVB" in item.labels
    strict, published = classification_items.strict_score, classification_items.published
    assert strict(item, "It shows CD and STTC.").reason is None
    assert strict(item, "Old MI? Answer: CD, STTC").reason is None
    assert strict(item, "CD").values == {"exact": 0.0, "jaccard": 0.5}
    assert strict(item, "I cannot interpret ECGs.").reason == "model_refused"
    assert strict(item, "Hm.").reason == "wrong_format"
    # the authors' substrings find labels in other words
    assert strict(item, "ABNORMAL: CD, STTC").labels == ("CD", "STTC")
    assert published(item, "ABNORMAL: CD, STTC").labels == ("CD", "NORM", "STTC")
    # of a head, the labels that it gives, and not the names of its classes
    said = json.dumps({"labels": ["CD", "STTC"], "both": dict.fromkeys(SUPERCLASSES, 0.1)})
    assert strict(item, said).reason is None
    assert published(item, said).reason is None


def test_rules_name_what_their_findings_support() -> None:
    inputs = Inputs(BUNDLED)
    assert named_by_rules(inputs.measurement("424")) == ("CD",)
    assert named_by_rules(inputs.measurement("13")) == ("NORM",)
    counts = superclasses_by_rules(inputs.measurement("298"))
    assert counts["NORM"] == -sum(value for name, value in counts.items() if name != "NORM")
    assert counts["HYP"] > 0
    flat = Inputs(BUNDLED, "flat")
    assert named_by_rules(flat.measurement("13")) == ()
    said = classification_items.answer_by_rules(classification_item("13"), flat)
    assert classification_items.strict_score(classification_item("13"), said).reason == "model_refused"


def test_a_run_has_the_probabilities_that_the_model_gives(tmp_path: Path) -> None:
    samples = bundled_samples()[:3]
    figures = run_benchmark("classification", "gem-nano", out=tmp_path / "run", limit=3)
    rows = [json.loads(line) for line in (tmp_path / "run" / "items.jsonl").read_text().splitlines()]
    model = gem.load("gem-nano")
    for choice, logits in logits_by_inputs(model, samples, ["both", "picture"]).items():
        stored = [[json.loads(row["answer"])[choice][name] for name in model.config.class_names] for row in rows]
        assert np.abs(np.array(stored) - sigmoid(logits)).max() == 0
    details = figures["details"]
    assert details["n"] == 3
    assert set(details["ece"]) == {"both", "signal", "picture", "pixels"}
    assert details["macro_auc"]["both"] == 1.0
    assert figures["folds"] == []
    assert main(["evaluate", "show", str(tmp_path / "run")]) == 0
    assert "wrong_value" in (tmp_path / "run" / "run.html").read_text()


def test_a_model_that_compares_with_texts_classifies_by_them(folders: Path) -> None:
    figures = run_benchmark("classification", str(folders / "CoCa"), limit=5)
    assert 0 <= figures["details"]["macro_auc"]["both"] <= 1
    assert figures["details"]["macro_auc"]["picture"] is None
    model = gem.load(str(folders / "CoCa"))
    answers = classification_items.answers_by_head(model)
    assert answers is not None
    texts = model.processor.texts(["normal ecg", "hypertrophy"])
    first, last = model.zero_shot(model.processor(Inputs(BUNDLED).record("13"))["ecg"], **texts)[0].tolist()
    said = json.loads(answers([classification_item("13")], Inputs(BUNDLED))[0])["both"]
    assert (said["NORM"], said["HYP"]) == pytest.approx((first, last), abs=1e-5)


def test_a_missing_picture_changes_what_pixels_say_and_not_the_signal() -> None:
    answers = classification_items.answers_by_head(gem.load("gem-nano"))
    assert answers is not None
    item = classification_item("286")
    whole, blank = (json.loads(answers([item], Inputs(BUNDLED, missing=m))[0]) for m in (None, "picture:100"))
    assert whole["signal"] == blank["signal"]
    assert max(abs(whole["pixels"][name] - blank["pixels"][name]) for name in SUPERCLASSES) > 0.05
    gone = json.loads(answers([item], Inputs(BUNDLED, missing="signal:100"))[0])
    assert gone["pixels"] == pytest.approx(whole["pixels"], abs=1e-6)
    assert max(abs(whole["signal"][name] - gone["signal"][name]) for name in SUPERCLASSES) > 0.05


def test_only_what_the_model_asserted_counts() -> None:
    inputs = Inputs(BUNDLED)
    item = next(one for one in explanations.items_of(bundled_samples()) if one.item_id == "139:own_with_facts")
    said = "The PR interval is 900 ms. The heart rate is \u27e640 bpm\u27e7.\nAnswer: MI"
    score = explanations.strict_score(item, said, inputs)
    assert score.labels == ("MI",)
    assert score.values["exact"] == 1
    assert score.values["asserted_contradicted_claims"] == 1
    assert score.values["inserted_contradicted_claims"] == 1
    assert score.values["supported"] == 0
    assert score.reason == "wrong_value"
    clean = explanations.strict_score(item, "Sinus rhythm.\nAnswer: MI", inputs)
    assert (clean.values["supported"], clean.reason) == (1, None)
    # what follows the last "Answer:" is no claim
    assert "supported" not in explanations.strict_score(item, "Answer: MI", inputs).values
    assert explanations.strict_score(item, "Sinus rhythm.\nAnswer: NORM", inputs).reason == "wrong_value"


def test_shares_are_of_all_claims_together() -> None:
    rows = [
        {"values": {"exact": 1.0, "jaccard": 1.0, "supported": 1.0, "asserted_supported_claims": 1.0}},
        {"values": {"exact": 0.0, "jaccard": 0.5, "supported": 0.0, "asserted_contradicted_claims": 3.0}},
    ]
    assert explanations.strict_statistics(rows) == {"exact": 0.5, "jaccard": 0.75, "supported": 0.25}
    assert np.isnan(explanations.strict_statistics([{"values": {"exact": 1.0, "jaccard": 1.0}}])["supported"])


def test_another_record_is_shown_and_the_text_is_held_against_the_own() -> None:
    figures = run_benchmark("explanations", "rules")
    own, other = (figures["details"]["conditions"][name] for name in ("own_with_facts", "other_with_facts"))
    assert own["asserted_supported"] == 1
    assert other["asserted_supported"] < 0.6
    assert "all" not in figures["scorings"]["strict"]
    assert next(iter(figures["scorings"]["strict"])) == "own_with_facts"
    with pytest.raises(GemInputError, match="fewer than two records"):
        run_benchmark("explanations", "rules", limit=1)


def test_a_model_gets_the_recording_that_is_shown_and_the_facts_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    items = {item.item_id: item for item in explanations.items_of(bundled_samples())}
    inputs, seen = Inputs(BUNDLED), []
    encode = gem.writing.encode_records

    def watching(model: Any, records: Any, *more: Any) -> Any:
        seen.append([record.record_id for record in records])
        return encode(model, records, *more)

    monkeypatch.setattr(gem.writing, "encode_records", watching)
    answers = explanations.answers_from_facts(gem.load("gem-nano"))
    assert answers is not None
    own, other, bare = answers([items[f"102:{name}"] for name in explanations.CONDITIONS[:3]], inputs)
    assert seen == [["ptbxl_102"], ["ptbxl_139"], ["ptbxl_102"]]
    pr = f"{inputs.measurement('102').intervals['pr']:.0f} ms"
    assert pr in own
    assert pr in other
    assert own.rpartition("Answer:")[2] != other.rpartition("Answer:")[2]
    assert own.rpartition("Answer:")[2] == bare.rpartition("Answer:")[2]
    prompts = [answerers.prompt_of(items[f"102:{name}"], inputs) for name in explanations.CONDITIONS]
    assert pr in prompts[0]
    assert prompts[0] == prompts[1]
    assert prompts[2] == prompts[3] == explanations.PROMPT


def test_a_killed_run_of_batches_ends_with_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def answers(items: Any, inputs: Any) -> list[str]:
        asked.append([item.item_id for item in items])
        return [f"{len(items)} together. Answer: CD" for _ in items]

    monkeypatch.setattr("gem.evaluation.running.answerer", lambda *_: InBatches(answers, batch=4))
    run_benchmark("classification", "x", out=tmp_path / "run")
    whole = (tmp_path / "run" / "items.jsonl").read_bytes()
    assert [len(batch) for batch in asked] == [4, 4, 1]
    asked.clear()
    (tmp_path / "run" / "items.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:6]) + b'{"answer"')
    run_benchmark("classification", "x", out=tmp_path / "run")
    assert (tmp_path / "run" / "items.jsonl").read_bytes() == whole
    assert [len(batch) for batch in asked] == [4, 1]


def test_a_recording_that_cannot_be_used_costs_its_batch_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Inputs._record

    def broken(self: Inputs, name: str) -> ECGRecord:
        if name == "139":
            raise GemInputError("cut off", where=name)
        return read(self, name)

    monkeypatch.setattr(Inputs, "_record", broken)
    figures = run_benchmark("classification", "gem-nano", limit=4)
    assert figures["not_scored"] == {"input_missing": 1}
    assert figures["details"]["n"] == 3


def test_compare_takes_the_first_condition(tmp_path: Path) -> None:
    for name in ("rules", "majority"):
        run_benchmark("explanations", name, out=tmp_path / name)
    compared = compare_runs(tmp_path / "majority", tmp_path / "rules")["scorings"]["strict"]["exact"]
    assert compared["n"] == 9
    page = leaderboard.leaderboard([tmp_path / "rules"]).split("`strict`")[1]
    exact = run_benchmark("explanations", "rules")["scorings"]["strict"]["own_with_facts"]["exact"]["value"]
    assert f"| 9 | {100 * exact:.1f} [" in page  # and not that of another's, which comes first in the file
    assert "own_with_facts" not in page


def test_a_model_without_a_head_is_asked_by_the_prompt(folders: Path) -> None:
    assert classification_items.answers_by_head(gem.load(str(folders / "PULSE"))) is None
    assert explanations.answers_from_facts(gem.load(str(folders / "PULSE"))) is None
    model = gem.load("gem-nano")
    model.config.class_names = ["NORM"]
    with pytest.raises(GemInputError, match="no MI"):
        classification_items.answers_by_head(model)


def test_folds_are_of_labelled_recordings(ptbxl_like: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--records", str(ptbxl_like), "--model", "rules", "--json", str(tmp_path / "x.json")]
    assert main(["evaluate", "classification", *words, "--folds", "8", "--limit", "3"]) == 0
    told = json.loads((tmp_path / "x.json").read_text())
    assert (told["n"], told["folds"], told["model"], told["skipped"]) == (3, [8], "rules", {})
    assert main(["evaluate", "ecg-qa", "--model", "random", "--folds", "8"]) == 2
    assert "has no folds" in capsys.readouterr().err


def test_retrieval_ranks_by_order_and_a_longer_text_hides_the_shorter_in_it() -> None:
    item = Item("1", "reports", "", "", ("normal ECG",), ("normal ECG", "otherwise normal ECG", "atrial flutter"))
    assert retrieval.ranked(item, "Atrial flutter\nnormal ECG") == ("atrial flutter", "normal ECG")
    assert retrieval.ranked(item, "otherwise normal ECG") == ("otherwise normal ECG",)
    second = retrieval.strict_score(item, "otherwise normal ECG; then normal ECG")
    assert (second.values, second.reason) == (
        {"recall_1": 0.0, "recall_5": 1.0, "reciprocal_rank": 0.5},
        "wrong_value",
    )
    assert retrieval.published_score(item, "It is:\nnormal ECG").values == {"recall_1": 1.0, "recall_5": 1.0}
    assert retrieval.published_score(item, "It is normal ECG").reason == "wrong_format"


def test_retrieval_by_a_head_and_by_cosines(folders: Path) -> None:
    found = run_benchmark("retrieval", "gem-nano")["scorings"]["strict"]["reports"]["recall_1"]["value"]
    assert found > 0.6
    model = gem.load(str(folders / "CoCa"))
    answers = retrieval.answers_by_scores(model)
    assert answers is not None
    (item, *_) = retrieval.items_of(bundled_samples())
    said = answers([item], Inputs(BUNDLED))[0].splitlines()
    assert sorted(said) == sorted(item.options)
    texts = model.processor.texts([option.lower() for option in item.options])
    scores = model.zero_shot(model.processor(Inputs(BUNDLED).record("13"))["ecg"], **texts)[0]
    assert said[0] == item.options[int(scores.argmax())]
    assert retrieval.answers_by_scores(gem.load(str(folders / "PULSE"))) is None


def test_the_majority_does_not_know_an_items_own_answer() -> None:
    def item(number: int, options: tuple[str, ...], truth: str) -> Item:
        return Item(str(number), "segment", "?", "?", (truth,), options, (str(number),))

    alone = [item(0, ("a", "b"), "b"), item(1, ("a", "c"), "a"), item(2, ("a", "d"), "a")]
    who = answerers.answerer("majority", item_benchmarks["retrieval"], alone)
    assert [who.answer(one, Inputs(None)) for one in alone] == ["a", "a", "a"]
    many = [item(n, ("yes", "no"), "no") for n in range(5)]
    who = answerers.answerer("majority", item_benchmarks["retrieval"], [*many, *alone])
    assert who.answer(many[0], Inputs(None)) == "no"


def test_an_answer_of_gem_nano_has_the_form_that_is_demanded() -> None:
    who = answerers.answerer("gem-nano", item_benchmarks["ecg-qa"], [])
    inputs = Inputs(BUNDLED)
    asked = Item("1", "single-verify", "Is there atrial fibrillation?", "", ("no",), ("no", "yes"), ("13",))
    assert who.answer(asked, inputs) == "no"
    rate = ("Below 60bpm", "[60bpm - 100bpm]", "Above 100bpm")
    value = Item("2", "range", "Which range does the heart rate fall into?", "", rate[1:2], rate, ("298",))
    assert who.answer(value, inputs) == rate[1]
    told = who.answer(
        Item("3", "x", "In which of the following segments is a P wave?", "", ("a",), rate, ("13",)), inputs
    )
    assert "can't be told" in told
