"""ECGBench: published layouts and scoring with its quirks, on items that the tests write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gem.errors import GemInputError
from gem.evaluation import Item, item_benchmarks, run_benchmark
from gem.evaluation.answerers import answerer
from gem.evaluation.ecgbench.choices import published_letter, published_list_score, stated_letter
from gem.evaluation.ecgbench.files import read_file
from gem.evaluation.ecgbench.multilabel import statistics, substring_labels
from gem.evaluation.inputs import Inputs
from gem.evaluation.running import summarise
from gem.metrics import stated_findings

SETS = {
    "ecgbench-ptb": ("ptb-test", ["NORM", "MI", "MI, STTC", "CD", "HYP"]),
    "ecgbench-code15": ("code15-test", ["NORM", "RBBB", "ABNORMAL", "AF, LBBB", "ST"]),
    "ecgbench-cpsc": ("cpsc-test", ["NORM", "AF", "STD", "PAC", "I-AVB, RBBB"]),
    "ecgbench-csn": ("csn-test-no-cot", ["A. AF", "B. SB", "C. ST", "H. SR"]),
    "ecgbench-g12": ("g12-test-no-cot", ["D. AF", "B. SB", "C. ST", "G. SR"]),
    "ecgbench-mmmu": ("mmmu-ecg", ["A", "B", "C", "D"]),
    "ecgbench-ecgqa": ("ecgqa-test", ["yes", "no", "yes", "no"]),
    "ecgbench-report": ("ptb-test-report", ["Sinus rhythm. LVH.", "Atrial fibrillation.", "Sinus bradycardia."]),
}


def write(folder: Path, name: str, answers: list[str]) -> Path:
    question = (
        "What is it?" if name != "ecgqa-test" else "Is it so? Options: yes, no. Only answer based on the options."
    )
    rows: list[dict[str, Any]] = []
    for number, answer in enumerate(answers):
        human, gpt = {"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}
        if name == "ptb-test-report":
            user = {"role": "user", "content": [{"type": "text", "text": question}]}
            turns: dict[str, Any] = {"conversation": [user, {"role": "assistant", "content": answer}]}
        else:
            turns = {"conversations": [human, gpt]}
        key = "No" if name == "mmmu-ecg" else "id"
        rows.append({key: f"{name}-{number}", "image": f"{number}.png", **turns})
    folder.mkdir()
    (folder / f"{name}.json").write_text(json.dumps(rows))
    return folder


class _Perfect:
    parallel = 1

    def answer(self, item: Item, inputs: Inputs) -> str:
        return ", ".join(item.truth)


class _Damaged:
    """Right for the first half of the items, and useless for the others."""

    parallel = 1

    def __init__(self, items: list[Item]) -> None:
        self.good = {item.item_id for item in items[: len(items) // 2]}

    def answer(self, item: Item, inputs: Inputs) -> str:
        return ", ".join(item.truth) if item.item_id in self.good else "Hm."


@pytest.mark.parametrize("name", SETS)
def test_a_perfect_a_random_and_a_damaged_answerer(name: str, tmp_path: Path) -> None:
    from dataclasses import replace

    from gem.evaluation.running import answer_item

    benchmark = item_benchmarks[name]
    items = benchmark.load(write(tmp_path / "data", *SETS[name]))
    assert next(item.prompt for item in items).startswith(("What", "Is"))

    def main_value(who: Any) -> float:
        rows = [answer_item(who, benchmark, replace(item, records=()), Inputs(None)) for item in items]
        kinds = summarise(benchmark, rows)["scorings"]["strict"]
        return float(next(cell["value"] for key, cell in next(iter(kinds.values())).items() if key != "n"))

    perfect = main_value(_Perfect())
    assert perfect == 1
    assert main_value(_Damaged(items)) < perfect
    assert main_value(answerer("random", benchmark, items)) < perfect


@pytest.mark.parametrize("name", SETS)
def test_a_missing_file_says_where_it_is_offered(name: str, tmp_path: Path) -> None:
    with pytest.raises(GemInputError, match="PULSE-ECG/ECGBench"):
        item_benchmarks[name].load(tmp_path)


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
