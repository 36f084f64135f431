"""How far what a text says may lie from what was measured, and what its words mean. The limits themselves are those of ``grounding.criteria``."""

from __future__ import annotations

from ..criteria.limits import Category, category, load_categories, rounded

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
P_PRESENT_SHARE = 0.5
# amplitudes in one lead: (mV, share of the measured value), whichever is more
AMPLITUDE_TOLERANCES = {
    "st": (0.075, 0.25),
    "p": (0.05, 0.25),
    "q": (0.1, 0.25),
    "t": (0.1, 0.25),
    "r": (0.2, 0.2),
    "s": (0.2, 0.2),
}
SUM_TOLERANCE_MV = 0.3
# a finding in a lead counts as plainly absent only where the value is less than this share of its criterion's limit
PLAIN_SHARE = 0.5
ST_LIMITS_MV = {"st_elevation": 0.1, "st_depression": 0.05}
Q_WAVE_MV = 0.02


CONTROLLED_RATE_BPM = 110
# types of the frontal axis that divide its normal range, degrees; carts print "Linkstyp" from about +10 to -45
AXIS_TYPES: dict[str, tuple[tuple[float, float], ...]] = {
    "vertical": ((65, 110),),
    "horizontal": ((-30, 20),),
    "left_type": ((-45, 20),),
    "intermediate": ((25, 65),),
    "steep": ((65, 110),),
    "right_type": ((91, 180),),
    "extreme_right": ((121, 180), (-180, -91)),
}
AXIS_TYPE_TOLERANCE = 15.0

# what must hold for findings without a criterion of their own: where it doesn't, the finding is denied; where it does,
# nothing is known
NEEDS = {
    "ventricular_tachycardia": "heart_rate > 100 and (qrs >= 120 or wide_share > 0)",
    "ventricular_fibrillation": "heart_rate > 100 and p_share < 0.5",
    "junctional_rhythm": "p_share < 0.7",
}


# words of texts -> the words of ``grounding.criteria.category`` that they mean
_MEANT = {
    "high": frozenset({"prolonged", "fast"}),
    "low": frozenset({"short", "slow"}),
    "normal": frozenset({"normal"}),
    "narrow": frozenset({"normal", "borderline"}),
    "left": frozenset({"left"}),
    "right": frozenset({"right"}),
    "extreme": frozenset({"extreme"}),
}
_OTHERS = frozenset({"abnormal", "deviated"})  # anything but normal


def in_category(
    name: str, value: float, word: str, sex: str | None = None, age: float | None = None
) -> Category | bool:
    """Whether a value, as it is shown (whole ms, bpm, degrees), is what a word says.

    Args:
        name: a quantity in the names of ``Measurement``.
        value: ms, bpm or degrees.
        word: ``normal``, ``high`` (prolonged, fast), ``low``, ``narrow``, ``abnormal``, or a word for the frontal axis.
        sex, age: limits depend on them; ``None`` where not known.

    Returns:
        The answer, or, where there is none, a ``Category`` without a word and with the reason.

    Example:
        >>> in_category("pr", 200.4, "high"), in_category("pr", 200.4, "normal"), in_category("qrs", 116, "normal")
        (False, True, False)
        >>> in_category("qtc", 455, "high").reason
        "it depends on the patient's sex, which the record does not say"
        >>> in_category("axis", -45, "left")
        True
    """
    if name == "axis" and word in AXIS_TYPES:
        shown = rounded(value, "deg")
        return any(low - AXIS_TYPE_TOLERANCE <= shown <= high + AXIS_TYPE_TOLERANCE for low, high in AXIS_TYPES[word])
    if name == "heart_rate" and word == "controlled":
        return rounded(value, "bpm") <= CONTROLLED_RATE_BPM
    if name == "rr":
        return in_category("heart_rate", 60000.0 / value, {"high": "low", "low": "high"}.get(word, word), sex, age)
    meant = _MEANT.get(word)
    possible = load_categories().get("qtc" if name.startswith("qt") else name, {})
    if (meant is None and word not in _OTHERS) or (meant is not None and not meant & set(possible)):
        return Category("", f"{word!r} has no limit for it")
    found = category(name, value, sex, age)
    if not found.word:
        return found
    return found.word != "normal" if meant is None else found.word in meant


def plainly(name: str, value: float, word: str, sex: str | None = None, age: float | None = None) -> bool:
    """Whether a word that does not hold is plainly wrong: False between normal and prolonged, where readers differ."""
    return word not in ("normal", "narrow") or category(name, value, sex, age).word != "borderline"
