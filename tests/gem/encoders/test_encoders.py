"""Every registered encoder keeps its promises: shape, gradient, batch = one by one."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
import torch

import gem
from gem.encoders import ENCODERS, Encoder, SignalContract, build_encoder, check_encoder
from gem.encoders.checking import example_input
from gem.encoders.table import encoder_table
from grounding.errors import EcgRegistryError

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", gem.list_encoders())
def test_promises(name: str) -> None:
    check_encoder(name)


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        (lambda self, x: self.body(x)[:, :1], "gives"),
        (lambda self, x: self.body(x) / 0, "finite"),
        (lambda self, x: self.body(x - x.mean()), "others in the batch"),
        (lambda self, x: self.body(x).detach().requires_grad_(), "no gradient"),
    ],
)
def test_a_broken_promise_is_named(forward: Any, said: str) -> None:
    class Broken(Encoder):
        """Sees: nothing. Architecture: broken. Source: this test."""

        def __init__(self) -> None:
            super().__init__()
            self.body = build_encoder("ecg_patch", ENCODERS["ecg_patch"].tiny)
            self.width, self.n_tokens, self.contract = self.body.width, self.body.n_tokens, self.body.contract

    Broken.forward = forward
    gem.register_encoder(Broken)
    try:
        with pytest.raises(gem.GemConfigError, match=said):
            check_encoder("Broken")
    finally:
        del ENCODERS._entries["Broken"]


def test_the_table_in_the_docs_is_the_code() -> None:
    """python -m gem.encoders.table > docs/encoders.csv"""
    assert (ROOT / "docs" / "encoders.csv").read_text() == encoder_table()
    rows = list(csv.DictReader(io.StringIO(encoder_table())))
    assert [row["name"] for row in rows] == gem.list_encoders()
    assert all(row["sees"] and row["architecture"] and row["source"] for row in rows)


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


@pytest.mark.parametrize("name", gem.list_encoders("ecg*"))
def test_token_spans_cover_the_signal_in_order(name: str) -> None:
    encoder = build_encoder(name, ENCODERS[name].tiny)
    if encoder.contract is None:
        with pytest.raises(gem.GemConfigError, match="no signal"):
            encoder.token_spans()
        return
    spans = encoder.token_spans()
    assert spans.shape == (encoder.n_tokens, 2)
    placed = spans[spans[:, 1] > spans[:, 0]]
    assert (placed[1:, 0] == placed[:-1, 1]).all()
    assert placed[0, 0] <= 0
    assert placed[-1, 1] >= encoder.contract.n_samples


@pytest.mark.parametrize("name", ["ecg_patch", "ecg_coca"])
def test_a_patch_token_is_made_of_its_span(name: str) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(name, ENCODERS[name].tiny).eval()
    encoder.register_module("blocks" if name == "ecg_patch" else "transformer", torch.nn.Identity())  # no attention
    assert encoder.contract is not None
    x = torch.randn(1, 12, encoder.contract.n_samples, requires_grad=True)
    tokens, at = encoder(x)[0], torch.arange(encoder.contract.n_samples)
    for i in (0, 1, encoder.n_tokens - 1):
        start, end = encoder.token_spans()[i]
        (grad,) = torch.autograd.grad((tokens[i] * torch.randn(encoder.width)).sum(), x, retain_graph=True)
        share = grad[0].abs().sum(0)
        assert not share[(at < start) | (at >= end)].any()
        assert bool(share.any()) == (end > start)  # ECG-CoCa's first token is of no sample


def test_a_convolution_token_has_its_middle_in_its_span() -> None:
    encoder = build_encoder("ecg_conv", ENCODERS["ecg_conv"].tiny).eval()
    encoder.register_module("norm", torch.nn.Identity())
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv1d):
            torch.nn.init.constant_(module.weight, 0.01)  # every path counts alike
    assert encoder.contract is not None
    x = torch.ones(1, 12, encoder.contract.n_samples, requires_grad=True)
    tokens = encoder(x)[0]
    for i in (encoder.n_tokens // 3, encoder.n_tokens // 2):
        start, end = encoder.token_spans()[i]
        (grad,) = torch.autograd.grad(tokens[i].sum(), x, retain_graph=True)
        share = grad[0].sum(0)
        assert float((share * torch.arange(len(share))).sum() / share.sum()) == pytest.approx(
            (start + end) / 2, abs=0.5
        )


class _Windowed(Encoder):
    """Sees: a signal. Architecture: a window, one layer. Source: this test."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.contract = SignalContract(fs_hz=100.0, n_samples=1000)
        self.width, self.n_tokens = width, 10
        self.project = torch.nn.Linear(1200, width)
        self.set_window()

    def set_window(self) -> None:
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        windowed = x.unflatten(2, (10, 100)) * self.window_of()
        tokens: torch.Tensor = self.project(windowed.permute(0, 2, 1, 3).flatten(2))
        return tokens

    def window_of(self) -> Any:
        return self.window


