"""Uncertainty of intervals from the difference between two delineators."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import EcgError

OTHER = {"learned": "classical", "classical": "learned"}
# Half the width, ms, of the range around the first delineator's value that holds the true one nine times in ten: a
# constant, and a share of the difference to the second delineator. Quantile regression on 30 LUDB records held out of
# the network's training (annotators' marks) and 20 of PTB-XL (GE 12SL's values) together; docs/measurement.md has the
# coverage on as many others. The error of the learned QRS does not depend on the difference: it has a constant only.
CALIBRATION_MS = {
    "learned": {"pr": (13.0, 0.1), "qrs": (11.5, 0.0), "qt": (11.0, 0.5)},
    "classical": {"pr": (11.5, 0.25), "qrs": (10.5, 0.6), "qt": (11.5, 1.0)},
}


def other_delineator(name: str) -> str:
    """The delineator that gives the second opinion.

    Args:
        name: of the first delineator.

    Raises:
        EcgError: ``name`` is neither ``learned`` nor ``classical``; the uncertainty is calibrated for these only.
    """
    if name not in OTHER:
        raise EcgError(
            f"there is no second opinion on what {name!r} measures",
            remedy="use delineator='auto', 'learned' or 'classical' with second_opinion=True",
        )
    return OTHER[name]


def uncertainty_ms(
    name: str, first: Mapping[str, float | None], second: Mapping[str, float | None]
) -> dict[str, float]:
    """Half-widths of the ranges that hold the true intervals nine times in ten.

    Args:
        name: of the first delineator.
        first: ``Measurement.intervals`` by the first delineator.
        second: ``Measurement.intervals`` by the other one.

    Returns:
        For ``pr``, ``qrs``, ``qt`` and the QTc, ms; without the intervals that one of the two did not measure.

    Example:
        >>> uncertainty_ms("learned", {"pr": 160.0}, {"pr": None})
        {}
    """
    out = {}
    for interval, (floor_ms, share) in CALIBRATION_MS[name].items():
        one, two = first.get(interval), second.get(interval)
        if one is not None and two is not None:
            out[interval] = floor_ms + share * abs(one - two)
    qt = first.get("qt")
    if "qt" in out and qt:
        for formula, value in first.items():
            if formula.startswith("qtc") and value is not None:
                # Bazett and Fridericia scale the QT; the other two add to it
                scales = formula in ("qtc_bazett", "qtc_fridericia")
                out[formula] = out["qt"] * value / qt if scales else out["qt"]
    return out
