"""Saliency and evidence vectors per wave, on a bundled recording with gem-nano."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import gem
import grounding
from gem.encoders import build_encoder
from gem.saliency import WAVES, token_ranges, wave_segments
from grounding import ECGRecord, Evidence, Measurement


@pytest.fixture(scope="module")
def model() -> Any:
    return gem.load("gem-nano").float()


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return grounding.read_record(grounding.sample_path("ptbxl_139"))


@pytest.fixture(scope="module")
def measurement(record: ECGRecord) -> Measurement:
    return grounding.measure(record)


def test_segments_are_the_measured_waves(measurement: Measurement) -> None:
    table = wave_segments(measurement)
    assert list(table.columns) == ["lead", "beat", "wave", "start_s", "end_s"]
    assert (table["end_s"] > table["start_s"]).all()
    found = measurement.waves.dropna(subset=["onset", "offset"])
    assert (table["wave"] != "ST").sum() == len(found)
    one = table[(table["lead"] == "V3") & (table["beat"] == 3)].set_index("wave")
    assert tuple(one.index) == WAVES
    assert one.loc["ST", "start_s"] == one.loc["QRS", "end_s"]
    assert one.loc["ST", "end_s"] == one.loc["T", "start_s"]
    beats = wave_segments(measurement, per="beat")
    qrs = beats[beats["wave"] == "QRS"]
    np.testing.assert_allclose(qrs["start_s"] * measurement.fs, measurement.beats["qrs_onset"].dropna())
    with pytest.raises(gem.GemInputError, match="per 'minute'"):
        wave_segments(measurement, per="minute")


def test_token_ranges() -> None:
    coca = build_encoder("ecg_coca", {"n_samples": 500, "width": 64, "layers": 1, "embed_dim": 4})
    asked = [[0, 50], [49, 51], [100, 100], [490, 900], [600, 700], [120.5, 130.2]]
    assert token_ranges(coca, asked).tolist() == [[1, 2], [1, 3], [3, 3], [10, 11], [11, 11], [3, 4]]
    conv = build_encoder("ecg_conv", {"n_samples": 100, "widths": [4, 4]})  # a token every 8 samples, 0 first
    assert token_ranges(conv, [[0, 4], [3, 5], [96, 100]]).tolist() == [[0, 1], [0, 2], [12, 13]]


@pytest.mark.parametrize("label", ["STTC", "SR"])
def test_saliency_is_what_the_logit_does(model: Any, record: ECGRecord, measurement: Measurement, label: str) -> None:
    table = gem.wave_saliency(model, record, label, measurement)
    assert {"gradient", "contribution"} <= set(table.columns)
    assert set(table["lead"]) == set(record.leads)
    assert (table["gradient"] > 0).all()
    # the logit really moves by it, to first order, when the wave shrinks a little
    ecg, at = model.processor(record, picture=False)["ecg"], model.config.class_names.index(label)
    names, rate = list(model.processor.contract.leads), model.processor.contract.fs_hz

    def logit(signal: torch.Tensor) -> float:
        with torch.no_grad():
            return float(model.encode(ecg=signal.double()).class_logits[0, at])

    model.double()
    try:
        for row in table.sort_values("contribution").iloc[[0, 1, -2, -1]].itertuples():
            shrunk = ecg.double().clone()
            shrunk[0, names.index(row.lead), round(row.start_s * rate) : round(row.end_s * rate)] *= 1 - 1e-3
            assert (logit(ecg) - logit(shrunk)) / 1e-3 == pytest.approx(row.contribution, rel=0.05)
    finally:
        model.float()


def test_per_beat_sums_over_leads(model: Any, record: ECGRecord, measurement: Measurement) -> None:
    table = gem.wave_saliency(model, record, "SR", measurement, per="beat")
    ecg = model.processor(record, picture=False)["ecg"].requires_grad_()
    logit = model.encode(ecg=ecg).class_logits[0, model.config.class_names.index("SR")]
    gradient = torch.autograd.grad(logit, ecg)[0][0].abs().sum(0)
    for row in table.iloc[::7].itertuples():
        part = gradient[round(row.start_s * 125) : round(row.end_s * 125)]
        assert row.gradient == pytest.approx(float(part.sum()), rel=1e-4)


def test_evidence_vectors(model: Any, record: ECGRecord, measurement: Measurement) -> None:
    proofs = [proof for finding in grounding.find(measurement) if finding.present for proof in finding.evidence]
    assert len(proofs) > 5
    with torch.no_grad():
        vectors = gem.evidence_vectors(model, record, proofs)
        tokens = model.encode(ecg=model.processor(record, picture=False)["ecg"]).ecg[0]
    assert vectors.shape == (len(proofs), tokens.shape[1])
    for proof, vector in zip(proofs, vectors, strict=True):
        parts = []
        for start, end in proof.spans_s:
            first, last = (int(v) for v in token_ranges(model.ecg_encoder, [[start * 125, end * 125]])[0])
            parts.append(tokens[first:last].mean(0))
        want = torch.stack(parts).mean(0) if parts else torch.zeros_like(vector)
        torch.testing.assert_close(vector, want, atol=1e-5, rtol=1e-5)
    assert any(not proof.spans_s for proof in proofs)  # points nowhere: zeros
    late = Evidence(record.record_id, "x", 1.0, spans_s=((11.0, 12.0),))
    assert not gem.evidence_vectors(model, record, [late]).any()
    assert gem.evidence_vectors(model, record, []).shape == (0, tokens.shape[1])


def test_bad_input_is_refused(model: Any, record: ECGRecord) -> None:
    with pytest.raises(gem.GemConfigError, match="'flu'"):
        gem.wave_saliency(model, record, "flu")
    with pytest.raises(gem.GemInputError, match="about other"):
        gem.evidence_vectors(model, record, [Evidence("other", "pr", 160.0)])


def test_int16_gives_the_same_answer(model: Any, record: ECGRecord) -> None:
    plain, narrow = (model.processor(record, picture=False, int16=flag) for flag in (False, True))
    assert narrow["ecg"].dtype == torch.int16
    torch.testing.assert_close(model.classify(**narrow), model.classify(**plain), atol=2e-3, rtol=0)
    mixed = model.processor([record, None], picture=[None, np.full((400, 512, 3), 255, np.uint8)], int16=True)
    assert mixed["ecg"].dtype == torch.int16
    assert torch.isfinite(model.classify(**mixed)).all()
    both = {name: torch.cat([values, values]) for name, values in narrow.items()}  # measured values too
    torch.testing.assert_close(model.classify(**both)[1:], model.classify(**narrow), atol=1e-5, rtol=1e-4)


def test_int16_is_refused_where_all_leads_are_normalised_together(model: Any, record: ECGRecord) -> None:
    samples = model.processor(record, picture=False, int16=True)["ecg"]
    before = model.config.signal
    model.config.signal = {**before, "normalization": "minmax"}
    try:
        with pytest.raises(gem.GemConfigError, match="minmax"):
            model.encode(ecg=samples)
    finally:
        model.config.signal = before
