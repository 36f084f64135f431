"""ECGBench: published layouts and scoring with its quirks, on items that the tests write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gem.errors import GemInputError
from gem.evaluation import Item, run_benchmark
from gem.evaluation.ecgbench.choices import published_letter, published_list_score, stated_letter
from gem.evaluation.ecgbench.files import read_file
from gem.evaluation.ecgbench.multilabel import statistics, substring_labels
from gem.evaluation.ecgbench.report import report_score
from gem.evaluation.inputs import BUNDLED, Inputs
from gem.metrics import stated_findings


def test_other_layouts_are_told(tmp_path: Path) -> None:
    (tmp_path / "ptb-test.json").write_text('[{"id": 1}]')
    with pytest.raises(GemInputError, match="item 0 has no conversation"):
        read_file(tmp_path, "ptb-test")


def test_quirks_of_the_published_labels() -> None:
    assert substring_labels("ptb-test", "ABNORMAL") == ("NORM",)
    assert substring_labels("cpsc-test", "AFTER a PACemaker") == ("AF", "PAC")
    assert substring_labels("code15-test", "NORM", is_gold=True) == ("NORM",)
    assert substring_labels("code15-test", "first RBBB. Answer: ABNORMAL, STTC") == ("ABNORMAL", "ST")
    rows = [{"truth": ["MI"], "labels": ["MI", "NEW"]}, {"truth": ["CD"], "labels": ["CD"]}]
    assert statistics(rows) == {"f1": 1, "auc_of_hard_labels": 1, "hamming_loss": 0}  # unknown labels are ignored


def test_quirks_of_the_published_letters() -> None:
    import random

    draw = random.Random(0)
    assert published_letter("The answer is B. It is not A.", 8, draw) == "A"
    assert published_letter("The correct option is C", 8, draw) == "C"
    assert published_letter("Answer: because of Atrial fibrillation, D", 8, draw) == "A"
    assert published_letter("no idea", 4, draw) in "ABCD"
    assert stated_letter("The answer is B. It is not A.") == "B"
    assert stated_letter("no idea") == ""


def test_quirks_of_the_published_lists() -> None:
    item = Item("1", "ecgqa", "?", "?", ("lead I",), ("lead I", "lead II"), (), True)
    score = published_list_score(item, "lead I").values
    assert (score["pulse"], score["gem"]) == (0, 1)  # options are not lowered; sets of characters are compared
    assert published_list_score(item, "lead II").values["gem"] == 1  # the same characters
    verify = Item("2", "ecgqa", "?", "?", ("no",), ("yes", "no"))
    assert published_list_score(verify, "It is a normal ECG").values["pulse"] == 1


def test_reports_by_rules_and_by_chance(tmp_path: Path, ptbxl_like: Path) -> None:
    assert len(stated_findings("Sinus rhythm. No LVH.")) == 1
    turns = [{"role": "user", "content": "Report?"}, {"role": "assistant", "content": "Sinus rhythm. RBBB. LAFB."}]
    other = [turns[0], {"role": "assistant", "content": "Atrial fibrillation."}]
    rows = [
        {"id": "ptb-report-00424_hr-0", "conversation": turns},
        {"id": "ptb-report-00013_hr-0", "conversation": other},
    ]
    (tmp_path / "ptb-test-report.json").write_text(json.dumps(rows))
    figures = run_benchmark("ecgbench-report", "rules", tmp_path, ptbxl_like)
    assert figures["not_scored"] == {}
    assert figures["scorings"]["strict"]["report"]["recall"]["value"] > 0
    missing = run_benchmark("ecgbench-report", "majority", tmp_path, None)
    assert missing["not_scored"] == {"input_missing": 2}


def test_reports_are_held_against_the_recording_numbers_and_leads() -> None:
    inputs = Inputs(BUNDLED)
    true = "Sinus rhythm. PR interval 166 ms. Complete right bundle branch block. ST depression in V1 and V2 at 2-3 s."
    item = Item("1", "report", "?", "?", (true,), (), ("424",))
    whole = report_score(item, true, inputs).values
    assert (whole["f1"], whole["leads"], whole["times"], whole["pr_ms"]) == (1, 1, 1, 0)
    assert whole["found"] == pytest.approx(2 / 3)  # the recording has an extreme axis, too
    damaged = true.replace("166", "266").replace("V1 and V2", "V2 and V3").replace("2-3 s", "2.5-3.5 s")
    values = report_score(item, damaged, inputs).values
    assert values["pr_ms"] == 100
    assert values["leads"] == values["times"] == pytest.approx(1 / 3)
    assert values["supported"] < whole["supported"]
    assert values["f1"] == 1  # which this damage does not touch
    refused = report_score(item, "I can't interpret this.", inputs)
    assert (refused.reason, refused.values["found"]) == ("model_refused", 0)
    assert "supported" not in refused.values
    unknown = Item("2", "report", "?", "?", ("Kein Befund.",), (), ("424",))
    assert report_score(unknown, true, inputs).values == {}
