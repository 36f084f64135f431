"""Tolerances of stated values, and meanings of words; the limits of normal values are in ``grounding.criteria``."""

from __future__ import annotations

from ..criteria.limits import Category, category, load_categories, rounded

# allowed difference between a stated and a measured number: about the spread between devices and readers
TOLERANCES = {
    "heart_rate": 5.0,
    "atrial_rate_bpm": 10.0,
    "pr": 20.0,
    "pr_sd_ms": 10.0,
    "qrs": 12.0,
    "qt": 25.0,
    "qtc": 25.0,
    "rr": 50.0,
    "p": 20.0,
    "axis": 15.0,
    "axis_p": 15.0,
    "axis_t": 15.0,
}
APPROXIMATE_FACTOR = 1.5  # by which the tolerance of an approximate number is larger
P_PRESENT_SHARE = 0.5
ECTOPY_TOLERANCE_S = 0.3  # a premature beat is said to be where it begins, peaks, or is drawn
P_FLAT_MV = 0.05  # a P wave smaller than this in lead II has no clear direction
# amplitudes and times in one lead: (mV or ms, share of the measured value), whichever is larger
AMPLITUDE_TOLERANCES = {
    "st": (0.075, 0.25),
    "j": (0.075, 0.25),
    "st40": (0.075, 0.25),
    "st60": (0.075, 0.25),
    "st80": (0.075, 0.25),
    "p": (0.05, 0.25),
    "q": (0.1, 0.25),
    "t": (0.1, 0.25),
    "r": (0.2, 0.2),
    "s": (0.2, 0.2),
    "r2": (0.2, 0.2),
    "s2": (0.2, 0.2),
    "q_ms": (10.0, 0.25),  # ms
    "r_peak_time_ms": (10.0, 0.25),  # ms
}
SUM_TOLERANCE_MV = 0.3
# a finding in a lead is clearly absent only if the value is below this share of its criterion's limit
CLEAR_SHARE = 0.5
ST_LIMITS_MV = {"st_elevation": 0.1, "st_depression": 0.05}
Q_WAVE_MV = 0.02
# of the criteria; with more that can't be decided, nothing is said of a normal ECG (six leads: 14 of 57, eight: 8)
MOST_UNDECIDED = 0.2
T_NEGATIVE_MV = -0.05  # where no criterion judges the lead


CONTROLLED_RATE_BPM = 110
SLOW_BPM = 50  # below it readers agree on bradycardia (ACC/AHA/HRS 2018)
# types of the frontal axis (German usage), degrees; electrocardiographs print "Linkstyp" from about +10 to -45
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

# necessary conditions of findings without a criterion: if one fails, the finding is absent; if not, it is unknown
NECESSARY_CONDITIONS = {
    "ventricular_tachycardia": "heart_rate > 100 and (qrs >= 120 or wide_share > 0)",
    "ventricular_fibrillation": "heart_rate > 100 and p_share < 0.5",
    "junctional_rhythm": "p_share < 0.7",
}


# findings that are not abnormal
NORMAL = frozenset(
    {
        "normal_rate",
        "normal_pr",
        "normal_qrs",
        "normal_axis",
        "normal_qtc",
        "sinus_rhythm",
        "sinus_arrhythmia",
        "irregular_rhythm",
    }
)
SINUS = frozenset({"sinus_rhythm", "sinus_bradycardia", "sinus_tachycardia", "sinus_arrhythmia"})
NOT_WITH_SINUS = frozenset(
    {
        "atrial_fibrillation",
        "atrial_flutter",
        "supraventricular_tachycardia",
        "ventricular_fibrillation",
        "junctional_rhythm",
    }
)
# findings that follow from a named one: the wide QRS in "LBBB, otherwise normal"
IMPLIED = {
    "conduction": frozenset(
        {"wide_qrs", "left_axis_deviation", "right_axis_deviation", "prolonged_qtc", "short_pr", "bradycardia"}
    ),
    "rhythm": frozenset({"bradycardia", "tachycardia", "wide_qrs", "irregular_rhythm"}),
}

# words of texts -> the categories of ``grounding.criteria.category`` that they mean
_CATEGORIES_OF_WORD = {
    "high": frozenset({"prolonged", "fast"}),
    "low": frozenset({"short", "slow"}),
    "normal": frozenset({"normal"}),
    "narrow": frozenset({"normal", "borderline"}),
    "left": frozenset({"left"}),
    "right": frozenset({"right"}),
    "extreme": frozenset({"extreme"}),
}
_NOT_NORMAL = frozenset({"abnormal", "deviated"})  # anything but normal


def in_category(
    name: str, value: float, word: str, sex: str | None = None, age: float | None = None
) -> Category | bool:
    """Whether a word applies to a value, rounded as texts show it (whole ms, bpm, degrees).

    Args:
        name: a quantity in the names of ``Measurement``.
        value: ms, bpm or degrees.
        word: ``normal``, ``high`` (prolonged, fast), ``low``, ``narrow``, ``abnormal``, or a word for the frontal axis.
        sex: ``"female"``, ``"male"``, or ``None`` where not known; some limits depend on it.
        age: years, or ``None`` where not known.

    Returns:
        The result, or, where there is none, an empty ``Category`` with the reason.

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
    categories = _CATEGORIES_OF_WORD.get(word)
    possible = load_categories().get("qtc" if name.startswith("qt") else name, {})
    if (categories is None and word not in _NOT_NORMAL) or (categories is not None and not categories & set(possible)):
        return Category("", f"{word!r} has no limit for it")
    found = category(name, value, sex, age)
    if not found.word:
        return found
    return found.word != "normal" if categories is None else found.word in categories


def is_clear(name: str, value: float, word: str, sex: str | None = None, age: float | None = None) -> bool:
    """Whether other readers would agree that a word applies to a value, or that it does not.

    They may not between normal and prolonged, nor beside a limit: nearer than half the tolerance of a stated number.

    Args:
        name: a quantity in the names of ``Measurement``.
        value: ms, bpm or degrees.
        word: as in ``in_category``.
        sex: ``"female"``, ``"male"`` or ``None``.
        age: years, or ``None``.

    Example:
        >>> is_clear("pr", 236, "high"), is_clear("pr", 205, "high"), is_clear("qrs", 116, "normal")
        (True, False, False)
    """
    holds = in_category(name, value, word, sex, age)
    if not holds and word in ("normal", "narrow") and category(name, value, sex, age).word == "borderline":
        return False
    spare = 0.5 * TOLERANCES.get("qtc" if name.startswith("qtc") else name, 0.0)
    return all(in_category(name, value + step, word, sex, age) is holds for step in (-spare, spare))
