"""Channels that a file keeps in several groups: those that were recorded together become one recording, the others are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import EcgFormatError
from .bounds import add_warnings


@dataclass(frozen=True)
class Group:
    """Channels with one rate, start and length.

    Attributes:
        what: what the file calls it, for messages.
        names: the file's own.
        signals: one per channel.
        rate: Hz.
        units: one per channel.
        start: when it began, as the file writes it.
        length: samples; by default of its first signal.
        derived: computed, such as a median beat: not read, and no warning.
    """

    what: str
    names: list[Any]
    signals: list[Any]
    rate: float
    units: list[Any]
    start: object = ""
    length: int | None = None
    derived: bool = False

    @property
    def n_samples(self) -> int:
        return len(self.signals[0]) if self.length is None else self.length


def joined(
    groups: Sequence[Group], meta: dict[str, Any], where: str, pick: str = ""
) -> tuple[list[Any], list[Any], float, list[Any]]:
    """Names, signals, rate and units of the first group and those of equal rate, start and length.

    Args:
        groups: in the file's order.
        meta: gets ``also_in_file``, which names the others, and a warning about those that are recorded.
        where: the file, for errors.
        pick: how a user takes another one.

    Raises:
        EcgFormatError: there is none.
    """
    if not groups:
        raise EcgFormatError("there is no rhythm recording in it", where=where, remedy="export the waveforms too")
    first, same = groups[0], [groups[0]]
    others: list[Group] = []
    for group in groups[1:]:
        alike = (group.rate, group.start, group.n_samples) == (first.rate, first.start, first.n_samples)
        taken = {name for one in same for name in one.names}
        (same if alike and not group.derived and not taken & set(group.names) else others).append(group)
    told = [
        f"{g.what} ({', '.join(str(name) for name in g.names[:12])}; {g.n_samples / g.rate:g} s at {g.rate:g} Hz)"
        for g in others
    ]
    if told:
        meta["also_in_file"] = tuple(told)
    recorded = [text for text, group in zip(told, others, strict=True) if not group.derived]
    if recorded:
        add_warnings(meta, f"the file also holds {'; '.join(recorded)}{f'; {pick}' if pick else ''}")
    names = [name for g in same for name in g.names]
    signals = [signal for g in same for signal in g.signals]
    return names, signals, first.rate, [unit for g in same for unit in g.units]
