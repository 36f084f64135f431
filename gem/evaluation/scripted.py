"""An OpenAI-compatible endpoint on this machine that follows a script: one that is truthful, and one with faults."""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..endpoint import ChatEndpoint
from .dialogue_items import ScriptedTurn, wordings

if TYPE_CHECKING:
    from typing import Self

Message = Mapping[str, Any] | bytes | int  # a message, a raw body, or an HTTP status
Step = Callable[[Mapping[str, Any]], Message]
FAULTS = (
    *("false_number", "false_finding", "half_true", "nonsense", "unknown_tool", "bad_arguments", "wrong_arguments"),
    *("no_call", "loop", "new_calls", "empty", "status_500", "status_500_once", "garbage", "no_choices"),
    *("false_citation", "unasked_number"),
)


class ScriptedEndpoint:
    """A server on a free port of this machine, which answers with the steps that were given to it, the last again.

    Example:
        >>> with ScriptedEndpoint() as server:
        ...     server.steps = [lambda request: {"content": "Sinus rhythm."}]
        ...     ChatEndpoint(server.url, "any").write([{"role": "user", "content": "Which rhythm?"}])
        'Sinus rhythm.'
    """

    def __init__(self) -> None:
        self.steps: Sequence[Step] = ()
        self.requests: list[dict[str, Any]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append(request)
                said = endpoint.steps[min(len(endpoint.requests), len(endpoint.steps)) - 1](request)
                status = said if isinstance(said, int) else 200
                body = said if isinstance(said, bytes) else json.dumps({"choices": [{"message": said}]}).encode()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def endpoint(self) -> ChatEndpoint:
        """The endpoint as ``gem.chat`` talks to it."""
        return ChatEndpoint(self.url, "scripted", timeout_s=10.0, retries=1, wait_s=0.001)

    def play(self, steps: Sequence[Step]) -> None:
        """What to answer from here on.

        Args:
            steps: functions of a request; the last is repeated.
        """
        self.steps, self.requests = steps, []


def calls_message(*wanted: tuple[Any, Any]) -> dict[str, Any]:
    """A message that calls tools.

    Args:
        *wanted: name and arguments, an object or JSON text.
    """
    return {
        "content": None,
        "tool_calls": [
            {
                "id": f"call_{number}",
                "type": "function",
                "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
            }
            for number, (name, given) in enumerate(wanted)
        ],
    }


def truthful(turn: ScriptedTurn) -> list[Step]:
    """Calls the tools that a turn needs, and says what they gave.

    Args:
        turn: a question.
    """
    calls = turn.calls
    if not calls:
        return [lambda request: {"content": "That can't be told from an ECG."}]
    return [
        lambda request: calls_message(*calls),
        lambda request: {"content": sentence_from(turn, _results(request))},
    ]


def _results(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the tools gave last."""
    found: list[dict[str, Any]] = []
    for message in reversed(request["messages"]):
        if message["role"] != "tool":
            if found:
                break
            continue
        found.insert(0, json.loads(message["content"]))
    return found


def sentence_from(turn: ScriptedTurn, results: Sequence[Mapping[str, Any]]) -> str:
    """An answer in words, from nothing but what the tools gave.

    Args:
        turn: the question.
        results: of its calls.
    """
    first: Mapping[str, Any] = results[0] if results else {"error": "nothing"}
    if "error" in first:
        return f"The {turn.about} can't be told: {first['error']}."
    name = turn.calls[0][0]
    if name == "look_up":
        passage = next((one for one in first["passages"] if one["address"] == turn.words[0]), first["passages"][0])
        return f"{passage['text'].partition('. Source:')[0]} [{passage['address']}]."
    if name == "compare":
        row = next(one for one in first["values"] if one["quantity"] == turn.words[0])
        now, then = row["now"], row["then"]
        return f"The {turn.about} is {now['value']} {now['unit']} now; it was {then['value']} {then['unit']}."
    if name == "find":
        one = first["findings"][0]
        if one["present"] is None:
            return f"Whether there is {one['finding']} can't be told."
        return f"{'Yes, there is' if one['present'] else 'No, there is no'} {one['finding']}."
    if first["value"] is None:
        return f"The {turn.about} can't be measured."
    if turn.kind == "largest":
        return f"The {turn.about} is largest in {turn.words[0]}, {first['value']} {first['unit']}."
    return f"The {turn.about} is {first['value']} {first['unit']}."


def falsehood(turn: ScriptedTurn) -> str:
    """A sentence that is not true of the recording.

    Args:
        turn: the question.
    """
    if turn.kind in ("presence", "why"):
        return f"{'No, there is no' if turn.words[0] == 'yes' else 'Yes, there is'} {turn.about}."
    if turn.numbers:
        value = 2 * abs(turn.numbers[0]) + (0.7 if turn.unit == "mV" else 60)  # beyond the checker's tolerances
        value = (turn.numbers[0] + 300) % 360 - 180 if turn.unit == "deg" else value  # 120 degrees further
        shown = f"{value:.2f}" if turn.unit == "mV" else f"{value:.0f}"
        return f"The {turn.about} is {shown} {turn.unit}."
    return {"decline": "It is 7.3."}.get(turn.kind, "The heart rate is 391 bpm.")


def faulty(turn: ScriptedTurn, fault: str, pick: random.Random) -> tuple[list[Step], str]:
    """The steps of an endpoint with a fault, and the falsehood that it tells.

    Args:
        turn: a question.
        fault: one of ``FAULTS``.
        pick: of the choices.

    Returns:
        Steps, and a text that must not be kept; empty if nothing false is said.
    """
    true, lie = truthful(turn), falsehood(turn)
    if fault == "false_finding" and turn.kind not in ("presence", "why"):
        lie = "The heart rate is 391 bpm, a ventricular tachycardia."
    nonsense = pick.choice(wordings()["nonsense"])
    again: list[Step] = [*true[:-1], lambda request: {"content": lie}]

    def half(request: Mapping[str, Any]) -> Message:
        said = true[-1](request)
        assert isinstance(said, Mapping)  # for mypy
        return {"content": f"{said['content']} {lie}"}

    # what it does before it goes on truthfully, or for good
    first: dict[str, list[Step]] = {
        "unknown_tool": [lambda request: calls_message(("diagnose", {"ecg": 1}), ("operate", "{}"))],
        "bad_arguments": [lambda request: calls_message(("measure", '{"quantity": '), ("measure", "[1]"))],
        "wrong_arguments": [lambda request: calls_message(("measure", {"quantity": "potassium"}), ("find", {"x": 1}))],
        "empty": [lambda request: {"content": ""}],
        "status_500_once": [lambda request: 500],
    }
    forever: dict[str, list[Step]] = {
        "false_number": again,
        "false_finding": again,
        "half_true": [*true[:-1], half],
        "nonsense": [lambda request: {"content": nonsense}],
        "no_call": [lambda request: {"content": lie}],
        "loop": [lambda request: calls_message(("measure", {"quantity": "pr"}))],
        "new_calls": [lambda request: calls_message(("find", {"finding": f"gout {len(request['messages'])}"}))],
        "status_500": [lambda request: 500],
        "garbage": [lambda request: b"\xff\x00<html>"],
        "no_choices": [lambda request: b'{"choices": []}'],
        "false_citation": [lambda request: {"content": f"{lie.rstrip('.')} [kb:no_such_passage]."}],
        "unasked_number": [
            lambda request: {"content": "The patient is 44 years old and has 12.5 mmol/l of everything."}
        ],
    }
    if fault in first:
        return [*first[fault], *true], ""
    told = {"nonsense": nonsense, "unasked_number": "44 years", "false_citation": "no_such_passage"}
    silent = ("loop", "new_calls", "status_500", "garbage", "no_choices")
    return forever[fault], "" if fault in silent else told.get(fault, lie)
