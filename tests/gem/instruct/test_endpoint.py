"""The endpoint teacher against a real HTTP server that hangs, breaks, babbles and lies."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gem.instruct.endpoint import MAX_ANSWER_BYTES, OpenAITeacher, openai
from gem.instruct.lessons import LessonCase
from gem.instruct.output import all_rows, read_gem_json
from gem.instruct.pipeline import instruct
from gem.instruct.sources import find_sources
from gem.instruct.teachers import TeacherConfigError
from grounding import EcgError, find, measure, sample_path

SOURCES = find_sources([sample_path("ptbxl_102"), sample_path("ptbxl_13")])
TASKS = ["interpretation", "report", "dialogue"]
TRUTH = "The heart rate is <rate>."
# none of these holds for the two recordings; every wording is one a model has been seen to use or could
LIES = (
    "The heart rate is 171 bpm.",
    "Ventricular rate of about 171/min.",
    "PR333ms.",
    "The PR interval is 0.33 s.",
    "QRS measures .19 sec.",
    "QTc=999.",
    "QTc 0,61 s.",
    "There is ST elevation of 4.3 mm in V2.",
    "ST elevation of 4 mm in V1-V3 is seen.",
    "The rate is one hundred and seventy-one.",
    "The axis is −77°.",
    "The axis is minus 77 degrees.",
    "The R wave in V5 is 3.7 mV tall.",
    "The rate of <rate> rose to 171 bpm.",
    "At 171 the rhythm is <rhythm>.",
    "The PR interval is <pr>, i.e. 333 ms.",
    "The QT is ３３３ ms.",
    "P waves last ½ s.",
    "The heart rate is 17<rate>.",
    "The heart rate is x171bpm.",
    "Rate: 1.71e2 bpm.",
    "V1 333 ms.",
    "The patient is 44 years old.",
    "The PR interval (<qrs>) is prolonged to 333.",
)


@dataclass
class Endpoint:
    """A server whose next answers are set by ``mode``; ``seen`` counts requests."""

    url: str = ""
    mode: str = "truth"
    seen: int = 0
    keys: list[str | None] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def teacher(self, **options: Any) -> OpenAITeacher:
        return OpenAITeacher(self.url, "m", timeout_s=0.3, retries=1, wait_s=0.01, concurrency=3, **options)


def _completion(text: str) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    state = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == "/v1/chat/completions"
            assert (asked["model"], asked["messages"][0]["role"]) == ("m", "system")
            state.seen += 1
            state.keys.append(self.headers["Authorization"])
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._answer(state.mode)

        def _answer(self, mode: str) -> None:
            if mode == "hang":
                state.stop.wait(2)
            elif mode == "drip":
                self._head(200)
                while not state.stop.wait(0.05):
                    self.wfile.write(b" ")
                    self.wfile.flush()
            elif mode == "no http":
                self.wfile.write(b"\x00\x01 this is no HTTP\r\n\r\n")
            elif mode == "cut off":
                self._head(200, length=10_000)
                self.wfile.write(b'{"choices": [')
            elif mode == "hang in refusal":
                self._head(403, length=10)
                state.stop.wait(2)
            elif mode == "500 once":
                self._send(500 if state.seen == 1 else 200, _completion(TRUTH))
            elif mode.isdigit():
                self._send(int(mode), b"no")
            else:
                self._send(200, BODIES[mode] if mode in BODIES else _completion(mode))

        def _head(self, status: int, length: int | None = None) -> None:
            self.send_response(status)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()

        def _send(self, status: int, body: bytes) -> None:
            self._head(status, len(body))
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    yield state
    state.stop.set()
    server.shutdown()
    server.server_close()
    thread.join()


BODIES = {
    "html": b"<html>busy</html>",
    "not utf-8": b"\xff\xfe\x00",
    "deep": b"[" * 200_000,
    "no choices": b"{}",
    "no text": b'{"choices": [{"message": {"content": null}}]}',
    "wrong shape": b'{"choices": {"a": 3}}',
    "a list": b"[1]",
    "empty": b"",
    "blank": _completion("  \n "),
    "huge": b" " * (MAX_ANSWER_BYTES + 9),
}


def _rows(out: Path, status: str) -> list[dict[str, Any]]:
    """All rows, each record and task once, all of this status and with a reason unless kept."""
    rows = list(all_rows(out))
    assert [(row["record_id"], row["task"]) for row in rows] == [
        (source.id, task) for source in SOURCES for task in TASKS
    ]
    assert {row["status"] for row in rows} == {status}
    assert all(row["reason"] for row in rows) or status == "kept"
    return rows


@pytest.mark.parametrize("mode", ["hang", "drip", "no http", "cut off", "500", "429", *BODIES])
def test_no_answer_is_recorded_as_failed_and_can_be_asked_again(endpoint: Endpoint, tmp_path: Path, mode: str) -> None:
    endpoint.mode = mode
    begun = time.monotonic()
    instruct(SOURCES, tmp_path, endpoint.teacher(), task_names=TASKS)
    assert time.monotonic() - begun < 10
    assert endpoint.seen == 2 * len(SOURCES) * len(TASKS)
    _rows(tmp_path, "failed")
    assert read_gem_json(tmp_path / "instructions.json") == []
    if mode == "500":
        endpoint.mode = TRUTH
        instruct(SOURCES, tmp_path, endpoint.teacher(), task_names=TASKS, retry=True)
        assert {row["status"] for row in all_rows(tmp_path)} <= {"kept", "mended"}
        assert len(read_gem_json(tmp_path / "instructions.json")) == len(SOURCES) * len(TASKS)


def test_nobody_listening_fails_rows_not_the_run(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    instruct(SOURCES, tmp_path, OpenAITeacher(url, "m", retries=0), task_names=TASKS)
    _rows(tmp_path, "failed")


def test_one_failure_is_repeated(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.mode = "500 once"
    instruct(SOURCES[:1], tmp_path, endpoint.teacher(), task_names=["report"])
    assert [row["status"] for row in all_rows(tmp_path)] == ["kept"]
    assert endpoint.seen == 2


@pytest.mark.parametrize("mode", ["401", "404", "hang in refusal"])
def test_a_refusal_stops_the_run_and_the_next_one_goes_on(endpoint: Endpoint, tmp_path: Path, mode: str) -> None:
    endpoint.mode = mode
    with pytest.raises(TeacherConfigError, match="HTTP 40"):
        instruct(SOURCES, tmp_path, endpoint.teacher(), task_names=["report"])
    endpoint.mode = TRUTH
    assert instruct(SOURCES, tmp_path, endpoint.teacher(), task_names=["report"])["items"] == len(SOURCES)


@pytest.mark.parametrize(
    "text",
    [
        "Lorem ipsum dolor sit amet.",
        "<think> <pr",
        "\ud800\x00\x1b[31m",
        "🫀" * 400,
        "<rate",
        "<nothing_known>.",
        "a" * 100_000,
    ],
)
def test_nonsense_is_not_kept(endpoint: Endpoint, tmp_path: Path, text: str) -> None:
    endpoint.mode = text
    instruct(SOURCES[:1], tmp_path, endpoint.teacher(), task_names=["interpretation", "report"])
    assert {row["status"] for row in all_rows(tmp_path)} <= {"rejected", "failed"}
    assert read_gem_json(tmp_path / "instructions.json") == []


def _numbers(text: str) -> set[str]:
    """Every run of digits, lead names apart: read in another way than the check's own."""
    return set(re.findall(r"\d+", re.sub(r"\bV[1-6]\b", "", text)))


