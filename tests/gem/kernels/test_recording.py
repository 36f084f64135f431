"""Encoders and models in real recordings, on a GPU; without one by a recorder that stands in for CUDA's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import gem
from gem.encoders import ENCODERS, build_encoder
from gem.kernels import mode, use
from gem.kernels.graph import CudaGraph, Graphs
from tests.gem.kernels.recorders import Recorded
from tests.gem.training import elsewhere

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
NAMES = [name for name in gem.list_encoders() if name != "ecg_features"]  # which has no tower
RECORDER: Any = CudaGraph if DEVICE == "cuda" else Recorded


def tiny_encoder(name: str) -> tuple[Any, torch.Tensor]:
    """An encoder in its smallest size, and two rows of noise for it."""
    torch.manual_seed(0)
    encoder: Any = build_encoder(name, ENCODERS[name].tiny).eval()
    contract = encoder.contract
    shape = (3, *encoder.image_size) if contract is None else (len(contract.leads), contract.n_samples)
    return encoder, torch.randn(2, *shape)


@pytest.mark.parametrize("name", NAMES)
def test_no_encoder_waits_for_the_host(name: str) -> None:
    encoder, x = tiny_encoder(name)
    with torch.no_grad():
        want = encoder(x)
    elsewhere.move_module(encoder)
    with elsewhere.other_device(), torch.no_grad():
        there = elsewhere.move(x)
        with elsewhere.recording():
            got = encoder(there)
    torch.testing.assert_close(got.held, want)


def test_what_waits_is_refused() -> None:
    def refused(function: Any) -> None:
        with elsewhere.recording(), pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
            function()

    with elsewhere.other_device():
        x = elsewhere.move(torch.eye(3))
        refused(lambda: torch.linalg.eigh(x))
        refused(lambda: float(x.sum()))
        refused(lambda: x.sum().tolist())
        refused(lambda: x[x > 0])
        refused(lambda: x[:, [1]])
        refused(lambda: x.new_tensor([1.0, 2.0, 3.0]))
        refused(lambda: torch.arange(3).to(x.device))
        with elsewhere.recording():
            assert float((2 * x[:, 1:2]).held.sum()) == 2


@pytest.mark.parametrize("name", NAMES)
def test_every_encoder_is_recorded(name: str) -> None:
    encoder, x = tiny_encoder(name)
    encoder, x = encoder.to(DEVICE), x.to(DEVICE)
    graphs = Graphs(recorder=RECORDER, device_type=DEVICE)
    with torch.no_grad(), use("torch"):
        for rows in (x, x.flip(0)):
            (got,) = graphs(lambda v: (encoder(v),), (rows,), encoder.modules())
            torch.testing.assert_close(got, encoder(rows), rtol=1e-3, atol=1e-3)
    assert len(graphs) == 1


def test_both_towers_of_a_model_are_recorded(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if DEVICE == "cpu":  # the recording alone: the other kernels have their own tests
        monkeypatch.setenv("TRITON_INTERPRET", "1")
        monkeypatch.setattr("gem.fusion.towers.kernel_selected", lambda op, *_, **__: op == "towers")
    model = tiny_model().to(DEVICE)
    model.graphs = Graphs(recorder=RECORDER, device_type=DEVICE)
    ecg = torch.randn(3, len(model.config.signal["leads"]), model.config.signal["n_samples"], device=DEVICE)
    pictures = torch.randn(3, 3, *model.vision_encoder.image_size, device=DEVICE)
    with torch.no_grad():
        model.graphs.device_type = "none"
        want = model.encode(ecg, pictures)
        model.graphs.device_type = DEVICE
        for _ in range(3):
            with use("triton"):
                got = model.encode(ecg, pictures)
            for mine, theirs in zip((*got.ecg, *got.vision), (*want.ecg, *want.vision), strict=True):
                torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)
    assert len(model.graphs) == 1


def test_recomputed_layers_see_the_mode_of_the_forward_pass() -> None:
    """On a GPU autograd recomputes them in a thread of its own."""
    seen: list[str] = []

    def layer(x: torch.Tensor) -> torch.Tensor:
        seen.append(mode())
        return x * x

    x = torch.ones(2, device=DEVICE, requires_grad=True)
    with use("torch"):
        torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False).sum().backward()
    assert seen == ["torch", "torch"]


def test_a_refused_recording_leaves_the_device_usable() -> None:
    def waits(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (x * float(x.sum()),)

    class Strict(Recorded):
        def record(self, function: Any) -> Any:
            raise RuntimeError("operation not permitted when stream is capturing")

    x = torch.ones(3, device=DEVICE)
    graphs = Graphs(recorder=CudaGraph if DEVICE == "cuda" else Strict, device_type=DEVICE)
    with torch.no_grad(), use("auto"), pytest.warns(UserWarning, match="without a CUDA graph"):
        (got,) = graphs(waits, (x,), [])
    assert got.tolist() == [3.0, 3.0, 3.0]
    assert graphs(waits, (x,), [])[0].tolist() == [3.0, 3.0, 3.0]
    assert len(graphs) == 0
