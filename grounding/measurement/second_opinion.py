"""Two delineators on one recording: how far they are apart tells how sure an interval is."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import EcgError

OTHER = {"learned": "classical", "classical": "learned"}
# Half the width, ms, of the range around the first delineator's value that holds the true one nine times in ten: a
# floor, and a share of how far the second one is off. Quantile regression on 30 LUDB records held out of the network's
# training (readers' marks) and 20 of PTB-XL (GE 12SL's values) together; docs/measurement.md has how often it holds on
# as many others. The learned QRS is as far off whether the two agree or not: it has a floor only.
CALIBRATION_MS = {
    "learned": {"pr": (13.0, 0.1), "qrs": (11.5, 0.0), "qt": (11.0, 0.5)},
    "classical": {"pr": (11.5, 0.25), "qrs": (10.5, 0.6), "qt": (11.5, 1.0)},
}


def other_delineator(name: str) -> str:
    """The delineator whose opinion is asked beside that of ``name``.

    Raises:
        EcgError: how far another one may be off is only known of ``learned`` and ``classical``.
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
        first, second: ``Measurement.intervals`` by either.

    Returns:
        For ``pr``, ``qrs``, ``qt`` and the QTc, ms; nothing for an interval that one of the two did not measure.

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
