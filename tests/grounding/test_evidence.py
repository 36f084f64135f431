from __future__ import annotations

import json

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
