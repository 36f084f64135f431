"""Readers of the published layouts: GEM, PULSE, ECG-CoCa and MEIT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..configuration import GemConfig
from ..errors import GemCheckpointError
from . import llava, meit
from .files import check_files, read_tensors
from .report import LoadReport, account

__all__ = ["LoadReport", "account", "load_published"]


def load_published(
    folder: Path, config: dict[str, Any], device: str | torch.device | None, dtype: torch.dtype | None
) -> Any:
    """A model with its processor from a published folder. Nothing is built before every key is accounted for.

    Args:
        folder: with ``config.json`` (or ``open_clip_config.json``) and safetensors, sharded or not.
        config: the published config.
        device: where to put it; the CPU when None.
        dtype: of the weights; the files' own when None.

    Raises:
        GemCheckpointError: an unknown layout, or keys, shapes or files that don't fit.
    """
    from ..modeling import GemForConditionalGeneration
    from ..processing import GemProcessor, load_tokenizer

    shapes = check_files(folder)
    if config.get("model_type") == "llava_llama" or any(key.startswith("model.vision_tower.") for key in shapes):
        ours = llava.convert_config(folder, config, shapes)
        rename, ignored = llava.rename, llava.ignored(ours)
    elif any(key.startswith("proj_ecg.") for key in shapes):
        ours, rename, ignored = meit.convert_config(config, shapes), meit.rename, set()
    elif any(key.endswith("ecg.conv1.weight") for key in shapes):
        from .coca import load_coca

        return load_coca(folder, shapes, device, dtype)
    else:
        raise GemCheckpointError(
            "the layout is none of ours, GEM, PULSE, ECG-CoCa or MEIT",
            where=str(folder),
            remedy=f"its first keys are {', '.join(sorted(shapes)[:3])}",
        )
    report = account(on_meta(ours), shapes, rename, ignored)
    if not report.complete:
        raise GemCheckpointError(
            f"the checkpoint does not fit: {report}",
            where=str(folder),
            remedy="give the folder every file of the release",
        )
    model = GemForConditionalGeneration.from_pretrained(
        None, config=ours, state_dict=read_tensors(folder, rename, ignored), dtype=dtype or "auto"
    )
    model.load_report = report
    model.processor = GemProcessor.from_config(ours, load_tokenizer(folder))
    return model.to(device or "cpu").eval()  # type: ignore[arg-type]


def on_meta(config: GemConfig) -> torch.nn.Module:
    """The model without memory: keys and shapes only."""
    from ..modeling import GemForConditionalGeneration

    with torch.device("meta"):
        return GemForConditionalGeneration(config)
