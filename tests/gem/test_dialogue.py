"""``gem.chat``: tools, gem-nano's answers, and endpoints that tell the truth, lie, babble, loop, stall and break."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gem
import grounding
from gem.cli import main
from gem.dialogue import MAX_REQUESTS
from gem.evaluation.scripted import ScriptedEndpoint, calls_message
from gem.holding import hold
from gem.tools import Tools, descriptions
from grounding import Measurement


class Server(ScriptedEndpoint):
    """An endpoint whose messages come from ``speak(request, number)``; an int is a status, bytes a raw body."""

    def __init__(self) -> None:
        super().__init__()
        self.stop = threading.Event()
        self.speak: Callable[[dict[str, Any], int], Any] = lambda request, number: {"content": "Yes."}
        self.steps = [self._said]

    def _said(self, request: Any) -> Any:
        said = self.speak(request, len(self.requests))
        if said == "stall":
            self.stop.wait(5)
            return 500
        return said

    def chat(self, record: str = "ptbxl_102", **options: Any) -> gem.Chat:
        options = {"timeout_s": 2.0, "retries": 1, "wait_s": 0.01, **options}
        return gem.chat(grounding.sample_path(record), "m", url=self.url, **options)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as state:
        yield state
        state.stop.set()


def script(*messages: Any) -> Callable[[dict[str, Any], int], Any]:
    return lambda request, number: messages[min(number, len(messages)) - 1]


# --- tools


def test_the_tools(measurement: Measurement, before: Measurement) -> None:
    tools = Tools(measurement, [before])
    pr = tools.call("measure", '{"quantity": "PR interval"}')
    assert pr.result["value"] == round(measurement.intervals["pr"] or 0)
    assert pr.evidence[0].spans_s
    assert tools.call("measure", {"quantity": "t", "lead": "V5"}).result["unit"] == "mV"
    for words, lead in (("R wave in V5", ""), ("r_mv", "v5"), ("R wave amplitude", "lead V5")):
        assert tools.call("measure", {"quantity": words, "lead": lead}).result["quantity"] == "r_mv", words
    for words, name in (("ventricular rate", "heart_rate"), ("QRS axis", "axis"), ("corrected QT", "qtc_fridericia")):
        assert tools.call("measure", {"quantity": words}).result["quantity"] == name
    assert "all leads" in tools.call("measure", {"quantity": "pr", "lead": "V2"}).result["error"]
    named = tools.call("look_up", {"query": "criterion for complete right bundle branch block"}).passages
    assert named[0].address == "kb:complete_right_bundle_branch_block"
    assert tools.call("find", {"finding": "first-degree AV block"}).result["findings"][0]["present"] is True
    assert tools.call("find", {"finding": "LBBB"}).result["findings"][0]["present"] is False
    assert "first-degree AV block" in {row["finding"] for row in tools.call("find", "{}").result["present"]}
    assert tools.call("locate", {"what": "first-degree AV block"}).result["places"][0]["seconds"]
    assert tools.call("locate", {"what": "LBBB"}).result["present"] is False
    compared = tools.call("compare", {}).result
    assert compared["earlier"] == "ptbxl_286"
    assert "complete left bundle branch block" in compared["gone"]
    assert "first-degree AV block" in compared["new"]
    rate = next(row for row in compared["values"] if row["quantity"] == "heart_rate")
    assert rate["change"] == rate["now"]["value"] - rate["then"]["value"]
    json.dumps([tools.call(name, arguments).to_dict() for name, arguments in (("find", {}), ("compare", {}))])


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("diagnose", {}, "no tool"),
        (None, {}, "no tool"),
        (["measure"], {}, "no tool"),
        ("measure", "{", "not a JSON object"),
        ("measure", [1], "not a JSON object"),
        ("measure", {}, "takes quantity"),
        ("measure", {"quantity": 3}, "no str"),
        ("measure", {"quantity": "potassium"}, "no quantity is called"),
        ("measure", {"quantity": "t", "lead": "V9"}, "was not recorded"),
        ("measure", {"quantity": "pr", "unit": "s"}, "takes no unit"),
        ("find", {"finding": "gout"}, "no finding is called"),
        ("locate", {"what": "gout"}, "no finding is called"),
        ("compare", {"earlier": 5}, "there are 1 earlier"),
        ("compare", {"earlier": True}, "no int"),
        ("look_up", {"query": ""}, "takes query"),
    ],
)
def test_a_wrong_call_is_told(
    measurement: Measurement, before: Measurement, name: Any, arguments: Any, told: str
) -> None:
    result = Tools(measurement, [before]).call(name, arguments)
    assert result.failed
    assert told in result.result["error"]
    assert not result.evidence


def test_every_tool_is_described() -> None:
    names = [one["function"]["name"] for one in descriptions(True)]
    assert sorted(names) == ["compare", "find", "locate", "look_up", "measure"]
    assert "compare" not in [one["function"]["name"] for one in descriptions(False)]


# --- gem-nano


def test_three_turns_with_gem_nano(measurement: Measurement, before: Measurement) -> None:
    pytest.importorskip("torch")
    talk = gem.chat(grounding.sample_path("ptbxl_102"), earlier=[grounding.sample_path("ptbxl_286")])
    first, why = talk.ask("Is there AV block?"), talk.ask("Why?")
    assert first.text.startswith("Yes")
    assert "PR interval above" in why.text
    changed = talk.ask("What has changed since the last ECG?")
    assert changed.source == "tools"
    assert f"PR interval {measurement.intervals['pr']:.0f} ms now, {before.intervals['pr']:.0f} ms then" in changed.text
    assert {part.record_id for part in changed.evidence} == {"ptbxl_102", "ptbxl_286"}
    assert "No longer there: " in changed.text
    defined = talk.ask("What is the criterion for left anterior fascicular block?")
    assert "[kb:left_anterior_fascicular_block]" in defined.text
    assert len(talk.turns) == 4
    assert json.loads(json.dumps(talk.to_dict()))["earlier"] == ["ptbxl_286"]
    assert "changed since" in talk._repr_html_()
    with pytest.raises(gem.GemInputError, match="question"):
        talk.ask(" ")
    talk.add_earlier(grounding.sample_path("ptbxl_13"))
    latest = talk.ask("What has changed since the last ECG?")
    assert {part.record_id for part in latest.evidence} == {"ptbxl_102", "ptbxl_13"}


# --- endpoints


def test_a_truthful_endpoint(server: Server, measurement: Measurement) -> None:
    pr = round(measurement.intervals["pr"] or 0)
    server.speak = script(
        calls_message(("measure", '{"quantity": "pr"}'), ("look_up", '{"query": "first-degree AV block"}')),
        {"content": f"The PR interval is {pr} ms. It is long above 200 ms [kb:first_degree_av_block]."},
    )
    answer = server.chat().ask("How long is the PR interval?")
    assert answer.text.startswith(f"The PR interval is {pr} ms.")
    assert "[kb:first_degree_av_block]" in answer.text
    assert [call.name for call in answer.calls] == ["measure", "look_up"]
    assert (answer.source, answer.withheld, answer.faults) == ("model", (), ())
    assert answer.statements[0].verdict == "supported"
    assert answer.statements[0].evidence[0].quantity == "pr"
    assert all(claim.text == answer.text[claim.start : claim.end] for claim in answer.claims)
    second = server.requests[1]["messages"]
    assert [one["role"] for one in second] == ["system", "user", "assistant", "tool", "tool"]
    assert second[2]["tool_calls"][0]["id"] == second[3]["tool_call_id"] == "call_0"
    assert json.loads(second[3]["content"])["value"] == pr


def test_lies_are_left_out(server: Server, measurement: Measurement) -> None:
    server.speak = script({"content": "The heart rate is 171 bpm. There is first-degree AV block. Potassium is 7.1."})
    answer = server.chat().ask("What do you see?")
    assert answer.text == "There is first-degree AV block."
    assert answer.verdict["contradicted"] == 0
    assert any("contradicted" in why for _, why in answer.withheld)
    assert any("no evidence for 7.1" in why for _, why in answer.withheld)
    assert "don't hold" in server.requests[1]["messages"][-1]["content"]  # it was asked once more


@pytest.mark.parametrize(
    "said",
    [
        "P waves last ½ s.",
        "83 % of the beats are ectopic.",
        "At 171 the rhythm changes.",
        "Rate: 1.71e2 bpm.",
        "The patient is 44 years old.",
        "The QT is ３３３ ms.",
        "The rate is one hundred and seventy-one.",
        "U waves of 0.2 mV.",
        "PR 245 ms, QRS 245 ms.",
    ],
)
def test_a_number_of_a_tool_does_not_serve_for_another(server: Server, said: str) -> None:
    every = [("measure", json.dumps({"quantity": name})) for name in ("pr", "qrs", "heart_rate")]
    server.speak = script(calls_message(*every), {"content": said}, {"content": said})
    answer = server.chat().ask("How long is the PR interval?")
    assert answer.source == "rule"
    assert said not in answer.text
    assert answer.withheld


def test_it_may_mend_its_answer(server: Server) -> None:
    server.speak = script({"content": "Left bundle branch block."}, {"content": "No left bundle branch block."})
    answer = server.chat().ask("LBBB?")
    assert answer.text == "No left bundle branch block."
    assert answer.withheld[0][0] == "Left bundle branch block."


@pytest.mark.parametrize(
    "said",
    [
        "PR above 200 ms counts [kb:no_such_thing].",
        "Bananas grow upwards towards sunlight [kb:first_degree_av_block].",
        'It says "PR interval above 300 ms" [kb:first_degree_av_block].',
    ],
)
def test_citations_are_checked(server: Server, said: str) -> None:
    server.speak = script(calls_message(("look_up", '{"query": "first-degree AV block"}')), {"content": said})
    answer = server.chat().ask("Is there AV block?")
    assert answer.source == "rule"  # nothing was left
    assert answer.text.startswith("Yes")
    assert answer.withheld[0][0] == said


def test_a_loop_of_calls_ends(server: Server) -> None:
    server.speak = lambda request, number: calls_message(("measure", '{"quantity": "pr"}'))
    answer = server.chat().ask("Is there AV block?")
    assert len(server.requests) == MAX_REQUESTS
    assert server.requests[-1]["tool_choice"] == "none"
    assert "asked this before" in server.requests[2]["messages"][-1]["content"]
    assert len(answer.calls) == 1
    assert (answer.source, answer.text.startswith("Yes")) == ("rule", True)
    assert "no answer after" in answer.faults[0]


@pytest.mark.parametrize(
    "wanted",
    [
        calls_message(("operate", "{}")),
        calls_message(("measure", "no json")),
        calls_message((None, None)),
        {"tool_calls": "measure"},
        {"tool_calls": [1, {"function": "x"}]},
        {"tool_calls": {"a": 1}},
        {"content": ""},
        {"content": [{"type": "text"}]},
        {},
    ],
)
def test_nonsense_is_answered_and_talk_goes_on(server: Server, wanted: Any) -> None:
    server.speak = script(wanted, {"content": "Sinus rhythm."})
    answer = server.chat().ask("Which rhythm?")
    assert answer.text == "Sinus rhythm."
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "said", [500, 503, b"", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": 3}]}', b"\xff\x00", "stall"]
)
def test_a_broken_endpoint_loses_nothing(server: Server, said: Any) -> None:
    server.speak = lambda request, number: said
    talk = server.chat(timeout_s=0.3)
    answer = talk.ask("Is there AV block?")
    assert (answer.source, answer.text.startswith("Yes")) == ("rule", True)
    assert "no answer after 2 tries" in answer.faults[0]
    server.speak = script({"content": "Sinus rhythm."})
    assert talk.ask("Which rhythm?").text == "Sinus rhythm."
    assert len(talk.turns) == 2


def test_500_once(server: Server) -> None:
    server.speak = lambda request, number: 500 if number == 1 else {"content": "Sinus rhythm."}
    assert server.chat().ask("Which rhythm?").faults == ()


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_is_an_error(server: Server, status: int) -> None:
    server.speak = lambda request, number: status
    with pytest.raises(gem.GemError, match=f"refuses with HTTP {status}"):
        server.chat().ask("Which rhythm?")


def test_no_server() -> None:
    talk = gem.chat(grounding.sample_path(), "m", url="http://127.0.0.1:9/v1", retries=0)
    assert talk.ask("Is there AV block?").source == "rule"


def test_an_earlier_ecg_is_compared(server: Server, measurement: Measurement, before: Measurement) -> None:
    change = round(measurement.heart_rate or 0) - round(before.heart_rate or 0)
    said = f"The rate rose by {change} bpm since ptbxl_286."
    server.speak = script(calls_message(("compare", "{}")), {"content": said})
    talk = server.chat(earlier=[grounding.sample_path("ptbxl_286")])
    answer = talk.ask("What changed?")
    assert answer.text == said
    assert {part.record_id for part in answer.evidence} == {"ptbxl_102", "ptbxl_286"}
    server.speak = script({"content": f"The rate rose by {change + 30} bpm."})
    assert server.chat().ask("What changed?").text != f"The rate rose by {change + 30} bpm."


def test_history_goes_along(server: Server) -> None:
    server.speak = script({"content": "Sinus rhythm."})
    talk = server.chat()
    talk.ask("Which rhythm?")
    talk.ask("Is it regular?")
    roles = [one["role"] for one in server.requests[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    "options", [{"url": "localhost"}, {"timeout_s": 3}, {"url": "http://x/v1", "color": 1}, {"texts": "no-such-folder"}]
)
def test_options_that_are_none(options: dict[str, Any]) -> None:
    with pytest.raises(gem.GemInputError):
        gem.chat(grounding.sample_path(), **options)


def test_the_command(server: Server, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    server.speak = script(
        calls_message(("measure", '{"quantity": "pr"}')), {"content": "PR interval 245 ms. Rate 171 bpm."}
    )
    words = [
        "chat",
        str(grounding.sample_path()),
        "--url",
        server.url,
        "--model",
        "m",
        "--save",
        str(tmp_path / "x.json"),
    ]
    monkeypatch.setattr(sys, "stdin", io.StringIO("How long is PR?\n\nexit\nnever asked\n"))
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "PR interval 245 ms." in shown
    assert "(measure pr)" in shown
    assert "left out: 'Rate 171 bpm.'" in shown
    assert len(json.loads((tmp_path / "x.json").read_text())["turns"]) == 1
    monkeypatch.setattr(sys, "stdin", io.StringIO("?\nWhich rhythm?\n"))
    assert main([*words, "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_beside_a_limit_the_measurement_decides() -> None:
    slow = grounding.measure(grounding.read_record(grounding.sample_path("ludb_13")))  # 59 bpm
    kept, withheld = hold("There is no bradycardia. There is bradycardia. Possibly tachycardia.", slow, (), (), ())
    assert [one.text for one in kept] == ["There is bradycardia.", "Possibly tachycardia."]
    assert [(text, why.startswith("'bradycardia' is not what was measured: ")) for text, why in withheld] == [
        ("There is no bradycardia.", True)
    ]


# --- what an earlier ECG and a definition are asked by


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("What has changed since the last ECG?", "comparison"),
        ("Is the PR longer than before?", "comparison"),
        ("Is the AV block new?", "comparison"),
        ("What was the PR before, and what is it now?", "comparison"),
        ("What was the PR in the previous ECG?", "comparison"),
        ("Is there a P wave before each QRS?", "presence"),
        ("Does the QRS change during the recording?", "value"),
        ("Compare V1 and V2.", "lead"),
        ("Is the QRS different from normal?", "value"),
        ("Is there a definite PVC?", "presence"),
        ("Does this recording meet the criteria for LBBB?", "presence"),
        ("Definition of Brugada syndrome", "declined"),
        ("What does V5 mean?", "lead"),
        ("What is LVH?", "definition"),
        ("Was bedeutet Vorhofflimmern?", "definition"),
        ("Kriterien für Linksschenkelblock?", "definition"),
        ("What does ST depression mean?", "definition"),
    ],
)
def test_what_is_compared_and_what_is_defined(question: str, kind: str) -> None:
    pytest.importorskip("bm25s")
    talk = gem.chat(grounding.sample_path("ptbxl_102"), earlier=grounding.sample_path("ptbxl_286"))
    answer = talk.ask(question)
    assert answer.kind == kind, answer.text
    assert (answer.source == "tools") == (kind in ("comparison", "definition"))


def test_a_definition_is_of_what_is_named() -> None:
    pytest.importorskip("bm25s")
    talk = gem.chat(grounding.sample_path("ptbxl_102"))
    assert "[kb:atrial_fibrillation]" in talk.ask("Was bedeutet Vorhofflimmern?").text
    assert "[kb:left_ventricular_hypertrophy]" in talk.ask("What is LVH?").text


def test_one_earlier_recording(measurement: Measurement) -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_286"))
    for earlier in (record, grounding.sample_path("ptbxl_286"), str(grounding.sample_path("ptbxl_286")), [record]):
        talk = gem.chat(grounding.sample_path("ptbxl_102"), earlier=earlier, measurement=measurement)
        assert [one.record_id for one in talk.tools.earlier] == ["ptbxl_286"]


def test_an_endpoint_that_fails_is_no_untrained_model(server: Server) -> None:
    server.speak = script(500, 500, 500, 500)
    answer = server.chat().ask("Is there AV block?")
    assert answer.source == "rule"
    assert len(answer.faults) == 1
    assert "learned" not in answer.faults[0]
