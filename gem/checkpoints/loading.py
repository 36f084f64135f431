"""``gem.load``: a model with its processor, from a name or a folder, ours or published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..encoders.contract import SignalContract
from ..errors import GemCheckpointError, GemConfigError
from ..forking import model_building_lock
from ..preparing import FILE
from ..processing import GemProcessor
from ..snapshots import find_folder
from ..tokenizer import load_tokenizer
from ..untrusted import DTYPES, as_checkpoint_error, read_json
from .adapted import MODEL_TYPE
from .quantized import check_quantization, placed

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig


def load(
    name_or_path: str | Path,
    device: str | torch.device | None = None,
    dtype: torch.dtype | str | None = None,
    quantization_config: BitsAndBytesConfig | None = None,
) -> Any:
    """Load a model, in eval mode and with its ``.processor``.

    A folder need not be trusted: none of its code is run, nothing is downloaded, and its config is compared with the
    headers of its weights before a model is built. Several threads may load at once.

    Args:
        name_or_path: ``"gem-nano"`` (bundled), or a folder: ours, or a published GEM, PULSE, ECG-CoCa or MEIT layout;
            or ``owner/name`` of a repository that lies in the hub's local cache.
        device: where to put it; the CPU when None.
        dtype: of the weights, such as ``torch.bfloat16`` or ``"bfloat16"``; when None float32 for our layout, and the
            files' own dtype for a published one.
        quantization_config: 4 or 8 bits for the layers of the decoder, by bitsandbytes; None quantises nothing.

    Returns:
        A ``GemForConditionalGeneration`` or an ``EcgCocaModel``.

    Raises:
        GemCheckpointError: there is no such model, or its files are damaged, incomplete or unsafe to open.
        GemError: it can't be quantised here, or has no decoder; or the dtype is no floating-point type.
    """
    dtype = dtype_named(dtype)
    quantization = None
    if quantization_config is not None:
        check_quantization(quantization_config, device)
        quantization = (quantization_config, device)
    with as_checkpoint_error(name_or_path, "the folder can't be read"):
        folder = find_folder(name_or_path)
        config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
        if not isinstance(config.get("model_type") or "", str):
            raise GemCheckpointError("model_type is not a name", where=str(folder / "config.json"))
    with model_building_lock:
        if config.get("model_type") == MODEL_TYPE:
            return placed(_load_adapted(folder, config, dtype, quantization), device)
        if config.get("model_type") in ("gem", "gem_ecg_coca"):
            return placed(_load_our_layout(folder, config, dtype, quantization), device)
        from .published import load_published

        return load_published(folder, config, device, dtype, quantization=quantization)


def dtype_named(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """A floating-point type, which may be given by its name.

    Args:
        dtype: such as ``torch.bfloat16``, ``"bfloat16"`` or ``"torch.bfloat16"``.

    Raises:
        GemConfigError: it is none.
    """
    known = {name: getattr(torch, name) for name in DTYPES}
    found = known.get(dtype.removeprefix("torch.")) if isinstance(dtype, str) else dtype
    if dtype is not None and found not in known.values():
        raise GemConfigError(f"dtype {dtype!r}", remedy=f"one of {', '.join(known)}")
    return found


def _load_our_layout(folder: Path, values: dict[str, Any], dtype: torch.dtype | None, quantization: Any) -> Any:
    from .building import GENERATION_SETTINGS, build_model, compare_keys, read_generation, set_generation
    from .files import check_files

    family: Any
    if values["model_type"] == "gem":
        from ..modeling import GemForConditionalGeneration as family
    else:
        from ..fusion.coca import EcgCocaModel as family
    with as_checkpoint_error(folder, "the weights can't be read"):
        shapes = check_files(folder)
    with as_checkpoint_error(folder / "config.json", "it can't be used"):
        config = family.config_class(**values)
    report = compare_keys(folder, family, config, shapes)
    wrong: dict[str, Any] = {
        "missing_keys": report.missing,
        "unexpected_keys": report.unexpected,
        "mismatched_keys": report.mismatched,
    }
    if not report.complete:
        shown = {name: list(keys)[:5] for name, keys in wrong.items() if keys}
        raise GemCheckpointError(f"the weights don't fit the config: {shown}", where=str(folder))
    stored = GemProcessor.from_pretrained(folder) if (folder / FILE).is_file() else None
    tokenizer = load_tokenizer(folder) if stored is None else stored.tokenizer
    generation = read_generation(folder, GENERATION_SETTINGS)
    model = build_model(folder, family, config, dtype=dtype or torch.float32, quantization=quantization)
    set_generation(model, generation)
    if stored is not None:
        model.processor = stored
    elif values["model_type"] == "gem_ecg_coca":
        model.processor = GemProcessor(model.ecg.contract, tokenizer=tokenizer)
    else:
        model.processor = GemProcessor.from_config(model.config, tokenizer)
    check_fit(model, folder)
    return model


def _load_adapted(folder: Path, values: dict[str, Any], dtype: torch.dtype | None, quantization: Any) -> Any:
    from ..modeling import GemForConditionalGeneration
    from .adapted import read_adapted
    from .building import build_from_tensors, set_generation

    config, tensors = read_adapted(folder, values)
    model = build_from_tensors(
        folder, GemForConditionalGeneration, config, tensors, dtype or torch.float32, quantization
    )
    text: Any = config.text_config
    set_generation(model, {f"{name}_token_id": getattr(text, f"{name}_token_id") for name in ("bos", "eos")})
    set_generation(model, {"pad_token_id": text.eos_token_id})
    model.processor = GemProcessor.from_config(config, load_tokenizer(folder))
    check_fit(model, folder)
    return model


def check_fit(model: Any, folder: Path) -> None:
    """Check that the model takes the tensors of its processor.

    Args:
        model: with its processor.
        folder: of both, for errors.

    Raises:
        GemCheckpointError: the processor has another window, picture size or vocabulary.
    """
    coca, processor = hasattr(model, "ecg"), model.processor
    encoder = model.ecg if coca else model.ecg_encoder
    signal, given = getattr(model.config, "signal", None), processor.contract
    wanted = SignalContract.from_dict(signal) if signal else getattr(encoder, "contract", None)
    if wanted is not None and given is not None:
        shapes = [(len(contract.leads), contract.n_samples) for contract in (given, wanted)]
        if shapes[0] != shapes[1]:
            raise GemCheckpointError(
                f"the processor makes {shapes[0][0]} leads x {shapes[0][1]} samples, the encoder takes "
                f"{shapes[1][0]} x {shapes[1][1]}",
                where=str(folder),
            )
    size, vision = (processor.picture or {}).get("size"), None if coca else model.vision_encoder
    if size is not None and vision is not None and tuple(size) != tuple(vision.image_size):
        raise GemCheckpointError(
            f"the processor makes pictures of {size}, the encoder takes {vision.image_size}", where=str(folder)
        )
    names = (getattr(model.config, "measured", None) or {}).get("names")
    if processor.measured is not None and list(processor.measured) != names:
        raise GemCheckpointError("the processor and the config name different measured values", where=str(folder))
    table = model.text if coca else getattr(model, "language_model", None)
    if table is not None and processor.tokenizer is not None:
        rows = int((table.transformer if coca else table).config.vocab_size)
        # the template around every text may use ids that are not in the vocabulary
        largest = max(*processor.tokenizer.get_vocab().values(), *processor.tokenizer("ECG")["input_ids"])
        if largest >= rows:
            raise GemCheckpointError(f"the tokenizer has the id {largest}, the model {rows} tokens", where=str(folder))
