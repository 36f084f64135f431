from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from grounding import Claim, Evidence, Finding, find, measure, read_record, sample_path


def test_evidence_survives_json() -> None:
    proof = Evidence("r1", "pr", 212.5, "ms", ("II",), (0, 1), ((0.4, 0.6), (1.2, 1.4)), "delineation", "0.1")
    assert Evidence.from_dict(json.loads(json.dumps(proof.to_dict()))) == proof
    assert proof.address() == "II; 0.40-0.60 s and 1 more"
    claim = Claim(0, 9, "number", "supported", (proof,), "measured", "PR 212 ms")
    assert Claim.from_dict(json.loads(json.dumps(claim.to_dict()))) == claim
    assert claim.shifted(4).start == 4


def test_the_evidence_of_a_real_recording_lies_inside_it() -> None:
    measurement = measure(read_record(sample_path()))
    for finding in find(measurement):
        assert Finding.from_dict(json.loads(json.dumps(finding.to_dict()))) == finding
        for proof in finding.evidence:
            assert set(proof.leads) <= set(measurement.leads)
            assert all(0 <= a <= b <= measurement.duration_s for a, b in proof.spans_s)


def test_evidence_is_shaded_on_a_plot_of_its_leads() -> None:
    canvas = pytest.importorskip("matplotlib.backends.backend_agg").FigureCanvasAgg
    figure = pytest.importorskip("matplotlib.figure").Figure()
    canvas(figure)
    record = read_record(sample_path())
    proof = measure(record).evidence("pr")
    axes = figure.subplots()
    axes.plot(np.arange(record.n_samples) / record.fs, record.lead("II"))
    figure.canvas.draw()
    before = np.asarray(figure.canvas.buffer_rgba()).copy()
    assert proof.shade(axes, lead="II", color="blue") is axes
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
    assert np.allclose(spans, proof.spans_s)
    figure.canvas.draw()
    assert (np.asarray(figure.canvas.buffer_rgba()) != before).any()
    other = figure.add_subplot()
    Evidence("r", "pr", 160, "ms", ("V1",), (), ((0.1, 0.2),)).shade(other, lead="II")
    assert not other.patches


def test_evidence_is_collected_when_it_is_first_asked_for() -> None:
    collected: list[int] = []

    def collect() -> tuple[Evidence, ...]:
        collected.append(1)
        return (Evidence("r", "pr", 210.0, "ms"),)

    finding = Finding.deferred(collect, name="long_pr", present=True, criterion="pr > 200")
    assert (finding.name, finding.present, collected) == ("long_pr", True, [])
    assert finding.evidence[0].value == 210.0
    assert finding.evidence is finding.evidence
    assert collected == [1]


def test_deferred_evidence_is_like_any_other() -> None:
    proof = (Evidence("r", "pr", 210.0, "ms"),)
    plain = Finding("long_pr", True, "pr > 200", proof)

    def deferred() -> Finding:
        return Finding.deferred(lambda: proof, name="long_pr", present=True, criterion="pr > 200")

    assert deferred() == plain
    assert hash(deferred()) == hash(plain)
    assert repr(deferred()) == repr(plain)
    assert deferred().to_dict() == plain.to_dict()
    assert replace(deferred(), doubt="close").evidence == proof
    assert pickle.loads(pickle.dumps(deferred())) == plain
    assert copy.deepcopy(deferred()) == plain
    with pytest.raises(AttributeError, match="'Finding' object has no attribute 'proof'"):
        deferred().proof  # noqa: B018


def test_a_shifted_claim_collects_its_evidence_later() -> None:
    collected: list[int] = []

    def collect() -> tuple[Evidence, ...]:
        collected.append(1)
        return (Evidence("r", "pr", 210.0, "ms"),)

    claim = Claim.deferred(collect, start=2, end=5, kind="number", verdict="supported")
    shifted = claim.shifted(10)
    assert not collected
    assert (shifted.start, shifted.end, claim.start) == (12, 15, 2)
    assert shifted.evidence == (Evidence("r", "pr", 210.0, "ms"),)
    assert type(shifted) is Claim
