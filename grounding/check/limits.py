"""All limits and tolerances that texts are held against, in one place."""

from __future__ import annotations

from dataclasses import dataclass

# how far a stated number may lie from the measured one: about the spread between devices and readers
TOLERANCES = {
    "heart_rate": 5.0,
    "atrial_rate_bpm": 10.0,
    "pr": 20.0,
    "qrs": 12.0,
    "qt": 25.0,
    "qtc": 25.0,
    "rr": 50.0,
    "p": 20.0,
    "axis": 15.0,
    "axis_p": 15.0,
    "axis_t": 15.0,
}
APPROXIMATE = 1.5  # a number called approximate may lie this many times further away
REGULAR_RR_CV = 0.10
P_PRESENT_SHARE = 0.5
# amplitudes in one lead: (mV, share of the measured value), whichever is more
AMPLITUDE_TOLERANCES = {"st": (0.075, 0.25), "p": (0.05, 0.25), "q": (0.1, 0.25), "t": (0.1, 0.25), "r": (0.2, 0.2), "s": (0.2, 0.2)}  # fmt: skip
SUM_TOLERANCE_MV = 0.3
# a finding in a lead counts as plainly absent only where the value is less than this share of its criterion's limit
PLAIN_SHARE = 0.5
ST_LIMITS_MV = {"st_elevation": 0.1, "st_depression": 0.05}
Q_WAVE_MV = 0.02


@dataclass(frozen=True)
class Limits:
    """Where the words for a value begin, in whole units as a value is shown.

    Attributes:
        low: up to here it is short or slow, ``None`` where that is not said.
        normal: first and last normal value.
        high: from here it is prolonged or fast.
    """

    low: float | None
    normal: tuple[float, float]
    high: float


LIMITS = {
    "heart_rate": Limits(59, (60, 100), 101),
    "atrial_rate_bpm": Limits(59, (60, 100), 101),
    "pr": Limits(119, (120, 200), 201),
    "qrs": Limits(None, (0, 109), 120),
    "rr": Limits(599, (600, 1000), 1001),
    "p": Limits(None, (0, 119), 120),
    "axis_p": Limits(None, (0, 75), 106),
    "axis_t": Limits(None, (0, 90), 106),
}
QTC_SHORT_MS = 360
QTC_LONG_MS = {"male": 450, "female": 460}
CONTROLLED_RATE_BPM = 110
# words for the frontal axis, degrees. The German types divide the normal range; carts print "Linkstyp" from about +10 to -45
AXIS_WORDS: dict[str, tuple[tuple[float, float], ...]] = {
    "normal": ((-30, 90),),
    "abnormal": ((-180, -31), (91, 180)),
    "left": ((-90, -31),),
    "right": ((91, 180),),
    "deviated": ((-180, -31), (91, 180)),
    "extreme": ((-180, -91),),
    "vertical": ((65, 110),),
    "horizontal": ((-30, 20),),
    "left_type": ((-45, 20),),
    "intermediate": ((25, 65),),
    "steep": ((65, 110),),
    "right_type": ((91, 180),),
    "extreme_right": ((121, 180), (-180, -91)),
}
AXIS_TYPE_TOLERANCE = 15.0  # of the types that divide the normal range
AXIS_TYPES = frozenset({"vertical", "horizontal", "left_type", "intermediate", "steep", "right_type"})

# what must hold for findings without a criterion of their own: where it doesn't, the finding is denied; where it does, nothing is known
NEEDS = {
    "ventricular_tachycardia": "heart_rate > 100 and (qrs >= 120 or wide_share > 0)",
    "ventricular_fibrillation": "heart_rate > 100 and p_share < 0.5",
    "junctional_rhythm": "p_share < 0.7",
}


def qtc_long(sex: str | None) -> tuple[float, float]:
    """The first prolonged QTc, ms, (lowest, highest) over the sexes where the sex is not known."""
    known = QTC_LONG_MS.get(sex or "")
    return (known, known) if known else (min(QTC_LONG_MS.values()), max(QTC_LONG_MS.values()))


def in_category(name: str, value: float, word: str, sex: str | None = None) -> bool | None:
    """Whether a value, as it is shown (whole ms, bpm, degrees), is what a word says; ``None`` where that can't be told.

    Args:
        name: a quantity in the names of ``Measurement``.
        value: ms, bpm or degrees.
        word: ``normal``, ``high`` (prolonged, fast), ``low``, ``narrow``, ``abnormal``, or one of ``AXIS_WORDS`` for the axis.
        sex: the limit of the QTc depends on it.

    Example:
        >>> in_category("pr", 200.4, "high"), in_category("pr", 200.4, "normal"), in_category("qrs", 116, "normal")
        (False, True, False)
        >>> in_category("qtc", 455, "high") is None, in_category("axis", -45, "left")
        (True, True)
    """
    shown = float(round(value))
    if name == "axis":
        slack = AXIS_TYPE_TOLERANCE if word in AXIS_TYPES else 0.0
        ranges = AXIS_WORDS.get(word)
        return any(low - slack <= shown <= high + slack for low, high in ranges) if ranges else None
    if name.startswith("qt"):
        long_from, long_to = qtc_long(sex)
        if word in ("high", "normal", "abnormal") and long_from <= shown < long_to:
            return None
        limits = Limits(QTC_SHORT_MS, (QTC_SHORT_MS + 1, long_from - 1), long_to)
    else:
        found = LIMITS.get(name)
        if found is None:
            return None
        limits = found
    if word == "normal":
        return limits.normal[0] <= shown <= limits.normal[1]
    if word == "abnormal":
        return not limits.normal[0] <= shown <= limits.normal[1]
    if word == "high":
        return shown >= limits.high
    if word == "low":
        return shown <= limits.low if limits.low is not None else None
    if word == "narrow" and name == "qrs":
        return shown < limits.high
    if word == "controlled" and name == "heart_rate":
        return shown <= CONTROLLED_RATE_BPM
    return None


def plainly(name: str, value: float, word: str) -> bool:
    """Whether a word that does not hold is plainly wrong: False between normal and prolonged, where readers differ."""
    limits = LIMITS.get(name)
    if limits is None or word not in ("normal", "narrow"):
        return True
    return not limits.normal[1] < round(value) < limits.high
