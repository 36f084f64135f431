"""A teacher behind any OpenAI-compatible endpoint: plain HTTP, with time limits, retries and a bound on what is read."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from grounding.errors import EcgError

from .lessons import Lesson
from .teachers import Teacher, TeacherConfigError, TeacherError, chat, teachers

MAX_ANSWER_BYTES = 1 << 20
# what a request may hope to get another time
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True)
class OpenAITeacher:
    """Asks ``{url}/chat/completions``.

    Attributes:
        url: up to and without ``/chat/completions``, e.g. ``http://localhost:8000/v1``.
        model: its name there.
        key_variable: environment variable that holds the key; the key itself is kept nowhere.
        timeout_s: for one whole request, s.
        retries: how often a request is repeated after the first.
        wait_s: before the first repetition, s; doubled each time.
        max_tokens: of an answer.
        concurrency: lessons asked at the same time by each worker.
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    timeout_s: float = 60.0
    retries: int = 3
    wait_s: float = 1.0
    max_tokens: int = 512
    concurrency: int = 4
    name: str = "openai"

    def describe(self) -> dict[str, Any]:
        return {"teacher": self.name, "url": self.url, "model": self.model, "max_tokens": self.max_tokens}

    def answer(self, lesson: Lesson) -> list[str]:
        """One request per turn; see ``Teacher``."""
        written: list[str] = []
        for _ in lesson.turns:
            written.append(self._ask(chat(lesson, written)))
        return written

    def _ask(self, messages: list[dict[str, str]]) -> str:
        body = json.dumps(
            {
                "model": self.model,
                "messages": messages,
                "temperature": 0,
                "max_tokens": self.max_tokens,
                "stream": False,
            }
        )
        trouble = ""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(min(60.0, self.wait_s * 2 ** (attempt - 1)))
            try:
                return self._once(body.encode())
            except urllib.error.HTTPError as error:
                trouble = f"HTTP {error.code}"
                if error.code not in _PASSING:
                    said = ""
                    with contextlib.suppress(OSError, http.client.HTTPException):  # the code alone must do
                        said = " ".join(error.read(500).decode("utf-8", "replace").split())
                    raise TeacherConfigError(
                        f"the endpoint refuses with HTTP {error.code} ({said[:200]})",
                        where=self.url,
                        remedy=f"check --url, --model and the key in ${self.key_variable}",
                    ) from None
            except TimeoutError:
                trouble = f"no answer within {self.timeout_s:g} s"
            except (
                OSError,
                http.client.HTTPException,
                ValueError,
                KeyError,
                IndexError,
                TypeError,
                RecursionError,
            ) as error:
                trouble = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise TeacherError(
            f"no answer after {self.retries + 1} tries ({trouble})", where=self.url, remedy="run again with --retry"
        )

    def _once(self, body: bytes) -> str:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        key = os.environ.get(self.key_variable)
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", data=body, headers=headers)
        until = time.monotonic() + self.timeout_s
        received = bytearray()
        with urllib.request.urlopen(request, timeout=self.timeout_s) as reply:
            # a socket's timeout starts anew with every byte: a server that drips must not hold a worker for ever
            while part := reply.read1(1 << 16):
                received += part
                if len(received) > MAX_ANSWER_BYTES:
                    raise ValueError(f"more than {MAX_ANSWER_BYTES} bytes")
                if time.monotonic() > until:
                    raise TimeoutError
        text = json.loads(received)["choices"][0]["message"]["content"]
        if not isinstance(text, str) or not text.strip():
            raise ValueError("the answer is empty")
        return text


@teachers.register
def openai(*, url: str | None = None, model: str | None = None, **options: Any) -> Teacher:
    """any OpenAI-compatible endpoint (--url, --model)"""
    if not url or not url.startswith(("http://", "https://")) or not model:
        raise EcgError(
            "an endpoint needs an address and a model",
            where="--teacher openai",
            remedy="give --url http://host:port/v1 and --model NAME",
        )
    known = {
        name: options[name]
        for name in ("timeout_s", "retries", "max_tokens", "concurrency", "key_variable")
        if options.get(name) is not None
    }
    return OpenAITeacher(url, model, **known)
