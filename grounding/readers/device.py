"""Metadata of a recording: the patient, and the device's own measurements and interpretation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_YEARS = {"y": 1.0, "a": 1.0, "m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25, "h": 1 / 8766}
MAX_AGE_YEARS = 130


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
    spelled = {"m": "male", "male": "male", "f": "female", "female": "female"}.get(sex.strip().lower())
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