def _as_buffer(self: Any) -> None:
    self.register_buffer("window", torch.hann_window(100), persistent=False)


def _as_attribute(self: Any) -> None:
    self.window = torch.hann_window(100)


def _in_a_list(self: Any) -> None:
    self.windows = [torch.hann_window(100)]
    type(self).window = property(lambda own: own.windows[0])


def _as_numbers(self: Any) -> None:
    self.window = float(torch.linspace(0, 1, 5)[3])


def _from_numpy(self: Any) -> None:
    self.register_buffer("window", torch.from_numpy(torch.hann_window(100).numpy()), persistent=False)


def _at_random(self: Any) -> None:
    self.window = torch.rand(100).tolist()
    type(self).window_of = lambda own: torch.tensor(own.window)


@pytest.mark.parametrize("window", [_as_buffer, _as_attribute, _in_a_list, _as_numbers, _from_numpy, _at_random])
def test_an_encoder_is_the_same_after_loading(window: Any, tmp_path: Path) -> None:
    """Whatever it computes when it is built and no file holds; what differs each time is refused."""
    kind = type("Windowed", (_Windowed,), {"set_window": window, "__doc__": _Windowed.__doc__})
    gem.register_encoder(kind)
    try:
        if window is _at_random:
            with pytest.raises(gem.GemConfigError, match="after saving and loading"):
                check_encoder("Windowed")
            return
        check_encoder("Windowed")
        narrow = {"type": "linear", "width": 4}
        made = gem.GemConfig(ecg_encoder={"name": "Windowed"}, fusion="none", ecg_projector=narrow, class_names=["A"])
        model = gem.GemForConditionalGeneration(made).eval()
        model.save_pretrained(tmp_path)
        before = torch.random.get_rng_state()
        rubbish = [torch.full((100,), torch.nan) for _ in range(50)]  # what uninitialised memory would hold
        del rubbish
        loaded = gem.GemForConditionalGeneration.from_pretrained(tmp_path)
        assert torch.equal(torch.random.get_rng_state(), before)
        x = torch.randn(2, 12, 1000)
        assert torch.equal(loaded.classify(ecg=x), model.classify(ecg=x))
    finally:
        del ENCODERS._entries["Windowed"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", gem.list_encoders())
def test_weights_in_16_bits(name: str, dtype: torch.dtype) -> None:
    encoder = build_encoder(name, ENCODERS[name].tiny).eval()
    x = example_input(encoder)
    with torch.no_grad():
        whole, half = encoder(x), encoder.to(dtype)(x.to(dtype))
    assert half.dtype == dtype
    assert torch.isfinite(half).all()
    assert (half.float() - whole).abs().mean() < 0.1 * whole.abs().mean() + 0.02


def _tied(self: Any) -> None:
    self.first, self.second = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
    self.second.weight = self.first.weight
    self.window = torch.ones(100)


def _lazy(self: Any) -> None:
    self.window = torch.ones(100)
    self.last = torch.nn.LazyLinear(8)


@pytest.mark.parametrize(("window", "said"), [(_tied, "one tensor"), (_lazy, "from the first input")])
def test_weights_that_can_not_be_saved_are_named(window: Any, said: str) -> None:
    kind = type("Windowed", (_Windowed,), {"set_window": window, "__doc__": _Windowed.__doc__})
    gem.register_encoder(kind)
    try:
        with pytest.raises(gem.GemConfigError, match=said):
            check_encoder("Windowed")
    finally:
        del ENCODERS._entries["Windowed"]


def test_what_is_no_encoder_is_refused() -> None:
    with pytest.raises(gem.GemConfigError, match="no encoder class"):
        gem.register_encoder(lambda: None)
    with pytest.raises(gem.GemConfigError, match="no encoder class"):
        gem.register_encoder(name="plain")(torch.nn.Linear)
    with pytest.raises(EcgRegistryError, match="imported first"):
        build_encoder("somebodys_own")

    class Bare(Encoder):
        """Sees: a page. Architecture: none. Source: this test."""

        kind = "vision"

        def __init__(self) -> None:
            super().__init__()
            self.width, self.n_tokens, self.image_size = 1, 1, (8, 8)

    gem.register_encoder(Bare)
    try:
        with pytest.raises(gem.GemConfigError, match="it has no mean, std"):
            check_encoder("Bare")
    finally:
        del ENCODERS._entries["Bare"]
