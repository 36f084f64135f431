"""The switch, and the table that ``auto`` obeys."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import torch

from gem import GemConfigError
from gem.kernels import dispatch, kernel_selected, mode, use
from gem.kernels.dispatch import DispatchEntry, Table


def test_the_switch_goes_back() -> None:
    assert mode() == "auto"
    with use("torch"):
        assert mode() == "torch"
    assert mode() == "auto"
    with pytest.raises(GemConfigError, match="fast"):
        use("fast")
    assert mode() == "auto"


@pytest.fixture
def process_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a statement sets for the process ends with the test."""
    monkeypatch.setattr(dispatch, "_process", dispatch._process.copy())


def in_a_thread(function: Callable[[], str]) -> str:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_a_statement_is_for_the_process_and_a_block_for_its_thread(process_mode: None) -> None:
    with use("torch"):
        assert in_a_thread(mode) == "auto"
    use("triton")
    assert (mode(), in_a_thread(mode)) == ("triton", "triton")
    with use("torch"):
        assert (mode(), in_a_thread(mode)) == ("torch", "triton")
        use("auto")
        assert (mode(), in_a_thread(mode)) == ("torch", "auto")
    assert mode() == "auto"


def test_blocks_of_two_threads_that_overlap_leave_nothing_behind() -> None:
    """The first to enter leaves first: where one restores what it saw before, the other's mode stays for ever."""
    entered, left, seen = Barrier(2), Barrier(2), []

    def block(name: str, first: bool) -> str:
        with use(name):
            entered.wait(10)
            if not first:
                left.wait(10)
            seen.append(mode())
        if first:
            left.wait(10)
        return mode()

    with ThreadPoolExecutor(2) as pool:
        after = list(pool.map(block, ("torch", "triton"), (True, False)))
    assert (sorted(seen), after, mode()) == (["torch", "triton"], ["auto", "auto"], "auto")
    assert not dispatch._entered


def test_a_switch_can_be_kept_and_entered_again() -> None:
    with use("torch") as switch, use("auto"), switch:
        assert mode() == "torch"
    assert mode() == "auto"


def test_autograds_threads_follow_the_block_entered_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU layers are recomputed in such a thread; here a thread that says it is in a backward pass."""
    with use("torch"):
        assert in_a_thread(mode) == "auto"
        monkeypatch.setattr(torch._C, "_current_graph_task_id", lambda: 0)
        assert in_a_thread(mode) == "torch"
    assert in_a_thread(mode) == "auto"


def test_compiled_code_follows_the_mode(process_mode: None) -> None:
    compiled = torch.compile(lambda x: x + 1 if mode() == "torch" else x - 1, fullgraph=True, backend="eager")
    zero, seen = torch.zeros(1), []
    with use("torch"):
        seen.append(float(compiled(zero)))
    seen.append(float(compiled(zero)))
    for name in ("torch", "auto"):
        use(name)
        seen.append(float(compiled(zero)))
    assert seen == [1, -1, 1, -1]


def test_without_a_gpu_auto_is_torch_and_triton_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert not kernel_selected("merge", torch.zeros(1), 1)
    with use("triton"), pytest.raises(GemConfigError, match="cpu"):
        kernel_selected("merge", torch.zeros(1), 1)


def test_nothing_is_claimed_before_it_was_measured() -> None:
    assert not dispatch.TABLE.exists(), (
        "a table was committed: docs/kernels.md must give its figures, then drop this test"
    )
    assert not Table.read().entries


def test_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    medians = {100: (1.0, 2.0), 1000: (1.0, 1.5), 10000: (2.0, 2.0)}
    Table(DispatchEntry("merge", "sm_90", "bfloat16", "both", n, *ms) for n, ms in medians.items()).write(
        path, "some GPU"
    )
    table = Table.read(path)
    won = {n: table.wins("merge", "sm_90", "bfloat16", "both", n) for n in (99, 100, 500, 1000, 5000, 10000, 20000)}
    # never beyond what was measured, never beside a size that lost
    assert [n for n, wins in won.items() if wins] == [100, 500, 1000]
    for other in (
        ("layer_norm", "sm_90", "bfloat16", "both"),
        ("merge", "sm_80", "bfloat16", "both"),
        ("merge", "sm_90", "float32", "both"),
    ):
        assert not table.wins(*other, 500)
    path.write_text(path.read_text().replace("1000,1,1.5", "1000,fast,1.5"))
    with pytest.raises(GemConfigError, match="row 2"):
        Table.read(path)


def test_auto_obeys_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [DispatchEntry("merge", "sm_90", "float32", "both", n, 1.0, 2.0) for n in (10, 1000)]
    monkeypatch.setattr(dispatch, "_table", Table(entries))
    monkeypatch.setattr(dispatch, "device_class", lambda index: "sm_90")

    class OnGpu:
        device, dtype = torch.device("cuda", 0), torch.float32

    assert kernel_selected("merge", OnGpu(), 100, grad=True)  # type: ignore[arg-type]
    assert not kernel_selected("merge", OnGpu(), 100, grad=False)  # type: ignore[arg-type]
    assert not kernel_selected("layer_norm", OnGpu(), 100, grad=True)  # type: ignore[arg-type]
