"""A teacher behind any OpenAI-compatible endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grounding.errors import EcgError

from ..endpoint import MAX_ANSWER_BYTES, ChatEndpoint, EndpointError, EndpointRefusal
from .lessons import Lesson
from .teachers import Teacher, TeacherConfigError, TeacherError, chat, teachers

__all__ = ["MAX_ANSWER_BYTES", "OpenAITeacher", "openai"]


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
        endpoint = ChatEndpoint(
            self.url, self.model, self.key_variable, self.timeout_s, self.retries, self.wait_s, self.max_tokens
        )
        try:
            return endpoint.write(messages)
        except EndpointRefusal as error:
            raise TeacherConfigError(
                error.what, where=self.url, remedy=f"check --url, --model and the key in ${self.key_variable}"
            ) from None
        except EndpointError as error:
            raise TeacherError(error.what, where=self.url, remedy="run again with --retry") from None


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
