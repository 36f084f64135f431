"""Worker processes that end with the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

_LOOK_EVERY_S = 0.5


def end_with_parent(parent: int) -> None:
    """End this worker process as soon as its parent process has ended, for whatever reason.

    Call it in the worker. A killed parent can't stop its workers; joblib's then wait for minutes, and keep its output
    open.

    Args:
        parent: id of the process that started this worker. Nothing is done in that process itself (where joblib runs
            without workers), nor in a worker of a cluster, which has another parent.
    """
    if not multiprocessing.current_process().name.startswith("LokyProcess"):
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
