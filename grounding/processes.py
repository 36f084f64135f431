"""Worker processes end with the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

_LOOK_EVERY_S = 0.5


def end_with_parent(parent: int) -> None:
    """Called in a worker: ends it, whatever it is doing, soon after its parent has ended, however that ended.

    A killed parent can't tell its workers; joblib's then wait for minutes, and hold its output open.

    Args:
        parent: the process that started this worker. Nothing is done in that process itself (work that is not spread),
            nor in a worker of a cluster, which has other parents.
    """
    if not multiprocessing.current_process().name.startswith("LokyProcess"):
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
