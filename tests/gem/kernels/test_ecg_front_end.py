"""The int16 front end against float64, and against the encoders' own float path."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from gem import GemInputError
from gem.encoders import build_encoder
from gem.kernels import use
from gem.kernels.ecg_front_end import embed_int16, embed_op
from gem.kernels.int16_samples import MISSING, decoded, reference

# records, leads, samples, patch, width, class token, z-score, gain and baseline
CASES: dict[str, tuple[int, int, int, int, int, bool, bool, bool]] = {
    "one of each": (1, 1, 1, 1, 1, False, False, False),
    "coca": (2, 12, 200, 50, 32, True, False, False),
    "101 samples, primes": (3, 2, 101, 7, 13, False, True, True),
    "577 samples, one patch of 101 and a rest": (1, 3, 577, 101, 3, True, True, True),
    "more than one row tile": (3, 2, 577, 5, 67, False, False, True),
    "no record": (0, 2, 20, 5, 3, True, True, False),
}


def inputs(device: str, case: str, dtype: torch.dtype, seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    records, leads, length, patch, width, cls, zscore, gain = CASES[case]
    samples = torch.randint(-2000, 2000, (records, leads, length), dtype=torch.int16)
    if length > 20 and records:
        samples[0, 0, 5:17] = MISSING
        samples[-1, -1] = MISSING  # a missing lead
        samples[-1, 0, -3:] = 32767
    if leads > 2 and records:
        samples[0, 1] = 1234  # a flat lead
    tokens = length // patch + cls
    values: dict[str, Any] = {
        "weight": torch.randn(width, leads, patch) / (leads * patch) ** 0.5,
        "bias": torch.randn(width),
        "position": torch.randn(tokens, width),
    }
    if cls:
        values["cls"] = torch.randn(width)
    values = {name: value.to(device, dtype).requires_grad_() for name, value in values.items()}
    values["probe"] = torch.full((records, leads, length), 7.0, device=device, requires_grad=True)
    if gain:
        values["gain"] = torch.randint(200, 2000, (records, leads)).float().to(device)
        values["gain"][-1, 0] = 0.0  # an absent lead, whatever its samples hold
        values["baseline"] = torch.randint(-300, 300, (records, leads)).float().to(device)
    return {**values, "samples": samples.to(device), "zscore": zscore}


def gradients(values: dict[str, Any], out: Tensor) -> dict[str, Tensor]:
    torch.manual_seed(5)
    seed = torch.randn(out.shape).to(out.device, out.dtype)
    wanted = {name: v for name, v in values.items() if isinstance(v, Tensor) and v.requires_grad}
    found = torch.autograd.grad((out * seed).sum(), list(wanted.values()))
    return dict(zip(wanted, found, strict=True))


def exact(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: v.detach().double().requires_grad_(v.requires_grad)
        if isinstance(v, Tensor) and v.is_floating_point()
        else v
        for name, v in values.items()
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", CASES)
def test_forward_and_backward(kernels: str, close: Any, case: str, dtype: torch.dtype) -> None:
    values = inputs(kernels, case, dtype)
    theirs = exact(values)
    got, want = embed_int16(**values), reference(**{"gain": None, "baseline": None, **theirs})
    assert got.dtype == dtype
    close(got, want, 2.0)
    for (name, a), b in zip(gradients(values, got).items(), gradients(theirs, want).values(), strict=True):
        assert a.dtype == values[name].dtype, name
        # the gradient that reaches the signal comes in float32 from weights and gradients of the half's precision
        half = dtype != torch.float32
        close(a.to(dtype) if half else a, b.to(a.device), 3.0)


def test_what_is_missing_gives_and_gets_nothing(kernels: str) -> None:
    values = inputs(kernels, "coca", torch.float32)
    other = values["samples"].clone()
    signal = decoded(other)
    assert signal.abs().max() < 33
    assert not signal[0, 0, 5:17].any()
    assert not signal[-1, -1].any()
    grad = gradients(values, embed_int16(**values))["probe"]
    assert not grad[0, 0, 5:17].any()
    assert not grad[-1, -1].any()
    assert grad[0, 0, 17:].abs().min() > 0
    values["probe"] = torch.rand_like(values["probe"])
    torch.testing.assert_close(embed_int16(**values), embed_int16(**{**values, "probe": None}))  # never read


def test_zscore_is_the_contracts(kernels: str) -> None:
    values = inputs(kernels, "101 samples, primes", torch.float32)
    known = values["samples"][0, 1].double()
    z = decoded(values["samples"], zscore=True)
    torch.testing.assert_close(z[0, 1].double(), (known - known.mean()) / known.std(correction=0), atol=1e-5, rtol=0)
    offset = values["samples"].clamp(-1000, 1000) // 50 + 20000  # 20 uV of signal on 20 mV of offset
    got, want = (
        embed_int16(**{**v, "samples": offset, "gain": None, "baseline": None}) for v in (values, exact(values))
    )
    # a float32 holds 20 mV to 0.002 uV, whoever subtracts the mean
    torch.testing.assert_close(got.double(), want, atol=5e-4, rtol=0)


def test_not_contiguous(kernels: str, close: Any) -> None:
    values = inputs(kernels, "coca", torch.float32)
    want = embed_int16(**values)
    wide = torch.zeros(2, 12, 400, dtype=torch.int16, device=kernels)
    wide[..., ::2] = values["samples"]
    values["samples"] = wide[..., ::2]
    for name in ("weight", "position"):
        values[name] = values[name].detach().transpose(0, 1).contiguous().transpose(0, 1)
    gain = torch.tensor([1000.0], device=kernels)  # one number for all leads
    close(embed_int16(**{**values, "gain": gain}), want)
    close(embed_int16(**values), want)


@pytest.mark.parametrize("zscore", [False, True])
def test_gradcheck_of_the_reference(zscore: bool) -> None:
    values = exact(inputs("cpu", "101 samples, primes", torch.float32))
    weight, bias, position = (values[name] for name in ("weight", "bias", "position"))
    samples = values["samples"][:, :, :30]
    fixed = {"cls": None, "zscore": zscore}
    assert torch.autograd.gradcheck(
        lambda w, b, p: reference(samples, None, None, w, b, p, **fixed),
        (weight, bias, position[:4].detach().requires_grad_()),
    )
    # the probe's gradient is that of the signal itself: compare it with a signal that can be moved
    probe = torch.zeros(samples.shape, dtype=torch.float64, requires_grad=True)
    direct = (samples.double() / 1000).requires_grad_()
    missing = samples == MISSING

    def normal(mv: Tensor) -> Tensor:
        rows = []
        for row, gone in zip(mv.flatten(0, 1), missing.flatten(0, 1), strict=True):
            known = row[~gone]
            z = torch.zeros_like(row)
            if len(known):
                z[~gone] = (known - known.mean()) / known.std(correction=0) if zscore else known
            rows.append(z)
        return torch.stack(rows).view(mv.shape)

    seed = torch.randn(samples.shape, dtype=torch.float64)
    (got,) = torch.autograd.grad(
        (decoded(samples, zscore=zscore, probe=probe, dtype=torch.float64) * seed).sum(), probe
    )
    (want,) = torch.autograd.grad((normal(direct) * seed).sum(), direct)
    torch.testing.assert_close(got, want.masked_fill(missing, 0.0))


def test_one_graph(kernels: str) -> None:
    values = inputs(kernels, "101 samples, primes", torch.float32)
    run = torch.compile(lambda v: embed_int16(**v).square().sum(), fullgraph=True, backend="aot_eager")
    got, want = run(values), embed_int16(**values).square().sum()
    torch.testing.assert_close(got, want)
    names = ("weight", "bias", "position", "probe")
    for a, b in zip(*(torch.autograd.grad(x, [values[n] for n in names]) for x in (got, want)), strict=True):
        torch.testing.assert_close(a, b)


def test_registration(kernels: str) -> None:
    v = inputs(kernels, "101 samples, primes", torch.float32)
    names = ("samples", "gain", "baseline", "weight", "bias", "position", "cls", "probe", "zscore")
    torch.library.opcheck(embed_op, tuple(v.get(name) for name in names))


@pytest.mark.parametrize(("name", "zscore"), itertools.product(("ecg_patch", "ecg_coca", "ecg_conv"), (False, True)))
def test_the_encoders_take_int16_through_it(kernels: str, name: str, zscore: bool) -> None:
    torch.manual_seed(0)
    small = {"n_samples": 100, "width": 16, "layers": 1} if name != "ecg_conv" else {"n_samples": 100, "widths": [8]}
    heads = {"patch": 20, "heads": 2} if name == "ecg_patch" else {"patch": 20} if name == "ecg_coca" else {}
    encoder = build_encoder(name, {**small, **heads}).to(kernels).eval()
    samples = torch.randint(-1500, 1500, (2, 12, 100), dtype=torch.int16, device=kernels)
    samples[0, 3] = MISSING
    samples[1, :, 90:] = MISSING
    signal = decoded(samples, zscore=zscore).requires_grad_()
    probe = torch.zeros_like(signal, requires_grad=True)
    got, want = encoder.from_int16(samples, zscore, probe), encoder(signal)
    torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-4)
    names = [n for n, _ in encoder.named_parameters()]
    ours, theirs = (
        dict(
            zip(
                names,
                torch.autograd.grad(
                    x.square().mean(), list(encoder.parameters()), allow_unused=True, retain_graph=True
                ),
                strict=True,
            )
        )
        for x in (got, want)
    )
    for key, value in theirs.items():
        if value is not None:
            torch.testing.assert_close(ours[key], value, atol=2e-5, rtol=1e-3, msg=key)
    if not zscore:
        (a,), (b,) = (torch.autograd.grad(x.square().mean(), s) for x, s in ((got, probe), (want, signal)))
        torch.testing.assert_close(a, b.masked_fill(samples == MISSING, 0.0), atol=2e-5, rtol=1e-3)


def test_autocast_computes_in_the_lower_precision(kernels: str, close: Any) -> None:
    values = inputs(kernels, "coca", torch.float32)
    with torch.autocast(kernels, torch.bfloat16):
        got = embed_int16(**values)
        with use("torch"):
            want = embed_int16(**values)
    assert got.dtype == want.dtype == torch.float32
    close(got.to(torch.bfloat16), want)
    assert (got - embed_int16(**values)).abs().max() > 1e-4


def test_what_does_not_fit_is_refused() -> None:
    values = inputs("cpu", "coca", torch.float32)
    with pytest.raises(GemInputError, match="float32"):
        embed_int16(**{**values, "samples": values["samples"].float()})
    with pytest.raises(GemInputError, match=r"\(5, 32\)"):
        embed_int16(**{**values, "position": values["position"][1:]})
