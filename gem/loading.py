"""``gem.load``: a model with its processor, from a name or a folder, ours or published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from .errors import GemCheckpointError
from .processing import FILE, GemProcessor, load_tokenizer

WEIGHTS = Path(__file__).parent / "weights"


def load(name_or_path: str | Path, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> Any:
    """A model in eval mode, with ``.processor``.

    Args:
        name_or_path: ``"gem-nano"`` (bundled), or a folder: ours, or a published GEM, PULSE, ECG-CoCa or MEIT layout.
        device: where to put it; the CPU when None.
        dtype: of the weights; when None float32 for ours, and what the files hold for a published layout.

    Raises:
        GemCheckpointError: there is no such model, or its files are damaged, incomplete or unsafe to open.
    """
    folder = Path(name_or_path)
    if not folder.exists() and (WEIGHTS / str(name_or_path)).is_dir():
        folder = WEIGHTS / str(name_or_path)
    if not folder.is_dir():
        bundled = sorted(path.name for path in WEIGHTS.glob("*") if path.is_dir())
        raise GemCheckpointError(
            "no such model",
            where=str(name_or_path),
            remedy=f"give a folder, or one of the bundled models: {', '.join(bundled) or 'none'}",
        )
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    if config.get("model_type") not in ("gem", "gem_ecg_coca"):
        from .checkpoints import load_published

        return load_published(folder, config, device, dtype)
    from .checkpoints.files import check_files

    check_files(folder)
    family: Any
    if config["model_type"] == "gem":
        from .modeling import GemForConditionalGeneration as family
    else:
        from .fusion.coca import EcgCocaModel as family
    try:
        model, report = family.from_pretrained(folder, dtype=dtype or torch.float32, output_loading_info=True)
    except RuntimeError as error:  # transformers' word for shapes that don't fit
        raise GemCheckpointError(f"the weights don't fit the config: {error}", where=str(folder)) from None
    wrong = {key: sorted(report[key]) for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if report[key]}
    if wrong:
        raise GemCheckpointError(f"the weights don't fit the config: {wrong}", where=str(folder))
    if (folder / FILE).is_file():
        model.processor = GemProcessor.from_pretrained(folder)
    elif config["model_type"] == "gem_ecg_coca":
        model.processor = GemProcessor(model.ecg.contract, tokenizer=load_tokenizer(folder))
    else:
        model.processor = GemProcessor.from_config(model.config, load_tokenizer(folder))
    return model.to(device or "cpu").eval()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises GemCheckpointError when it is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise GemCheckpointError(f"not JSON ({error})", where=str(path), remedy="copy the file again") from None
    if not isinstance(values, dict):
        raise GemCheckpointError("not a JSON object", where=str(path))
    return values
