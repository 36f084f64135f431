"""A model put together from published parts: a language model here, an ECG tower there, a picture tower from a third place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from ..errors import GemConfigError

if TYPE_CHECKING:
    from ..modeling import GemForConditionalGeneration

SOURCES = ("base", "text", "ecg", "vision")


def assemble(settings: dict[str, Any], parts: dict[str, str]) -> GemForConditionalGeneration:
    """A model from the arguments of ``GemConfig`` and the folders its weights come from; what no folder gives starts fresh.

    Args:
        settings: arguments of ``GemConfig``; the decoder's config and the picture's come from the folders where they
            are absent.
        parts: any of ``base`` (LLaVA-1.6, PULSE, GEM or one of ours: decoder, picture tower and projector, tokenizer),
            ``text`` (a causal language model as transformers saves it: decoder and tokenizer), ``ecg`` (ECG-CoCa, a
            converted ECGFounder or ECG-FM, or any model of ours with a signal encoder) and ``vision`` (a picture tower
            as transformers saves it).

    Raises:
        GemConfigError: an unknown or contradictory part, no decoder, or weights that don't fit.
        GemCheckpointError: a folder that is not what it should be.
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
            f"can't put a model together from {', '.join(sorted(parts))}",
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

        with as_checkpoint_error(parts["text"], "no causal language model as transformers saves it"):
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

        with as_checkpoint_error(parts["vision"], "no picture tower as transformers saves it"):
            body: Any = AutoModel.from_pretrained(parts["vision"], trust_remote_code=False)
        body = getattr(body, "vision_model", body)
        take(getattr(model.vision_encoder, "body", None), body, "vision")
    for name, source in weights.items():
        if source is not None:
            take(getattr(model, name), source, name)
    model.processor = GemProcessor.from_config(model.config, tokenizer)
    return model


def take(mine: Any, theirs: nn.Module, where: str) -> None:
    """Copy all weights of one module into another of the same shape.

    Raises:
        GemConfigError: there is no such module here, or a key or shape differs.
    """
    if not isinstance(mine, nn.Module):
        raise GemConfigError("the model has no such part", where=where, remedy="name its encoder in the model")
    try:
        mine.load_state_dict(theirs.state_dict())
    except RuntimeError as error:
        raise GemConfigError(
            f"the weights don't fit: {error}", where=where, remedy="check the sizes in model"
        ) from None
