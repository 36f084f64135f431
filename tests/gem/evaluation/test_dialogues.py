"""Scripted dialogues: truth, judging, a truthful and a faulty endpoint, gem-nano."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

import gem
import grounding
from gem.answer import Answer
from gem.cli import main
from gem.dialogue import Chat
from gem.evaluation.dialogue_items import (
    ScriptedTurn,
    compose_dialogue,
    global_value,
    is_right_turn,
    lead_value,
    numbers_without_evidence,
)
from gem.evaluation.dialogues import bundled_samples, evaluate_dialogues, load_speaker
from gem.evaluation.scripted import FAULTS, ScriptedEndpoint, calls_message, faulty, truthful
from gem.explanation import Statement
from grounding import Evidence, Measurement


def said(text: str, evidence: tuple[Evidence, ...] = (), declined: bool = False) -> Answer:
    return Answer("x", "?", "value", (Statement(text, 0, len(text), evidence, (), "number"),), declined)


def test_the_truth_is_that_of_the_tables(measurement: Measurement) -> None:
    assert global_value(measurement, "pr") == measurement.intervals["pr"]
    assert global_value(measurement, "axis") == measurement.axes["qrs"]
    row = measurement.lead_summary.set_index("lead").loc["V5"]
    assert lead_value(measurement, "T wave", "V5") == row["t_mv"] < 0
    assert lead_value(measurement, "R wave", "V9") is None


def test_dialogues_are_composed_the_same_again(measurement: Measurement, before: Measurement) -> None:
    dialogues = [compose_dialogue(measurement, before, seed) for seed in range(40)]
    assert dialogues == [compose_dialogue(measurement, before, seed) for seed in range(40)]
    kinds = {turn.kind for turns in dialogues for turn in turns}
    assert kinds == {"value", "amplitude", "change", "largest", "presence", "why", "definition", "decline"}
    assert all(4 <= len(turns) <= 5 for turns in dialogues)


@pytest.mark.parametrize(
    ("turn", "text", "right"),
    [
        (ScriptedTurn("?", "value", (244.9,), "ms"), "The PR interval is 245 ms.", True),
        (ScriptedTurn("?", "value", (244.9,), "ms"), "The PR interval is 244 ms.", False),
        (ScriptedTurn("?", "value", (244.9,), "ms"), "The QRS is 99 ms, PR 245 ms.", False),
        (ScriptedTurn("?", "value", (-30.2,), "deg"), "Axis -30°.", True),
        (ScriptedTurn("?", "value", (-30.2,), "deg"), "Axis 30 degrees.", False),
        (ScriptedTurn("?", "amplitude", (-0.14,), "mV"), "0.14 mV in V5", False),
        (ScriptedTurn("?", "change", (83.2, 55.1), "bpm"), "83 bpm now, 55 bpm then.", True),
        (ScriptedTurn("?", "change", (83.2, 55.1), "bpm"), "55 bpm now, 83 bpm then.", False),
        (ScriptedTurn("?", "missing", (), "ms"), "It can't be measured.", True),
        (ScriptedTurn("?", "missing", (), "ms"), "It can't be measured well: 180 ms.", False),
        (ScriptedTurn("?", "presence", (), "", ("no", "x")), "No, there is none.", True),
        (ScriptedTurn("?", "presence", (), "", ("unknown", "x")), "No, there is none.", False),
        (ScriptedTurn("?", "largest", (1.0,), "mV", ("V5",)), "In V5.", True),
        (ScriptedTurn("?", "largest", (1.0,), "mV", ("V5",)), "In V4, not V5.", False),
        (ScriptedTurn("?", "definition", (), "", ("kb:x",)), "PR above 200 ms [kb:x].", True),
        (ScriptedTurn("?", "definition", (), "", ("kb:x",)), "PR above 200 ms [kb:y].", False),
        (ScriptedTurn("?", "decline"), "That can't be told from an ECG.", True),
        (ScriptedTurn("?", "decline"), "It is high.", False),
    ],
)  # fmt: skip
def test_judging(turn: ScriptedTurn, text: str, right: bool) -> None:
    assert is_right_turn(turn, said(text)) is right


def test_numbers_without_evidence(measurement: Measurement) -> None:
    proof = measurement.evidence("pr")
    assert numbers_without_evidence(said("PR 245 ms.")) == ["PR 245 ms."]
    assert numbers_without_evidence(said("PR 245 ms.", (proof,))) == []
    assert numbers_without_evidence(said("Seen in V1 and V2.")) == []


def test_a_truthful_endpoint_is_all_right() -> None:
    figures = evaluate_dialogues("scripted", bundled_samples()[:3], dialogues=18)
    assert figures["dialogues"] == 18
    assert all(part["right"] == 1.0 for part in figures["kinds"].values()), figures["wrong"]
    assert figures["calls"] == figures["calls_well_formed"] > 0
    assert (figures["numbers_without_evidence"], figures["falsehoods_kept"], figures["unanswered"]) == (0, 0, 0)


@pytest.mark.parametrize("fault", FAULTS)
def test_of_a_faulty_endpoint_nothing_is_lost_and_nothing_false_kept(
    measurement: Measurement, before: Measurement, fault: str
) -> None:
    pick = random.Random(fault)
    with ScriptedEndpoint() as server:
        talk = gem.chat(grounding.sample_path("ptbxl_102"), "m", measurement=measurement, url=server.url)
        talk.model, talk.tools.earlier = server.endpoint, (before,)
        for turn in compose_dialogue(measurement, before, 3):
            steps, lie = faulty(turn, fault, pick)
            server.play(steps)
            answer = talk.ask(turn.ask)
            assert is_right_turn(turn, answer), (turn, answer.text)
            assert not lie or lie not in answer.text
            assert not numbers_without_evidence(answer)


def test_a_wrong_answerer_is_seen(measurement: Measurement, before: Measurement, monkeypatch: Any) -> None:
    monkeypatch.setattr(Chat, "ask", lambda self, text: said("Yes, it is 391 ms in V9."))
    figures = evaluate_dialogues("scripted", bundled_samples()[:2], dialogues=8)
    assert figures["kinds"]["numeric"]["right"] == 0
    assert figures["kinds"]["decline"]["right"] == 0
    assert figures["numbers_without_evidence"] == figures["n"]


def test_the_command_with_gem_nano(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("bm25s")
    monkeypatch.setattr("gem.evaluation.dialogues.DIALOGUES", 6)
    out = tmp_path / "figures.json"
    assert main(["evaluate", "dialogues", "--limit", "2", "--json", str(out)]) == 0
    assert "well formed 100.0 %" in capsys.readouterr().out
    figures = json.loads(out.read_text())
    assert figures["kinds"]["numeric"]["right"] == 1.0
    assert figures["kinds"]["decline"]["right"] == 1.0


def test_names_of_speakers() -> None:
    assert load_speaker("scripted") == "scripted"
    assert load_speaker("openai:http://localhost:1/v1#m").model == "m"
    with pytest.raises(gem.GemInputError):
        load_speaker("openai:nowhere")
    with pytest.raises(gem.GemInputError, match="two records"):
        evaluate_dialogues("scripted", bundled_samples()[:1])


# --- what the dialogues found


def test_definitions_that_are_quoted_are_no_claims(measurement: Measurement) -> None:
    with ScriptedEndpoint() as server:
        talk = gem.chat(grounding.sample_path("ptbxl_102"), "m", measurement=measurement, url=server.url)
        turn = ScriptedTurn("What defines LVH?", "definition", words=("kb:left_ventricular_hypertrophy",))
        call = ("look_up", {"query": "left ventricular hypertrophy"})
        server.play(truthful(ScriptedTurn(turn.ask, turn.kind, words=turn.words, calls=(call,))))
        answer = talk.ask(turn.ask)
        assert answer.source == "model"
        assert answer.text.startswith("left ventricular hypertrophy: either the larger of size of")
        assert not answer.claims
        false = "Left bundle branch block, see left bundle branch block [kb:complete_left_bundle_branch_block]."
        server.play(
            [
                lambda request: calls_message(("look_up", {"query": "left bundle branch block"})),
                lambda request: {"content": false},
            ]
        )
        assert false not in talk.ask("Is there LBBB?").text


@pytest.mark.parametrize(
    ("sentence", "kept"),
    [
        ("The heart rate was 55 bpm then.", True),
        ("The heart rate is 83 bpm now and was 55 bpm before.", True),
        ("The rate rose from 55 to 83 bpm.", True),
        ("There was left bundle branch block before.", True),
        ("The heart rate is 55 bpm, as before.", False),
        ("The heart rate is 55 bpm.", False),
        ("The heart rate was 171 bpm then.", False),
        ("There was atrial fibrillation before.", False),
    ],
)
def test_what_was_is_held_against_the_earlier_recording(
    measurement: Measurement, before: Measurement, sentence: str, kept: bool
) -> None:
    with ScriptedEndpoint() as server:
        talk = gem.chat(grounding.sample_path("ptbxl_102"), "m", measurement=measurement, url=server.url)
        talk.model, talk.tools.earlier = server.endpoint, (before,)
        server.play([lambda request: calls_message(("compare", {})), lambda request: {"content": sentence}])
        answer = talk.ask("What was the heart rate on the last ECG?")
        assert (answer.text == sentence) is kept, answer.withheld


@pytest.mark.parametrize("question", ["Is the potassium high?", "Which drug should he get?"])
def test_what_an_ecg_does_not_tell_is_declined(measurement: Measurement, question: str) -> None:
    with ScriptedEndpoint() as server:
        talk = gem.chat(grounding.sample_path("ptbxl_102"), "m", measurement=measurement, url=server.url)
        server.play([lambda request: {"content": "The potassium is high, give him insulin."}])
        answer = talk.ask(question)
        assert answer.declined
        assert "insulin" not in answer.text
        server.play([lambda request: {"content": "An ECG can't tell that."}])
        answer = talk.ask(question)
        assert (answer.text, answer.declined) == ("An ECG can't tell that.", True)
