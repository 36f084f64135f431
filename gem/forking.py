"""What a forked child needs: locks that nobody in it holds, and no waiting for threads that only its parent has."""

from __future__ import annotations

import os
import sys
import threading
from types import TracebackType


class ForkLock:
    """A lock for one thread at a time that is free in a forked child, whoever held it in the parent.

    The thread that holds it may take it again.
    """

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


# transformers changes torch's own settings while it builds and fills a model: two threads at once spoil each other's
building = ForkLock()


def _one_thread() -> None:
    # OpenMP's threads stay in the parent, and a child that shares work with them waits for ever; DataLoader does the
    # same in its workers
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread)
