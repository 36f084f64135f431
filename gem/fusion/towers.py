"""From the two inputs to projected tokens, on the fastest way that ``gem.kernels.use`` allows.

* The dual projector takes a shared two-layer MLP behind a linear ECG projector, as GEM has.
* A recording takes both towers at up to ``MOST_ROWS`` rows, when nothing is learned.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..encoders.contract import INT16_NORMALIZATIONS
from ..errors import GemConfigError
from ..kernels import chosen
from ..kernels.dual_projector import project_both
from ..kernels.graph import beside, hooked
from .projectors import shared_mlp

MOST_ROWS = 8  # above it the GPU is busy anyway, and a recording keeps all its activations


def grouped(model: Any, tokens: int, weight: Tensor) -> bool:
    """Whether the dual projector does this model's projecting.

    Only where the projectors are the plain layers that it computes: no adapter, no hook, no other activation.

    Args:
        model: a ``GemForConditionalGeneration``.
        tokens: rows of both inputs together.
        weight: with the dtype and device of the work.
    """
    own, shared = model.ecg_projector, model.vision_projector
    if not model.config.share_projector or type(own) is not nn.Linear or shared_mlp(shared) is None:
        return False
    if hooked([own, *shared.modules()]):
        return False
    return chosen("dual_projector", weight, tokens * shared[2].out_features)


def layers(model: Any) -> tuple[tuple[Tensor, Tensor | None], tuple[Tensor, Tensor, Tensor, Tensor]]:
    """The projectors' weights as ``project_both`` takes them."""
    own, shared = model.ecg_projector, model.vision_projector
    return (own.weight, own.bias), (shared[0].weight, shared[0].bias, shared[2].weight, shared[2].bias)


def recordable(model: Any, ecg: Tensor | None, pictures: Any) -> bool:
    """Whether a recording serves this call; else the towers run one after the other, with the same result.

    It takes both inputs as plain batches (no tiles) of at most ``MOST_ROWS`` rows on one GPU, a model in evaluation
    mode without forward hooks, no gradients, and no other recording or compiler at work.
    """
    if ecg is None or not isinstance(pictures, Tensor) or pictures.dim() != 4 or ecg.dim() != 3:
        return False
    if model.training or torch.is_grad_enabled() or len(ecg) > MOST_ROWS or torch.compiler.is_compiling():
        return False
    if ecg.device != pictures.device or ecg.device.type != model.graphs.device_type:
        return False
    if ecg.is_cuda and torch.cuda.is_current_stream_capturing():
        return False
    return chosen("towers", pictures, pictures.numel(), grad=False) and not hooked(model.tower_modules())


def n_tokens(model: Any, ecg: Tensor | None, n_pictures: int) -> int:
    """Tokens of both inputs together, tiles counted as pictures."""
    signal = 0 if ecg is None else len(ecg) * (model.ecg_encoder.n_tokens if ecg.dim() == 3 else 1)
    return int(signal + (n_pictures * model.vision_encoder.n_tokens if n_pictures else 0))


def stays_raw(model: Any, ecg: Tensor | None, pictures: Any) -> bool:
    """Whether tokens may wait for the merge to be projected: nobody else needs them before, and the dual projector will do it."""
    if pictures is not None and not (isinstance(pictures, Tensor) and pictures.dim() == 4):
        return False
    if model.config.fusion != "tokens" or model.config.class_names:
        return False
    total = n_tokens(model, ecg, 0 if pictures is None else len(pictures))
    return grouped(model, total, next(model.parameters()))


def tokens(model: Any, ecg: Tensor | None, pictures: Any, raw: bool) -> tuple[Any, Any]:
    """Both inputs' tokens, None where there is none.

    Args:
        model: a ``GemForConditionalGeneration``.
        ecg: (B, leads, samples), (B, width) features, or None.
        pictures: (B, 3, H, W), B tensors of tiles (tiles, 3, H, W), or None.
        raw: the encoders' own tokens, not projected.

    Returns:
        (B, tokens, hidden) each, or as wide as the encoders where ``raw``; tiles count as rows.
    """
    if ecg is not None and recordable(model, ecg, pictures):
        two = model.graphs(lambda a, b: _both(model, a, b, raw, True), (ecg, pictures), model.tower_modules(), raw)
        return two[0], two[1]
    if pictures is not None and not (isinstance(pictures, Tensor) and pictures.dim() == 4):
        pictures = torch.cat(list(pictures))
    return _both(model, ecg, pictures, raw, together=False)


def _signal_tokens(model: Any, ecg: Tensor) -> Tensor:
    if ecg.dtype != torch.int16:
        return model.ecg_encoder(ecg.to(model.dtype))  # type: ignore[no-any-return]
    normalization = (model.config.signal or {}).get("normalization", "none")
    if normalization not in INT16_NORMALIZATIONS:
        raise GemConfigError(f"int16 samples can't be normalized with {normalization!r}", remedy="pass float samples")
    return model.ecg_encoder.from_int16(ecg, zscore=normalization == "zscore")  # type: ignore[no-any-return]


def _both(model: Any, ecg: Tensor | None, pixels: Tensor | None, raw: bool, together: bool) -> tuple[Any, Any]:
    """``together`` runs the ECG tower beside the other."""

    def signal() -> Any:
        if ecg is None:
            return None
        return (ecg[:, None] if ecg.dim() == 2 else _signal_tokens(model, ecg)).to(model.dtype)

    def picture() -> Any:
        return None if pixels is None else model.vision_encoder(pixels.to(model.dtype))

    rows, paper = beside(signal, picture, model.device) if together else (signal(), picture())
    if raw:
        return rows, paper
    shared = model.vision_projector
    if rows is not None and paper is not None and grouped(model, n_tokens(model, ecg, len(paper)), rows):
        n = rows.shape[0] * rows.shape[1]
        out = project_both(rows.flatten(0, 1), paper.flatten(0, 1), *layers(model))
        return out[:n].unflatten(0, rows.shape[:2]), out[n:].unflatten(0, paper.shape[:2])
    if rows is not None:
        rows = model.ecg_projector(rows)
        if model.config.share_projector and shared is not None:
            rows = shared(rows)
    return rows, paper if paper is None else shared(paper)
