"""Boundaries moved by hand: what follows, what stays, what is refused, and how it is undone."""

from __future__ import annotations

import json
import math
import pickle
from typing import Any

import numpy as np
import pytest

import grounding
from grounding import EcgError, ECGRecord, Edit, Measurement
from grounding.delineation.fusion import corrected_qt
from grounding.measurement.edits import BOUNDARIES, MOVED

# interval -> by how much it changes for each ms that a boundary moves to the right
CHANGES = {
    "p_onset": {"pr": -1, "p": -1},
    "p_offset": {"p": 1},
    "qrs_onset": {"pr": 1, "qrs": -1, "qt": -1},
    "qrs_offset": {"qrs": 1},
    "t_offset": {"qt": 1},
}
SAMPLES = ("ptbxl_13", "ptbxl_413", "ludb_13")


@pytest.fixture(scope="module", params=SAMPLES)
def measured(request: pytest.FixtureRequest) -> Measurement:
    return grounding.measure(grounding.read_record(grounding.sample_path(request.param)))


@pytest.fixture(scope="module")
def without_p() -> Measurement:
    return grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_330")))


def moved(measurement: Measurement, **by_ms: float) -> Measurement:
    places = measurement.boundaries
    return measurement.edited({name: (places[name] or 0.0) + ms for name, ms in by_ms.items()})


def value(measurement: Measurement, name: str) -> float:
    found = measurement.intervals[name]
    assert found is not None
    return found


def test_boundaries_are_what_the_intervals_lie_between(measured: Measurement) -> None:
    at = {name: ms if ms is not None else math.nan for name, ms in measured.boundaries.items()}
    assert tuple(at) == BOUNDARIES
    assert at["qrs_onset"] - at["p_onset"] == pytest.approx(value(measured, "pr"))
    assert at["p_offset"] - at["p_onset"] == pytest.approx(value(measured, "p"))
    assert at["qrs_offset"] - at["qrs_onset"] == pytest.approx(value(measured, "qrs"))
    assert at["t_offset"] - at["qrs_onset"] == pytest.approx(value(measured, "qt"))
    assert at["qrs_onset"] < 0 < at["qrs_offset"]


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("by_ms", [20.0, -20.0])
def test_moving_a_boundary_changes_what_rests_on_it_and_nothing_else(
    measured: Measurement, boundary: str, by_ms: float
) -> None:
    after = moved(measured, **{boundary: by_ms})
    for name in ("pr", "p", "qrs", "qt"):
        change = CHANGES[boundary].get(name, 0) * by_ms
        assert value(after, name) - value(measured, name) == pytest.approx(change, abs=1e-9)
        if name not in CHANGES[boundary]:
            assert after.intervals[name] == measured.intervals[name]
    for name, qtc in corrected_qt(after.intervals["qt"], measured.intervals["rr"]).items():
        assert after.intervals[name] == qtc
    assert after.edits == (Edit(boundary, measured.boundaries[boundary], after.boundaries[boundary]),)
    for name in ("rr", "pr", "p", "qrs", "qt", "qtc_bazett"):
        rests = name in CHANGES[boundary] or (name.startswith("qtc") and "qt" in CHANGES[boundary])
        assert after.methods[name].startswith(MOVED) == rests
    assert (after.extents, after.axes, after.rhythm) == (measured.extents, measured.axes, measured.rhythm)
    assert after.evidence("axis") == measured.evidence("axis")


def test_evidence_points_at_the_moved_place(measured: Measurement) -> None:
    before, after = measured.evidence("qrs"), moved(measured, qrs_offset=24).evidence("qrs")
    assert after.beats == before.beats
    assert len(after.beats) > 3
    np.testing.assert_allclose(
        np.subtract(after.spans_s, before.spans_s), [[0, 0.024]] * len(before.spans_s), atol=2e-3
    )
    assert MOVED in after.method
    assert "QRS offset from" in after.method


def test_only_the_beats_that_were_measured_move() -> None:
    measured = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_413")))
    after = moved(measured, t_offset=-30)
    shift = after.beats["t_offset"] - measured.beats["t_offset"]
    ordinary = measured.beats["type"] == "normal"
    assert (~ordinary).sum() > 0
    assert shift[ordinary].dropna().to_numpy() == pytest.approx(-0.030 * measured.fs)
    assert shift[~ordinary].dropna().to_numpy() == pytest.approx(0)
    assert after.waves.equals(measured.waves)
    assert after.lead_summary.equals(measured.lead_summary)


def test_findings_and_verdicts_follow() -> None:
    measured = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_102")))

    def av_block(measurement: Measurement) -> bool | None:
        return next(one.present for one in grounding.find(measurement) if one.name == "first_degree_av_block")

    assert av_block(measured)  # the assessment is now in the cache of the measurement
    shorter = moved(measured, p_onset=60)
    assert not av_block(shorter)
    assert av_block(measured)
    text = "PR interval 185 ms."
    assert [claim.verdict for claim in grounding.check(text, measured)] == ["contradicted"]
    assert [claim.verdict for claim in grounding.check(text, shorter)] == ["supported"]


def test_edits_add_up_and_are_undone(measured: Measurement) -> None:
    once = moved(measured, qrs_offset=20)
    twice = moved(once, t_offset=-10)
    assert [edit.boundary for edit in twice.edits] == ["qrs_offset", "t_offset"]
    assert twice.edits[0] == once.edits[0]
    again = moved(twice, qrs_offset=20)
    assert value(again, "qrs") == pytest.approx(value(measured, "qrs") + 40)
    assert again.edits[0].from_ms == measured.boundaries["qrs_offset"]
    back = again.edited({"qrs_offset": measured.boundaries["qrs_offset"]})
    assert back.intervals["qrs"] == measured.intervals["qrs"]
    assert [edit.boundary for edit in back.edits] == ["t_offset"]
    assert back.edited({"t_offset": measured.boundaries["t_offset"]}) is measured
    assert again.original is measured
    assert measured.original is measured
    assert measured.edited({}) is measured


