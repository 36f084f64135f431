"""Where in time: how the stretches that a text names agree with those of a reference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from grounding.statements.parsing import read_statements

Stretches = tuple[tuple[float, float], ...]
_NUMBER = r"(\d+(?:\.\d+)?)"
_SECONDS = r"\s*(?:s|sec|secs|seconds?)\b"
_RANGE = re.compile(rf"{_NUMBER}(?:{_SECONDS})?\s*(?:-|\u2013|to|and|until)\s*{_NUMBER}{_SECONDS}", re.I)
_PLACE = re.compile(r"(?:\bat|\[)\s*\Z", re.I)
LONGEST_MS = 2000.0  # no interval that a text gives is longer


def stated_times(text: str) -> Stretches:
    """The stretches of a recording that a text names: ``2.3-3.1 s``, ``from 2.3 to 3.1 s``, ``[2.30s - 3.10s]``.

    A range that is the value of an interval ("PR 0.16-0.20 s") is none.

    Args:
        text: any.

    Returns:
        Start and end in s from the beginning of the recording, in order of time, those that overlap as one.

    Example:
        >>> stated_times("Burst noise from 2.3 to 3.1 s and at 3.0-4.0 s. PR interval 0.16-0.20 s.")
        ((2.3, 4.0),)
    """
    numbers = [one.number for one in read_statements(text) if one.number and one.subject and one.subject[0]]
    values = [one for one in numbers if one.high <= LONGEST_MS and not _PLACE.search(text, 0, one.start)]
    found = [
        (float(match[1]), float(match[2]))
        for match in _RANGE.finditer(text)
        if not any(one.start < match.end() and match.start() < one.end for one in values)
    ]
    return joined([one for one in found if one[0] < one[1]])


def joined(stretches: Sequence[tuple[float, float]]) -> Stretches:
    """Stretches in order of time, those that overlap as one.

    Args:
        stretches: start and end, s.
    """
    out: list[tuple[float, float]] = []
    for start, end in sorted(stretches):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return tuple(out)


def overlap_s(some: Stretches, others: Stretches) -> float:
    """The time that both cover, s.

    Args:
        some: from ``joined``.
        others: from ``joined``.
    """
    return sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in some for b in others)


def _length_s(stretches: Stretches) -> float:
    return sum(end - start for start, end in stretches)


class TimeAgreement(Metric):
    """How the stretches of time that texts name agree with those of reference texts, where the reference names some.

    Example:
        >>> metric = TimeAgreement()
        >>> metric.update(["PVC at 2.0-3.0 s."], ["PVC at 2.5-3.5 s."])
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'precision': 0.5, 'recall': 0.5, 'iou': 0.333}
    """

    full_state_update = False
    seconds: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("seconds", default=torch.zeros(3, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, said: Sequence[str], true: Sequence[str]) -> None:
        """Add texts.

        Args:
            said: texts of a model.
            true: the reference of each.
        """
        for one, other in zip(said, true, strict=True):
            found, wanted = stated_times(one), stated_times(other)
            if wanted:
                lengths = [overlap_s(found, wanted), _length_s(found), _length_s(wanted)]
                self.seconds += torch.tensor(lengths, dtype=torch.float64, device=self.device)

    def compute(self) -> dict[str, Tensor]:
        """``precision``: share of the time named that is right; ``recall``: of the true time that is named; ``iou``."""
        both, said, true = self.seconds
        return {"precision": both / said, "recall": both / true, "iou": both / (said + true - both)}
