"""The dual projector against float64 and against the model's own layers: forward, backward, placed and not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gem import GemConfig, GemForConditionalGeneration, GemInputError
from gem.fusion import towers
from gem.fusion.projectors import build_projector, shared_mlp
from gem.kernels import use
from gem.kernels.dual_projector import _op, project_both, reference
from gem.kernels.merge_plan import reference_plan

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
# ECG rows, picture rows, ECG width, width, inner, hidden
SHAPES = {
    "one row": (1, 1, 3, 5, 7, 2),
    "prime": (101, 577, 13, 31, 67, 37),
    "no ECG": (0, 9, 4, 8, 8, 8),
    "no picture": (101, 0, 4, 8, 8, 8),
    "tiles that fit": (2, 130, 64, 64, 128, 128),
}


def weights(device: str, ecg_width: int, width: int, inner: int, hidden: int) -> list[torch.Tensor]:
    shapes = [(width, ecg_width), (width,), (inner, width), (inner,), (hidden, inner), (hidden,)]
    return [torch.randn(s, device=device) / (s[-1] ** 0.5 if len(s) > 1 else 1) for s in shapes]


def run(values: list[torch.Tensor], placed: tuple[torch.Tensor, ...] = ()) -> torch.Tensor:
    ecg, picture, we, be, *layers = values[:8]
    text = values[8] if placed else None
    return project_both(ecg, picture, (we, be), tuple(layers), text, *placed)  # type: ignore[arg-type]


def both_ways(
    values: list[torch.Tensor], dtype: torch.dtype, close: Any, placed: tuple[torch.Tensor, ...] = ()
) -> None:
    ours = [v.to(dtype).requires_grad_() for v in values]
    theirs = [v.detach().double().requires_grad_() for v in ours]
    got = run(ours, placed)
    with use("torch"):
        want = run(theirs, placed)
    weight = torch.randn(got.shape, device=got.device, dtype=dtype)
    a, b = torch.autograd.grad(got, ours, weight), torch.autograd.grad(want, theirs, weight.double())
    close(got, want)
    for mine, ref in zip(a, b, strict=True):
        close(mine, ref)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_backward(kernels: str, close: Any, shape: str, dtype: torch.dtype) -> None:
    n, m, *widths = SHAPES[shape]
    values = [torch.randn(n, widths[0], device=kernels), torch.randn(m, widths[1], device=kernels)]
    both_ways([*values, *weights(kernels, *widths)], dtype, close)


def plan(device: str, left: bool) -> tuple[tuple[torch.Tensor, ...], tuple[int, int, int, int]]:
    """Four records: both inputs, ECG alone, neither, picture alone; the last row is too long and loses tokens."""
    counts, long = [(3, 4), (2, 0), (0, 0), (0, 9)], 6
    ids = torch.randint(1, 9, (4, long), device=device)
    ids[[0, 1, 3], [2, 0, 5]] = -200
    mask = torch.ones_like(ids)
    mask[1, -2:] = 0
    starts = [torch.tensor([0, *(c[k] for c in counts)], device=device).cumsum(0) for k in (0, 1)]
    out = reference_plan(ids, mask, ids, starts[0], starts[1], 5, 13, -200, 12, left)
    return (out[3], out[4]), (4, long, 5, 13)


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_go_to_their_places(kernels: str, close: Any, dtype: torch.dtype, left: bool) -> None:
    placed, (rows, long, n, m) = plan(kernels, left)
    assert (placed[1] < 0).any(), "some row goes nowhere"
    values = [torch.randn(n, 3, device=kernels), torch.randn(m, 11, device=kernels), *weights(kernels, 3, 11, 13, 17)]
    both_ways([*values, torch.randn(rows, long, 17, device=kernels)], dtype, close, placed)


def test_not_contiguous_and_frozen(kernels: str, close: Any) -> None:
    ecg, picture = torch.randn(4, 7, device=kernels).T, torch.randn(5, 22, device=kernels)[:, ::2]
    we, be, *layers = weights(kernels, 4, 11, 6, 10)
    layers[0] = layers[0].T.contiguous().T
    ecg.requires_grad_()
    got = project_both(ecg, picture, (we, be), tuple(layers))  # type: ignore[arg-type]
    with use("torch"):
        want = project_both(ecg, picture, (we, be), tuple(layers))  # type: ignore[arg-type]
    close(got, want)
    close(torch.autograd.grad(got.sum(), ecg)[0], torch.autograd.grad(want.sum(), ecg)[0])
    with torch.no_grad():
        close(project_both(ecg, picture, (we, be), tuple(layers)), want)  # type: ignore[arg-type]


def test_what_is_kept_for_the_backward_pass(kernels: str) -> None:
    values = [torch.randn(5, 3), torch.randn(9, 11), *weights("cpu", 3, 11, 4096, 17)]
    values = [v.to(kernels).requires_grad_() for v in values]
    kept: dict[str, list[int]] = {}
    for name in ("triton", "torch"):
        sizes = kept.setdefault(name, [])
        with (
            use(name),
            torch.autograd.graph.saved_tensors_hooks(lambda x, s=sizes: (s.append(x.numel()), x)[1], lambda x: x),
        ):
            run(values)
    # of the hidden layer only what comes before the GELU, once
    assert kept["triton"].count(14 * 4096) == 1
    assert kept["torch"].count(14 * 4096) == 2


def test_gradcheck_of_the_reference(kernels: str) -> None:
    placed, (rows, long, n, m) = plan(kernels, True)
    values = [torch.randn(n, 4), torch.randn(m, 4), *weights("cpu", 4, 4, 3, 2)[2:], torch.randn(rows, long, 2)]
    values = [v.double().to(kernels).requires_grad_() for v in values]
    assert torch.autograd.gradcheck(lambda *v: reference(*v, source=placed[0]), values)


def test_autocast(kernels: str, close: Any) -> None:
    values = [
        v.to(kernels).requires_grad_() for v in (torch.randn(3, 4), torch.randn(5, 8), *weights("cpu", 4, 8, 6, 7))
    ]
    with torch.autocast(kernels, torch.bfloat16):
        got = run(values)
    assert got.dtype == torch.bfloat16
    with use("torch"):
        close(got, run(values))
    assert all(g.dtype == torch.float32 for g in torch.autograd.grad(got.sum(), values))


def test_one_graph(kernels: str) -> None:
    placed, (rows, long, n, m) = plan(kernels, False)
    values = [torch.randn(n, 3), torch.randn(m, 11), *weights("cpu", 3, 11, 13, 17), torch.randn(rows, long, 17)]
    values = [v.to(kernels).requires_grad_() for v in values]
    out = torch.compile(lambda v: run(v, placed).square().sum(), fullgraph=True, backend="aot_eager")(values)
    for a, b in zip(
        torch.autograd.grad(out, values), torch.autograd.grad(run(values, placed).square().sum(), values), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_registration(kernels: str) -> None:
    placed, (rows, long, n, m) = plan(kernels, False)
    layers = [v.requires_grad_() for v in weights(kernels, 3, 5, 6, 7)[2:]]
    rows_in = [torch.randn(n, 5, device=kernels, requires_grad=True), torch.randn(m, 5, device=kernels)]
    torch.library.opcheck(_op, (*rows_in, *layers, torch.randn(rows, long, 7, device=kernels), *placed, True))


def test_what_does_not_fit(kernels: str) -> None:
    values = [torch.randn(5, 3), torch.randn(9, 10), *weights("cpu", 3, 11, 4, 17)]
    with pytest.raises(GemInputError, match="widths"):
        run(values)
    values[1] = torch.randn(9, 11)
    with pytest.raises(GemInputError, match="half a plan"):
        project_both(*values[:2], (values[2], values[3]), tuple(values[4:]), text=torch.randn(1, 2, 17))  # type: ignore[arg-type]


def test_which_projectors_it_stands_for() -> None:
    assert shared_mlp(build_projector({"type": "mlp2x_gelu"}, 4, 8)) is not None
    for kind in ("linear", "identity", "mlp3x_gelu"):
        assert shared_mlp(build_projector({"type": kind}, 4, 8)) is None
    other = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU("tanh"), torch.nn.Linear(8, 8))
    assert shared_mlp(other) is None


def tiny(**changes: Any) -> GemForConditionalGeneration:
    """A tiny model with GEM's own wiring."""
    text = {
        "model_type": "llama",
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": None,
    }
    clip = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "patch_size": 14,
        "image_size": 28,
    }
    config = {
        "ecg_encoder": {"name": "ecg_coca", "kwargs": {"n_samples": 100, "width": 64, "layers": 1, "embed_dim": 16}},
        "vision_encoder": {"name": "clip_vision", "kwargs": {"config": clip}},
        "text_config": text,
        "ecg_projector": {"type": "linear", "width": 32},
        "share_projector": True,
        **changes,
    }
    torch.manual_seed(0)
    return GemForConditionalGeneration(GemConfig(**config))


