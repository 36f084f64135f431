"""Readers of the published layouts: GEM, PULSE, ECG-CoCa, MEIT and two foundation encoders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import GemCheckpointError
from ..untrusted import as_checkpoint_error
from . import foundation, llava, meit
from .building import CONTRADICTION, TOKEN_SETTINGS, build_model, compare_keys, read_generation, set_generation
from .files import check_files
from .quantized import no_decoder, placed


def load_published(
    folder: Path,
    config: dict[str, Any],
    device: str | torch.device | None,
    dtype: torch.dtype | None,
    towers: Mapping[str, torch.Tensor] | None = None,
    quantization: Any = None,
) -> Any:
    """Load a model with its processor from a published folder; it is built only if every key is accounted for.

    Args:
        folder: with ``config.json`` (or ``open_clip_config.json``) and safetensors, sharded or not.
        config: the published config.
        device: where to put it; the CPU when None.
        dtype: of the weights; the files' own when None.
        towers: published key -> tensor of towers that the folder lacks (see ``gem.checkpoints.convert``).
        quantization: as in ``gem.checkpoints.building.build_from_tensors``.

    Raises:
        GemCheckpointError: an unknown layout, or keys, shapes or files that don't fit.
    """
    from ..modeling import GemForConditionalGeneration
    from ..processing import GemProcessor
    from ..tokenizer import load_tokenizer

    extra = dict(towers or {})
    with as_checkpoint_error(folder, "the weights can't be read"):
        shapes = check_files(folder)
    twice = sorted(set(shapes) & set(extra))
    if twice:
        raise GemCheckpointError(
            f"the folder holds this tower already ({twice[0]})",
            where=str(folder),
            remedy="convert it without the tower's file",
        )
    shapes |= {key: tuple(value.shape) for key, value in extra.items()}
    if llava.is_llava(config, shapes):
        reader = llava.read_layout
    elif any(key.startswith("proj_ecg.") for key in shapes):
        reader = meit.read_layout
    elif foundation.is_foundation(shapes):
        reader = foundation.read_layout
    elif any(key.endswith("ecg.conv1.weight") for key in shapes):
        from .coca import load_coca

        if quantization is not None:
            raise no_decoder()
        return load_coca(folder, shapes, device, dtype)
    else:
        raise GemCheckpointError(
            "the layout is none of ours, GEM, PULSE, ECG-CoCa, ECG-Chat, MEIT, ECGFounder or ECG-FM",
            where=str(folder),
            remedy=f"its first keys are {', '.join(sorted(shapes)[:3])}",
        )
    with as_checkpoint_error(folder, CONTRADICTION):
        layout = reader(folder, config, shapes)
    report = compare_keys(folder, GemForConditionalGeneration, layout.config, shapes, layout.rename, layout.ignored)
    if not report.complete:
        lost = {name for name in ("ecg_encoder", "vision_encoder") if f"{name}." in "".join(report.missing)}
        remedy = "give the folder every file of the release"
        if lost:
            remedy = (
                "a tower is not among the weights: "
                "gem convert FOLDER OUT --ecg-tower cpt_wfep_epoch_20.pt (--vision-tower CLIP)"
            )
        raise GemCheckpointError(f"the checkpoint does not fit: {report}", where=str(folder), remedy=remedy)
    tokenizer = load_tokenizer(folder)
    more = {layout.rename(key): value.to(dtype or value.dtype) for key, value in extra.items()}
    # published results are from greedy decoding, so sampling settings in the base model's file are not read
    generation = read_generation(folder, TOKEN_SETTINGS)
    model = build_model(
        folder, GemForConditionalGeneration, layout.config, layout.rename, layout.ignored, dtype, more, quantization
    )
    set_generation(model, generation)
    model.load_report = report
    model.processor = GemProcessor.from_config(layout.config, tokenizer)
    return placed(model, device)
