"""Every case of the bench at tiny sizes: its inputs, its implementations, its rows."""

from __future__ import annotations

import math

import pytest

from gem.kernels.bench import all_cases
from gem.kernels.bench.runner import TOLERANCE, Bench


@pytest.mark.parametrize("index", range(len(all_cases())), ids=[f"{c.op} {c.name}" for c in all_cases()])
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