def batch(device: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    ids = torch.randint(3, 60, (3, 7))
    ids[[0, 1, 2], [1, 4, 0]] = -200
    mask = torch.ones_like(ids)
    mask[1, -2:] = 0
    labels = torch.where((ids > 0) & (mask > 0), ids, -100)
    values = {
        "input_ids": ids,
        "attention_mask": mask,
        "ecg": torch.randn(3, 12, 100),
        "pixel_values": torch.randn(3, 3, 28, 28),
    }
    masks = {"ecg_mask": torch.tensor([True, False, True]), "pixel_mask": torch.tensor([True, True, False])}
    return {name: value.to(device) for name, value in {**values, **masks, "labels": labels}.items()}


@pytest.mark.parametrize("changes", [{}, {"class_names": ["a", "b"]}], ids=["placed", "with a classification head"])
def test_the_model_goes_through_it(kernels: str, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    import gem.kernels.dual_projector

    calls: list[bool] = []

    def spy(*args: Any, **more: Any) -> torch.Tensor:
        calls.append(len(args) > 4)
        return project_both(*args, **more)

    monkeypatch.setattr(gem.kernels.dual_projector, "project_both", spy)
    model, values = tiny(**changes).to(kernels).train(), batch(kernels)
    results = {}
    for mode in ("torch", "triton"):
        model.zero_grad()
        with use(mode):
            out = model(**values)
            out.loss.backward()
        results[mode] = (out, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        assert bool(calls) == (mode == "triton")
    assert calls == [not changes], "placed straight away where no head needs the tokens first"
    (want, want_grads), (got, got_grads) = results["torch"], results["triton"]
    torch.testing.assert_close(got.logits, want.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(got.loss, want.loss)
    for a, b in zip(got.vision_tokens, want.vision_tokens, strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.allclose(a, b, atol=1e-4)
    assert got_grads.keys() == want_grads.keys()
    for name, grad in want_grads.items():
        torch.testing.assert_close(got_grads[name], grad, atol=1e-4, rtol=1e-3, msg=name)


def test_one_input_alone_and_generation(kernels: str) -> None:
    model, values = tiny().to(kernels).eval(), batch(kernels)
    for name in ("ecg", "pixel_values"):
        alone = {"input_ids": values["input_ids"], "attention_mask": values["attention_mask"], name: values[name]}
        outs = []
        for mode in ("torch", "triton"):
            with use(mode), torch.no_grad():
                outs.append(model(**alone))
        torch.testing.assert_close(outs[1].logits, outs[0].logits, atol=1e-4, rtol=1e-4)
        assert (outs[1].ecg_tokens is None) == (outs[0].ecg_tokens is None) == (name != "ecg")
    given = {name: values[name] for name in ("input_ids", "attention_mask", "ecg", "pixel_values")}
    texts = []
    for mode in ("torch", "triton"):
        with use(mode):
            texts.append(model.generate(**given, max_new_tokens=3, do_sample=False))
    assert torch.equal(*texts)


def test_adapters_and_hooks_keep_their_own_way(kernels: str) -> None:
    model = tiny().to(kernels)
    weight = model.ecg_projector.weight  # type: ignore[union-attr]
    assert towers.uses_dual_projector(model, 5, weight)
    handle = model.vision_projector[0].register_forward_hook(lambda *_: None)  # type: ignore[index]
    assert not towers.uses_dual_projector(model, 5, weight)
    handle.remove()
    assert towers.uses_dual_projector(model, 5, weight)
    model.vision_projector[2] = torch.nn.Sequential(model.vision_projector[2])  # type: ignore[index]
    assert not towers.uses_dual_projector(model, 5, weight)
    assert not towers.uses_dual_projector(tiny(share_projector=False, ecg_projector=None).to(kernels), 5, weight)
