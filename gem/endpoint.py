"""An OpenAI-compatible endpoint: plain HTTP, with a time limit, retries and a limit on the answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import GemError, GemInputError

MAX_ANSWER_BYTES = 1 << 20
# HTTP status codes after which a later request may succeed
_RETRYABLE = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class EndpointError(GemError):
    """An endpoint gave no usable answer this time."""


class EndpointRefusal(GemError):
    """An endpoint refuses: a wrong key, model or address."""


@dataclass(frozen=True)
class ChatEndpoint:
    """Sends messages to ``{url}/chat/completions``.

    Attributes:
        url: without ``/chat/completions``, e.g. ``http://localhost:8000/v1``.
        model: its name at the endpoint.
        key_variable: environment variable with the key, which is never stored.
        timeout_s: for one whole request, s.
        retries: how often a failed request is repeated.
        wait_s: before the first repetition, s; doubled each time.
        max_tokens: of an answer.
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    timeout_s: float = 60.0
    retries: int = 2
    wait_s: float = 1.0
    max_tokens: int = 1024

    @classmethod
    def parse(cls, text: str, **options: Any) -> ChatEndpoint:
        """From ``openai:URL#MODEL``.

        Args:
            text: as given on the command line.
            **options: further attributes.

        Raises:
            GemInputError: a part is missing.

        Example:
            >>> ChatEndpoint.parse("openai:http://localhost:8000/v1#qwen").model
            'qwen'
        """
        url, _, model = text.removeprefix("openai:").partition("#")
        if not url.startswith(("http://", "https://")) or not model:
            raise GemInputError("not an endpoint", where=text, remedy="write openai:http://HOST:PORT/v1#MODEL")
        return cls(url.rstrip("/"), model, **options)

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        accept: Callable[[dict[str, Any]], None] = lambda message: None,
        **options: Any,
    ) -> dict[str, Any]:
        """The next message.

        Args:
            messages: the conversation, in the protocol's form.
            accept: raises ValueError or LookupError for a message that is asked for once more.
            **options: further fields of the request: ``tools``, ``tool_choice``, ...

        Returns:
            The answer's ``message``, a dictionary of whatever the endpoint wrote.

        Raises:
            EndpointError: no answer in the protocol's form after all tries.
            EndpointRefusal: the endpoint refuses the request.
        """
        return self.complete_counted(messages, accept, **options)[0]

    def complete_counted(
        self,
        messages: Sequence[Mapping[str, Any]],
        accept: Callable[[dict[str, Any]], None] = lambda message: None,
        **options: Any,
    ) -> tuple[dict[str, Any], Mapping[str, int]]:
        """As ``complete``, with the tokens that the endpoint says it used.

        Args:
            messages: as in ``complete``.
            accept: as in ``complete``.
            **options: as in ``complete``.

        Returns:
            The message, and ``prompt_tokens`` and ``completion_tokens`` of this answer where the endpoint tells them.

        Raises:
            EndpointError: no answer in the protocol's form after all tries.
            EndpointRefusal: the endpoint refuses the request.
        """
        fixed = {"model": self.model, "temperature": 0, "max_tokens": self.max_tokens, "stream": False}
        body = json.dumps({**fixed, "messages": list(messages), **options}).encode()
        problem = ""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(min(60.0, self.wait_s * 2 ** (attempt - 1)))
            try:
                reply = self._post(body)
                message = reply["choices"][0]["message"]
                if not isinstance(message, dict):
                    raise TypeError("the message is no object")
                accept(message)
                return message, _usage(reply)
            except urllib.error.HTTPError as error:
                problem = f"HTTP {error.code}"
                if error.code not in _RETRYABLE:
                    said = ""
                    with contextlib.suppress(OSError, http.client.HTTPException):  # then without the server's text
                        said = " ".join(error.read(500).decode("utf-8", "replace").split())
                    raise EndpointRefusal(
                        f"the endpoint refuses with HTTP {error.code} ({said[:200]})",
                        where=self.url,
                        remedy=f"check the address, the model's name and the key in ${self.key_variable}",
                    ) from None
            except TimeoutError:
                problem = f"no answer within {self.timeout_s:g} s"
            except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, RecursionError) as error:
                problem = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise EndpointError(f"no answer after {self.retries + 1} tries ({problem})", where=self.url)

    def write(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """The text of the next message; one without text is asked for once more.

        Args:
            messages: as in ``complete``.

        Raises:
            EndpointError: no text after all tries.
            EndpointRefusal: the endpoint refuses the request.
        """
        return str(self.complete(messages, accept=_check_text)["content"])

    def _post(self, body: bytes) -> dict[str, Any]:
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
        reply = json.loads(received)
        if not isinstance(reply, dict):
            raise TypeError("the reply is no object")
        return reply


def _usage(reply: dict[str, Any]) -> dict[str, int]:
    told = reply.get("usage")
    told = told if isinstance(told, dict) else {}
    return {
        name: told[name]
        for name in ("prompt_tokens", "completion_tokens")
        if isinstance(told.get(name), int) and not isinstance(told[name], bool) and told[name] >= 0
    }


def _check_text(message: dict[str, Any]) -> None:
    text = message["content"]
    if not isinstance(text, str) or not text.strip():
        raise ValueError("the answer is empty")
