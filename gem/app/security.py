"""Who may ask ``gem app`` what: host, origin, token, sizes and times are checked before a route sees a request."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.exceptions import HTTPException

from .limits import BODY_S, IDLE_BODY_S, MAX_JSON_BYTES, MAX_REQUESTS, MAX_UPLOAD_BYTES, SEND_S

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

SAFE_METHODS = ("GET", "HEAD")
UPLOADS = "/api/records"  # the one address that takes files
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{styles}; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Keys:
    """The secrets of a run: the token of the printed address, and tickets that open the page once.

    Attributes:
        token: in the printed address, in the cookie, or as ``Authorization: Bearer``.
        cookie: the cookie's name; cookies of a host are sent to all of its ports.
    """

    def __init__(self, port: int) -> None:
        self.token, self.cookie = secrets.token_urlsafe(32), f"gem_app_{port}"
        self._tickets: set[str] = set()

    def ticket(self) -> str:
        """A word that opens the page once: other users of the machine see the browser's command line."""
        made = secrets.token_urlsafe(32)
        self._tickets.add(made)
        return made

    def opens(self, word: str) -> bool:
        """Whether a word of an address is the token, or a ticket that was not used yet.

        Args:
            word: as it came.
        """
        if word in self._tickets:
            self._tickets.discard(word)
            return True
        return self.fits(word)

    def fits(self, word: str) -> bool:
        """Whether a word is the token; takes as long for any word of a length.

        Args:
            word: as it came.
        """
        return hmac.compare_digest(word.encode(errors="replace"), self.token.encode())


class Guard:
    """The first to see a request; ASGI.

    Args:
        app: the routes.
        keys: of this run.
        port: that it listens on.
        hosts: names of this machine that a browser may use, beside the loopback's.
        any_address: whether it listens to other machines too: then any IP address may be the host, which no name that
            is bound again can be.
        inline_styles: hashes or words for the style part of the content policy.
    """

    def __init__(
        self,
        app: App,
        keys: Keys,
        port: int,
        hosts: Iterable[str] = (),
        any_address: bool = False,
        inline_styles: str = "",
    ) -> None:
        self.app, self.keys, self.port, self.any_address = app, keys, port, any_address
        self.hosts = {"127.0.0.1", "localhost", "::1", *(host.lower() for host in hosts)}
        self.headers = [
            (name.lower().encode(), value.encode())
            for name, value in {
                **HEADERS,
                "Content-Security-Policy": CONTENT_POLICY.format(styles=f" {inline_styles}" if inline_styles else ""),
            }.items()
        ]
        self._requests = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # a websocket
            return
        answer = self._with_headers(send)
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(answer, *refusal)
            return
        if self._requests >= MAX_REQUESTS:
            await _refuse(answer, 503, "the server is busy")
            return
        self._requests += 1
        try:
            await self.app(scope, _limited(receive, _limit_of(scope)), answer)
        finally:
            self._requests -= 1

    def _refusal(self, scope: MutableMapping[str, Any]) -> tuple[int, str] | None:
        """Status and reason, or None for a request that may pass."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in (b"host", b"origin", b"content-length", b"authorization", b"cookie") and name in headers:
                return 400, f"two headers {name.decode()}"
            headers[name] = value
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._is_ours(host):
            return 421, "this name is not the server's; use the address that it printed"
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1") != f"{scope.get('scheme', 'http')}://{host}":
            return 403, "the request came from another site"
        site = headers.get(b"sec-fetch-site", b"").decode("latin-1")
        if site not in ("", "same-origin", "none") and not self._is_opening(scope, headers):
            return 403, "the request came from another site"
        bearer = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        by_bearer = bearer[0].lower() == "bearer" and self.keys.fits(bearer[2])
        if scope["method"] not in SAFE_METHODS and origin is None and not site and not by_bearer:
            return 403, "the request does not say where it came from"
        if self._is_opening(scope, headers):
            return None  # the page's own route looks at the word in the address
        if not by_bearer and not self.keys.fits(self._cookie(headers)):
            return 401, "open the address that gem app printed: this browser has no key of this run"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            return 400, "the length of the body is no number"
        if int(length) > (limit := _limit_of(scope)):
            return 413, f"it is larger than {limit >> 20 or 1} MB"
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        if "@" in host or "/" in host or (80 if port is None else port) != self.port:
            return False
        if name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.any_address

    @staticmethod
    def _is_opening(scope: MutableMapping[str, Any], headers: MutableMapping[bytes, bytes]) -> bool:
        """Whether a person opens the page by an address: a link from a mail may come from another site."""
        mode = headers.get(b"sec-fetch-mode", b"navigate")
        return bool(
            scope["path"] == "/"
            and scope["method"] == "GET"
            and mode == b"navigate"
            and "key" in parse_qs(scope["query_string"].decode("latin-1"))
        )

    def _cookie(self, headers: MutableMapping[bytes, bytes]) -> str:
        try:
            jar = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
        except CookieError:
            return ""
        found = jar.get(self.keys.cookie)
        return found.value if found is not None else ""

    def _with_headers(self, send: Send) -> Send:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self.headers]
            try:
                await asyncio.wait_for(send(message), SEND_S)
            except TimeoutError:
                raise ConnectionError("the client takes no answer") from None

        return answer


def _limit_of(scope: MutableMapping[str, Any]) -> int:
    return MAX_UPLOAD_BYTES if scope["path"] == UPLOADS else MAX_JSON_BYTES


def _limited(receive: Receive, limit: int) -> Receive:
    """The body of a request, which may be neither too long nor too slow."""
    loop = asyncio.get_running_loop()
    ends, total, done = loop.time() + BODY_S, 0, False

    async def limited() -> Message:
        nonlocal total, done
        if done:  # what follows is only the end of the connection, which may be long in coming
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, min(IDLE_BODY_S, ends - loop.time())))
        except TimeoutError:
            raise HTTPException(408, "the request came too slowly", {"Connection": "close"}) from None
        total += len(message.get("body", b""))
        if total > limit:
            raise HTTPException(413, f"it is larger than {limit >> 20 or 1} MB", {"Connection": "close"})
        done = not message.get("more_body", False)
        return message

    return limited


async def _refuse(send: Send, status: int, why: str) -> None:
    body = f'{{"error": "{why}"}}'.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
