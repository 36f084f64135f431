"""A measurement written by hand, for rules whose truth is known by construction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import pytest

from grounding.measurement.columns import (
    BEAT_COLUMNS,
    INTERVALS,
    LEAD_FEATURE_COLUMNS,
    LEAD_SUMMARY_COLUMNS,
    WAVE_COLUMNS,
)
from grounding.measurement.result import Measurement
from grounding.record import STANDARD_LEADS

MakeMeasurement = Callable[..., Measurement]


@pytest.fixture(scope="session")
def make_measurement() -> MakeMeasurement:
    """Builds a healthy measurement; keyword arguments change it."""

    def make(
        intervals: Mapping[str, float | None] | None = None,
        leads: Mapping[str, Mapping[str, Any]] | None = None,
        rhythm: Mapping[str, float | None] | None = None,
        types: tuple[str, ...] = ("normal",) * 10,
        rr_ms: tuple[float, ...] | None = None,
        axis: float | None = 40.0,
        **changes: Any,
    ) -> Measurement:
        values: dict[str, float | None] = dict.fromkeys(INTERVALS, 400.0) | {
            "pr": 160.0,
            "qrs": 92.0,
            "qt": 390.0,
            "p": 100.0,
            "rr": 850.0,
        }
        steps = rr_ms or (850.0,) * len(types)
        beats, waves, at = [], [], 0.5
        for number, (kind, step) in enumerate(zip(types, steps, strict=True)):
            row: dict[str, Any] = dict.fromkeys(BEAT_COLUMNS, float("nan"))
            row |= {
                "beat": number,
                "r_s": at,
                "r_sample": at * 500,
                "rr_prev_ms": step if number else float("nan"),
                "type": kind,
                "p_present": True,
            }
            row |= {
                "p_onset": at * 500 - 95,
                "p_offset": at * 500 - 45,
                "qrs_onset": at * 500 - 20,
                "qrs_offset": at * 500 + 26,
                "t_onset": at * 500 + 80,
                "t_offset": at * 500 + 170,
            }
            beats.append(row)
            for lead in STANDARD_LEADS:
                waves += [
                    (lead, number, wave, row[f"{wave.lower()}_onset"], at * 500, row[f"{wave.lower()}_offset"])
                    for wave in ("P", "QRS", "T")
                ]
            at += step / 1000
        healthy = {
            "p_mv": 0.1,
            "q_mv": -0.05,
            "r_mv": 1.0,
            "s_mv": -0.2,
            "j_mv": 0.0,
            "st0_mv": 0.0,
            "st40_mv": 0.0,
            "st60_mv": 0.0,
            "st80_mv": 0.0,
            "t_mv": 0.3,
            "q_ms": 15.0,
            "r_ms": 45.0,
            "s_ms": 20.0,
            "r_peak_time_ms": 35.0,
            "qrs_ms": 90.0,
            "p_ms": 100.0,
        }
        rows = []
        for lead in STANDARD_LEADS:
            row = dict.fromkeys(LEAD_SUMMARY_COLUMNS, float("nan")) | {"lead": lead} | healthy
            if lead in ("V1", "V2", "aVR"):
                row |= {"r_mv": 0.3, "s_mv": -1.0, "q_mv": float("nan"), "q_ms": float("nan")}
            rows.append(row | dict((leads or {}).get(lead, {})))
        fields: dict[str, Any] = {
            "record_id": "fake",
            "fs": 500.0,
            "leads": STANDARD_LEADS,
            "duration_s": 10.0,
            "heart_rate": 71.0,
            "axes": {"p": 50.0, "qrs": axis, "t": 40.0},
            "rhythm": {
                "rr_cv": 0.02,
                "rr_sd_ms": 17.0,
                "p_share": 1.0,
                "pr_sd_ms": 5.0,
                "af_probability": 0.01,
                "flutter_probability": 0.01,
            }
            | dict(rhythm or {}),
            "quality": pd.DataFrame({"lead": STANDARD_LEADS, "usable": True, "issues": [()] * 12}),
            "age": 60.0,
            "sex": "female",
        }
        return Measurement(
            intervals=values | dict(intervals or {}),
            waves=pd.DataFrame(waves, columns=list(WAVE_COLUMNS)),
            beats=pd.DataFrame(beats),
            lead_features=pd.DataFrame(columns=list(LEAD_FEATURE_COLUMNS)),
            lead_summary=pd.DataFrame(rows),
            **(fields | changes),
        )

    return make
