"""The benchmark's files in and out, without a look at the answers to come."""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from gem.cli.entry import main
from gem.errors import GemInputError
from gem.evaluation import run_benchmark
from gem.evaluation.inputs import BUNDLED, Inputs
from gem.evaluation.items import SAMPLES
from gem.evaluation.reasoning import evaluate_reasoning, load_items, questions, reasoning_table
from gem.evaluation.reasoning.items import answer_by_rules, chain_of, published_score, statistics, strict_score
from gem.evaluation.scripted import ScriptedEndpoint


def _question(kind: str, text: str, options: list[str], answer: object) -> dict[str, object]:
    return {"question_type": kind, "question": text, "options": options, "answer": answer}


SAMPLE = {
    "metadata": {"ecg_id": "1"},
    "data": {
        "initial_diagnostic_question": _question(
            "initial_diagnostic_question", "Is there first degree AV block?", ["Yes", "No"], "No"
        ),
        "reasoning": [
            {
                "criterion_selection": _question(
                    "criterion_selection",
                    "Which criterion to diagnose first degree AV block?",
                    ["Prolongation of the QT interval", "Evidence of consistent 1:1 atrioventricular conduction"],
                    "Evidence of consistent 1:1 atrioventricular conduction",
                ),
                "finding_identification": _question(
                    "finding_identification", "Is every P wave followed by a QRS complex?", ["Yes", "No"], "Yes"
                ),
                "ecg_grounding": [],
                "diagnostic_decision": _question(
                    "diagnostic_decision",
                    "Does it suggest first degree AV block?",
                    ["Yes", "No", "Further findings are required"],
                    "Further findings are required",
                ),
            }
        ],
    },
}


def test_answers_do_not_depend_on_answers_to_come() -> None:
    about: Any = {**deepcopy(SAMPLE), "metadata": {"ecg_id": "13"}}
    inputs = Inputs(BUNDLED)
    given = [answer_by_rules(item, inputs) for item in chain_of("a/1", about)]
    assert given == [question["answer"] for question in questions(about)]
    for known in range(len(given)):
        cut = deepcopy(about)
        for question in list(questions(cut))[known:]:
            question["answer"] = "nonsense"
        assert answer_by_rules(chain_of("a/1", cut)[known], inputs) == given[known]


def test_missing_input_is_told(tmp_path: Path) -> None:
    with pytest.raises(GemInputError, match="NNN"):
        evaluate_reasoning(tmp_path, tmp_path, tmp_path / "out")
    assert main(["evaluate", "reasoning", str(tmp_path), "--records", str(tmp_path)]) == 2  # no --out
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.json").write_text('{"data": []}')
    with pytest.raises(GemInputError, match="not a sample of the benchmark"):
        load_items(tmp_path)


def test_history_is_what_was_truly_answered_before() -> None:
    items = chain_of("a/1", deepcopy(SAMPLE))
    assert [item.item_id for item in items] == ["a/1:1/4", "a/1:2/4", "a/1:3/4", "a/1:4/4"]
    assert items[0].history == ()
    assert [answer for _, answer in items[3].history] == ["No", items[1].truth[0], "Yes"]
    assert [prompt for prompt, _ in items[3].history] == [item.prompt for item in items[:3]]
    assert "Answer with one of the options" in items[3].prompt


def scored(chain: str, rights: Iterable[int], of: int) -> list[dict[str, Any]]:
    return [
        {"id": f"{chain}:{number}/{of}", "values": {"exact": float(right), "jaccard": float(right)}}
        for number, right in enumerate(rights, 1)
    ]


def test_completion_and_depth_are_of_whole_chains() -> None:
    whole, early, late = scored("a", [0, 1, 1], 3), scored("b", [1, 0, 1, 1, 1], 5), scored("c", [1, 1, 1, 0, 1], 5)
    figures = statistics([*whole, *early, *late])
    assert figures["completion"] == pytest.approx(1 / 3)
    assert figures["completion_with_initial"] == 0
    assert figures["depth"] == pytest.approx((1 + 0 + 2 / 4) / 3)
    # drawn twice it counts twice; one that was cut, or has a question that was not scored, does not count
    assert statistics([*whole, *whole, *early])["completion"] == pytest.approx(2 / 3)
    assert statistics([*whole, *scored("d", [1, 1], 3)])["completion"] == 1
    assert statistics([*whole, *(row for row in late if not row["id"].startswith("c:2"))])["completion"] == 1
    assert set(statistics(early[1:])) == {"exact", "jaccard"}


