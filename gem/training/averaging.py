"""Averaged weights, also of short runs."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import EMAWeightAveraging


class WeightEMA(EMAWeightAveraging):
    """Lightning's exponential moving average of the weights, which begins in time.

    At the end of a run Lightning puts the average in the model's place. Where a run is over before ``update_starting_at_step``, that average is
    the untrained model. Here averaging begins after a third of the run at the latest.

    Args:
        decay: of the average, per step.
        update_starting_at_step: first step that counts.
        options: see ``EMAWeightAveraging``.
    """

    def __init__(self, decay: float = 0.995, update_starting_at_step: int = 100, **options: Any) -> None:
        super().__init__(decay=decay, update_starting_at_step=update_starting_at_step, **options)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Called when the number of steps is known."""
        super().on_train_start(trainer, pl_module)
        assert self.update_starting_at_step is not None  # for mypy: it is given
        self.update_starting_at_step = min(self.update_starting_at_step, int(trainer.estimated_stepping_batches) // 3)
