"""Processes for what takes time or reads files of strangers: they have a time limit, and a limit of memory.

A worker that takes too long, or dies, is replaced; the server never waits for one, and refuses what would pile up.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from grounding import EcgError

from ..errors import GemError
from .limits import MAX_WAITING, WORKER_FILE_BYTES
from .scratch import end_with_server

_POLL_S = 0.5


class BusyError(GemError):
    """So much is waiting already that a request is refused."""


class Worker:
    """One process that calls functions, one after the other; started when it is first needed.

    Args:
        scratch: the folder of the run, for its temporary files.
        memory_bytes: of its address space; None for a model, which may need whatever there is.
    """

    def __init__(self, scratch: str, memory_bytes: int | None = None) -> None:
        self._scratch, self._memory_bytes = scratch, memory_bytes
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._lock, self._closed = threading.Lock(), False

    def call(self, function: Callable[..., Any], *args: Any, limit_s: float) -> Any:
        """Call a function in the process, and wait for its result.

        Args:
            function: of a module.
            args: of it.
            limit_s: time it may take.

        Raises:
            EcgError: what it raises; it took too long, or its process ended.
        """
        with self._lock:
            pipe = self._started()
            try:
                pipe.send((function, args))
                if not self._answered(pipe, limit_s):
                    self._end()
                    raise GemError(f"it took more than {limit_s:g} s, and was stopped", remedy="try a smaller file")
                kind, value = pipe.recv()
            except (EOFError, BrokenPipeError, ConnectionError, OSError):
                closed = self._closed
                self._end()
                raise GemError(
                    "the server is closing" if closed else "the process that worked on it ended",
                    remedy="try again; the file may need more memory than there is",
                ) from None
        if kind == "error":
            what, where, remedy = value
            raise EcgError(what, where=where, remedy=remedy)
        return value

    def _answered(self, pipe: Connection, limit_s: float) -> bool:
        waited = 0.0
        while waited < limit_s:
            if pipe.poll(min(_POLL_S, limit_s - waited)):
                return True
            waited += _POLL_S
        return False

    def _started(self) -> Connection:
        if self._closed:
            raise GemError("the server is closing", remedy="start it again")
        if self._process is None or not self._process.is_alive() or self._pipe is None:
            context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(
                target=_serve, args=(theirs, os.getpid(), self._scratch, self._memory_bytes), daemon=True
            )
            self._process.start()
            theirs.close()
        return self._pipe

    def _end(self) -> None:
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if process is not None:
            process.kill()
            process.join(5)
        if pipe is not None:
            pipe.close()

    def close(self) -> None:
        """End the process, also while it works."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()  # a thread that waits for its answer sees the end of the pipe
            process.join(5)


class Lane:
    """Workers that share a queue; when it is full, calls are refused.

    Args:
        workers: which ones.
        waiting: calls that may wait.
    """

    def __init__(self, workers: list[Worker], waiting: int = MAX_WAITING) -> None:
        self.workers, self._free = workers, asyncio.Queue[Worker]()
        for worker in workers:
            self._free.put_nowait(worker)
        self._waiting, self._limit = 0, waiting

    async def run(self, function: Callable[..., Any], *args: Any, limit_s: float) -> Any:
        """Call a function in a worker, without holding up the event loop.

        Args:
            function: of a module.
            args: of it.
            limit_s: time it may take.

        Raises:
            BusyError: too many calls wait already.
            EcgError: as in ``Worker.call``.
        """
        if self._waiting >= self._limit and self._free.empty():
            raise BusyError("the server is busy", remedy="wait a moment and try again")
        self._waiting += 1
        try:
            worker = await self._free.get()
        finally:
            self._waiting -= 1
        # the worker is free when its call has ended, not when the client stops waiting for it
        call = asyncio.ensure_future(asyncio.to_thread(worker.call, function, *args, limit_s=limit_s))

        def ended(done: asyncio.Future[Any]) -> None:
            self._free.put_nowait(worker)
            if not done.cancelled():
                done.exception()  # where nobody waits for it any more

        call.add_done_callback(ended)
        return await asyncio.shield(call)

    def close(self) -> None:
        """End the workers."""
        for worker in self.workers:
            worker.close()


def _serve(pipe: Connection, server: int, scratch: str, memory_bytes: int | None) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends it
    end_with_server(server, scratch)
    tempfile.tempdir = os.environ["TMPDIR"] = scratch  # libraries in C++ leave files there, too
    _limit(memory_bytes)
    while True:
        try:
            function, args = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[str, Any] = ("value", function(*args))
            pipe.send(answer)
        except EcgError as error:
            pipe.send(("error", (error.what, error.where, error.remedy)))
        except MemoryError:
            pipe.send(("error", ("it needs more memory than it may have", None, "try a smaller file")))
        except Exception as error:  # a fault of ours, or of a library with a strange file; without the file's content
            pipe.send(("error", (f"it can't be done ({type(error).__name__})", None, "report it if the file is sound")))


def _limit(memory_bytes: int | None) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    for kind, value in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_FSIZE, WORKER_FILE_BYTES)):
        hard = resource.getrlimit(kind)[1]
        if value is not None and (hard == resource.RLIM_INFINITY or value < hard):
            resource.setrlimit(kind, (value, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump of memory would hold recordings