def test_no_false_number_is_kept(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.mode = " ".join([TRUTH, *LIES])
    instruct(SOURCES, tmp_path, endpoint.teacher(), task_names=["interpretation", "report"])
    rows = list(all_rows(tmp_path))
    assert [row["status"] for row in rows] == ["mended"] * 4
    for source, row in zip([s for s in SOURCES for _ in range(2)], rows, strict=True):
        measurement = measure(source.read())
        true = _numbers(" ".join(fact.text for fact in LessonCase(measurement, find(measurement)).items.values()))
        said = row["conversations"][1]["value"]
        assert said.startswith("The heart rate is ")
        assert _numbers(said) <= true, said
        assert not re.search(r"171|333|99|77|½|hundred|minus|years", said), said
        assert row["written"] == [endpoint.mode]


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_alone_is_rejected(endpoint: Endpoint, tmp_path: Path, lie: str) -> None:
    endpoint.mode = lie
    instruct(SOURCES[:1], tmp_path, endpoint.teacher(), task_names=["report"])
    assert [row["status"] for row in all_rows(tmp_path)] == ["rejected"]


def test_the_key_is_sent_and_written_nowhere(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "top-secret")
    endpoint.mode = TRUTH
    instruct(SOURCES[:1], tmp_path, endpoint.teacher(key_variable="MY_KEY"), task_names=["report"])
    assert endpoint.keys == ["Bearer top-secret"]
    assert not any(b"top-secret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("options", [{}, {"url": "localhost", "model": "m"}, {"url": "http://localhost:1/v1"}])
def test_an_endpoint_needs_address_and_model(options: dict[str, str]) -> None:
    with pytest.raises(EcgError, match="address"):
        openai(**options)
