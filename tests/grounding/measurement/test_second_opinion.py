"""A second delineator's opinion: the uncertainty of intervals, and what it changes in findings and words."""

from __future__ import annotations

import dataclasses
import json

import pytest

import grounding
from grounding.criteria import assess
from grounding.facts import compose, facts, report
from grounding.measurement import measuring
from grounding.measurement.result import Measurement
from grounding.measurement.second_opinion import CALIBRATION_MS, uncertainty_ms


@pytest.fixture(scope="module")
def measured() -> Measurement:
    return grounding.measure(grounding.read_record(grounding.sample_path()), second_opinion=True)


def test_each_interval_of_both_gets_an_uncertainty_from_their_difference(measured):
    record = grounding.read_record(grounding.sample_path())
    assert grounding.measure(record).uncertainty == {}
    classical = grounding.measure(record, "classical")
    for name, (floor_ms, share) in CALIBRATION_MS["learned"].items():
        apart = abs(measured.intervals[name] - classical.intervals[name])
        assert measured.uncertainty[name] == pytest.approx(floor_ms + share * apart)
    assert measured.evidence("qrs").uncertainty == measured.uncertainty["qrs"]
    assert measured.evidence("heart_rate").uncertainty is None
    about = measured.uncertainty["qt"]
    assert measured.uncertainty["qtc_bazett"] == pytest.approx(
        about * measured.intervals["qtc_bazett"] / measured.intervals["qt"]
    )
    assert measured.uncertainty["qtc_hodges"] == about


def test_the_further_apart_the_less_sure_and_nothing_where_one_did_not_measure():
    near = uncertainty_ms("learned", {"qt": 400.0}, {"qt": 402.0})["qt"]
    far = uncertainty_ms("learned", {"qt": 400.0}, {"qt": 470.0})["qt"]
    assert 0 < near < far
    assert uncertainty_ms("classical", {"pr": 160.0, "qrs": None}, {"pr": None, "qrs": 90.0}) == {}


def test_it_is_written_and_read_back(measured):
    told = json.loads(json.dumps(measured.to_dict()))
    assert told["uncertainty_ms"]["qrs"] > 0
    assert Measurement.from_dict(told).uncertainty == measured.uncertainty
    del told["uncertainty_ms"]  # as an older version wrote it
    assert Measurement.from_dict(told).uncertainty == {}
    assert f"+- {measured.uncertainty['qrs']:.0f} ms" in repr(measured)


def test_only_the_two_that_are_calibrated_have_a_second_opinion(monkeypatch, tmp_path):
    record = grounding.read_record(grounding.sample_path())
    with pytest.raises(grounding.EcgError, match="nk_dwt"):
        grounding.measure(record, "nk_dwt", second_opinion=True)
    monkeypatch.setattr(measuring, "WEIGHTS", tmp_path / "none.onnx")
    assert "classical" in grounding.measure(record).methods["qrs"]  # it falls in where there are no weights


def test_a_record_without_beats_is_a_result_too():
    flat = grounding.ECGRecord.from_array([[0.0] * 2500] * 2, 250, ("I", "II"))
    m = grounding.measure(flat, second_opinion=True)
    assert m.uncertainty == {}
    assert m.intervals["qrs"] is None


def test_words_and_findings_doubt_what_lies_near_a_limit(measured):
    near = dataclasses.replace(
        measured,
        intervals={**measured.intervals, "pr": 205.0, "qrs": 100.0},
        uncertainty={"pr": 9.0, "qrs": 9.0},
    )
    assessment = assess(near)
    block = assessment.findings["first_degree_av_block"]
    assert block.present
    assert "205 +- 9 ms" in block.doubt
    assert assessment.findings["wide_qrs"].doubt is None
    assert assessment.is_borderline("pr")
    assert not assessment.is_borderline("qrs")
    items = facts(near, assessment.findings.values())
    text = {fact.tag: fact.text for fact in items}
    assert text["<pr>"] == "205 +- 9 ms (prolonged, borderline)"
    assert text["<qrs>"] == "100 +- 9 ms (normal)"
    statements = [statement.text for statement in report(compose(items, [], seed=1), items, assessment)]
    (told,) = [text for text in statements if text.startswith("First-degree AV block")]
    assert "borderline" in told
    claims = [claim for claim in grounding.check(" ".join(statements), near) if claim.kind == "number"]
    verdicts = {claim.verdict for claim in claims if not claim.text.startswith("age")}
    assert verdicts == {"supported"}


def test_without_a_second_opinion_nothing_is_borderline(measured):
    sure = dataclasses.replace(measured, intervals={**measured.intervals, "pr": 201.0}, uncertainty={})
    assert assess(sure).findings["first_degree_av_block"].doubt is None
    assert not assess(sure).is_borderline("pr")


@pytest.mark.parametrize("sign", ["+-", "\N{PLUS-MINUS SIGN}", "+/-"])
def test_the_checker_reads_a_value_with_its_uncertainty_as_one_number(measured, sign):
    at = round(measured.intervals["pr"])
    for text, verdict in (
        (f"PR interval {at} {sign} 9 ms.", "supported"),
        (f"PR {at} ms {sign} 9 ms", "supported"),
        (f"PR {at + 60} {sign}9 ms", "contradicted"),
    ):
        (claim,) = [claim for claim in grounding.check(text, measured) if claim.kind == "number"]
        assert claim.verdict == verdict, text
