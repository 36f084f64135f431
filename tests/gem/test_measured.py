"""The vector of measured values: every name has its value, and what was not measured is NaN."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import grounding
from gem.measured import LEADS, NAMES, measured_values, needs_millivolts, values_of_record
from grounding import ECGRecord
from grounding.synthetic import synthesize

SAMPLES = ("ptbxl_13", "ptbxl_102", "ptbxl_139", "ptbxl_182", "ptbxl_298", "ptbxl_330", "ptbxl_413", "ptbxl_424")


def named(measurement: grounding.Measurement) -> dict[str, float]:
    return dict(zip(NAMES, measured_values(measurement).tolist(), strict=True))


@pytest.fixture(scope="module")
def samples() -> dict[str, grounding.Measurement]:
    return {name: grounding.measure(grounding.read_record(grounding.sample_path(name))) for name in SAMPLES}


def test_every_name_is_given_by_some_sample(samples: dict[str, grounding.Measurement]) -> None:
    assert len(set(NAMES)) == len(NAMES)
    table = np.stack([measured_values(measurement) for measurement in samples.values()])
    assert table.dtype == np.float32
    assert not np.isinf(table).any()
    never = [name for name, column in zip(NAMES, table.T, strict=True) if np.isnan(column).all()]
    assert never == []


def test_values_are_those_of_the_measurement(samples: dict[str, grounding.Measurement]) -> None:
    measurement = samples["ptbxl_424"]
    values, rows = named(measurement), measurement.lead_summary.set_index("lead")
    assert values["qrs_ms"] == pytest.approx(measurement.intervals["qrs"])
    assert values["qtc_bazett_ms"] == pytest.approx(measurement.intervals["qtc_bazett"])
    assert values["p_axis_deg"] == pytest.approx(measurement.axes["p"])
    assert values["V2 r_mv"] == pytest.approx(rows.at["V2", "r_mv"], abs=1e-6)
    assert values["aVL st60_mv"] == pytest.approx(rows.at["aVL", "st60_mv"], abs=1e-6)
    r, s = rows["r_mv"], rows[["s_mv", "q_mv"]].min(axis=1)
    assert values["cornell_mv"] == pytest.approx(r["aVL"] - s["V3"], abs=1e-5)
    assert values["sokolow_lyon_mv"] == pytest.approx(max(r["V5"], r["V6"]) - s["V1"], abs=1e-5)
    assert values["cornell_product_mv_ms"] == pytest.approx(values["cornell_mv"] * values["qrs_ms"], rel=1e-5)
    t = rows["t_form"].drop(["aVR", "V1"])
    assert values["t_inverted_share"] == pytest.approx((t == "negative").mean())
    assert values["wide_share"] == pytest.approx((measurement.beats["type"] == "wide").mean())


def test_of_a_beat_with_known_waves() -> None:
    record, truth = synthesize(rate_bpm=60, pr_ms=180)
    values = named(grounding.measure(record))
    assert values["heart_rate_bpm"] == pytest.approx(60, abs=0.5)
    assert values["rr_ms"] == pytest.approx(1000, abs=5)
    assert values["pr_ms"] == pytest.approx(truth.intervals["pr"], abs=25)
    assert values["p_share"] == 1.0
    assert values["premature_ventricular_share"] == 0.0
    assert values["unusable_leads"] == 0.0


def test_without_millivolts_only_ratios_times_and_shapes_are_known(samples: dict[str, grounding.Measurement]) -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13"))
    scored = ECGRecord.from_array(
        record.signal / record.signal.std(1, keepdims=True), record.fs, record.leads, units="zscore"
    )
    values = named(grounding.measure(scored))
    assert values["has_millivolts"] == 0.0
    assert np.isnan([value for name, value in values.items() if needs_millivolts(name)]).all()
    before = named(samples["ptbxl_13"])
    for name in ("rr_ms", "V5 r_to_qrs", "V1 s_to_qrs", "transition_lead", "II t_sign"):
        assert values[name] == pytest.approx(before[name], rel=0.05), name


def test_other_leads_are_not_measured() -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13"))
    few = ECGRecord.from_array(record.signal[:2], record.fs, record.leads[:2])
    values = named(grounding.measure(few))
    assert values["unusable_leads"] == 10.0
    assert np.isfinite([values["I r_mv"], values["II t_mv"], values["heart_rate_bpm"]]).all()
    assert all(np.isnan(values[f"{lead} r_mv"]) for lead in LEADS[2:])
    assert np.isnan(
        [values["cornell_mv"], values["total_qrs_mv"], values["qrs_x_mv"], values["t_inverted_share"]]
    ).all()


@pytest.mark.parametrize("samples", [5000, 20])
def test_without_a_beat_nothing_is_known(samples: int) -> None:
    flat = ECGRecord.from_array(np.zeros((12, samples), np.float32), 500.0, LEADS)
    assert np.isnan(values_of_record(flat)).all()


def test_a_record_that_cannot_be_measured_has_no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: ECGRecord) -> None:
        raise grounding.EcgError("a delineator of somebody's own gave up")

    monkeypatch.setattr("gem.measured.measure", refuse)
    record, _ = synthesize()
    assert np.isnan(values_of_record(record, ["qrs_ms"])).tolist() == [True]


def test_names_may_be_picked_and_ordered(samples: dict[str, grounding.Measurement]) -> None:
    names = ("V6 r_mv", "qrs_ms")
    whole = named(samples["ptbxl_102"])
    assert measured_values(samples["ptbxl_102"], names).tolist() == [whole[name] for name in names]


def test_it_needs_no_torch() -> None:
    script = "import sys, gem.measured; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
