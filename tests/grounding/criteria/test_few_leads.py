"""What few leads can't show is not claimed from them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grounding import find, measure, read_record, sample_path


@pytest.mark.parametrize(("leads", "expected"), [(("II",), None), (("I", "II", "III"), None), (None, True)])
def test_a_short_interval_needs_six_leads(leads: tuple[str, ...] | None, expected: bool | None) -> None:
    record = read_record(sample_path())
    m = measure(record if leads is None else record.select(leads))
    short = replace(m, intervals={**m.intervals, "pr": 100.0, "qtc_fridericia": 340.0})
    found = {finding.name: finding for finding in find(short)}
    for name in ("short_pr", "short_qtc"):
        assert found[name].present is expected, name
    if expected is None:
        assert "fewer than six leads" in found["short_pr"].reason


@pytest.mark.parametrize(
    ("leads", "probability", "expected"),
    [(1, 0.6, None), (1, 0.75, True), (1, 0.4, False), (2, 0.6, True), (12, 0.6, True)],
)
def test_fibrillation_in_one_lead_asks_for_more(leads: int, probability: float, expected: bool | None) -> None:
    record = read_record(sample_path())
    m = measure(record.select(record.leads[:leads]))
    m = replace(m, rhythm={**m.rhythm, "af_probability": probability})
    assert {finding.name: finding.present for finding in find(m)}["atrial_fibrillation"] is expected
