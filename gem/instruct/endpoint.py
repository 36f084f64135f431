"""A teacher behind any OpenAI-compatible endpoint: plain HTTP, with a time limit, retries and a limit on the answer."""

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
# HTTP status codes after which a later request may succeed
_RETRYABLE = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True)
class OpenAITeacher:
    """Sends lessons to ``{url}/chat/completions``.

    Attributes:
        url: without ``/chat/completions``, e.g. ``http://localhost:8000/v1``.
        model: its name at the endpoint.
        key_variable: environment variable with the key, which is never stored.
        timeout_s: for one whole request, s.
        retries: how often a failed request is repeated.
        wait_s: before the first repetition, s; doubled each time.
        max_tokens: of an answer.
        concurrency: lessons that each worker sends at the same time.
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
        """See ``Teacher``."""
        return {"teacher": self.name, "url": self.url, "model": self.model, "max_tokens": self.max_tokens}

    def answer(self, lesson: Lesson) -> list[str]:
        """One request per turn; see ``Teacher``."""
        written: list[str] = []
        for _ in lesson.turns:
            written.append(self._request(chat(lesson, written)))
        return written

    def _request(self, messages: list[dict[str, str]]) -> str:
        body = json.dumps(
            {
                "model": self.model,
                "messages": messages,
                "temperature": 0,
                "max_tokens": self.max_tokens,
                "stream": False,
            }
        )
        problem = ""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(min(60.0, self.wait_s * 2 ** (attempt - 1)))
            try:
                return self._post(body.encode())
            except urllib.error.HTTPError as error:
                problem = f"HTTP {error.code}"
                if error.code not in _RETRYABLE:
                    reply = ""
                    with contextlib.suppress(OSError, http.client.HTTPException):  # then without the server's text
                        reply = " ".join(error.read(500).decode("utf-8", "replace").split())
                    raise TeacherConfigError(
                        f"the endpoint refuses with HTTP {error.code} ({reply[:200]})",
                        where=self.url,
                        remedy=f"check --url, --model and the key in ${self.key_variable}",
                    ) from None
            except TimeoutError:
                problem = f"no answer within {self.timeout_s:g} s"
            except (
                OSError,
                http.client.HTTPException,
                ValueError,
                KeyError,
                IndexError,
                TypeError,
                RecursionError,
            ) as error:
                problem = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise TeacherError(
            f"no answer after {self.retries + 1} tries ({problem})", where=self.url, remedy="run again with --retry"
        )

    def _post(self, body: bytes) -> str:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        key = os.environ.get(self.key_variable)
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", data=body, headers=headers)
        until = time.monotonic() + self.timeout_s
        received = bytearray()
        with urllib.request.urlopen(request, timeout=self.timeout_s) as reply:
            # the socket's timeout restarts with every byte, so the time for the whole reply is checked here
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
    """Any OpenAI-compatible endpoint (--url, --model)."""
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
