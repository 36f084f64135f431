"""Which examples make a batch: the same global batches for any number of processes, resumable in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from .resume import next_batch

_GROUPS = 50


class GlobalBatches(DistributedSampler[Any]):
    """Lists of indices, one per batch of this process.

    The order follows from the seed and the epoch alone. A global batch holds ``batch_size * world`` examples and each
    process takes every ``world``-th of them: two processes with batches of four see what one process with batches of
    eight sees. (A DistributedSampler, so that Lightning leaves it in place and tells it the epoch.)

    Args:
        lengths: of each example, in any unit; what is batched together has about the same one. None for no grouping.
        size: number of examples.
        batch_size: of one process.
        seed: of the order.
        rank, world: this process, of so many.
        shuffle: False keeps the order and every example, for validation; the last batch is filled up from the front,
            so that every process has the same number of batches.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        lengths: Sequence[int] | None = None,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
    ) -> None:
        self.size, self.per_step, self.lengths, self.seed = size, batch_size * world, lengths, seed
        self.rank, self.world, self.shuffle = rank, world, shuffle
        self.epoch, self.skip = 0, 0
        # a data set smaller than one batch is one batch
        self.per_step = min(self.per_step, max(world, size - size % world)) if shuffle else self.per_step

    def __len__(self) -> int:
        return self.size // self.per_step if self.shuffle else -(-self.size // self.per_step)

    def __iter__(self) -> Iterator[list[int]]:
        batches = self._batches()[self.skip :]
        self.skip = 0
        for batch in batches:
            yield batch[self.rank :: self.world]

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def _batches(self) -> list[list[int]]:
        if not self.shuffle:
            order = list(range(self.size))
            short = -self.size % self.world
            order += [order[i % self.size] for i in range(short)]
            return [order[i : i + self.per_step] for i in range(0, len(order), self.per_step)]
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.size, generator=generator).tolist()[: len(self) * self.per_step]
        if self.lengths is not None:
            # sorted within large groups, so that batches are even and their make-up still changes with the epoch
            lengths, step = self.lengths, _GROUPS * self.per_step
            groups = [sorted(order[i : i + step], key=lambda j: -lengths[j]) for i in range(0, len(order), step)]
            order = [index for group in groups for index in group]
        batches = [order[i : i + self.per_step] for i in range(0, len(order), self.per_step)]
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


class ResumableLoader(DataLoader[Any]):
    """A loader of ``GlobalBatches`` that may begin in the middle of an epoch and knows how far it is.

    Args:
        dataset: takes a list of indices, returns the collated batch.
        batches: which indices.
        workers: processes that prepare batches; 0 prepares them here.

    Attributes:
        epoch: of the batches that are handed out now.
        handed_out: batches of this epoch that were handed out, those included that it began behind.
        first: batches that the next epoch begins behind; set by who goes on from a checkpoint.
    """

    def __init__(self, dataset: Dataset[Any], batches: GlobalBatches, workers: int = 0) -> None:
        # a generator of its own: an iterator must not advance the global one
        super().__init__(
            dataset,
            batch_size=None,
            sampler=batches,
            num_workers=workers,
            generator=torch.Generator(),
            persistent_workers=workers > 0,
        )
        self.batches, self.epoch, self.handed_out, self.first = batches, 0, 0, 0

    def __iter__(self) -> Any:
        # all of this at the first batch, by when Lightning has said which epoch it is
        self.epoch, self.handed_out = self.batches.epoch, self.first
        self.batches.skip, self.first = self.first, 0
        for batch in super().__iter__():
            self.handed_out += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Empty: the place in the epoch is the data module's state. Lightning warns of loaders without these two."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing; see ``state_dict``."""


class ResumableData(lightning.LightningDataModule):
    """A data module whose state in a checkpoint is which batch comes next, see ``gem.data.resume``.

    ``SeededSteps`` sets Lightning's counters to it, so that order, seeds and length of a resumed run are those of one
    that was never cut off.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loader: ResumableLoader | None = None
        self.reached: dict[str, int] = {}

    def resumable(self, loader: ResumableLoader) -> ResumableLoader:
        """This loader for training, set to where a checkpoint was written."""
        if self.loader is None:
            loader.batches.epoch = loader.epoch = self.reached.get("epoch", 0)
            loader.first = loader.handed_out = self.reached.get("batch", 0)
        self.loader = loader
        return loader

    def state_dict(self) -> dict[str, Any]:
        """Epoch and batch that come next."""
        if self.loader is None or self.trainer is None:
            return dict(self.reached)
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current
        under_way = progress.ready - progress.processed  # a batch that was handed out and did not go through the model
        done, batches = self.loader.handed_out - under_way, self.trainer.num_training_batches
        return next_batch(self.loader.epoch, done, batches, self.trainer.accumulate_grad_batches)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """For the loader that comes."""
        self.reached = state_dict
