"""Augmentation keeps shapes and labels, and can be switched off."""

from __future__ import annotations

import torch

from gem.training.augment import augment, augment_pictures, augment_traces, mix


def test_changes_are_made_and_can_be_switched_off() -> None:
    torch.manual_seed(0)
    ecg, pixels, traces = torch.randn(4, 12, 500), torch.randn(4, 3, 32, 40), torch.randn(4, 3, 4, 64)
    for change, batch in ((augment, ecg), (augment_pictures, pixels), (augment_traces, traces)):
        before = batch.clone()
        out = change(batch)
        assert out.shape == batch.shape
        assert torch.isfinite(out).all()
        assert not torch.equal(out, batch)
        assert torch.equal(batch, before)
        assert torch.equal(change(batch, strength=0), batch)


def test_mixing_blends_labels_as_inputs() -> None:
    torch.manual_seed(1)
    classes = torch.eye(4)
    mixed, labels = mix(classes.clone(), classes)
    assert torch.allclose(mixed, labels)
    assert torch.allclose(labels.sum(1), torch.ones(4))
    same, _ = mix(classes, classes, alpha=0)
    assert torch.equal(same, classes)
