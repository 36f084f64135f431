"""The bench without a GPU: its command, statistics and cases at tiny sizes, and its table in mode ``auto``."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gem.kernels import dispatch, kernel_selected
from gem.kernels.bench import all_cases
from gem.kernels.bench.case import BenchCase, distance
from gem.kernels.bench.report import adopt, cells, markdown, write_csv
from gem.kernels.bench.runner import Bench, Row
from gem.kernels.bench.timing import Ceilings, Timing, measure, quantiles
from gem.kernels.dispatch import Table

LIMITS = Ceilings(3e12, {torch.float32: 5e13, torch.bfloat16: 7e14, torch.float16: 7e14})


def double(x: torch.Tensor) -> list[torch.Tensor]:
    return [x * 2]


def case(size: int, run: Any = double, **more: Any) -> BenchCase:
    def inputs(device: str, g: torch.Generator) -> dict[str, Any]:
        return {"x": torch.randn(4, generator=g, device=device)}

    return BenchCase("merge", f"size {size}", torch.float32, size, inputs, run, ("x",), 32, 32, **more)


def fake(times: list[float]) -> Any:
    """Stands in for the clock: the next value at each call, and the step does run."""
    left = iter(times)

    def measure(step: Any, device: str, prepare: Any = lambda: None, **_: Any) -> Timing:
        step(prepare())
        ms = next(left)
        return Timing(0.9 * ms, ms, 1.1 * ms, 7, 5.0)

    return measure


def test_the_command_without_a_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-m", "gem.kernels.bench"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "No GPU here" in done.stdout
    assert torch.__version__ in done.stdout
    assert f"{len(all_cases())} cases" in done.stdout


def test_statistics() -> None:
    assert quantiles([5.0, 1.0, 3.0, 2.0, 4.0, 6.0]) == (2.0, 3.5, 5.0)
    calls: list[str] = []
    timing = measure(lambda ready: calls.append(ready), "cpu", prepare=lambda: "ready", budget_s=0.0, least=6)
    assert timing.repetitions == 6
    assert calls == ["ready"] * 9  # three to warm up
    assert 0 <= timing.p20 <= timing.median <= timing.p80
    assert measure(lambda _: None, "cpu", budget_s=9.0, most=11).repetitions == 11


def test_distance() -> None:
    one = torch.ones(3)
    assert distance(one, one) == 0
    assert distance(one * 1.5, one) == pytest.approx(0.5)
    assert distance(torch.tensor([math.nan, 1.0]), one[:2]) == math.inf
    assert distance(one[:2], one) == math.inf
    assert distance(torch.tensor([1]), torch.tensor([2])) == math.inf


def test_the_names_are_those_of_the_dispatch() -> None:
    cases = all_cases()
    assert {c.op for c in cases} == {*dispatch.OPS, "training step"}
    assert len({(c.op, c.name) for c in cases}) == len(cases)
    for op in dispatch.OPS:
        # between two measured sizes is the only place where `auto` takes a kernel
        assert len({c.size for c in cases if c.op == op}) >= 3
        assert [c.name for c in all_cases((op,))] == [c.name for c in all_cases((op,), tiny=True)]
    assert all(c.forward_bytes or c.forward_flop for c in cases)


def test_a_table_is_written_read_back_and_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the kernel wins at sizes 10 and 100 and loses at 1000; its times come first, then eager's, then the rival's
    monkeypatch.setattr("gem.kernels.bench.runner.Row.is_correct", True)
    rows: list[Row] = []
    for size, mine in ((10, 1.0), (100, 1.5), (1000, 2.0)):
        clock = fake([mine] * 3 + [3.0] * 3 + [1.9] * 3)
        bench = Bench("cpu", compiled=False, measure=clock)
        monkeypatch.setattr(bench, "_implementations", _implementations)
        rows += bench.run([case(size, rivals={"liger": double})])
    assert [row.rival for row in rows] == ["liger"] * 9
    csv = tmp_path / "out.csv"
    write_csv(csv, [cells(row, "sm_90", LIMITS) for row in rows], "Some GPU; torch 1")
    assert csv.read_text().startswith("# Some GPU; torch 1\nop,device_class,")
    table = Table.read(csv)
    assert len(table.entries) == 9
    for direction in ("forward", "both"):
        won = [n for n in (5, 10, 50, 100, 500, 1000) if table.wins("merge", "sm_90", "float32", direction, n)]
        assert won == [10, 50, 100]

    committed = tmp_path / "table.csv"
    Table([dispatch.DispatchEntry("merge", "sm_80", "float32", "both", 9, 1.0, 2.0)]).write(committed, "Another GPU")
    adopt(csv, committed)
    adopt(csv, committed)  # a second run replaces the first
    assert len(Table.read(committed).entries) == 10
    assert committed.read_text().startswith("# Some GPU; torch 1 | ")

    class OnGpu:
        device, dtype = torch.device("cuda", 0), torch.float32

    monkeypatch.setattr(dispatch, "TABLE", committed)
    monkeypatch.setattr(dispatch, "device_class", lambda index: "sm_90")
    monkeypatch.setattr(dispatch, "_table", Table.read(committed))
    assert kernel_selected("merge", OnGpu(), 50, grad=True)  # type: ignore[arg-type]
    assert not kernel_selected("merge", OnGpu(), 500, grad=True)  # type: ignore[arg-type]

    page = markdown(rows, "Some GPU; torch 1", LIMITS)
    assert "1.90x (liger)" in page
    assert "1 (0.9-1.1)" in page
    assert page.count("| merge |") == 9


def _implementations(case: BenchCase) -> Any:
    yield "triton", "torch", case.run
    yield "eager", "torch", case.run
    for name, run in case.rivals.items():
        yield name, "torch", run


def test_a_wrong_kernel_is_never_taken(tmp_path: Path) -> None:
    from gem.kernels import mode

    def wrong(x: torch.Tensor) -> list[torch.Tensor]:
        return [x * (2 if mode() == "torch" else 3)]

    (row, *_) = Bench("cpu", compiled=False, measure=fake([1.0] * 3 + [5.0] * 3)).run([case(10, wrong)])
    assert row.errors["triton"] == pytest.approx(0.5, rel=0.1)
    assert row.errors["eager"] < 1e-6
    assert row.triton_ms == math.inf
    write_csv(tmp_path / "t.csv", [cells(row, "sm_90", LIMITS)], "GPU")
    assert not Table.read(tmp_path / "t.csv").entries[0].wins
    assert "WRONG" in markdown([row], "GPU", LIMITS)


def test_what_fails_or_comes_too_late_is_told(tmp_path: Path) -> None:
    from gem.kernels import mode

    def broken(x: torch.Tensor) -> list[torch.Tensor]:
        if mode() != "torch":
            raise RuntimeError("out of memory")
        return [x * 2]

    (row, *_) = Bench("cpu", compiled=False, measure=fake([5.0] * 3)).run([case(10, broken)])
    assert row.notes == ["triton: RuntimeError: out of memory"]
    assert row.triton_ms == math.inf
    assert row.rival == "eager"
    (row, *_) = Bench("cpu", compiled=False, deadline=0.0).run([case(10)])
    assert row.notes == ["triton: not run, time was up", "eager: not run, time was up"]
    assert row.rival_ms == 0.0
    write_csv(tmp_path / "t.csv", [cells(row, "sm_90", LIMITS)], "GPU")
    assert not Table.read(tmp_path / "t.csv").entries[0].wins
    assert "time was up" in markdown([row], "GPU", LIMITS)


def test_compile_is_a_rival() -> None:
    (row, *_) = Bench("cpu", measure=fake([4.0] * 3 + [3.0] * 3 + [2.0] * 3)).run([case(10)])
    assert row.rival == "compile"
    assert row.errors["compile"] < 1e-6


def test_floors() -> None:
    bound_by_bytes = case(10)
    assert bound_by_bytes.floor_s("both", 16.0, math.inf) == 4.0
    assert bound_by_bytes.work("backward") == (32, 0.0)
    bound_by_flop = case(10, forward_flop=1e6)
    assert bound_by_flop.floor_s("forward", 1e6, 1e3) == 1e3
