"""What lies beside a limit is not contradicted."""

from __future__ import annotations

from typing import Any

import pytest

from grounding import check
from grounding.criteria import assess
from grounding.statements.nearness import nearly


@pytest.mark.parametrize(
    ("pr", "text", "verdict"),
    [
        (150.0, "First-degree AV block.", "contradicted"),
        (190.0, "First-degree AV block.", "unsupported"),
        (210.0, "First-degree AV block.", "supported"),
        (210.0, "No AV block.", "unsupported"),
        (240.0, "No AV block.", "contradicted"),
        (205.0, "PR normal.", "unsupported"),
        (205.0, "PR prolonged.", "supported"),
        (205.0, "PR not prolonged.", "unsupported"),
        (236.0, "PR normal.", "contradicted"),
        (236.0, "PR not prolonged.", "contradicted"),
        (210.0, "Normal ECG.", "unsupported"),
        (240.0, "Normal ECG.", "contradicted"),
        (210.0, "Sinus rhythm, otherwise normal ECG.", "supported unsupported"),
        (190.0, "Possible first-degree AV block.", "unsupported"),
    ],
)
def test_beside_the_limit_of_pr(make_measurement: Any, pr: float, text: str, verdict: str) -> None:
    claims = check(text, make_measurement(intervals={"pr": pr}))
    assert " ".join(claim.verdict for claim in claims) == verdict


def test_in_favour_and_against(make_measurement: Any) -> None:
    """ST elevation of 0.08 mV is nearly 0.1 mV; of 0.12 mV it is hardly more; of 0.2 mV it is clear."""

    def state(mv: float) -> tuple[bool | None, bool, bool]:
        leads = {lead: {"j_mv": mv, "st60_mv": mv} for lead in ("II", "III", "aVF")}
        assessment = assess(make_measurement(leads=leads))
        finding = assessment.findings["st_elevation"].present
        return finding, nearly(assessment, "st_elevation", True), nearly(assessment, "st_elevation", False)

    assert state(0.02) == (False, False, True)
    assert state(0.08) == (False, True, True)
    assert state(0.12) == (True, True, True)
    assert state(0.2) == (True, True, False)


def test_other_conditions_are_moved_the_other_way(make_measurement: Any) -> None:
    """An incomplete bundle branch block needs a QRS below 120 ms, so that a shorter one is in its favour."""
    wide = assess(make_measurement(intervals={"qrs": 126.0}, leads={"V1": {"r2_mv": 0.6}}))
    assert nearly(wide, "incomplete_right_bundle_branch_block", True)
    wider = assess(make_measurement(intervals={"qrs": 140.0}, leads={"V1": {"r2_mv": 0.6}}))
    assert not nearly(wider, "incomplete_right_bundle_branch_block", True)
    assert not nearly(wider, "no such finding", True)