def test_published_wants_the_option_and_strict_finds_it() -> None:
    found = next(item for item in load_items(SAMPLES / "ecg_reasoning") if item.kind == "lead_grounding")
    leads = ", ".join(found.truth)
    assert published_score(found, leads.upper()).reason is None
    assert published_score(found, f"I see it in {leads}").reason is not None
    bare = ", ".join(lead.removeprefix("Lead ") for lead in found.truth)
    assert strict_score(found, f"It is seen in {bare}.").reason is None
    assert strict_score(found, "Lead aVR").reason == "wrong_value"
    decision = chain_of("a/1", deepcopy(SAMPLE))[3]
    assert strict_score(decision, "Further findings are required.").reason is None
    assert strict_score(decision, "Yes, it does.").reason == "wrong_value"
    assert strict_score(decision, "It can't be told: there is no criterion.").reason == "model_refused"


def test_an_endpoint_gets_the_true_answers_before_as_a_conversation(tmp_path: Path) -> None:
    path = tmp_path / "questions" / "a" / "1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**SAMPLE, "metadata": {"ecg_id": "13"}}))
    with ScriptedEndpoint() as server:
        server.steps = [lambda body: {"content": "Yes"}]
        figures = run_benchmark(
            "reasoning", f"openai:{server.url}#any", tmp_path / "questions", BUNDLED, tmp_path / "run"
        )
        bodies = sorted(server.requests, key=lambda body: len(body["messages"]))
    assert [len(body["messages"]) for body in bodies] == [1, 3, 5, 7]
    assert [one["role"] for one in bodies[3]["messages"]] == ["user", "assistant"] * 3 + ["user"]
    assert bodies[3]["messages"][1]["content"] == "No"
    kinds = [part["type"] for part in bodies[3]["messages"][0]["content"]]
    assert kinds == ["image_url", "text"]
    assert figures["scorings"]["strict"]["finding_identification"]["exact"]["value"] == 1
    assert figures["scorings"]["strict"]["all"]["completion"]["value"] == 0


def test_the_bundled_chains_end_with_the_labels() -> None:
    figures = run_benchmark("reasoning", "rules")
    assert figures["scorings"]["published"]["all"]["completion_with_initial"]["value"] == 1
    assert run_benchmark("reasoning", "majority")["scorings"]["strict"]["all"]["completion"]["value"] < 1


MORE = "Further findings are required to confirm the diagnosis"
SEGMENT = "The options below refer to time ranges on the ECG signal, provided in seconds."


def _loop(
    finding: tuple[str, str],
    criterion: tuple[str, list[str]],
    grounding: list[dict[str, object]],
    name: str,
    decision: str,
) -> dict[str, object]:
    """Criterion, finding, where it is seen, and what follows; the first of the criteria is right."""
    text, options = criterion
    return {
        "criterion_selection": _question("criterion_selection", text, sorted(options), options[0]),
        "finding_identification": _question("finding_identification", finding[0], ["Yes", "No"], finding[1]),
        "ecg_grounding": grounding,
        "diagnostic_decision": _question(
            "diagnostic_decision",
            f"Based on all the findings identified so far, does this ECG suggest the presence of {name}?",
            ["Yes", "No", MORE],
            decision,
        ),
    }


def _sample(number: int, name: str, answer: str, loops: list[dict[str, object]]) -> dict[str, object]:
    asked = f"Does this ECG suggest the presence of {name}?"
    first = _question("initial_diagnostic_question", asked, ["Yes", "No"], answer)
    return {"metadata": {"ecg_id": str(number)}, "data": {"initial_diagnostic_question": first, "reasoning": loops}}


def _av_block(number: int, prolonged: str, segments: list[str], values: list[str]) -> dict[str, object]:
    name = "first degree AV block"
    conducted = _loop(
        (
            "Regarding the criterion you selected, looking at the overall rhythm, is every P wave, excluding those "
            "following premature beats, consistently followed by a QRS complex on this ECG?",
            "Yes",
        ),
        (
            f"To accurately diagnose {name}, which of the following diagnostic criteria should be evaluated?",
            [
                "Evidence of consistent 1:1 atrioventricular conduction",
                "Absence of discernible P waves",
                "Presence of non-conducted P waves",
            ],
        ),
        [],
        name,
        MORE,
    )
    word = "prolonged" if prolonged == "Yes" else "non-prolonged"
    late = _loop(
        (
            "Regarding the criterion you selected, is the PR interval prolonged on this ECG? Note that a PR interval "
            "is considered to be prolonged if it is greater than 200 milliseconds.",
            prolonged,
        ),
        (
            "In addition to the finding you just identified, which other diagnostic criterion should be evaluated "
            f"to diagnose {name}?",
            ["Prolongation of the PR interval", "Shortened PR intervals", "Prolongation of the QT interval"],
        ),
        [
            _question(
                "wave_grounding",
                "In which of the following segments can you observe a P wave that demonstrates "
                f"a {word} PR interval? {SEGMENT}",
                sorted(segments),
                segments[0],
            ),
            _question(
                "measurement_grounding",
                "For the selected segment, which range does the measured PR interval fall into?",
                sorted(values),
                values[0],
            ),
        ],
        name,
        prolonged,
    )
    return _sample(number, name, prolonged, [conducted, late])


