"""Averages of the weights, in short runs too."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import EMAWeightAveraging


class WeightEMA(EMAWeightAveraging):
    """Lightning's exponential moving average of the weights, started after a third of the run at the latest.

    At the end of a run Lightning replaces the model by the average, which is the untrained model if the run ends before
    ``update_starting_at_step``.

    Args:
        decay: of the average, per step.
        update_starting_at_step: first step that enters the average.
        **options: see ``EMAWeightAveraging``.
    """

    def __init__(self, decay: float = 0.995, update_starting_at_step: int = 100, **options: Any) -> None:
        super().__init__(decay=decay, update_starting_at_step=update_starting_at_step, **options)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Limit the start of averaging, now that the number of steps is known.

        Args:
            trainer: of the run.
            pl_module: not used here.
        """
        super().on_train_start(trainer, pl_module)
        assert self.update_starting_at_step is not None  # for mypy: it is given
        self.update_starting_at_step = min(self.update_starting_at_step, int(trainer.estimated_stepping_batches) // 3)
