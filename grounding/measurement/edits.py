"""Boundaries of the median beat that a person moved, and the values that follow from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..delineation.fusion import corrected_qt, interquartile_mean
from ..errors import EcgError

if TYPE_CHECKING:
    import pandas as pd

# in the order in which they follow each other in a beat
BOUNDARIES = ("p_onset", "p_offset", "qrs_onset", "qrs_offset", "t_offset")
# interval -> the boundaries that it lies between
BETWEEN = {
    "pr": ("p_onset", "qrs_onset"),
    "p": ("p_onset", "p_offset"),
    "qrs": ("qrs_onset", "qrs_offset"),
    "qt": ("qrs_onset", "t_offset"),
}
QTC = ("qtc_bazett", "qtc_fridericia", "qtc_framingham", "qtc_hodges")
MOVED = "boundary moved by hand"
LONGEST_BEAT_MS = 2000.0  # where no RR interval says how long a beat is
SAME_MS = 1e-6


@dataclass(frozen=True)
class Edit:
    """A boundary that a person moved.

    Attributes:
        boundary: one of ``p_onset p_offset qrs_onset qrs_offset t_offset``.
        from_ms: where it was measured, ms after the R of the median beat (negative before it); ``None`` where it was
            not measurable.
        to_ms: where it was moved to; ``None`` where the person says that it can't be told.
    """

    boundary: str
    from_ms: float | None
    to_ms: float | None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; ``from_dict`` gives the same edit back."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Edit:
        """The edit that ``to_dict`` wrote."""
        return cls(str(data["boundary"]), data["from_ms"], data["to_ms"])

    def __str__(self) -> str:
        name = self.boundary.replace("_", " ").replace("qrs", "QRS").replace("p o", "P o").replace("t o", "T o")
        return f"{name} from {_words(self.from_ms)} to {_words(self.to_ms)}"


def _words(ms: float | None) -> str:
    return "nowhere" if ms is None else f"{abs(ms):.0f} ms {'before' if ms < 0 else 'after'} R"


def same_place(one: float | None, other: float | None) -> bool:
    """Whether two places of a boundary, ms, are the same.

    Args:
        one: ms after R, or ``None``.
        other: likewise.
    """
    return one is other if one is None or other is None else abs(one - other) < SAME_MS


def boundaries_of(
    intervals: Mapping[str, float | None], qrs_onset: NDArray[np.float64], r_sample: NDArray[np.float64], fs: float
) -> dict[str, float | None]:
    """The boundaries that the global intervals lie between.

    Args:
        intervals: of a measurement, ms.
        qrs_onset: (n,) of the beats on which intervals were measured, samples, NaN where unknown.
        r_sample: (n,) likewise.
        fs: sampling rate, Hz.

    Returns:
        ms after R for each of ``BOUNDARIES``; ``None`` where no interval says where the boundary is.
    """
    out: dict[str, float | None] = dict.fromkeys(BOUNDARIES)
    after_r = (qrs_onset - r_sample)[np.isfinite(qrs_onset - r_sample)] * (1000.0 / fs)
    pr, p, qrs, qt = (intervals.get(name) for name in ("pr", "p", "qrs", "qt"))
    if not after_r.size or (pr is None and qrs is None and qt is None):
        return out
    onset = interquartile_mean(after_r)
    out["qrs_onset"] = onset
    out["qrs_offset"] = None if qrs is None else onset + qrs
    out["t_offset"] = None if qt is None else onset + qt
    out["p_onset"] = None if pr is None else onset - pr
    out["p_offset"] = None if pr is None or p is None else onset - pr + p
    return out


def checked_changes(changes: Mapping[str, Any], record_id: str) -> dict[str, float | None]:
    """Names and numbers of the boundaries to move.

    Args:
        changes: boundary -> ms after R, or ``None`` where it can't be told.
        record_id: for the error message.

    Raises:
        EcgError: it is no mapping, a name is unknown, or a position is no finite number.
    """
    if not isinstance(changes, Mapping):
        raise EcgError(
            f"the boundaries are a {type(changes).__name__}", where=record_id, remedy='pass {"qrs_offset": 60}'
        )
    out: dict[str, float | None] = {}
    for name, value in changes.items():
        if name not in BOUNDARIES:
            raise EcgError(f"no boundary is called {name!r}", where=record_id, remedy=f"use {', '.join(BOUNDARIES)}")
        try:
            number = None if value is None else float(value)
            usable = number is None or (math.isfinite(number) and not isinstance(value, bool | str | bytes))
        except (TypeError, ValueError, OverflowError):
            usable = False
        if not usable:
            raise EcgError(
                f"{name} is moved to {value!r}", where=record_id, remedy="give ms after the R of the median beat"
            )
        out[name] = number
    return out


def check_order(boundaries: Mapping[str, float | None], rr_ms: float | None, record_id: str) -> None:
    """Refuse boundaries that no beat can have.

    Args:
        boundaries: all of them, ms after R.
        rr_ms: mean RR interval, if known: a beat is no longer than that.
        record_id: for the error message.

    Raises:
        EcgError: they are not in order, R is outside the QRS complex, or one lies beyond the beat.
    """
    known = [(name, value) for name in BOUNDARIES if (value := boundaries[name]) is not None]
    longest = LONGEST_BEAT_MS if rr_ms is None else rr_ms
    for name, value in known:
        if abs(value) >= longest:
            raise EcgError(
                f"{name} would be {abs(value):.0f} ms {'before' if value < 0 else 'after'} R, beyond the beat",
                where=record_id,
                remedy=f"one beat takes {longest:.0f} ms here",
            )
    for (first, at), (second, then) in pairwise(known):
        touching = (first, second) == ("p_offset", "qrs_onset")
        if then < at or (then == at and not touching):
            raise EcgError(
                f"{first} at {at:.0f} ms would not be before {second} at {then:.0f} ms",
                where=record_id,
                remedy=f"the order is {', '.join(BOUNDARIES)}; move both",
            )
    onset, offset = boundaries["qrs_onset"], boundaries["qrs_offset"]
    if (onset is not None and onset > 0) or (offset is not None and offset < 0):
        name, value = ("qrs_onset", onset) if onset is not None and onset > 0 else ("qrs_offset", offset)
        raise EcgError(
            f"{name} would be at {value:.0f} ms, so that R is outside its QRS complex",
            where=record_id,
            remedy="QRS begins before R (a negative number) and ends after it",
        )


def affected_by(moved: Sequence[str]) -> tuple[str, ...]:
    """The intervals that rest on any of these boundaries.

    Args:
        moved: names of boundaries.
    """
    direct = [name for name, ends in BETWEEN.items() if set(ends) & set(moved)]
    return (*direct, *(QTC if "qt" in direct else ()))


def edited_intervals(
    before: Mapping[str, float | None], boundaries: Mapping[str, float | None], moved: Sequence[str]
) -> dict[str, float | None]:
    """The intervals after boundaries were moved; those that rest on none of them stay as they are.

    Args:
        before: the intervals as they were measured, ms.
        boundaries: all of them after the move, ms after R.
        moved: names of those that were moved.
    """
    out = dict(before)
    affected = affected_by(moved)
    for name in BETWEEN:
        if name in affected:
            begin, end = (boundaries[edge] for edge in BETWEEN[name])
            out[name] = None if begin is None or end is None else end - begin
    return {**out, **corrected_qt(out["qt"], out.get("rr"))} if "qt" in affected else out


def edited_beats(
    beats: pd.DataFrame, edits: Sequence[Edit], usual: NDArray[np.bool_], fs: float, record_id: str
) -> pd.DataFrame:
    """The table of beats with the boundaries of the usual beats moved, and the intervals of each.

    Args:
        beats: as measured.
        edits: what was moved.
        usual: (beats,) those on which intervals are measured.
        fs: sampling rate, Hz.
        record_id: for the error message.

    Raises:
        EcgError: there are no beats to move boundaries in.
    """
    if not usual.any():
        raise EcgError(
            "there is no beat whose boundaries could be moved",
            where=record_id,
            remedy="no beat was found, or the measurement was read back without its tables",
        )
    out = beats.copy()
    for edit in edits:
        column = out[edit.boundary].to_numpy(np.float64, na_value=np.nan, copy=True)
        if edit.to_ms is None:
            column[usual] = np.nan
        elif edit.from_ms is None:  # where it was measured in none, it is put at the same place in each
            column[usual] = out["r_sample"].to_numpy(np.float64)[usual] + edit.to_ms * fs / 1000.0
        else:
            column[usual] += (edit.to_ms - edit.from_ms) * fs / 1000.0
        out[edit.boundary] = column
        if adds_p(edit):
            out.loc[usual, ["p_present", "p_known"]] = True
    for name in affected_by([edit.boundary for edit in edits]):
        if name in BETWEEN:
            first, last = (out[edge].to_numpy(np.float64, na_value=np.nan) for edge in BETWEEN[name])
            values = out[f"{name}_ms"].to_numpy(np.float64, na_value=np.nan, copy=True)
            values[usual] = ((last - first) * 1000.0 / fs)[usual]
            out[f"{name}_ms"] = values
    return out


def adds_p(edit: Edit) -> bool:
    """Whether a person saw P waves where none were measured.

    Args:
        edit: of any boundary.
    """
    return edit.boundary == "p_onset" and edit.from_ms is None


def edited_rhythm(
    rhythm: Mapping[str, float | None], beats: pd.DataFrame, edits: Sequence[Edit]
) -> dict[str, float | None]:
    """``Measurement.rhythm`` after boundaries were moved: the share of beats with a P wave, where a person added it.

    Args:
        rhythm: as measured.
        beats: from ``edited_beats``.
        edits: what was moved.
    """
    if not any(map(adds_p, edits)):
        return dict(rhythm)
    known = beats["p_known"].to_numpy(bool)
    return {**rhythm, "p_share": float(beats["p_present"].to_numpy(bool)[known].mean())}


def explained(methods: Mapping[str, str], edits: Sequence[Edit]) -> dict[str, str]:
    """``Measurement.methods`` with what was moved by hand.

    Args:
        methods: as measured.
        edits: what was moved.
    """
    out = dict(methods)
    out.update(("p_share", f"{MOVED}: {edit}") for edit in edits if adds_p(edit))
    for name in affected_by([edit.boundary for edit in edits]):
        ends = BETWEEN["qt" if name.startswith("qtc") else name]
        moves = "; ".join(str(edit) for edit in edits if edit.boundary in ends)
        out[name] = f"{MOVED}: {moves}" + (f"; before that {methods[name]}" if name in methods else "")
    return out
