"""Spellings of units: what they are worth in millivolts, and which of them are none."""

from __future__ import annotations

import pytest

from grounding.units import millivolts_per, text_of, unit_kind

SPELLINGS = {
    1.0: ["mV", "MV", "mv", " mV ", "[mV]", "(mV)", "millivolt", "milliVolts", "mVolt", "mV/bit", b"mV      "],
    1e-3: [
        "uV",
        "UV",
        "µV",
        "μV",
        b"\xb5V",
        b"\xc2\xb5V",
        b"\xce\xbcV",
        "ÂµV",
        "Î¼V",
        "\ufffdV",
        "mcV",
        "MCV",
        "microvolt",
        "MICROVOLTS",
        "micro V",
        "uV/bit",
        "uV/LSB",
        "uV per count",
        "u V",
        "µVolts",
    ],
    1e-6: ["nV", "nanovolts"],
    1e3: ["V", "v", "Volt", "volts"],
}


@pytest.mark.parametrize(("unit", "mv"), [(unit, mv) for mv, units in SPELLINGS.items() for unit in units])
def test_voltages(unit: str | bytes, mv: float) -> None:
    assert millivolts_per(unit) == mv
    assert unit_kind(unit) == "voltage"


@pytest.mark.parametrize(
    ("unit", "kind"),
    [
        ("", "blank"),
        (None, "blank"),
        (b"        ", "blank"),
        ("adu", "no voltage"),
        ("counts", "no voltage"),
        ("NU", "no voltage"),
        ("z-score", "no voltage"),
        ("mmHg", "quantity"),
        ("%", "quantity"),
        ("bpm", "quantity"),
        ("degC", "quantity"),
        ("Ohm", "quantity"),
        ("l/min", "quantity"),
        ("m/s2", "quantity"),
        ("parsec", "odd"),
        ("kV", "odd"),
        ("?V", "odd"),
        ("xV", "odd"),
        ("mV2", "odd"),
        ("1e-6", "odd"),
    ],
)
def test_what_is_no_voltage(unit: str | bytes | None, kind: str) -> None:
    assert millivolts_per(unit) is None
    assert unit_kind(unit) == kind


def test_bytes_are_utf8_where_they_can_be_else_latin1() -> None:
    assert text_of("Dérivation I".encode()) == text_of("Dérivation I".encode("latin-1")) == "Dérivation I"


def test_control_characters_never_come_out() -> None:
    assert text_of("\x1b[31mI\x07\0") == "[31mI"
