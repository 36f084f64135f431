"""Batches of examples: the same global batches for any number of processes, resumable in the middle of an epoch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler, SequentialSampler

from .resume import next_batch

_GROUPS = 50


class GlobalBatches(DistributedSampler[Any], SequentialSampler):
    """Lists of indices, one per batch of this process.

    The order depends on the seed and the epoch alone. A global batch holds ``batch_size * world`` examples and each
    process takes every ``world``-th of them: two processes with batches of four see what one process with batches of
    eight sees. (It is a DistributedSampler so that Lightning does not replace it and sets its epoch; and a
    SequentialSampler so that it does not replace it for ``overfit_batches`` either.)

    Args:
        size: number of examples.
        batch_size: of one process.
        lengths: of each example, in any unit; examples of similar length are batched together. None for no grouping.
        seed: of the order.
        rank: of this process.
        world: number of processes.
        shuffle: False keeps the order and every example, for validation; the last batch is filled up with the first
            examples, so that every process has the same number of batches.
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
        # a data set smaller than one batch becomes one batch
        self.per_step = min(self.per_step, max(world, size - size % world)) if shuffle else self.per_step

    def __len__(self) -> int:
        return self.size // self.per_step if self.shuffle else -(-self.size // self.per_step)

    def __iter__(self) -> Iterator[list[int]]:  # type: ignore[override]
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
            # sorted within large groups only, so that batches differ between epochs
            lengths, step = self.lengths, _GROUPS * self.per_step
            groups = [sorted(order[i : i + step], key=lambda j: -lengths[j]) for i in range(0, len(order), step)]
            order = [index for group in groups for index in group]
        batches = [order[i : i + self.per_step] for i in range(0, len(order), self.per_step)]
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


class ResumableLoader(DataLoader[Any]):
    """A loader of ``GlobalBatches`` that can start in the middle of an epoch and counts its batches.

    Args:
        dataset: takes a list of indices, returns the collated batch.
        batches: lists of indices.
        workers: processes that prepare batches; 0 prepares them in this process.

    Attributes:
        epoch: the current epoch.
        handed_out: batches of this epoch so far, skipped ones included.
        first: batches to skip in the next epoch, set when a run is resumed.
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
        # at the first batch, because Lightning sets the epoch after it asks for the iterator
        self.epoch, self.handed_out = self.batches.epoch, self.first
        self.batches.skip, self.first = self.first, 0
        for batch in super().__iter__():
            self.handed_out += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Empty: the position is part of the data module's state. Lightning warns of loaders without this method."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Does nothing, see ``state_dict``."""


class ResumableData(lightning.LightningDataModule):
    """A data module that stores the next batch in checkpoints, see ``gem.data.resume``.

    ``SeededSteps`` sets Lightning's counters to it, so that order, seeds and length of a resumed run are those of an
    uninterrupted one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loader: ResumableLoader | None = None
        self.resume_at: dict[str, int] = {}

    def resumable_loader(self, loader: ResumableLoader) -> ResumableLoader:
        """A training loader, set to the position in the checkpoint that the run resumes from, if any.

        Args:
            loader: at the start of an epoch.

        Returns:
            The loader.
        """
        if self.loader is None:
            loader.batches.epoch = loader.epoch = self.resume_at.get("epoch", 0)
            loader.first = loader.handed_out = self.resume_at.get("batch", 0)
        self.loader = loader
        return loader

    def state_dict(self) -> dict[str, Any]:
        """The next epoch and batch."""
        if self.loader is None or self.trainer is None:
            return dict(self.resume_at)
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current
        in_progress = progress.ready - progress.processed  # batches that the model has not processed yet
        done, batches = self.loader.handed_out - in_progress, self.trainer.num_training_batches
        return next_batch(self.loader.epoch, done, batches, self.trainer.accumulate_grad_batches)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the position for the next training loader."""
        self.resume_at = state_dict


class FoldData(ResumableData):
    """Records of some folds; a subclass sets ``train`` and ``val`` in ``setup``, data sets whose index is a list.

    Args:
        root: a folder with PTB-XL, see ``gem.data.ptbxl.load_ptbxl``.
        train_folds: for training; a patient is in one fold only.
        val_folds: for validation.
        cache: folder for the prepared records, which may be deleted at any time.
        batch_size: records of a batch.
        limit: use only the first ``limit`` training records.
    """

    def __init__(
        self,
        root: str,
        train_folds: Sequence[int],
        val_folds: Sequence[int],
        cache: str,
        batch_size: int,
        limit: int | None,
    ) -> None:
        super().__init__()
        self.root, self.cache, self.batch_size, self.limit = root, Path(cache), batch_size, limit
        self.train_folds, self.val_folds = tuple(train_folds), tuple(val_folds)
        self.train: Any = None
        self.val: Any = None

    def train_dataloader(self) -> ResumableLoader:
        """Batches shuffled by epoch; an incomplete last batch is left out unless it is the only one."""
        return self.resumable_loader(self._loader(self.train, shuffles(self)))

    def val_dataloader(self) -> ResumableLoader:
        """Batches ordered by record number."""
        return self._loader(self.val, False)

    def _loader(self, records: Any, shuffle: bool) -> ResumableLoader:
        rank, world = processes(self)
        batches = GlobalBatches(len(records), self.batch_size, None, run_seed(), rank, world, shuffle)
        return ResumableLoader(records, batches)


def run_seed(seed: int | None = None) -> int:
    """The seed of a run.

    Args:
        seed: as it was given; None for that of ``lightning.seed_everything``, or 0 where it was not called.
    """
    return int(os.environ.get("PL_GLOBAL_SEED", "0")) if seed is None else seed


def processes(data: lightning.LightningDataModule) -> tuple[int, int]:
    """This process's number and the number of processes of a run.

    Args:
        data: of the run; without a trainer it is one process.
    """
    return (data.trainer.global_rank, data.trainer.world_size) if data.trainer else (0, 1)


def shuffles(data: lightning.LightningDataModule) -> bool:
    """Whether the training batches of a run are shuffled: not where the same few are to be overfitted.

    Args:
        data: of the run.
    """
    return not getattr(data.trainer, "overfit_batches", 0)
