"""Every registered encoder keeps its promises: shape, gradient, batch = one by one."""

from __future__ import annotations

import pytest
import torch

import gem
from gem.encoders import ENCODERS, build_encoder
from grounding.errors import EcgRegistryError


@pytest.mark.parametrize("name", gem.list_encoders())
def test_promises(name: str) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(name, ENCODERS[name].tiny).eval()
    if encoder.kind == "vision":
        x = torch.randn(3, 3, *encoder.image_size)
    elif encoder.contract is not None:
        x = torch.randn(3, len(encoder.contract.leads), encoder.contract.n_samples)
    else:
        x = torch.randn(3, encoder.width)
    tokens = encoder(x)
    assert tokens.shape == (3, encoder.n_tokens, encoder.width)
    assert torch.isfinite(tokens).all()
    torch.testing.assert_close(tokens[1:2], encoder(x[1:2]), atol=1e-5, rtol=1e-5)
    if next(encoder.parameters(), None) is not None:
        tokens.sum().backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_timm_conv_nets_flatten_rows() -> None:
    encoder = build_encoder("timm/test_convnext", {"img_size": [64, 96]})
    assert encoder(torch.randn(1, 3, 64, 96)).shape == (1, encoder.n_tokens, encoder.width)


def test_unknown_names_and_arguments() -> None:
    with pytest.raises(EcgRegistryError, match="ecg_patch"):
        build_encoder("ecg_pach")
    with pytest.raises(gem.GemConfigError, match="depth_of_field"):
        build_encoder("ecg_patch", {"depth_of_field": 3})


def test_coca_has_152_tensors() -> None:
    with torch.device("meta"):
        encoder = build_encoder("ecg_coca")
    assert len(encoder.state_dict()) == 152
    assert sum(p.numel() for p in encoder.parameters()) == 85_989_888


def test_meit_resnet_has_the_published_size() -> None:
    with torch.device("meta"):
        encoder = build_encoder("ecg_resnet")
    assert sum(p.numel() for p in encoder.parameters()) == 15_959_168
    assert encoder.width == 2048
