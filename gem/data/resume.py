"""Resuming a run: checkpoints store the next epoch and batch, and Lightning's counters are set from these.

A checkpoint may be written after a batch, after an epoch, after a validation, between the batches of one optimiser step
or after an exception. Lightning's own counters differ between these cases, and with some of them a resumed run, or a
run resumed a second time, repeats or skips an epoch.
"""

from __future__ import annotations

from typing import Any

from ..errors import GemConfigError


def next_batch(epoch: int, done: int, batches: float, accumulate: int) -> dict[str, int]:
    """The position that is written into a checkpoint.

    Args:
        epoch: of the last batch.
        done: batches of this epoch that the model has processed.
        batches: batches of an epoch.
        accumulate: batches of one optimiser step; gradients are not stored, so an incomplete step is repeated.

    Returns:
        The next ``epoch`` and ``batch``.

    Example:
        >>> next_batch(3, 5, 8, 2)
        {'epoch': 3, 'batch': 4}
        >>> next_batch(3, 8, 8, 3)
        {'epoch': 4, 'batch': 0}
    """
    if done >= batches:
        return {"epoch": epoch + 1, "batch": 0}
    return {"epoch": epoch, "batch": done - done % accumulate}


def set_progress(checkpoint: dict[str, Any], place: dict[str, int]) -> None:
    """Make Lightning's fit loop resume at a batch, whatever its counters were when the checkpoint was written.

    They are set to those of a run that stopped after batch ``batch - 1``, or before the epoch's first batch.

    Args:
        checkpoint: as Lightning loads it; the state of its loops is changed.
        place: from ``next_batch``, when the checkpoint was written.

    Raises:
        GemConfigError: the checkpoint does not hold the position.
    """
    if not {"epoch", "batch"} <= set(place):
        raise GemConfigError(
            "the checkpoint does not say which batch comes next",
            remedy="an older version wrote it: start the run again from the beginning",
        )
    epoch, batch = place["epoch"], place["batch"]
    loops = checkpoint["loops"]["fit_loop"]
    begun = epoch + 1 if batch else epoch
    counted = {"ready": epoch + 1, "started": begun, "processed": epoch, "completed": epoch}
    loops["epoch_progress"] = {"total": dict(counted), "current": dict(counted)}
    seen = loops["epoch_loop.batch_progress"]["total"]["processed"]
    loops["epoch_loop.batch_progress"] = {
        # Lightning itself counts the last batch as completed when it resumes
        "total": {"ready": seen, "started": seen, "processed": seen, "completed": seen - 1},
        "current": {"ready": batch, "started": batch, "processed": batch, "completed": batch - 1},
        "is_last_batch": False,
    }
    # likewise for the step under which logs are written
    loops["epoch_loop.state_dict"] = {"_batches_that_stepped": checkpoint["global_step"] - 1}
    none = {"ready": 0, "started": 0, "processed": 0, "completed": 0}
    loops["epoch_loop.val_loop.batch_progress"] = {"total": dict(none), "current": dict(none), "is_last_batch": False}
