"""The beat encoder's two views: limb leads on one scale, and a beat that lies where the QRS begins."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch

import grounding
from gem.encoders import build_encoder
from gem.encoders.ecg_beats import EcgBeats, average_beat, limb_leads_on_one_scale, smallest_eigenvector
from grounding.synthetic import synthesize


@pytest.fixture(scope="module")
def encoder() -> EcgBeats:
    torch.manual_seed(0)
    made = build_encoder(
        "ecg_beats", {"widths": [8, 16], "depth": 1, "kernels": [3, 5], "beat_width": 4, "beat_hidden": 8}
    ).eval()
    assert isinstance(made, EcgBeats)
    return made


def batch_of(encoder: EcgBeats, record: grounding.ECGRecord) -> torch.Tensor:
    assert encoder.contract is not None
    return torch.from_numpy(encoder.contract.execute(record)[0])[None]


def test_the_frontal_plane_is_solved_for_again(encoder: EcgBeats) -> None:
    record = grounding.read_record(grounding.sample_path())
    scaled = batch_of(encoder, record)
    limb = limb_leads_on_one_scale(scaled)[0].numpy()
    # what a filter without z-scoring leaves in millivolts
    true = record.resample(125.0).signal[:6, 100:1100].std(1)
    got = limb[:, 100:1100].std(1)
    np.testing.assert_allclose(got / got.sum(), true / true.sum(), atol=0.03)
    np.testing.assert_allclose(limb[0] + limb[2], limb[1], atol=0.01)  # the samples were rounded


def test_the_closed_form_is_the_solvers() -> None:
    torch.manual_seed(0)
    rows = torch.randn(200, 50, 3, dtype=torch.float64) * torch.rand(200, 1, 3, dtype=torch.float64)
    rows[:100, :, 2] = 0.7 * rows[:100, :, 0] + 1.3 * rows[:100, :, 1] + 1e-3 * rows[:100, :, 2]  # nearly of rank two
    gram = rows.mT @ rows
    vector, power = smallest_eigenvector(gram)
    values, vectors = torch.linalg.eigh(gram)
    torch.testing.assert_close(power, values, rtol=0, atol=1e-10 * float(values.max()))
    want = vectors[..., 0] * (vectors[..., 0] * vector).sum(-1, keepdim=True).sign()
    torch.testing.assert_close(vector, want, rtol=0, atol=1e-9)


def test_the_derivative_of_the_closed_form() -> None:
    def projection(matrices: torch.Tensor) -> torch.Tensor:
        vector, _ = smallest_eigenvector((matrices + matrices.mT) / 2)
        return vector[:, :, None] * vector[:, None, :]  # without the sign

    torch.manual_seed(1)
    rows = torch.randn(4, 9, 3, dtype=torch.float64)
    rows[1, :, 2] = rows[1, :, 0] - rows[1, :, 1]
    gram = rows.mT @ rows / 9
    gram[2] = torch.diag(torch.tensor([2.0, 0.0, 2.0]))  # the two larger ones are equal
    assert torch.autograd.gradcheck(projection, gram.requires_grad_(), eps=1e-7)


def test_matrices_without_a_single_smallest_eigenvalue_have_no_vector() -> None:
    made = torch.stack([torch.zeros(3, 3), torch.eye(3), torch.ones(3, 3), torch.diag(torch.tensor([0.0, 0.0, 1e-20]))])
    matrices = made.double().requires_grad_()
    vector, power = smallest_eigenvector(matrices)
    assert not vector.any()
    assert torch.isfinite(power).all()
    vector.sum().backward()
    assert matrices.grad is not None
    assert not matrices.grad.any()


def test_without_a_limb_lead_nothing_is_made_up(encoder: EcgBeats) -> None:
    x = batch_of(encoder, grounding.read_record(grounding.sample_path()))
    x[:, 2] = 0.0
    assert torch.equal(limb_leads_on_one_scale(x), x[:, :6])


@pytest.mark.parametrize(("rate", "seed"), [(55.0, 0), (75.0, 1), (110.0, 2)])
def test_the_beat_begins_where_the_qrs_does(encoder: EcgBeats, rate: float, seed: int) -> None:
    record, _ = synthesize(rate_bpm=rate, seed=seed)
    _, beat = encoder.views(batch_of(encoder, record))
    speed = (beat[0, :, 1:] - beat[0, :, :-1]).square().sum(0).sqrt()
    assert abs(int(speed.argmax()) - encoder.before) <= 10  # 80 ms: within the QRS
    # the same beat, whatever the moment the recording began
    later = grounding.ECGRecord.from_array(np.roll(record.signal, 173, axis=1), record.fs, record.leads)
    _, again = encoder.views(batch_of(encoder, later))
    likeness = np.corrcoef(beat.flatten().numpy(), again.flatten().numpy())[0, 1]
    assert likeness > 0.9  # a sample or two of the onset may go either way


def beats_of(places: Iterable[float], width: float = 0.015, size: float = 1.0, leads: int = 2) -> torch.Tensor:
    """(1, leads, 1250): a bell at each of some times, and noise, since zeros mean that nothing was recorded."""
    time = torch.arange(1250) / 125
    bells = sum(size * torch.exp(-(((time - at) / width) ** 2)) for at in places)
    return bells + 1e-3 * torch.randn(1, leads, 1250)


def test_an_ectopic_beat_counts_for_little() -> None:
    torch.manual_seed(0)
    places = np.arange(0.8, 9.5, 0.9)
    x = beats_of(np.delete(places, 4))
    with_one = x + beats_of([places[4]], 0.06, -3.0)
    beat, usual = (average_beat(rows, 125.0, 38, 100) for rows in (with_one, x))
    assert float((beat - usual).abs().max()) < 0.15  # one of ten, three times as large, would be 0.3


def test_a_lead_that_shows_some_of_the_beats_has_their_average() -> None:
    """Paper has 2.5 s of most leads: what is not recorded is zero, and no part of the average."""
    torch.manual_seed(0)
    x = beats_of(np.arange(0.8, 9.5, 0.9), leads=12)
    sizes = torch.linspace(0.3, 2.0, 12)[:, None]
    whole = x * sizes
    page = whole.clone()
    for lead in range(11):  # the last is the rhythm strip
        first = 312 * (lead // 3)
        page[0, lead, :first] = page[0, lead, first + 312 :] = 0
    beat, same = (average_beat(rows, 125.0, 38, 100) for rows in (page, whole))
    peaks, usual = beat.amax(-1), same.amax(-1)
    torch.testing.assert_close(usual, sizes.mT, rtol=0.05, atol=0)
    torch.testing.assert_close(peaks, usual, rtol=0.05, atol=0)


def test_flat_and_noisy_records_have_a_finite_beat_and_gradients_reach_the_samples(encoder: EcgBeats) -> None:
    assert not encoder.views(torch.zeros(2, 12, 1250))[1].any()
    torch.manual_seed(0)
    x = torch.randn(2, 12, 1250, requires_grad=True)
    assert torch.isfinite(encoder.views(x)[1]).all()
    encoder.views(x)[1].square().sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert x.grad.any()


def test_every_token_carries_the_beat(encoder: EcgBeats) -> None:
    x = batch_of(encoder, grounding.read_record(grounding.sample_path()))
    tokens = encoder(x)
    rhythm = 2 * encoder.rhythm_width
    assert tokens.shape[-1] == encoder.width == rhythm + 2 * encoder.beat_hidden
    assert torch.equal(tokens[0, 0, rhythm:], tokens[0, -1, rhythm:])
    assert not torch.equal(tokens[0, 0, :rhythm], tokens[0, -1, :rhythm])
    # each kernel has networks of its own, whose weights are its own
    (first, beat), (second, other) = encoder.parts([encoder.views(x)] * 2)
    assert not torch.equal(first, second)
    assert not torch.equal(beat, other)


def test_millivolts_keep_the_voltage_and_other_records_the_frontal_plane() -> None:
    torch.manual_seed(0)
    made = build_encoder(
        "ecg_beats", {"widths": [8, 16], "depth": 1, "beat_width": 4, "beat_hidden": 8, "millivolts": True}
    ).eval()
    assert isinstance(made, EcgBeats)
    record = grounding.read_record(grounding.sample_path())
    half = grounding.ECGRecord.from_array(record.signal / 2, record.fs, record.leads)
    whole, small = batch_of(made, record), batch_of(made, half)
    assert torch.allclose(small, whole / 2, atol=1e-4)
    (rhythm, beat), (smaller, smaller_beat) = made.views(whole), made.views(small)
    assert torch.allclose(smaller, rhythm / 2, atol=0.02)
    # where a beat is cut may move a little with its size
    assert float(beat.abs().max() / smaller_beat.abs().max()) == pytest.approx(2, rel=0.1)
    # the limb leads' own scale is theirs already
    assert torch.allclose(limb_leads_on_one_scale(whole), whole[:, :6], atol=0.01)
    scored = grounding.ECGRecord.from_array(
        record.signal / record.signal.std(1, keepdims=True), record.fs, record.leads, units="zscore"
    )
    solved = limb_leads_on_one_scale(batch_of(made, scored))[0].std(1)
    true = whole[0, :6].std(1)
    assert torch.allclose(solved / solved.sum(), true / true.sum(), atol=0.02)
