"""What a forked child process needs: free locks, and no waiting for threads that exist only in its parent."""

from __future__ import annotations

import os
import sys
import threading
from types import TracebackType


class ForkLock:
    """A reentrant lock that is free in a forked child even if a thread of the parent held it."""

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


# transformers changes global settings of torch while it builds a model, so only one thread may build at a time
model_building_lock = ForkLock()


def _use_one_thread() -> None:
    # OpenMP's threads stay in the parent, and a child that gives them work would never return; DataLoader does the
    # same in its workers
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_thread)
