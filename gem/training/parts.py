"""A model assembled from published parts: a language model, an ECG tower and a picture tower from different folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from ..errors import GemConfigError

if TYPE_CHECKING:
    from ..modeling import GemForConditionalGeneration

SOURCES = ("base", "text", "ecg", "vision")


def assemble(settings: dict[str, Any], parts: dict[str, str]) -> GemForConditionalGeneration:
    """Build a model with weights from several folders; parts without a folder are initialised randomly.

    Args:
        settings: arguments of ``GemConfig``; the settings of decoder and picture come from the folders if not given.
        parts: any of ``base`` (LLaVA-1.6, PULSE, GEM or one of ours: decoder, picture tower and projector, tokenizer),
            ``text`` (a causal language model as transformers saves it: decoder and tokenizer), ``ecg`` (ECG-CoCa, a
            converted ECGFounder or ECG-FM, or any model of ours with a signal encoder) and ``vision`` (a picture tower
            as transformers saves it).

    Raises:
        GemConfigError: an unknown or contradictory part, no decoder, or weights that don't fit.
        GemCheckpointError: a folder of another kind, or damaged files.
    """
    from ..checkpoints import load
    from ..configuration import GemConfig
    from ..modeling import GemForConditionalGeneration
    from ..processing import GemProcessor
    from ..tokenizer import load_tokenizer
    from ..untrusted import as_checkpoint_error

    unknown = sorted(set(parts) - set(SOURCES))
    if unknown or ("base" in parts) == ("text" in parts):
        raise GemConfigError(
            f"can't assemble a model from {', '.join(sorted(parts))}",
            remedy='name "base" or "text", and "ecg" and "vision" as needed',
        )
    values, weights = dict(settings), dict[str, nn.Module]()
    if "base" in parts:
        base = load(parts["base"])
        tokenizer = base.processor.tokenizer
        shared = (
            "text_config",
            "vision_encoder",
            "vision_projector",
            "picture",
            "placeholder",
            "conversation",
            "merge",
        )
        values = {**{name: getattr(base.config, name) for name in shared}, **values}
        names = ["language_model", "vision_encoder", "vision_projector"]
        weights = {name: getattr(base, name) for name in names if values.get(name, True) is not None}
    else:
        from transformers import AutoModelForCausalLM

        with as_checkpoint_error(parts["text"], "not a causal language model as transformers saves it"):
            text: Any = AutoModelForCausalLM.from_pretrained(parts["text"], trust_remote_code=False)
        tokenizer = load_tokenizer(Path(parts["text"]), text.config)
        values["text_config"] = text.config
        weights["language_model"] = text
    if "ecg" in parts:
        source = load(parts["ecg"])
        weights["ecg_encoder"] = source.ecg if hasattr(source, "ecg") else source.ecg_encoder
    model = GemForConditionalGeneration(GemConfig(**values))
    if "vision" in parts:
        from transformers import AutoModel

        with as_checkpoint_error(parts["vision"], "not a picture tower as transformers saves it"):
            body: Any = AutoModel.from_pretrained(parts["vision"], trust_remote_code=False)
        body = getattr(body, "vision_model", body)
        copy_weights(getattr(model.vision_encoder, "body", None), body, "vision")
    for name, source in weights.items():
        if source is not None:
            copy_weights(getattr(model, name), source, name)
    model.processor = GemProcessor.from_config(model.config, tokenizer)
    return model


def copy_weights(target: Any, source: nn.Module, where: str) -> None:
    """Copy all weights of one module into another of the same shape.

    Args:
        target: a module, changed in place; another value is an error.
        source: the module with the weights.
        where: name of the part, for errors.

    Raises:
        GemConfigError: the target is not a module, or a key or shape differs.
    """
    if not isinstance(target, nn.Module):
        raise GemConfigError("the model has no such part", where=where, remedy="name its encoder in the model")
    try:
        target.load_state_dict(source.state_dict())
    except RuntimeError as error:
        raise GemConfigError(
            f"the weights don't fit: {error}", where=where, remedy="check the sizes in model"
        ) from None
