"""The delineator's layers two samples at a time: the same whole numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnxruntime import InferenceSession

from gem.training import delineator
from gem.training.paired_samples import at_half_rate, harmless_order, overflows
from grounding.delineation.learned import WEIGHTS


def direct(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A convolution of (inputs, samples) with zeros around, (outputs, samples)."""
    reach = weights.shape[2] // 2
    padded = np.pad(x, ((0, 0), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weights.shape[2], axis=1)
    return np.einsum("oik,itk->ot", weights, windows)


@pytest.mark.parametrize("taps", [1, 3, 5, 7, 9])
def test_two_samples_at_once_give_what_one_after_the_other_give(taps: int) -> None:
    pick = np.random.default_rng(taps)
    weights = pick.integers(-64, 65, (3, 4, taps))
    x = pick.integers(0, 256, (4, 20))
    pairs = x.reshape(4, 10, 2).transpose(2, 0, 1).reshape(8, 10)
    wanted = direct(weights, x).reshape(3, 10, 2).transpose(2, 0, 1).reshape(6, 10)
    assert (direct(at_half_rate(weights, 2), pairs) == wanted).all()
    # a signal at half the rate, each sample repeated
    repeated = direct(weights, np.repeat(x, 2, axis=1)).reshape(3, 20, 2).transpose(2, 0, 1).reshape(6, 20)
    assert (direct(at_half_rate(weights, 1), x) == repeated).all()


def test_neighbours_are_chosen_so_that_no_sum_overflows() -> None:
    weights = np.full((1, 6, 1), 20)
    weights[0, :2] = 100
    assert overflows(weights)
    order = harmless_order(weights)
    assert sorted(order) == list(range(6))
    assert not overflows(weights[:, order])
    assert overflows(np.full((1, 2, 1), 65))
    assert not overflows(np.full((1, 2, 1), 64))
    assert not overflows(np.full((1, 2, 1), -64))
    assert overflows(np.array([[[200], [-100]]]))  # no 8-bit number


def test_no_sum_of_the_shipped_network_overflows_in_16_bits() -> None:
    graph = onnx.load(str(WEIGHTS)).graph
    values = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    layers = [node for node in graph.node if node.op_type == "QLinearConv"]
    assert len(layers) == 17
    for node in layers:
        assert not overflows(values[node.input[3]].astype(np.int64)), node.name


@pytest.mark.parametrize("largest", [False, True])
def test_the_arrangement_keeps_every_bit_of_a_quantised_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: bool
) -> None:
    torch.manual_seed(1)
    net = delineator.Delineator((8, 6, 10))
    with torch.no_grad():
        for block in net.up:
            block.first.weight[:, :, 1:] *= 0.3
            if largest:  # added weights overflow in any order of the channels
                block.first.weight.fill_(0.01)
    examples = [np.random.default_rng(n).normal(size=(2, delineator.CHANNELS, 320)).astype(np.float32) for n in (0, 1)]
    for x in examples:  # statistics of the norms
        net(torch.from_numpy(x))
    delineator.export(net.eval(), tmp_path / "new.onnx", examples)
    monkeypatch.setattr(delineator, "in_pairs", lambda model: model)
    delineator.export(net.eval(), tmp_path / "old.onnx", examples)
    nodes = [node for node in onnx.load(str(tmp_path / "new.onnx")).graph.node if node.op_type == "QLinearConcat"]
    assert {len(node.input) for node in nodes} == {2 + 3 * (3 if largest else 2)}
    old, new = (InferenceSession(str(tmp_path / f"{name}.onnx")) for name in ("old", "new"))
    for leads, samples in ((2, 320), (5, 32), (1, 1216)):
        x = np.random.default_rng(leads).normal(size=(leads, delineator.CHANNELS, samples)).astype(np.float32)
        wanted = old.run(None, {"x": x})[0]
        assert np.ptp(wanted) > 0
        assert (new.run(None, {"x": x})[0] == wanted).all()
