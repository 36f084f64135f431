"""What became of every key of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class LoadReport:
    """What became of every key of a checkpoint.

    Attributes:
        loaded: number of tensors that go into the model.
        ignored: keys that the published code does not use either.
        missing: our keys that the files lack.
        unexpected: keys of the files that the model has no place for.
        mismatched: key -> (shape in the file, shape in the model).
    """

    loaded: int = 0
    ignored: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """True when nothing is missing, left over or of another shape."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        def some(keys: Any) -> str:
            names = list(keys)
            return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

        parts = [f"{self.loaded} tensors fit"]
        lists = {name: getattr(self, name) for name in ("missing", "unexpected", "mismatched", "ignored")}
        parts += [f"{len(keys)} {name}: {some(keys)}" for name, keys in lists.items() if keys]
        return "; ".join(parts)


def account(
    module: torch.nn.Module,
    shapes: Mapping[str, tuple[int, ...]],
    rename: Callable[[str], str],
    ignored: Set[str] = frozenset(),
) -> LoadReport:
    """Compare a checkpoint's keys and shapes with a model's, which may be on the meta device.

    Args:
        module: ours.
        shapes: every published key and its shape.
        rename: published key -> ours.
        ignored: published keys that are not read.
    """
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    report = LoadReport()
    seen = set()
    for key, shape in shapes.items():
        ours = rename(key)
        if key in ignored:
            report.ignored.append(key)
        elif ours in wanted:
            seen.add(ours)
            if wanted[ours] == shape:
                report.loaded += 1
            else:
                report.mismatched[key] = (shape, wanted[ours])
        else:
            report.unexpected.append(key)
    tied = set(getattr(module, "all_tied_weights_keys", {}) or {})
    report.missing = sorted(set(wanted) - seen - tied)
    return report
