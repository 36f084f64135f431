"""Files with several groups of channels: those recorded simultaneously become one recording, the others are listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import EcgFormatError
from .bounds import add_warnings


@dataclass(frozen=True)
class Group:
    """Channels with the same rate, start and length.

    Attributes:
        what: its name in messages.
        names: channel names in the file.
        signals: one per channel.
        rate: Hz.
        units: one per channel.
        start: as written in the file.
        length: samples; by default that of the first signal.
        derived: it is computed, such as a median beat; it is not read, and there is no warning.
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
        """Samples per channel."""
        return len(self.signals[0]) if self.length is None else self.length


def join_groups(
    groups: Sequence[Group], meta: dict[str, Any], where: str, pick: str = ""
) -> tuple[list[Any], list[Any], float, list[Any]]:
    """Join the first group with those of equal rate, start and length.

    Args:
        groups: in the file's order.
        meta: gets ``also_in_file``, a list of the others, and a warning about those that are not derived.
        where: the file, for errors.
        pick: how a user selects another one, for the warning.

    Returns:
        Names, signals, rate and units.

    Raises:
        EcgFormatError: there is no group.
    """
    if not groups:
        raise EcgFormatError("there is no rhythm recording in it", where=where, remedy="export the waveforms too")
    first, together = groups[0], [groups[0]]
    others: list[Group] = []
    for group in groups[1:]:
        simultaneous = (group.rate, group.start, group.n_samples) == (first.rate, first.start, first.n_samples)
        taken = {name for one in together for name in one.names}
        (together if simultaneous and not group.derived and not taken & set(group.names) else others).append(group)
    descriptions = [
        f"{g.what} ({', '.join(str(name) for name in g.names[:12])}; {g.n_samples / g.rate:g} s at {g.rate:g} Hz)"
        for g in others
    ]
    if descriptions:
        meta["also_in_file"] = tuple(descriptions)
    recorded = [text for text, group in zip(descriptions, others, strict=True) if not group.derived]
    if recorded:
        add_warnings(meta, f"the file also holds {'; '.join(recorded)}{f'; {pick}' if pick else ''}")
    names = [name for g in together for name in g.names]
    signals = [signal for g in together for signal in g.signals]
    return names, signals, first.rate, [unit for g in together for unit in g.units]
