"""An OpenAI-compatible endpoint over plain HTTP, with a time limit for the whole reply and retries."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from ..errors import GemInputError

MAX_REPLY_BYTES = 1 << 22
_RETRYABLE = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True)
class ChatEndpoint:
    """Sends chats to ``{url}/chat/completions``; the key comes from ``$OPENAI_API_KEY`` and is never stored.

    Attributes:
        url: without ``/chat/completions``.
        model: its name there.
        timeout_s: for one whole request, s.
        retries: how often a failed request is repeated.
        wait_s: before the first repetition, s; doubled each time.
        max_tokens: of a reply.
    """

    url: str
    model: str
    timeout_s: float = 60.0
    retries: int = 3
    wait_s: float = 1.0
    max_tokens: int = 1024

    @classmethod
    def parse(cls, text: str) -> ChatEndpoint:
        """From ``openai:URL#MODEL``.

        Args:
            text: as given on the command line.

        Raises:
            GemInputError: a part is missing.

        Example:
            >>> ChatEndpoint.parse("openai:http://localhost:8000/v1#qwen").model
            'qwen'
        """
        url, _, model = text.removeprefix("openai:").partition("#")
        if not url.startswith(("http://", "https://")) or not model:
            raise GemInputError("not an endpoint", where=text, remedy="write openai:http://HOST:PORT/v1#MODEL")
        return cls(url.rstrip("/"), model)

    def ask(self, messages: list[dict[str, Any]]) -> str:
        """The reply to a chat.

        Args:
            messages: as the API takes them.

        Raises:
            ConnectionError: no reply after all tries, or the endpoint refuses the request.
        """
        body = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": self.max_tokens}
        problem = ""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(min(60.0, self.wait_s * 2 ** (attempt - 1)))
            try:
                return self._post(json.dumps(body).encode())
            except urllib.error.HTTPError as error:
                problem = f"HTTP {error.code}"
                error.close()
                if error.code not in _RETRYABLE:
                    break
            except TimeoutError:
                problem = f"no reply within {self.timeout_s:g} s"
            except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, RecursionError) as error:
                problem = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise ConnectionError(f"{self.url}: {problem}")

    def _post(self, body: bytes) -> str:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key := os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(f"{self.url}/chat/completions", data=body, headers=headers)
        until, received = time.monotonic() + self.timeout_s, bytearray()
        with urllib.request.urlopen(request, timeout=self.timeout_s) as reply:
            # the socket's timeout restarts with every byte, so the time for the whole reply is checked here
            while part := reply.read1(1 << 16):
                received += part
                if len(received) > MAX_REPLY_BYTES:
                    raise ValueError(f"more than {MAX_REPLY_BYTES} bytes")
                if time.monotonic() > until:
                    raise TimeoutError
        text = json.loads(received)["choices"][0]["message"]["content"]
        if not isinstance(text, str) or not text.strip():
            raise ValueError("the reply is empty")
        return text
