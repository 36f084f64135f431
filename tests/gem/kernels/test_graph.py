"""Recordings of both towers, with a recorder that needs no GPU; and the towers through ``model.encode``."""

from __future__ import annotations

import copy
import os
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gem import GemError, GemForConditionalGeneration
from gem.kernels import use
from gem.kernels.graph import Graphs, addresses, has_forward_hooks, may_pass, run_concurrently
from tests.gem.kernels.recorders import Recorded


class Refused(Recorded):
    def record(self, function: Callable[..., tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        raise RuntimeError("operation not permitted when stream is capturing")


@pytest.fixture
def graphs() -> Graphs:
    Recorded.made = 0
    return Graphs(most=2, recorder=Recorded, device_type="cpu")


def call(graphs: Graphs, layer: nn.Module, x: Tensor, key: Any = ()) -> Tensor:
    with torch.no_grad():
        (out,) = graphs(lambda v: (layer(v),), (x,), layer.modules(), key)
    torch.testing.assert_close(out, layer(x))
    return out


def test_recorded_once_per_shape_dtype_and_key(graphs: Graphs) -> None:
    layer = nn.Linear(3, 2)
    first = call(graphs, layer, torch.randn(4, 3))
    kept = first.clone()
    call(graphs, layer, torch.randn(4, 3))
    assert torch.equal(first, kept), "a result is no view of what the next replay overwrites"
    assert (len(graphs), Recorded.made) == (1, 1)
    call(graphs, layer, torch.randn(5, 3))
    assert (len(graphs), Recorded.made) == (2, 2)
    call(graphs, layer, torch.randn(4, 3))
    call(graphs, layer, torch.randn(4, 3), key="other")  # the oldest, five rows, goes
    call(graphs, layer, torch.randn(4, 3))
    assert (len(graphs), Recorded.made) == (2, 3)
    with use("torch"):
        call(graphs, layer, torch.randn(4, 3))
    assert Recorded.made == 4


def test_changed_weights_are_seen(graphs: Graphs) -> None:
    layer, x = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).eval(), torch.randn(4, 3)
    call(graphs, layer, x)
    with torch.no_grad():
        layer[0].weight.mul_(2)
        layer[1].running_mean.add_(1)
    call(graphs, layer, x)
    layer.load_state_dict({name: value + 1 for name, value in layer.state_dict().items()})
    call(graphs, layer, x)
    assert Recorded.made == 1
    layer[0].weight = nn.Parameter(torch.randn(2, 3))
    call(graphs, layer, x)
    assert Recorded.made == 2
    layer[0] = nn.Linear(3, 2)
    call(graphs, layer, x)
    assert Recorded.made == 3
    layer[1].running_mean.data = torch.zeros(2)
    call(graphs, layer, x)
    assert (len(graphs), Recorded.made) == (1, 4)


def test_inference_mode_does_not_stick(graphs: Graphs) -> None:
    layer = nn.Linear(3, 2)
    with torch.inference_mode():
        graphs(lambda v: (layer(v),), (torch.randn(4, 3),), layer.modules())
    call(graphs, layer, torch.randn(4, 3))
    with torch.inference_mode():
        graphs(lambda v: (layer(v),), (torch.randn(4, 3),), layer.modules())
    assert Recorded.made == 1


def test_what_cannot_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(ShortOfMemory, "failures", 1)
    layer, graphs = nn.Linear(3, 2), Graphs(recorder=Refused, device_type="cpu")
    with use("triton"), pytest.raises(GemError, match=r"CUDA graph.*synchronises"):
        call(graphs, layer, torch.randn(1, 3))
    with use("triton"), pytest.raises(GemError, match=r"CUDA graph.*free memory"):
        call(Graphs(recorder=ShortOfMemory, device_type="cpu"), layer, torch.randn(1, 3))
    with use("auto"):
        with pytest.warns(UserWarning, match="without a CUDA graph"):
            call(graphs, layer, torch.randn(1, 3))
        call(graphs, layer, torch.randn(1, 3))  # told once
    assert len(graphs) == 0


class ShortOfMemory(Recorded):
    """Fails with what CUDA and its libraries say for ``failures`` times; the error of ending the recording follows."""

    failures, message = 2, "CUDA out of memory. Tried to allocate 2.00 GiB."

    def record(self, function: Callable[..., tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        if type(self).failures:
            type(self).failures -= 1
            try:
                raise torch.OutOfMemoryError(self.message)
            finally:
                raise RuntimeError("operation not permitted when stream is capturing")
        return super().record(function)


def test_what_fails_for_want_of_memory_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gem.kernels.graph._FIRST_WAIT", 2)
    monkeypatch.setattr(ShortOfMemory, "made", 0)
    monkeypatch.setattr(ShortOfMemory, "failures", 2)
    layer, graphs, x = nn.Linear(3, 2), Graphs(recorder=ShortOfMemory, device_type="cpu"), torch.randn(1, 3)
    with pytest.warns(UserWarning, match="tried again later"):
        call(graphs, layer, x)
    left = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # told once
        for _ in range(8):
            call(graphs, layer, x)
            left.append(ShortOfMemory.failures)
    # two calls without an attempt, the second failure, four calls, and the recording
    assert left == [1, 1, 0, 0, 0, 0, 0, 0]
    assert len(graphs) == 1
    assert ShortOfMemory.made == 1


def test_errors_that_pass_are_told_from_others() -> None:
    def chained(first: str, then: str) -> RuntimeError:
        error = RuntimeError(then)
        error.__context__ = RuntimeError(first)
        return error

    structural = "Cannot copy between CPU and CUDA tensors during CUDA graph capture unless the CPU tensor is pinned."
    broken = "CUDA error: operation failed due to a previous error during capture"
    assert may_pass(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert may_pass(RuntimeError(broken))  # by another thread
    assert not may_pass(RuntimeError(structural))
    assert not may_pass(chained(structural, broken))
    assert may_pass(chained("CUDA out of memory.", structural))
    error = chained("the caller's own trouble", "CUDA out of memory.")
    assert may_pass(error, error.__context__)


def test_copies_start_anew(graphs: Graphs) -> None:
    call(graphs, nn.Linear(3, 2), torch.randn(4, 3))
    for other in (copy.deepcopy(graphs), pickle.loads(pickle.dumps(graphs))):
        assert len(other) == 0
        assert (other.most, other.recorder, other.device_type) == (2, Recorded, "cpu")


def test_hooks_and_addresses() -> None:
    layer = nn.Sequential(nn.Linear(3, 2))
    assert not has_forward_hooks(layer.modules())
    handle = layer[0].register_forward_pre_hook(lambda *_: None)
    assert has_forward_hooks(layer.modules())
    handle.remove()
    assert addresses(layer.modules()) == addresses(layer.modules())
    assert addresses(layer.modules()) != addresses(copy.deepcopy(layer).modules())


def test_modules_are_listed_anew_where_one_was_replaced() -> None:
    graphs, layer = Graphs(), nn.Sequential(nn.Sequential(nn.Linear(1, 1)), nn.Linear(1, 1))
    assert graphs.modules([layer]) == list(layer.modules())
    assert graphs.modules([layer]) is graphs.modules([layer])
    layer[0][0] = nn.Sequential(nn.Linear(1, 1))
    assert graphs.modules([layer]) == list(layer.modules())
    other = nn.Linear(1, 1)
    assert graphs.modules([other]) == [other]


def test_beside_gives_both() -> None:
    assert run_concurrently(lambda: torch.ones(1), lambda: torch.zeros(1), torch.device("cpu")) == (
        torch.ones(1),
        torch.zeros(1),
    )


class Model:
    """A tiny model whose towers are recorded on the CPU, and what it is given."""

    def __init__(self, model: GemForConditionalGeneration) -> None:
        self.model = model.eval()
        self.model.graphs = Graphs(recorder=Recorded, device_type="cpu")
        torch.manual_seed(2)
        contract: Any = model.config.signal
        self.ecg = torch.randn(3, len(contract["leads"]), contract["n_samples"])
        self.pictures = torch.randn(3, 3, *model.vision_encoder.image_size)  # type: ignore[misc, union-attr]
        Recorded.made = 0

    def encode(self, mode: str = "triton", **changes: Any) -> Any:
        given = {"ecg": self.ecg, "pixel_values": self.pictures, **changes}
        with torch.no_grad(), use(mode):
            return self.model.encode(**given)


@pytest.fixture
def model(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> Model:
    # recordings hold plain torch here: the merge and norm kernels are others' tests
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(
        "gem.fusion.towers.kernel_selected", lambda op, *a, **k: op == "towers" and os.environ["MODE"] == "on"
    )
    monkeypatch.setenv("MODE", "on")
    return Model(tiny_model())


def same(a: Any, b: Any) -> None:
    for x, y in ((a.ecg, b.ecg), (a.vision, b.vision)):
        assert (x is None) == (y is None)
        for left, right in zip(x or [], y or [], strict=True):
            assert (left is None) == (right is None)
            assert left is None or torch.equal(left, right)
    torch.testing.assert_close(a.class_logits, b.class_logits, equal_nan=True)


def test_encode_is_recorded_with_the_same_result(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    masks = {"ecg_mask": torch.tensor([True, False, True]), "pixel_mask": torch.tensor([True, True, False])}
    for more in ({}, masks):
        got = [model.encode(**more) for _ in range(2)]
        monkeypatch.setenv("MODE", "off")
        want = model.encode(**more)
        monkeypatch.setenv("MODE", "on")
        same(got[0], want)
        same(got[1], want)
    assert Recorded.made == 1
    model.ecg = model.ecg + 1
    got = model.encode()
    monkeypatch.setenv("MODE", "off")
    same(got, model.encode())
    assert Recorded.made == 1


def test_when_nothing_is_recorded(model: Model) -> None:
    model.encode(pixel_values=None)
    model.encode(ecg=None)
    model.encode(pixel_values=list(model.pictures[:, None]))
    model.encode(ecg=model.ecg.repeat(3, 1, 1), pixel_values=model.pictures.repeat(3, 1, 1, 1))
    with use("triton"):
        assert model.model.encode(model.ecg, model.pictures).ecg[0].requires_grad
    model.model.train()
    model.encode()
    model.model.eval()
    handle = model.model.vision_projector.register_forward_hook(lambda *_: None)  # type: ignore[union-attr]
    model.encode()
    handle.remove()
    model.model.graphs = Graphs(recorder=Recorded)  # its device is "cuda": the tensors are not there
    model.encode()
    assert Recorded.made == 0
    model.model.graphs = Graphs(recorder=Recorded, device_type="cpu")
    model.encode()
    assert Recorded.made == 1


def test_a_model_with_recordings_is_copied_and_saved(model: Model, tmp_path: Any) -> None:
    want = model.encode()
    other = Model(copy.deepcopy(model.model))
    same(other.encode(), want)
    assert Recorded.made == 1
    model.model.save_pretrained(tmp_path)
    same(Model(GemForConditionalGeneration.from_pretrained(tmp_path)).encode(), want)
