"""What questions and options say."""

from __future__ import annotations

import math

import pytest

from gem.evaluation.reasoning.questions import read_leads, read_ordinals, read_range, read_sign, read_span


@pytest.mark.parametrize(
    ("text", "name", "leads", "need"),
    [
        ("Is ST-segment depression seen in at least two of leads V4-V6?", "st_depression", ("V4", "V5", "V6"), 2),
        ("Inverted T waves in inferior leads", "t_inversion", ("II", "III", "aVF"), 1),
        ("Does lead V1 show an RSR' pattern?", "rsr", ("V1",), 1),
        ("Are dominant S waves present in leads V1 and V2?", "dominant_s", ("V1", "V2"), 2),
        ("Is a non-conducted P wave, not caused by a premature beat, visible?", "blocked_p", (), 1),
        ("Presence of scooped ST-segment depression in precordial leads", "st_other", (), 1),
        ("Prolongation of the PR interval", "pr_long", (), 1),
        ("Progressive prolongation of the PR interval", "pr_other", (), 1),
        ("Presence of a normal QRS axis", "axis_other", (), 1),
        ("Tall hats in the waiting room", "", (), 1),
    ],
)
def test_signs(text: str, name: str, leads: tuple[str, ...], need: int) -> None:
    sign = read_sign(text)
    assert (sign.name, sign.leads, sign.need) == (name, leads, need)


def test_limits_follow_the_leads_they_are_said_of() -> None:
    sign = read_sign(
        "ST depression? It is greater than 0.1mV (1mm) in lead V2, and greater than 0.07mV in leads V3 and V4."
    )
    assert [sign.limit(lead, 9.0) for lead in ("V2", "V3", "V4", "I")] == [0.1, 0.07, 0.07, 9.0]
    axis = read_sign("left axis deviation, where the QRS axis is between -90 and -30 degrees")
    assert (axis.low, axis.high) == (-90.0, -30.0)


def test_ranges_and_stretches() -> None:
    assert read_range("[-60 degrees - -45 degrees]") == (-60.0, -45.0)
    assert read_range("[0.4mV - 0.8mV]") == (0.4, 0.8)
    assert read_range("Above 160ms") == (160.0, math.inf)
    assert read_range("none") is None
    assert read_span("[2.29s - 2.44s]") == (2.29, 2.44)
    assert read_ordinals("[4th QRS wave - 5th QRS wave]") == (4, 5)
    assert read_leads("leads I, aVL, and V6") == ("I", "aVL", "V6")
