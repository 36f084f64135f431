"""What a file says beside its samples: the patient, and what the device itself measured and stated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_YEARS = {"y": 1.0, "a": 1.0, "m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25, "h": 1 / 8766}
MAX_AGE_YEARS = 130


def age_in_years(age: float | None, unit: str) -> float | None:
    """An age in years; None where its unit is no time or no person is so old.

    Example:
        >>> age_in_years(64, "YEARS"), age_in_years(6, "mo"), age_in_years(64, "?")
        (64.0, 0.5, None)
    """
    years = _YEARS.get(unit.strip().lower()[:1])
    return None if age is None or years is None or not 0 <= age * years <= MAX_AGE_YEARS else age * years


def years_between(born: str, then: str) -> float | None:
    """Whole years from one date to another, both beginning with YYYYMMDD; None where one is not.

    Example:
        >>> years_between("19530508", "20021122091000"), years_between("", "2002")
        (49.0, None)
    """
    if not (len(born) >= 8 and len(then) >= 8 and born[:8].isdecimal() and then[:8].isdecimal()):
        return None
    years = int(then[:4]) - int(born[:4]) - (then[4:8] < born[4:8])
    return float(years) if 0 <= years <= MAX_AGE_YEARS else None


def add_person(meta: dict[str, Any], age: float | None, sex: str) -> None:
    """Put age (years) and sex into a record's ``meta`` where they are known."""
    if age is not None and 0 <= age <= MAX_AGE_YEARS:
        meta["age"] = float(age)
    spelled = {"m": "male", "male": "male", "f": "female", "female": "female"}.get(sex.strip().lower())
    if spelled:
        meta["sex"] = spelled


def add_device_values(
    meta: dict[str, Any], values: Iterable[tuple[str, float | None]], statements: Iterable[str] = ()
) -> None:
    """Put what the device itself measured and stated into ``meta["device"]``.

    Args:
        meta: of a record.
        values: names and values: ``heart_rate`` in bpm; ``rr pr qrs qt p``, ``qtc_bazett``, ``qtc_fridericia`` and,
            where the device does not name its formula, ``qtc`` in ms; ``axis p_axis t_axis`` in degrees. Of a name
            given twice the first value counts.
        statements: its interpretation, a line each.
    """
    device: dict[str, Any] = {}
    for name, value in values:
        if value is not None and (value or "axis" in name):  # devices write 0 for what they did not measure
            device.setdefault(name, float(value))
    lines = tuple(line for line in (" ".join(text.split()) for text in statements) if line)
    if lines:
        device["statements"] = lines
    if device:
        meta["device"] = device
