"""Every case of the bench at tiny sizes: its inputs, its implementations, its rows."""

from __future__ import annotations

import math
import os
import re

import pytest

from gem.kernels.bench import all_cases
from gem.kernels.bench.runner import TOLERANCE, Bench


def chosen() -> list[int]:
    """All cases on a GPU; of cases that differ in the batch alone, the interpreter gets the first."""
    first: dict[str, int] = {}
    for index, case in enumerate(all_cases()):
        interpreted = os.environ.get("TRITON_INTERPRET") == "1"
        first.setdefault(f"{case.op} {re.sub(r'batch [0-9]+', '', case.name)}" if interpreted else str(index), index)
    return list(first.values())


NAMES = [f"{case.op} {case.name}" for case in all_cases()]


@pytest.mark.parametrize("index", chosen(), ids=NAMES.__getitem__)
def test_every_case_runs_and_its_implementations_agree(kernels: str, index: int) -> None:
    tiny = all_cases(tiny=True)[index]
    rows = list(Bench(kernels, budget_s=0.0, compiled=False).run([tiny]))
    assert [row.direction for row in rows] == list(tiny.directions)
    for row in rows:
        assert not row.notes
        assert set(row.timings) == {"triton", "eager", *tiny.rivals}
        limit = tiny.tolerance if tiny.tolerance is not None else TOLERANCE[tiny.dtype]
        assert max(row.errors.values()) <= limit, row.errors
        assert row.rival
        assert row.triton_ms < math.inf
