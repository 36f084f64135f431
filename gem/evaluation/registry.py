"""Benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from grounding.registry import Registry

from ..data.samples import Sample

Run = Callable[[Any, Sequence[Sample]], dict[str, Any]]
Function = TypeVar("Function", bound=Run)


@dataclass(frozen=True)
class Benchmark:
    """A registered benchmark.

    Attributes:
        name: for ``gem evaluate NAME``.
        run: a function of a model with ``.processor`` and labelled records, whose result can be written as JSON.
        table: a function that formats the result for the terminal.
        text: what it measures, in one line.
        load: a function that gives the model of a name; None for ``gem.load``.
        bundled: a function that gives records of our own, for a run without ``--records``; None if there are none.
    """

    name: str
    run: Run
    table: Callable[[dict[str, Any]], str]
    text: str
    load: Callable[[str], Any] | None = None
    bundled: Callable[[], Sequence[Sample]] | None = None


benchmarks: Registry[Benchmark] = Registry("benchmark", "gem.benchmarks")


def plain_table(figures: dict[str, Any]) -> str:
    """A line for each number in the results.

    Args:
        figures: the results.
    """
    numbers = {name: value for name, value in figures.items() if isinstance(value, int | float | np.number)}
    return "\n".join(f"{name:30s}{value:>12.4g}" for name, value in numbers.items())


def register_benchmark(
    name: str,
    table: Callable[[dict[str, Any]], str] = plain_table,
    load: Callable[[str], Any] | None = None,
    bundled: Callable[[], Sequence[Sample]] | None = None,
) -> Callable[[Function], Function]:
    """Add a benchmark: a function of a model and labelled records.

    Args:
        name: for ``gem evaluate NAME``.
        table: a function that formats the results for the terminal.
        load: a function that gives the model of a name, if ``gem.load`` does not.
        bundled: a function that gives records of our own, for a run without ``--records``.

    Example:
        >>> @register_benchmark("mean_age")
        ... def mean_age(model, samples):
        ...     return {"years": sum(sample.age or 0 for sample in samples) / len(samples)}
        >>> "mean_age" in benchmarks
        True
        >>> del benchmarks._entries["mean_age"]
    """

    def add(function: Function) -> Function:
        text = (function.__doc__ or "").strip().split("\n")[0]
        benchmarks.register(Benchmark(name, function, table, text, load, bundled), name=name)
        return function

    return add
