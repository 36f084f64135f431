"""The server of ``gem app``: what it holds, how it listens, and how it leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from uvicorn.protocols.http.h11_impl import H11Protocol

from grounding import EcgError, check

from ..errors import GemInputError
from . import tasks
from .folder import Folder
from .limits import HEADERS_S, MAX_CONNECTIONS, READ_S, WORKER_MEMORY_BYTES
from .routes import ROUTES, failed
from .scratch import Scratch
from .security import Guard, Keys
from .state import State
from .workers import Lane, Worker

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8000


def build(
    port: int,
    keys: Keys | None = None,
    folder: Path | None = None,
    model: str = "gem-nano",
    hosts: tuple[str, ...] = (),
    any_address: bool = False,
) -> Guard:
    """The application.

    Args:
        port: that it is reached at.
        keys: its secrets; new ones when None.
        folder: whose table it shows.
        model: name or folder of a model.
        hosts: names it may be called by, beside the loopback's.
        any_address: other machines may reach it.
    """
    chosen = keys or Keys(port)

    @contextlib.asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        scratch = Scratch()
        place = str(scratch.path)
        many = max(1, (os.cpu_count() or 1) - 1)
        reading = Lane([Worker(place, WORKER_MEMORY_BYTES)])
        measuring = Lane([Worker(place, WORKER_MEMORY_BYTES) for _ in range(many)])
        writing = Lane([Worker(place)])
        table = Folder(folder) if folder is not None else None
        ours = State(chosen, model, table, scratch, reading, measuring, writing)
        app.state.ours = ours
        warming = asyncio.create_task(_warm(ours))
        if ours.folder is not None:
            ours.folder.start(ours.measuring)
        try:
            yield
        finally:
            warming.cancel()
            for lane in (reading, measuring, writing):
                lane.close()
            if ours.folder is not None:
                await ours.folder.stop()
            scratch.close()

    handlers: dict[Any, Any] = dict.fromkeys((HTTPException, EcgError, Exception), failed)
    return Guard(Starlette(routes=ROUTES, lifespan=life, exception_handlers=handlers), chosen, port, hosts, any_address)


async def _warm(ours: State) -> None:
    with contextlib.suppress(EcgError):
        measured = await ours.reading.run(tasks.warm_up, limit_s=READ_S)
        await ours.checking(check, "PR 160 ms.", measured)  # the words of the checker are loaded, too


class PatientProtocol(H11Protocol):
    """HTTP/1.1, whose connections are closed when they send no whole request for a while: uvicorn waits for ever."""

    _last: object = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look at the connection now and then."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEADERS_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        asked = self.cycle is not None and (self.cycle is not self._last or not self.cycle.response_complete)
        if asked:
            self._last = self.cycle
            self._timer = self.loop.call_later(HEADERS_S, self._look)
        else:
            self.transport.abort()


class _Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def run(
    folder: Path | None = None,
    host: str = LOOPBACK,
    port: int | None = None,
    model: str = "gem-nano",
    ready: Callable[[str, str], None] = lambda address, once: None,
) -> None:
    """Serve until the process is told to stop.

    Args:
        folder: whose table is shown.
        host: address to listen at; any but the loopback's lets other machines in.
        port: to listen at; None for 8000 or the next free one, 0 for any free one.
        model: name or folder of a model.
        ready: is called with the address with its key, and with one that works once, when the server listens.

    Raises:
        GemInputError: the folder is none, or the address can't be listened at.
    """
    if folder is not None and not folder.is_dir():
        raise GemInputError("there is no such folder", where=str(folder), remedy="gem app FOLDER")
    listener = _listener(host, port)
    with contextlib.closing(listener):
        taken = int(listener.getsockname()[1])
        keys = Keys(taken)
        open_to_all = not _is_loopback(host)
        shown = "localhost" if host in ("0.0.0.0", "::") else host
        names = (host, socket.gethostname()) if open_to_all else (host,)
        config = uvicorn.Config(
            build(taken, keys, folder, model, names, open_to_all),
            http=PatientProtocol,
            ws="none",
            lifespan="on",
            access_log=False,  # addresses hold keys of recordings
            log_config=None,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=int(HEADERS_S),
            timeout_graceful_shutdown=1,
            server_header=False,
            proxy_headers=False,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a traceback may hold a text
        place = f"http://{f'[{shown}]' if ':' in shown else shown}:{taken}/"
        _Server(config, lambda: ready(f"{place}?key={keys.token}", f"{place}?key={keys.ticket()}")).run([listener])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listener(host: str, port: int | None) -> socket.socket:
    """A socket that listens."""
    tries = range(DEFAULT_PORT, DEFAULT_PORT + 100) if port is None else [port]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    why = "no free port"
    for number in tries:
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name == "posix":
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host, number))
            made.listen(256)
        except OSError as error:
            made.close()
            why = error.strerror or str(error)
        except OverflowError:
            made.close()
            why = "a port is a number up to 65535"
        else:
            made.set_inheritable(False)
            return made
    raise GemInputError(
        f"can't listen there ({why})", where=f"{host}:{tries[0]}", remedy="choose another --port or --host"
    )
