"""From the two inputs to projected tokens, by the fastest implementation that ``gem.kernels.use`` allows.

* The dual projector computes a shared two-layer MLP after a linear ECG projector, as GEM has.
* A CUDA graph replays both towers for batches of up to ``MAX_GRAPH_ROWS`` rows, outside training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..encoders.contract import INT16_NORMALIZATIONS
from ..errors import GemConfigError, GemInputError
from ..kernels import kernel_selected
from ..kernels.graph import has_forward_hooks, run_concurrently
from .projectors import shared_mlp
from .tiles import merge_tiles

MAX_GRAPH_ROWS = 8  # larger batches keep the GPU busy without a graph, and a graph holds all its activations


def check_ecg(model: Any, ecg: Tensor) -> None:
    """Check the shape of the ECG input.

    Args:
        model: a ``GemForConditionalGeneration``.
        ecg: should be (B, leads, samples) as in the signal contract, or (B, width) features.

    Raises:
        GemInputError: it is not, or the model has no ECG encoder.
    """
    if model.ecg_encoder is None:
        raise GemInputError("this model has no ECG encoder", remedy="pass the picture as pixel_values")
    contract = model.config.signal
    if ecg.dim() == 2 and ecg.shape[1] == model.ecg_encoder.width:
        return
    if ecg.dim() != 3 or contract is None:
        raise GemInputError(
            f"ecg has shape {tuple(ecg.shape)}",
            remedy=f"pass (batch, leads, samples), or features (batch, {model.ecg_encoder.width})",
        )
    wanted = (len(contract["leads"]), contract["n_samples"])
    if tuple(ecg.shape[1:]) != wanted:
        raise GemInputError(
            f"ecg has {ecg.shape[1]} leads x {ecg.shape[2]} samples, the encoder takes {wanted[0]} x {wanted[1]} "
            f"at {contract['fs_hz']:g} Hz",
            remedy="let model.processor bring the recording to the signal contract",
        )


def check_pictures(model: Any, pixel_values: Tensor | Sequence[Tensor]) -> None:
    """Check the shape of the pictures.

    Args:
        model: a ``GemForConditionalGeneration``.
        pixel_values: should be (B, 3, H, W), or B tensors (tiles, 3, H, W), of the encoder's size.

    Raises:
        GemInputError: they are not, or the model has no vision encoder.
    """
    if model.vision_encoder is None:
        raise GemInputError("this model has no vision encoder", remedy="pass the signal as ecg")
    wanted = (3, *model.vision_encoder.image_size)
    for i, picture in enumerate(pixel_values):
        tiled = not isinstance(pixel_values, Tensor) or pixel_values.dim() == 5
        if picture.dim() != (4 if tiled else 3) or tuple(picture.shape[-3:]) != wanted:
            raise GemInputError(
                f"the picture has shape {tuple(picture.shape)}, the encoder takes {wanted}",
                where=f"row {i}",
                remedy="(B, 3, H, W), or a list of (tiles, 3, H, W); model.processor makes them",
            )


def check_batch(
    model: Any,
    ecg: Tensor | None,
    pixel_values: Tensor | Sequence[Tensor] | None,
    measured: Tensor | None,
    masks: Mapping[str, Tensor | None],
) -> None:
    """Check the shapes of a batch's inputs, and that all have as many rows.

    Args:
        model: a ``GemForConditionalGeneration``.
        ecg: see ``check_ecg``; None where there is none.
        pixel_values: see ``check_pictures``.
        measured: should be (B, values) with the values of the config.
        masks: name -> should be (B,).

    Raises:
        GemInputError: they don't fit the model or each other, or the model has no head for measured values.
    """
    if ecg is not None:
        check_ecg(model, ecg)
    if pixel_values is not None:
        check_pictures(model, pixel_values)
    if measured is not None:
        names = (model.config.measured or {}).get("names")
        if names is None:
            raise GemInputError("this model takes no measured values", remedy="leave measured out")
        if measured.dim() != 2 or measured.shape[1] != len(names):
            raise GemInputError(
                f"measured has shape {tuple(measured.shape)}, the head takes (batch, {len(names)})",
                remedy="let model.processor measure the recording",
            )
    given = (("recordings", ecg), ("pictures", pixel_values), ("rows of measured values", measured))
    counts = {name: len(rows) for name, rows in given if rows is not None}
    if len(set(counts.values())) > 1:
        said = " but ".join(f"{count} {name}" for name, count in counts.items())
        raise GemInputError(f"{said} in one batch")
    size = next(iter(counts.values()), None)
    for name, mask in masks.items():
        if mask is not None and mask.shape != (size,):
            raise GemInputError(f"{name} has shape {tuple(mask.shape)}, not ({size},)")


def uses_dual_projector(model: Any, tokens: int, weight: Tensor) -> bool:
    """Whether the dual projector computes this model's projections.

    Only if the projectors are exactly the layers that it computes: no adapter, no hook, no other activation.

    Args:
        model: a ``GemForConditionalGeneration``.
        tokens: rows of both inputs together.
        weight: with the dtype and device of the work.
    """
    own, shared = model.ecg_projector, model.vision_projector
    if not model.config.share_projector or type(own) is not nn.Linear or shared_mlp(shared) is None:
        return False
    if has_forward_hooks([own, *shared.modules()]):
        return False
    return kernel_selected("dual_projector", weight, tokens * shared[2].out_features)


def projector_weights(model: Any) -> tuple[tuple[Tensor, Tensor | None], tuple[Tensor, Tensor, Tensor, Tensor]]:
    """The projectors' weights as ``project_both`` takes them.

    Args:
        model: a ``GemForConditionalGeneration`` for which ``uses_dual_projector`` is true.
    """
    own, shared = model.ecg_projector, model.vision_projector
    return (own.weight, own.bias), (shared[0].weight, shared[0].bias, shared[2].weight, shared[2].bias)


def can_use_graph(model: Any, ecg: Tensor | None, pictures: Any) -> bool:
    """Whether a CUDA graph can run both towers; otherwise they run one after the other, with the same result.

    It needs both inputs as plain batches (no tiles) of at most ``MAX_GRAPH_ROWS`` rows on one GPU, a model in
    evaluation mode without forward hooks, no gradients, and no other graph capture or compilation in progress.

    Args:
        model: a ``GemForConditionalGeneration``.
        ecg: the ECG input, or None.
        pictures: the picture input, or None.
    """
    if ecg is None or not isinstance(pictures, Tensor) or pictures.dim() != 4 or ecg.dim() != 3:
        return False
    if model.training or torch.is_grad_enabled() or len(ecg) > MAX_GRAPH_ROWS or torch.compiler.is_compiling():
        return False
    if ecg.device != pictures.device or ecg.device.type != model.graphs.device_type:
        return False
    if ecg.is_cuda and torch.cuda.is_current_stream_capturing():
        return False
    return kernel_selected("towers", pictures, pictures.numel(), grad=False) and not has_forward_hooks(
        model.tower_modules()
    )


def count_tokens(model: Any, ecg: Tensor | None, n_pictures: int) -> int:
    """Number of tokens of both inputs together.

    Args:
        model: a ``GemForConditionalGeneration``.
        ecg: the ECG input, or None.
        n_pictures: pictures, or tiles of pictures.
    """
    signal = 0 if ecg is None else len(ecg) * (model.ecg_encoder.n_tokens if ecg.dim() == 3 else 1)
    return int(signal + (n_pictures * model.vision_encoder.n_tokens if n_pictures else 0))


def can_defer_projection(model: Any, ecg: Tensor | None, pictures: Any) -> bool:
    """Whether the merge can project the tokens: the dual projector does it, and nothing needs them projected before.

    Args:
        model: a ``GemForConditionalGeneration``.
        ecg: the ECG input, or None.
        pictures: the picture input, or None.
    """
    if pictures is not None and not (isinstance(pictures, Tensor) and pictures.dim() == 4):
        return False
    if model.config.fusion != "tokens" or model.config.class_names:
        return False
    total = count_tokens(model, ecg, 0 if pictures is None else len(pictures))
    return uses_dual_projector(model, total, next(model.parameters()))


def tokens(model: Any, ecg: Tensor | None, pictures: Any, raw: bool) -> tuple[Any, Any]:
    """Encode both inputs.

    Args:
        model: a ``GemForConditionalGeneration``.
        ecg: (B, leads, samples), (B, width) features, or None.
        pictures: (B, 3, H, W), B tensors of tiles (tiles, 3, H, W), or None.
        raw: leave the tokens as the encoders give them, not projected.

    Returns:
        (B, tokens, hidden) each, or as wide as the encoders where ``raw``; None for an absent input. Tiles are rows.
    """
    if ecg is not None and can_use_graph(model, ecg, pictures):
        two = model.graphs(
            lambda a, b: _encode_both(model, a, b, raw, True), (ecg, pictures), model.tower_modules(), raw
        )
        return two[0], two[1]
    if pictures is not None and not (isinstance(pictures, Tensor) and pictures.dim() == 4):
        pictures = torch.cat(list(pictures))
    return _encode_both(model, ecg, pictures, raw, concurrent=False)


def picture_rows(model: Any, tokens: Tensor, pixel_values: Tensor | Sequence[Tensor], image_sizes: Any) -> list[Tensor]:
    """Split picture tokens into one sequence per picture; the tiles of a picture are merged.

    Args:
        model: a ``GemForConditionalGeneration``.
        tokens: (pictures or tiles, tokens, hidden), projected.
        pixel_values: (B, 3, H, W), or B tensors (tiles, 3, H, W).
        image_sizes: (width, height) of each picture before tiling, or None.

    Returns:
        B tensors (tokens, hidden).
    """
    if isinstance(pixel_values, Tensor) and pixel_values.dim() == 4:
        return list(tokens)
    pinpoints, tile_px = (model.config.picture or {}).get("grid_pinpoints", []), model.vision_encoder.image_size[0]
    newline, rows = getattr(model, "image_newline", None), []
    for i, picture in enumerate(tokens.split([len(tiles) for tiles in pixel_values])):
        size = None if image_sizes is None else (int(image_sizes[i][0]), int(image_sizes[i][1]))
        rows.append(merge_tiles(picture, size, model.config.merge, pinpoints, tile_px, newline))
    return rows


def _signal_tokens(model: Any, ecg: Tensor) -> Tensor:
    if ecg.dtype != torch.int16:
        return model.ecg_encoder(ecg.to(model.dtype))  # type: ignore[no-any-return]
    normalization = (model.config.signal or {}).get("normalization", "none")
    if normalization not in INT16_NORMALIZATIONS:
        raise GemConfigError(f"int16 samples can't be normalized with {normalization!r}", remedy="pass float samples")
    return model.ecg_encoder.from_int16(ecg, zscore=normalization == "zscore")  # type: ignore[no-any-return]


def _encode_both(model: Any, ecg: Tensor | None, pixels: Tensor | None, raw: bool, concurrent: bool) -> tuple[Any, Any]:
    """With ``concurrent`` both towers run at the same time, on two CUDA streams."""

    def signal() -> Any:
        if ecg is None:
            return None
        return (ecg[:, None] if ecg.dim() == 2 else _signal_tokens(model, ecg)).to(model.dtype)

    def picture() -> Any:
        return None if pixels is None else model.vision_encoder(pixels.to(model.dtype))

    rows, paper = run_concurrently(signal, picture, model.device) if concurrent else (signal(), picture())
    if raw:
        return rows, paper
    shared = model.vision_projector
    if (
        rows is not None
        and paper is not None
        and uses_dual_projector(model, count_tokens(model, ecg, len(paper)), rows)
    ):
        from ..kernels.dual_projector import project_both

        n = rows.shape[0] * rows.shape[1]
        out = project_both(rows.flatten(0, 1), paper.flatten(0, 1), *projector_weights(model))
        return out[:n].unflatten(0, rows.shape[:2]), out[n:].unflatten(0, paper.shape[:2])
    if rows is not None:
        rows = model.ecg_projector(rows)
        if model.config.share_projector and shared is not None:
            rows = shared(rows)
    return rows, paper if paper is None else shared(paper)
