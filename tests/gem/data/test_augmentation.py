"""Augmentation keeps shapes and labels, and can be switched off."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from PIL import Image, ImageDraw

from gem.data.augmentation import augment, augment_beats, augment_pictures, augment_traces, distort, in_part, mix, shift


def test_changes_are_made_and_can_be_switched_off() -> None:
    torch.manual_seed(0)
    ecg, pixels, traces = torch.randn(4, 12, 500), torch.randn(4, 3, 32, 40), torch.randn(4, 3, 4, 64)
    beats = torch.randn(4, 12, 100)
    changes = (
        (augment, ecg),
        (partial(augment_beats, onset=38), beats),
        (augment_pictures, pixels),
        (augment_traces, traces),
    )
    for change, batch in changes:
        before = batch.clone()
        out = change(batch)
        assert out.shape == batch.shape
        assert torch.isfinite(out).all()
        assert not torch.equal(out, batch)
        assert torch.equal(batch, before)
        assert torch.equal(change(batch, strength=0), batch)


def test_each_change_of_a_signal_is_made() -> None:
    """Noise, baseline, lost leads and gaps leave their marks on a flat recording, or on one of ones."""
    torch.manual_seed(0)
    flat = augment(torch.zeros(64, 12, 1250))
    assert flat.std() > 0.02  # noise
    slow = torch.nn.functional.avg_pool1d(flat, 125).std(-1)
    assert (slow > 0.03).any()  # a baseline that wanders
    ones = augment(torch.ones(64, 12, 1250), strength=1.0)
    quiet = (ones.mean(-1).abs() < 0.4).float().mean(1)
    assert 0.2 < (quiet > 0).float().mean() < 0.9  # some recordings lose leads
    gaps = [(augment(torch.ones(4, 12, 1250)) == 0).all(1).sum(-1) for _ in range(5)]
    assert any((gap > 0).all() for gap in gaps)
    assert all((gap <= 200).all() for gap in gaps)


def test_a_part_is_what_a_page_shows() -> None:
    torch.manual_seed(0)
    seen = in_part(torch.ones(4000, 12, 1000))
    parts = seen.mean(-1)  # (records, leads)
    strip = (parts[:, 1] == 1) & ((parts[:, [0, *range(2, 12)]] - 0.25).abs() < 1e-6).all(1)
    columns = ((parts - 0.25).abs() < 1e-6).all(1)
    halves = (parts[:, 1] == 1) & ((parts[:, [0, *range(2, 12)]] - 0.5).abs() < 1e-6).all(1)
    few = ((parts == 0) | (parts == 1)).all(1)
    at_once = columns & (seen.any(1).float().mean(-1) == 0.25)
    for kind, share in ((strip, 0.5), (columns & ~at_once, 0.15), (halves, 0.15), (at_once, 0.1), (few, 0.1)):
        assert abs(float(kind.float().mean()) - share) < 0.03
    assert (strip | columns | halves | few).all()
    assert set(parts[few].sum(1).int().tolist()) == {1, 2, 3, 4, 5, 6}
    page = seen[strip][0]
    for lead in range(12):
        if lead != 1:
            first = 250 * (lead // 3)
            assert page[lead, first : first + 250].all()
    assert in_part(torch.randn(3, 2, 100)).shape == (3, 2, 100)


def test_pages_are_distorted_and_still_pages() -> None:
    page = Image.new("RGB", (220, 170), (250, 240, 240))
    ImageDraw.Draw(page).line([(20, 85), (200, 85)], fill=(0, 0, 0), width=3)
    assert distort(page, 0.0, np.random.default_rng(0)) is page
    changed = [np.asarray(distort(page, 1.0, np.random.default_rng(seed)), float) for seed in (0, 0, 1)]
    assert np.array_equal(changed[0], changed[1])
    assert not np.array_equal(changed[0], changed[2])
    assert changed[0].shape == (170, 220, 3)
    for pixels in changed:
        column = pixels[:, 110].mean(-1)
        assert column.min() < 140  # the trace is still there, and near its place
        assert abs(int(column.argmin()) - 85) < 25
    weak = np.asarray(distort(page, 0.1, np.random.default_rng(0)), float)
    assert np.abs(weak - np.asarray(page, float)).mean() < np.abs(changed[0] - np.asarray(page, float)).mean()


def test_leads_on_one_scale_stay_on_one_scale() -> None:
    torch.manual_seed(0)
    one = torch.randn(1, 1, 500).expand(3, 6, 500)
    out = augment(torch.cat([torch.randn(3, 12, 500), one], 1), shared_leads=6)[:, 12:]
    size = out.std(-1)
    kept = size > 0.5  # lost leads are zero but for noise and wander
    for row, there in zip(size, kept, strict=True):
        assert float(row[there].max() / row[there].min()) < 1.05


def test_mixing_blends_everything_alike_and_most_of_a_record_is_itself() -> None:
    torch.manual_seed(1)
    classes = torch.eye(4)
    mixed, labels, wide = mix(0.4, classes.clone(), classes, classes[:, :, None].expand(-1, -1, 3))
    assert torch.allclose(mixed, labels)
    assert torch.allclose(wide[..., 2], labels)
    assert torch.allclose(labels.sum(1), torch.ones(4))
    assert not torch.equal(labels, classes)
    assert bool((labels.diagonal() >= 0.5).all())
    same, _ = mix(0, classes, classes)
    assert torch.equal(same, classes)


def test_each_record_is_changed_in_its_own_way() -> None:
    """The same recording several times in a batch becomes as many different ones: shifts, gaps, stretches too."""
    torch.manual_seed(0)
    step = (torch.arange(1250) >= 600).float().expand(16, 12, 1250)
    out = augment(torch.cat([step, 1 - step], 1)[:, :12], strength=1e-6)  # at this strength only shift and gap are left
    edges = [int((row[0] > 0.5).float().diff().clamp(min=0).argmax()) for row in out]
    assert len(set(edges)) > 8
    gaps = (augment(torch.ones(16, 12, 1250), strength=1e-6) == 0).all(1)
    assert len({tuple(row.nonzero()[[0, -1]].flatten().tolist()) for row in gaps if row.any()}) > 8
    bump = torch.exp(-(((torch.arange(100.0) - 60) / 5) ** 2)).expand(16, 12, 100)
    places = augment_beats(bump, 38, strength=1e-6).argmax(-1)
    assert (places == places[:, :1]).all()  # the leads of one record together
    assert len(set(places[:, 0].tolist())) > 2
    wide = [int((row[0] > row[0].max() / 2).sum()) for row in augment_beats(bump, 38, strength=1.0)]
    assert len(set(wide)) > 1
    for change, at in ((augment_pictures, (0, 16)), (augment_traces, (0, 1))):
        dot = torch.zeros(16, 3, 32, 64)
        dot[:, :, at[1], 30] = 1
        columns = change(dot, strength=1e-6)[:, 0].amax(1).argmax(-1)
        assert len(set(columns.tolist())) > 3


def test_a_shift_is_a_roll() -> None:
    rows = torch.randn(3, 2, 10)
    out = shift(rows, torch.tensor([-2, 0, 13]))
    assert all(torch.equal(a, torch.roll(b, by, -1)) for a, b, by in zip(out, rows, (-2, 0, 13), strict=True))
    down = shift(rows, torch.tensor([1, 0, -1]), dim=-2)
    assert all(torch.equal(a, torch.roll(b, by, -2)) for a, b, by in zip(down, rows, (1, 0, -1), strict=True))


def test_the_share_is_that_of_a_beta_distribution() -> None:
    torch.manual_seed(0)
    share = mix(0.4, torch.eye(2000))[0].diagonal().sort().values
    expected = torch.distributions.Beta(0.4, 0.4).sample((200_000,))
    expected = torch.maximum(expected, 1 - expected).quantile(torch.linspace(0, 1, 2000))
    assert float((share - expected).abs().max()) < 0.03
