"""Metadata of a recording: the patient, and the device's own measurements and interpretation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_YEARS = {"y": 1.0, "a": 1.0, "m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25, "h": 1 / 8766}
MAX_AGE_YEARS = 130
_AGE = re.compile(r"(\d+(?:[.,]\d+)?)( *)([^\W\d_]*)\.?\s*(?:[+(;/].*)?")
_AGE_UNIT = re.compile(r"(y|j|jahr|an|añ|å)\w*|a|m|mo|mos|mths?|months?|monate?|w|wks?|weeks?|wochen?|d|days?|h|hours?")


def age_in_years(age: float | None, unit: str) -> float | None:
    """An age in years.

    Args:
        age: in ``unit``, or None.
        unit: ``YEARS``, ``mo``, ``w``, ``D`` and the like.

    Returns:
        None where the age is missing or implausible, or its unit is unknown.

    Example:
        >>> age_in_years(64, "YEARS"), age_in_years(6, "mo"), age_in_years(64, "?")
        (64.0, 0.5, None)
    """
    years = _YEARS.get(unit.strip().lower()[:1])
    return None if age is None or years is None or not 0 <= age * years <= MAX_AGE_YEARS else age * years


def age_of_text(text: str, unit: str = "") -> float | None:
    """An age in years, as people and devices write it.

    Args:
        text: a number, with or without a unit.
        unit: of a number without one; years by default.

    Returns:
        None where it is no age, is implausible (PTB-XL writes 300 for 90 and more), or may be another's: a single M or
        F after a blank can be the sex, as in ``6 M``.

    Example:
        >>> [age_of_text(text) for text in ("64", "64 years", "064Y", "006M", "6 months", "63,5", "90+")]
        [64.0, 64.0, 64.0, 0.5, 0.5, 63.5, 90.0]
        >>> [age_of_text(text) for text in ("300", ">89", "6 M", "1957-03-02", "")], round(age_of_text("10 days"), 3)
        ([None, None, None, None, None], 0.027)
    """
    match = _AGE.fullmatch(text.strip())
    if not match:
        return None
    number, written = float(match[1].replace(",", ".")), match[3].lower()
    if match[2] and written in ("m", "f"):
        # no age is written as 25 months or more
        return age_in_years(number, "y") if number > 24 else None
    word = written or unit.strip().lower() or "y"
    known = _AGE_UNIT.fullmatch(word)
    return age_in_years(number, "y" if known[1] else word) if known else None


def sex_of_text(text: str) -> str | None:
    """``"female"`` or ``"male"``, as people and devices write it.

    Args:
        text: a word or letter; a number means something else in every data set, and says nothing.

    Example:
        >>> sex_of_text("F"), sex_of_text("Male "), sex_of_text("1"), sex_of_text("unknown")
        ('female', 'male', None, None)
    """
    return {"m": "male", "male": "male", "f": "female", "female": "female"}.get(text.strip().lower())


def years_between(born: str, then: str) -> float | None:
    """Whole years from one date to another.

    Args:
        born: beginning with YYYYMMDD.
        then: beginning with YYYYMMDD.

    Returns:
        None where one of them is not such a date, or the age is implausible.

    Example:
        >>> years_between("19530508", "20021122091000"), years_between("", "2002")
        (49.0, None)
    """
    if not (len(born) >= 8 and len(then) >= 8 and born[:8].isdecimal() and then[:8].isdecimal()):
        return None
    years = int(then[:4]) - int(born[:4]) - (then[4:8] < born[4:8])
    return float(years) if 0 <= years <= MAX_AGE_YEARS else None


def add_person(meta: dict[str, Any], age: float | None, sex: str) -> None:
    """Add age and sex to a record's ``meta`` if they are known.

    Args:
        meta: of a record.
        age: years, or None.
        sex: as the file has it; only male and female are added.
    """
    if age is not None and 0 <= age <= MAX_AGE_YEARS:
        meta["age"] = float(age)
    spelled = sex_of_text(sex)
    if spelled:
        meta["sex"] = spelled


def add_device_values(
    meta: dict[str, Any], values: Iterable[tuple[str, float | None]], statements: Iterable[str] = ()
) -> None:
    """Add the device's own measurements and interpretation to a record as ``meta["device"]``.

    Args:
        meta: of a record.
        values: names and values: ``heart_rate`` in bpm; ``rr pr qrs qt p``, ``qtc_bazett``, ``qtc_fridericia`` and,
            where the device does not name its formula, ``qtc`` in ms; ``axis p_axis t_axis`` in degrees. The first
            value of a name is kept.
        statements: lines of the interpretation.
    """
    device: dict[str, Any] = {}
    for name, value in values:
        if value is not None and (value or "axis" in name):  # devices write 0 for a value that they did not measure
            device.setdefault(name, float(value))
    lines = tuple(line for line in (" ".join(text.split()) for text in statements) if line)
    if lines:
        device["statements"] = lines
    if device:
        meta["device"] = device
