"""Worker processes that end with the process that started them, and many tasks one after the other."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

_LOOK_EVERY_S = 0.5
_AT_ONCE = 32  # tasks, where the workers can't be waited for one by one


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


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection during the work on one recording, which makes a few thousand objects and frees them all.

    What refers to itself is freed by a collection afterwards.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def results_in_order(
    function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], n_jobs: int | None
) -> Iterator[Any]:
    """Run a function on many tasks with joblib, and give each result as soon as it and those before it are there.

    Args:
        function: of the values of a task.
        tasks: the arguments of each call; taken a few ahead of the results.
        n_jobs: processes; -1 for all cores; ``None`` for the setting of ``joblib.parallel_config``, by default one.

    Yields:
        The results, in the order of the tasks.
    """
    from joblib import Parallel, delayed

    workers = partial(Parallel, n_jobs=n_jobs, initializer=end_with_parent, initargs=(os.getpid(),))
    calls = (delayed(function)(*task) for task in tasks)
    try:
        worker = workers(return_as="generator")
    except ValueError:  # Ray's workers, for one, are only waited for together
        worker = workers()
        while part := list(islice(calls, _AT_ONCE)):
            yield from worker(part)
    else:
        yield from worker(calls)
