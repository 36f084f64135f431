"""The model that a training run starts from: a saved one, or a new one built from a config."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import Module

from ..data.corpus import CLASS_LABELS, explanation, train_tokenizer
from ..errors import GemConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from ..modeling import GemForConditionalGeneration

TOKENIZER_TEXTS = 4000
# the longest composed text has about 130 tokens
MAX_NEW_TOKENS = 192


def corpus_tokenizer(seed: int = 0) -> PreTrainedTokenizerFast:
    """The tokenizer of the composed texts.

    Args:
        seed: of the texts that it is trained on.
    """
    pick = random.Random(seed)
    pairs = [explanation([], pick) for _ in range(TOKENIZER_TEXTS)]
    # some texts with diagnoses, for the words of "The encoders suggest ..."
    pairs += [explanation(["NORM", "MI"], pick) for _ in range(TOKENIZER_TEXTS // 10)]
    return train_tokenizer(text for pair in pairs for text in pair)


def start(
    init: str | None = None, model: dict[str, Any] | None = None, parts: dict[str, str] | None = None
) -> GemForConditionalGeneration:
    """A model with its processor.

    Args:
        init: folder of a saved model, or a name that ``gem.load`` knows.
        model: without ``init`` the arguments of ``GemConfig``; vocabulary, special ids and, if not given, classes are
            filled in. With ``init`` the encoders to replace, see ``with_other_encoders``.
        parts: with ``model``, folders that its weights come from; see ``gem.training.parts.assemble``.

    Raises:
        GemConfigError: neither init nor model is given, or parts with init.
    """
    if init is None and model is None:
        raise GemConfigError("a run starts from init or from model", remedy="give one of the two")
    if init is not None:
        if parts is not None:
            raise GemConfigError("parts go with model, not with init", remedy="leave one of them out")
        from ..checkpoints import load

        loaded: GemForConditionalGeneration = load(init)
        return with_other_encoders(loaded, model) if model else loaded
    if parts is not None:
        from .parts import assemble

        return assemble(model or {}, parts)
    return build(model or {})


def build(settings: dict[str, Any]) -> GemForConditionalGeneration:
    """A new model; its weights depend on torch's current seed.

    Args:
        settings: arguments of ``GemConfig``.
    """
    from ..configuration import GemConfig
    from ..modeling import GemForConditionalGeneration
    from ..processing import GemProcessor

    tokenizer = corpus_tokenizer()
    text = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = GemConfig(
        **{
            **settings,
            "class_names": settings.get("class_names", list(CLASS_LABELS)),
            "text_config": {"model_type": "llama", **settings.get("text_config", {}), **text},
        }
    )
    made = GemForConditionalGeneration(config)
    made.processor = GemProcessor.from_config(config, tokenizer)
    return made


def with_other_encoders(model: GemForConditionalGeneration, settings: dict[str, Any]) -> GemForConditionalGeneration:
    """A saved model with other encoders, another head on measured values, or other classes.

    Tensors of the same name and shape keep their weights, and so does the last layer's row of a class of the same name;
    the others are new.

    Args:
        model: the saved model.
        settings: any of ``ecg_encoder``, ``vision_encoder``, ``measured`` and ``class_names``, as in ``GemConfig``; the
            settings of the encoders' inputs are those of the new encoders.

    Raises:
        GemConfigError: another setting.
    """
    from ..configuration import GemConfig
    from ..modeling import GemForConditionalGeneration
    from ..processing import GemProcessor

    inputs = {"ecg_encoder": "signal", "vision_encoder": "picture"}
    unknown = sorted(set(settings) - {*inputs, "measured", "class_names"})
    if unknown:
        raise GemConfigError(
            f"a saved model keeps its {', '.join(unknown)}", remedy="change its encoders, its classes or measured alone"
        )
    fresh = {inputs[name]: None for name in settings if name in inputs}  # None: taken from the encoder
    config = GemConfig(**{**model.config.to_dict(), **fresh, **settings})
    made = GemForConditionalGeneration(config)
    shapes = {name: value.shape for name, value in made.state_dict().items()}
    kept = {name: value for name, value in model.state_dict().items() if shapes.get(name) == value.shape}
    made.load_state_dict(kept, strict=False)
    if config.class_names != model.config.class_names:
        _copy_classes(model, made)
    made.processor = GemProcessor.from_config(config, model.processor.tokenizer)
    return made


@torch.no_grad()
def _copy_classes(model: GemForConditionalGeneration, made: GemForConditionalGeneration) -> None:
    """Copy each input's weights of the classes that both models have."""
    before, after = (list(one.config.class_names) for one in (model, made))
    shared = [name for name in after if name in before]
    old, new = ([names.index(name) for name in shared] for names in (before, after))
    for name in set(model.class_head.heads) & set(made.class_head.heads):
        if name == "measured" and model.config.measured != made.config.measured:
            continue
        for source, target in zip(model.class_head.by_class(name), made.class_head.by_class(name), strict=True):
            target.index_copy_(0, torch.tensor(new), source.index_select(0, torch.tensor(old)).to(target.dtype))


def copy_picture_parts(model: GemForConditionalGeneration, folder: str) -> None:
    """Copy the picture encoder, its projector, its head and its weight in the vote from another model.

    Args:
        model: changed in place.
        folder: of a model with the same sizes.
    """
    from ..checkpoints import load

    other = load(folder)
    pairs = [(model.vision_encoder, other.vision_encoder), (model.vision_projector, other.vision_projector)]
    for mine, theirs in [*pairs, (model.class_head.heads["vision"], other.class_head.heads["vision"])]:
        assert isinstance(mine, Module)  # for mypy: both models look at pictures
        assert isinstance(theirs, Module)
        mine.load_state_dict(theirs.state_dict())
    model.config.class_votes = other.config.class_votes
    model.class_head.votes = dict(other.config.class_votes or {})


def without_picture(model: GemForConditionalGeneration) -> GemForConditionalGeneration:
    """The same model without its picture encoder, projector and head.

    Args:
        model: a model with both encoders.
    """
    from ..configuration import GemConfig
    from ..modeling import GemForConditionalGeneration
    from ..processing import GemProcessor

    config = GemConfig(**{**model.config.to_dict(), "vision_encoder": None, "picture": None})
    made = GemForConditionalGeneration(config)
    kept = set(made.state_dict())
    made.load_state_dict({name: value for name, value in model.state_dict().items() if name in kept})
    made.processor = GemProcessor.from_config(config, model.processor.tokenizer)
    made.train(False)
    return made


def save(model: GemForConditionalGeneration, folder: str | Path, weights: dict[str, Any] | None = None) -> None:
    """Write weights (safetensors), config, processor and tokenizer into a folder that ``gem.load`` reads.

    Args:
        model: the model.
        folder: created if it does not exist.
        weights: a state dict to write instead of the model's, whose tensors may be shards.
    """
    text: Any = model.config.text_config
    model.generation_config.update(
        bos_token_id=text.bos_token_id,
        eos_token_id=text.eos_token_id,
        pad_token_id=text.pad_token_id,
        max_new_tokens=MAX_NEW_TOKENS,
    )
    model.save_pretrained(folder, state_dict=weights)
    model.processor.save_pretrained(folder)