def _right_block(number: int, segments: list[str]) -> dict[str, object]:
    name = "complete right bundle branch block"
    wide = _loop(
        (
            "Regarding the criterion you selected, is the QRS duration prolonged on this ECG? Note that a QRS duration "
            "is considered to be prolonged if it is greater than 120 milliseconds.",
            "Yes",
        ),
        (
            f"To accurately diagnose {name}, which of the following diagnostic criteria should be evaluated?",
            [
                "Prolongation of the QRS duration",
                "Presence of a normal QRS duration",
                "Variable QRS duration across different beats",
            ],
        ),
        [
            _question(
                "wave_grounding",
                "In which of the following segments can you observe a QRS wave that demonstrates "
                f"the prolonged QRS duration? {SEGMENT}",
                sorted(segments),
                segments[0],
            ),
            _question(
                "measurement_grounding",
                "For the selected segment, which range does the measured QRS duration fall into?",
                ["Below 120ms", "[120ms - 140ms]", "Above 140ms"],
                "Above 140ms",
            ),
        ],
        name,
        MORE,
    )
    return _sample(number, name, "Yes", [wide])


def test_bundled_records_through_the_command(ptbxl_like: Path, tmp_path: Path) -> None:
    """The benchmark's wording; the answers are the data set's labels, and times and lengths read off the paper."""
    samples = {
        "first_degree_av_block/1.json": _av_block(
            102,
            "Yes",
            ["[2.60s - 2.75s]", "[2.84s - 2.95s]", "[3.05s - 3.25s]", "[6.55s - 6.75s]"],
            ["[220ms - 280ms]", "Below 160ms", "[160ms - 220ms]"],
        ),
        "first_degree_av_block/2.json": _av_block(
            13,
            "No",
            ["[5.11s - 5.22s]", "[5.24s - 5.36s]", "[5.45s - 5.65s]", "[8.55s - 8.75s]"],
            ["[100ms - 160ms]", "Above 220ms", "[160ms - 220ms]"],
        ),
        "complete_right_bundle_branch_block/3.json": _right_block(
            424, ["[4.67s - 4.83s]", "[4.50s - 4.62s]", "[4.95s - 5.15s]", "[7.55s - 7.75s]"]
        ),
    }
    for name, sample in samples.items():
        path = tmp_path / "questions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(sample))
    out = tmp_path / "answers"
    command = ["evaluate", "reasoning", str(tmp_path / "questions"), "--records", str(ptbxl_like), "--out", str(out)]
    assert main(command) == 0
    assert main(command) == 0  # a run that is there is continued
    for name in samples:
        for question in questions(json.loads((out / name).read_text())):
            assert question["model_response"] == question["answer"], (name, question["question"])


def test_what_needs_no_ecg_is_right_with_another_patients_too(ptbxl_like: Path, tmp_path: Path) -> None:
    samples = (
        _av_block(
            102,
            "Yes",
            ["[2.60s - 2.75s]", "[2.84s - 2.95s]", "[3.05s - 3.25s]", "[6.55s - 6.75s]"],
            ["[220ms - 280ms]", "Below 160ms", "[160ms - 220ms]"],
        ),
        _av_block(
            13,
            "No",
            ["[5.11s - 5.22s]", "[5.24s - 5.36s]", "[5.45s - 5.65s]", "[8.55s - 8.75s]"],
            ["[100ms - 160ms]", "Above 220ms", "[160ms - 220ms]"],
        ),
    )
    for number, sample in enumerate(samples):
        path = tmp_path / "questions" / "first_degree_av_block" / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(sample))
    figures = evaluate_reasoning(tmp_path / "questions", ptbxl_like, tmp_path / "answers")
    assert list(figures) == ["standard", "other_ecg", "own_history"]
    assert figures["standard"]["completion"] == (2, 2)
    assert figures["other_ecg"]["completion"] == (0, 2)
    assert figures["other_ecg"]["criterion_selection"] == figures["standard"]["criterion_selection"]
    assert "other_ecg" in reasoning_table(figures)


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
