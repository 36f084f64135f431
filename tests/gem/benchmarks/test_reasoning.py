"""The benchmark's files in and out, without a look at the answers to come."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest

from gem.benchmarks.reasoning import answer_sample, evaluate_reasoning, questions
from gem.cli import main
from gem.errors import GemInputError
from grounding import read_record, sample_path
from grounding.reasoning import Reasoner


def _question(kind: str, text: str, options: list[str], answer: object) -> dict[str, object]:
    return {"question_type": kind, "question": text, "options": options, "answer": answer}


SAMPLE = {
    "metadata": {"ecg_id": "1"},
    "data": {
        "initial_diagnostic_question": _question("initial_diagnostic_question", "Is there first degree AV block?", ["Yes", "No"], "No"),
        "reasoning": [
            {
                "criterion_selection": _question("criterion_selection", "Which criterion to diagnose first degree AV block?", ["Prolongation of the QT interval", "Evidence of consistent 1:1 atrioventricular conduction"], "Evidence of consistent 1:1 atrioventricular conduction"),
                "finding_identification": _question("finding_identification", "Is every P wave followed by a QRS complex?", ["Yes", "No"], "Yes"),
                "ecg_grounding": [],
                "diagnostic_decision": _question("diagnostic_decision", "Does it suggest first degree AV block?", ["Yes", "No", "Further findings are required"], "Further findings are required"),
            }
        ],
    },
}  # fmt: skip


def test_answers_do_not_depend_on_answers_to_come() -> None:
    reasoner = Reasoner(read_record(sample_path("ptbxl_13")))
    whole = deepcopy(SAMPLE)
    answer_sample(whole, reasoner)
    given = [question["model_response"] for question in questions(whole)]
    assert given == [question["answer"] for question in questions(SAMPLE)]
    for known in range(len(given)):
        cut = deepcopy(SAMPLE)
        for question in list(questions(cut))[known:]:
            question["answer"] = "nonsense"
        answer_sample(cut, reasoner)
        assert list(questions(cut))[known]["model_response"] == given[known]


def test_missing_input_is_told(tmp_path: Path) -> None:
    with pytest.raises(GemInputError, match="NNN"):
        evaluate_reasoning(tmp_path, tmp_path, tmp_path / "out")
    assert main(["evaluate", "reasoning", "--records", str(tmp_path)]) == 2


def test_real_samples_through_the_command(shared: Path, tmp_path: Path) -> None:
    chosen = sorted((shared / "data" / "ecg_reasoning" / "complete_right_bundle_branch_block").glob("*.json"))[:6]
    folder = tmp_path / "questions" / "complete_right_bundle_branch_block"
    folder.mkdir(parents=True)
    for path in chosen:
        (folder / path.name).write_bytes(path.read_bytes())
    out = tmp_path / "answers"
    assert (
        main(["evaluate", "reasoning", str(folder.parent), "--records", str(shared / "data"), "--out", str(out)]) == 0
    )
    right = total = 0
    for path in chosen:
        for question in questions(json.loads((out / folder.name / path.name).read_text())):
            total += 1
            right += question["model_response"] == question["answer"]
    assert right / total > 0.8
