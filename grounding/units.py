"""Units of amplitude as files spell them: how many millivolts a unit is, or that it is no voltage."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

UnitKind = Literal["voltage", "no voltage", "quantity", "blank", "odd"]

# Millivolts per unit; millivolts_per() also accepts other spellings.
UNITS_MV = {
    "mv": 1.0,
    "millivolt": 1.0,
    "uv": 1e-3,
    "µv": 1e-3,
    "μv": 1e-3,
    "microvolt": 1e-3,
    "v": 1e3,
    "volt": 1e3,
    "nv": 1e-6,
}
# Units that a record may have where its amplitudes are no voltages: see ECGRecord.has_millivolts.
UNITS_WITHOUT_VOLTAGE = {"zscore", "adu", "au", "unknown"}

_MICRO = "u"
# the micro sign (U+00B5), the Greek mu, and what they become where UTF-8, Latin-1, code page 437/850, Shift-JIS and GBK
# are confused
_MICRO_SPELLINGS = ("Âµ", "Î¼", "ƒÊ", "¦Ì", "µ", "μ", "\ufffd", "æ", "micro", "mcr", "mc", "mu")
_PREFIXES_MV = {"": 1e3, "m": 1.0, "milli": 1.0, _MICRO: 1e-3, "n": 1e-6, "nano": 1e-6}
_VOLT = re.compile(r"(?P<prefix>milli|nano|[mun]|)[ _-]*v(olts?|\.)?")
_PER_STEP = re.compile(r"\s*(/|per)\s*(bit|bits|lsb|adu|step|count|unit|digit)s?$")
_RAW = re.compile(
    r"adus?|a\.?u\.?|counts?|bits?|lsbs?|raw|digital|digits?|digitals?|steps?|nu|n\.u\.|"
    r"norm(alized|alised)?( units?)?|arb(itrary|\.)?( units?)?|"
    r"adc( units?| counts?)?|unitless|dimensionless|none|nd|n/?a|z-?scores?|unknown"
)
_QUANTITY = re.compile(
    r"mm ?hg|cm ?h2o|k?pa|hpa|mbar|bar|torr|%.*|percent|bpm|/?min|1/min|[a-z]*/min|lpm|rpm|brpm|m?l/s|m?l|"
    r"°.*|deg.*|celsius|c|f|k|kelvin|"
    r"m?g|m/s\^?[2²]|m?s|sec(onds?)?|msec|us|hz|khz|k?ohms?|k?ω|db|lux|u?s(iemens)?|m?a|ua|cm|mm|m|rad(/s)?|dps|w|pm"
)


def text_of(raw: object) -> str:
    r"""A name or unit as printable text, without surrounding blanks and quotes.

    Args:
        raw: text; bytes, which are decoded as UTF-8 or else Latin-1; or None.

    Example:
        >>> text_of(b"\xb5V  "), text_of("µV".encode()), text_of(None)
        ('µV', 'µV', '')
    """
    if raw is None:
        return ""
    text = str(raw)
    if isinstance(raw, bytes):
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
    text = text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
    return text.strip(" \"'`")


def millivolts_per(unit: object) -> float | None:
    r"""Millivolts in one unit.

    Args:
        unit: in any spelling, text or bytes.

    Returns:
        The factor; None where the unit is no voltage.

    Example:
        >>> [millivolts_per(unit) for unit in ("mV", "µV", b"\xb5V", "mcV", "MICROVOLTS", "uV/bit", "Volt", "nV")]
        [1.0, 0.001, 0.001, 0.001, 0.001, 0.001, 1000.0, 1e-06]
        >>> millivolts_per("mmHg"), millivolts_per(""), millivolts_per("adu")
        (None, None, None)
    """
    match = _VOLT.fullmatch(_plain(unit))
    return _PREFIXES_MV[match["prefix"]] if match else None


def unit_kind(unit: object) -> UnitKind:
    """The kind of quantity that a unit belongs to.

    Args:
        unit: in any spelling, text or bytes.

    Returns:
        ``"voltage"``; ``"no voltage"`` (converter steps, z-scores: an ECG without a known gain); ``"quantity"`` (mmHg,
        %, bpm: not an ECG); ``"blank"``; or ``"odd"`` (an unknown unit).

    Example:
        >>> [unit_kind(unit) for unit in ("uV", "adu", "mmHg", "", "parsec")]
        ['voltage', 'no voltage', 'quantity', 'blank', 'odd']
    """
    if millivolts_per(unit) is not None:
        return "voltage"
    text = _plain(unit)
    if not text:
        return "blank"
    if _RAW.fullmatch(text):
        return "no voltage"
    return "quantity" if _QUANTITY.fullmatch(text) else "odd"


def _plain(unit: object) -> str:
    """Lower case, any micro sign as ``u``, without surrounding brackets or a following ``/bit``."""
    return _plain_text(text_of(unit)[:40])


@lru_cache(maxsize=1024)
def _plain_text(text: str) -> str:
    text = text.strip("()[]{} ")
    for sign in _MICRO_SPELLINGS[:8]:
        text = text.replace(sign, _MICRO)
    text = text.lower()
    for sign in _MICRO_SPELLINGS[8:]:
        if re.fullmatch(rf"{sign}[ _-]*v.*", text):
            text = _MICRO + text[len(sign) :]
            break
    return _PER_STEP.sub("", text).strip(" .")
