"""Runs the cases: checks each implementation against float64 and times it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from ..dispatch import use
from .case import BenchCase, Inputs, cotangents, distance, in_float64, results, tensors, with_gradients
from .timing import Ceilings, Timing, held_mb, measure

# largest ||out - ref|| / ||ref||: a small multiple of the dtype's rounding error
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 2e-2}


@dataclass
class Row:
    """One case in one direction.

    Attributes:
        case: what was measured.
        direction: ``"forward"``, ``"backward"`` or ``"both"``.
        timings: implementation -> its times; ``"triton"``, ``"eager"``, ``"compile"`` and the case's own rivals.
        errors: implementation -> largest distance to float64 over outputs and gradients.
        notes: why something is missing.
    """

    case: BenchCase
    direction: str
    timings: dict[str, Timing] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def is_correct(self) -> bool:
        """Whether the kernel computes what it should."""
        limit = self.case.tolerance if self.case.tolerance is not None else TOLERANCE[self.case.dtype]
        return self.errors.get("triton", float("inf")) <= limit

    @property
    def triton_ms(self) -> float:
        """Median; infinite if the kernel is wrong or did not run, so that ``auto`` never selects it."""
        return self.timings["triton"].median if self.is_correct and "triton" in self.timings else float("inf")

    @property
    def rival(self) -> str:
        """The fastest other implementation; empty where none ran."""
        others = {name: timing.median for name, timing in self.timings.items() if name != "triton"}
        return min(others, key=lambda name: others[name]) if others else ""

    @property
    def rival_ms(self) -> float:
        """Its median; 0 if none ran, so that a kernel without a rival does not count as faster."""
        return self.timings[self.rival].median if self.rival else 0.0


@dataclass
class Bench:
    """How cases are run.

    Attributes:
        device: ``"cuda"``; ``"cpu"`` is for tests of the bench itself.
        deadline: ``time.monotonic()`` after which no measurement is started.
        budget_s: seconds for the repetitions of one measurement.
        compiled: measure ``torch.compile`` too.
        measure: the function that times an implementation.
    """

    device: str
    deadline: float = float("inf")
    budget_s: float = 0.25
    compiled: bool = True
    measure: Callable[..., Timing] = measure

    def left_s(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def run(self, cases: Iterable[BenchCase]) -> Iterator[Row]:
        """Run cases; an implementation that fails becomes a note in its rows.

        Args:
            cases: in this order.

        Yields:
            The rows of each case.
        """
        for case in cases:
            rows = [Row(case, direction) for direction in case.directions]
            try:
                self._run(case, rows)
            except Exception as error:  # for example out of memory while inputs are made; the next case may fit
                for row in rows:
                    row.notes.append(_error_note("case", error))
            if self.device == "cuda":
                torch.cuda.empty_cache()
            yield from rows

    def _run(self, case: BenchCase, rows: list[Row]) -> None:
        generator = torch.Generator(self.device).manual_seed(0)
        checked, timed = case.inputs(self.device, generator), case.inputs(self.device, generator)
        with use("torch"):
            outs, grads = results(case, case.run, in_float64(checked))
        # on the host, so that the float64 references do not count as an implementation's memory
        want = [tensor.cpu() for tensor in (*outs, *grads)]
        del outs, grads
        for name, mode, run in self._implementations(case):
            if self.left_s() <= (case.compile_s if name == "compile" else 0.0):
                for row in rows:
                    row.notes.append(f"{name}: not run, time was up")
                continue
            try:
                with use(mode):
                    got, grads = results(case, run, checked)
                    error = max((distance(a.cpu(), b) for a, b in zip((*got, *grads), want, strict=True)), default=0.0)
                    del got, grads
                    for row in rows:
                        row.errors[name] = error
                        row.timings[name] = self.time(case, row.direction, run, timed)
            except Exception as problem:
                for row in rows:
                    row.notes.append(_error_note(name, problem))
            if self.device == "cuda":
                torch.cuda.empty_cache()

    def _implementations(self, case: BenchCase) -> Iterator[tuple[str, str, Callable[..., Any]]]:
        yield "triton", "triton", case.run
        yield "eager", "torch", case.run
        if self.compiled and case.compiles:
            torch._dynamo.reset()
            yield "compile", "torch", torch.compile(case.run)
        for name, run in case.rivals.items():
            yield name, "torch", run

    def time(self, case: BenchCase, direction: str, run: Callable[..., Any], inputs: Inputs) -> Timing:
        """Time one implementation.

        Args:
            case: what it computes.
            direction: of ``case.directions``.
            run: the implementation.
            inputs: its arguments.
        """
        if direction == "forward":
            fixed = with_gradients(case, inputs)
            with torch.no_grad():
                return self.measure(lambda _: run(**fixed), self.device, budget_s=self.budget_s)
        fixed = with_gradients(case, inputs)
        wanted = [fixed[name] for name in case.learn]
        outs = [out for out in tensors(run(**fixed)) if out.requires_grad]
        given = cotangents(outs)
        del outs

        def forward() -> list[torch.Tensor]:
            return [out for out in tensors(run(**fixed)) if out.requires_grad]

        def backward(outs: list[torch.Tensor]) -> Any:
            return torch.autograd.grad(outs, wanted, given, allow_unused=True)

        if direction == "backward":
            return self.measure(backward, self.device, prepare=forward, budget_s=self.budget_s)
        timing = self.measure(lambda _: backward(forward()), self.device, budget_s=self.budget_s)
        if self.device != "cuda":
            return timing
        return Timing(timing.p20, timing.median, timing.p80, timing.repetitions, timing.peak_mb, held_mb(forward))


def _error_note(name: str, error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{name}: {type(error).__name__}: {lines[0][:160] if lines else ''}"


def achieved(row: Row, name: str, limits: Ceilings) -> str:
    """Rate of an implementation in the unit that bounds the case, such as ``"2410 GB/s"``.

    Args:
        row: one case in one direction.
        name: of the implementation.
        limits: of the GPU.

    Returns:
        The rate; empty if it was not measured.
    """
    if name not in row.timings or not row.timings[name].median:
        return ""
    n_bytes, flop = row.case.work(row.direction)
    seconds = row.timings[name].median / 1e3
    if flop / limits.flop_per_s.get(row.case.dtype, float("inf")) > n_bytes / limits.bytes_per_s:
        return f"{flop / seconds / 1e12:.3g} TFLOP/s"
    return f"{n_bytes / seconds / 1e9:.4g} GB/s" if n_bytes else ""