def test_edits_survive_json_and_pickle(measured: Measurement) -> None:
    after = moved(measured, p_onset=-12.5, t_offset=8)
    for copy in (
        Measurement.from_dict(json.loads(json.dumps(after.to_dict(), allow_nan=False))),
        pickle.loads(pickle.dumps(after)),
    ):
        assert (copy.edits, copy.intervals, copy.methods) == (after.edits, after.intervals, after.methods)
        assert copy.boundaries == pytest.approx(after.boundaries)
        assert copy.original.to_dict() == measured.to_dict()
        assert copy.edited({edit.boundary: edit.from_ms for edit in copy.edits}).to_dict() == measured.to_dict()
    short = Measurement.from_dict(after.to_dict(tables=False))
    assert short.original.intervals == measured.intervals
    with pytest.raises(EcgError, match="read back without its tables"):
        short.edited({"t_offset": 400})
    assert "edits" not in measured.to_dict()
    assert "moved by hand: p_onset, t_offset" in repr(after)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"qrs": 20}, "no boundary is called 'qrs'"),
        ({"qrs_offset": math.nan}, "moved to nan"),
        ({"qrs_offset": math.inf}, "moved to inf"),
        ({"qrs_offset": "60"}, "moved to '60'"),
        ({"qrs_offset": True}, "moved to True"),
        ({"qrs_offset": [60]}, r"moved to \[60\]"),
        ({"qrs_offset": -10}, "R is outside its QRS complex"),
        ({"qrs_onset": 5}, "R is outside its QRS complex"),
        ({"p_onset": -40}, "p_onset at -40 ms would not be before p_offset"),
        ({"p_offset": -20}, "would not be before qrs_onset"),
        ({"t_offset": 40}, "would not be before t_offset"),
        ({"t_offset": 5000}, "5000 ms after R, beyond the beat"),
        ({"p_onset": -5000}, "5000 ms before R, beyond the beat"),
        ([("qrs_offset", 60)], "the boundaries are a list"),
    ],
)
def test_nonsense_is_refused(measured: Measurement, changes: Any, says: str) -> None:
    with pytest.raises(EcgError, match=says) as caught:
        measured.edited(changes)
    assert caught.value.remedy
    assert caught.value.where == measured.record_id


def test_p_wave_placed_where_none_was_measured(without_p: Measurement) -> None:
    assert without_p.boundaries["p_onset"] is None
    onset = without_p.boundaries["qrs_onset"]
    assert onset is not None
    after = without_p.edited({"p_onset": onset - 160, "p_offset": onset - 70})
    assert value(after, "pr") == pytest.approx(160)
    assert value(after, "p") == pytest.approx(90)
    assert not {"pr", "p"} & set(after.reasons)
    assert "from nowhere to" in after.methods["pr"]
    assert len(after.evidence("pr").spans_s) == int(without_p.usual.sum())
    assert without_p.reasons["pr"]
    # the beats that have it count as beats with a P wave, and so do the criteria that ask for one
    share = without_p.rhythm["p_share"]
    assert share is not None
    assert share < 0.2
    assert after.rhythm["p_share"] == 1.0
    assert {**after.rhythm, "p_share": share} == without_p.rhythm
    assert MOVED in after.methods["p_share"]
    for text, verdicts in {
        "No P waves.": ["supported", "contradicted"],
        "PR interval 160 ms.": ["not_checkable", "supported"],
        "First-degree AV block.": ["contradicted", "contradicted"],
    }.items():
        assert [grounding.check(text, one)[0].verdict for one in (without_p, after)] == verdicts, text
    longer = without_p.edited({"p_onset": onset - 240})
    assert grounding.check("First-degree AV block.", longer)[0].verdict == "supported"
    copy = Measurement.from_dict(json.loads(json.dumps(after.to_dict(), allow_nan=False)))
    assert copy.rhythm == after.rhythm
    assert copy.original.rhythm == without_p.rhythm
    undone = after.edited({"p_onset": None, "p_offset": None})
    assert undone is without_p


def test_a_boundary_that_can_not_be_told(measured: Measurement) -> None:
    after = measured.edited({"t_offset": None})
    assert after.intervals["qt"] is None
    assert after.intervals["qtc_fridericia"] is None
    assert "can't be told" in after.reasons["qt"]
    assert after.evidence("qt").reason == after.reasons["qt"]
    assert value(after, "qrs") == value(measured, "qrs")


def test_an_edited_value_has_no_fitted_uncertainty() -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_13"))
    measured = grounding.measure(record, second_opinion=True)
    assert {"pr", "qrs", "qt"} <= set(measured.uncertainty)
    assert {"pr", "qt"} <= set(moved(measured, qrs_offset=20).uncertainty)
    assert "qrs" not in moved(measured, qrs_offset=20).uncertainty


def test_without_beats_there_is_nothing_to_move() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, (2, 5000))
    measured = grounding.measure(ECGRecord.from_array(noise, 500, ["I", "II"]))
    assert not len(measured.beats)
    assert set(measured.boundaries.values()) == {None}
    with pytest.raises(EcgError, match="no beat whose boundaries could be moved"):
        measured.edited({"qrs_offset": 50})
