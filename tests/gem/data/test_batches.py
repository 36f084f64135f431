"""The order of the batches: the same for any number of processes, even in length, resumable."""

from __future__ import annotations

import numpy as np
from torch.utils.data import Dataset

from gem.data.batches import GlobalBatches, ResumableLoader


class Indices(Dataset):  # type: ignore[type-arg]
    """Gives back what it is asked for."""

    def __getitem__(self, indices: list[int]) -> list[int]:
        return indices

    def __len__(self) -> int:
        return 103


def test_two_processes_share_each_global_batch() -> None:
    one = list(GlobalBatches(103, 8, seed=3))
    two = [list(GlobalBatches(103, 4, seed=3, rank=rank, world=2)) for rank in range(2)]
    assert len(one) == len(two[0]) == len(two[1]) == 12
    for whole, *halves in zip(one, *two, strict=True):
        assert sorted(whole) == sorted(halves[0] + halves[1])
    assert len({index for batch in one for index in batch}) == 96


def test_another_epoch_is_another_order() -> None:
    batches = GlobalBatches(103, 8, seed=3)
    first = list(batches)
    batches.set_epoch(1)
    assert list(batches) != first
    batches.set_epoch(0)
    assert list(batches) == first


def test_batches_are_even_in_length_and_still_shuffled() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(10, 1000, 2000).tolist()
    spread = {}
    for name, given in (("grouped", lengths), ("flat", None)):
        batches = list(GlobalBatches(2000, 8, given, seed=1))
        assert len({index for batch in batches for index in batch}) == 2000
        spread[name] = np.mean([np.ptp([lengths[i] for i in batch]) for batch in batches])
    assert spread["grouped"] < 0.1 * spread["flat"]
    means = [np.mean([lengths[i] for i in batch]) for batch in GlobalBatches(2000, 8, lengths, seed=1)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


def test_validation_sees_every_example_in_order() -> None:
    assert [i for batch in GlobalBatches(10, 4, shuffle=False) for i in batch] == list(range(10))
    halves = [list(GlobalBatches(9, 2, rank=rank, world=2, shuffle=False)) for rank in range(2)]
    assert len(halves[0]) == len(halves[1])
    assert {i for half in halves for batch in half for i in batch} == set(range(9))


def test_a_loader_goes_on_in_the_middle_of_an_epoch() -> None:
    whole = list(ResumableLoader(Indices(), GlobalBatches(103, 8, seed=5)))
    cut = ResumableLoader(Indices(), GlobalBatches(103, 8, seed=5))
    begun = iter(cut)
    head = [next(begun) for _ in range(5)]
    assert cut.handed_out == 5
    resumed = ResumableLoader(Indices(), GlobalBatches(103, 8, seed=5))
    resumed.first = 5
    assert head + list(resumed) == whole
    assert list(resumed) == whole
