"""Where a run goes on: the epoch and the batch of it that come next, and Lightning's counters set to just that.

A checkpoint may be written behind a batch, behind an epoch, behind a validation, between the batches of one optimiser
step or after an exception. Lightning restores another mixture of counters for each of these, and some of them repeat
or skip an epoch, the second time in a chain of resumed runs at the latest. So a checkpoint of ours says which batch
comes next, and from that alone all counters follow.
"""

from __future__ import annotations

from typing import Any

from ..errors import GemConfigError


def next_batch(epoch: int, done: int, batches: float, accumulate: int) -> dict[str, int]:
    """What comes next, as it is written into a checkpoint.

    Args:
        epoch: the epoch of the batch that was handed out last.
        done: batches of this epoch that went through the model.
        batches: batches of an epoch.
        accumulate: batches of one optimiser step; gradients are not stored, so a step that is not complete begins
            again.

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
    """Let Lightning's fit loop go on at this batch, whatever its counters were when the checkpoint was written.

    The counters are made those of a run that was cut off in its usual place: behind ``batch - 1``, or in front of the
    epoch's first batch.

    Args:
        checkpoint: as Lightning loads it; its loops' state is changed.
        place: what ``next_batch`` gave when it was written.

    Raises:
        GemConfigError: the place is not in the checkpoint.
    """
    if not {"epoch", "batch"} <= set(place):
        raise GemConfigError(
            "the checkpoint does not say which batch comes next", remedy="an older version wrote it: start the run anew"
        )
    epoch, batch = place["epoch"], place["batch"]
    loops = checkpoint["loops"]["fit_loop"]
    begun = epoch + 1 if batch else epoch
    counted = {"ready": epoch + 1, "started": begun, "processed": epoch, "completed": epoch}
    loops["epoch_progress"] = {"total": dict(counted), "current": dict(counted)}
    seen = loops["epoch_loop.batch_progress"]["total"]["processed"]
    loops["epoch_loop.batch_progress"] = {
        # Lightning counts the last one as completed itself, when it starts again
        "total": {"ready": seen, "started": seen, "processed": seen, "completed": seen - 1},
        "current": {"ready": batch, "started": batch, "processed": batch, "completed": batch - 1},
        "is_last_batch": False,
    }
    # and this one too: the step that logs are written under
    loops["epoch_loop.state_dict"] = {"_batches_that_stepped": checkpoint["global_step"] - 1}
    none = {"ready": 0, "started": 0, "processed": 0, "completed": 0}
    loops["epoch_loop.val_loop.batch_progress"] = {"total": dict(none), "current": dict(none), "is_last_batch": False}
