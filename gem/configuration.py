"""The models' configurations: encoders, how their tokens reach the language model, and how the inputs are prepared."""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import AutoConfig, PreTrainedConfig

from .errors import GemConfigError
from .settings import check_asking, check_measured, check_picture, check_prompt, check_votes
from .untrusted import DECODERS, TEXT_TOWERS, check_arguments, check_numbers, common_settings, transformers_config

FUSIONS = ("tokens", "prefix_kv", "none")
MERGES = ("flat", "spatial", "spatial_unpad")


class GemConfig(PreTrainedConfig):
    """Configuration of a model of this family; round-trips through JSON.

    Args:
        ecg_encoder: ``{"name": ..., "kwargs": {...}}`` of a registered encoder, or None.
        vision_encoder: the same for the picture, or None.
        text_config: a Llama-type decoder's config, as an object or a dict with ``model_type``; None for encoders alone.
        fusion: ``"tokens"`` (encoder tokens at the placeholder), ``"prefix_kv"`` (one ECG vector as a key/value in
            front of every layer, MEIT) or ``"none"`` (encoders and classification head only).
        ecg_projector: ``{"type": "linear" | "mlp2x_gelu" | "meit", "width": ..., "hidden": ...}``.
        vision_projector: the same for the picture.
        share_projector: pass the ECG tokens through the picture's projector too, after their own (GEM).
        placeholder: text that marks, in a prompt, where the encoder tokens go.
        placeholder_token_id: its id (-200 as in LLaVA).
        class_names: labels of the classification head; empty for none.
        class_loss_weight: weight of the classification loss, relative to the text loss.
        class_dropout: dropout rate in front of the classification head.
        class_votes: weight of ``"ecg"``, ``"vision"`` and ``"measured"`` in the classification head where several are
            given; equal weights when None.
        measured: ``{"names", "trees", "leaves"}``: which measured values (``gem.measured.NAMES``) the classification
            head takes, in their order, the number of its trees for each label, and the leaves of a tree; None for a
            head without them.
        modality_dropout: probability, in training, that a sample with both inputs loses one of them.
        signal: the ECG encoder's signal contract as a dict; taken from the encoder when None.
        picture: ``{"mode", "size", "mean", "std", "grid_pinpoints", "background"}``; taken from the encoder when None.
        merge: ``"flat"``, ``"spatial"`` or ``"spatial_unpad"``: how the tiles of a picture become a sequence
            (LLaVA-1.6).
        conversation: template around a prompt, with ``{prompt}`` in it; None for no template.
        asking: ``{"prompt", "stop", "max_new_tokens", "max_length"}``: what the model is asked where no prompt is
            given, texts at which its answer ends, and the most tokens of the answer, or of prompt and answer. None for
            a model that writes from facts, or has no question of its own.
        tune: free notes on where the weights come from (licence, paper, command); never read by the code.
        **kwargs: settings that every transformers config has (``dtype``, ``architectures``, ...).

    Raises:
        GemConfigError: a value that is unknown, out of range or of the wrong type.
    """

    model_type = "gem"
    sub_configs: ClassVar[dict[str, Any]] = {"text_config": AutoConfig}
    has_no_defaults_at_init = True

    def __init__(
        self,
        ecg_encoder: dict[str, Any] | None = None,
        vision_encoder: dict[str, Any] | None = None,
        text_config: PreTrainedConfig | dict[str, Any] | None = None,
        fusion: str = "tokens",
        ecg_projector: dict[str, Any] | None = None,
        vision_projector: dict[str, Any] | None = None,
        share_projector: bool = False,
        placeholder: str = "<ecg>",
        placeholder_token_id: int = -200,
        class_names: list[str] | None = None,
        class_loss_weight: float = 1.0,
        class_dropout: float = 0.0,
        class_votes: dict[str, float] | None = None,
        measured: dict[str, Any] | None = None,
        modality_dropout: float = 0.0,
        signal: dict[str, Any] | None = None,
        picture: dict[str, Any] | None = None,
        merge: str = "flat",
        conversation: str | None = None,
        asking: dict[str, Any] | None = None,
        tune: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "kwargs", "__class__")}
        check_arguments(GemConfig, given, "the config")
        check_numbers(
            {name: value for name, value in given.items() if name not in ("text_config", "tune")}, "the config"
        )
        kwargs = common_settings(kwargs, "the config")
        text = (
            transformers_config(text_config, DECODERS, "text_config") if isinstance(text_config, dict) else text_config
        )
        if fusion not in FUSIONS:
            raise GemConfigError(f"unknown fusion {fusion!r}", remedy=f"use one of {', '.join(FUSIONS)}")
        if merge not in MERGES:
            raise GemConfigError(f"unknown merge {merge!r}", remedy=f"use one of {', '.join(MERGES)}")
        if picture is not None:
            check_picture(picture)
        if measured is not None:
            check_measured(measured)
            if not class_names or fusion == "prefix_kv":
                raise GemConfigError("measured values need a classification head", remedy="name class_names")
        if not 0.0 <= modality_dropout <= 1.0:
            raise GemConfigError(f"modality_dropout {modality_dropout} is not a probability")
        check_prompt(placeholder, conversation)
        if asking is not None:
            check_asking(asking)
        if class_votes is not None:
            check_votes(class_votes)
        self.asking = asking
        self.ecg_encoder = ecg_encoder
        self.vision_encoder = vision_encoder
        self.text_config: Any = text
        self.fusion = fusion
        self.ecg_projector = ecg_projector or {"type": "mlp2x_gelu"}
        self.vision_projector = vision_projector or {"type": "mlp2x_gelu"}
        self.share_projector = share_projector
        self.placeholder = placeholder
        self.placeholder_token_id = placeholder_token_id
        self.class_names = list(class_names or [])
        self.class_loss_weight = class_loss_weight
        self.class_dropout = class_dropout
        self.class_votes = class_votes
        self.measured = measured
        self.modality_dropout = modality_dropout
        self.signal = signal
        self.picture = picture
        self.merge = merge
        self.conversation = conversation
        self.tune = tune or {}
        kwargs.setdefault("tie_word_embeddings", bool(getattr(text, "tie_word_embeddings", False)))
        super().__init__(**kwargs)

    @property
    def hidden_size(self) -> int:
        """Width of a projected token: the language model's, or without one the classification head's."""
        return int(self.text_config.hidden_size) if self.text_config is not None else int(self.ecg_projector["width"])


class EcgCocaConfig(PreTrainedConfig):
    """Configuration of an ECG-CoCa model: the sizes of its towers.

    Args:
        ecg: keyword arguments of the ``ecg_coca`` encoder.
        text: a transformers config as a dict with ``model_type``; None for the ECG tower alone.
        decoder: ``{"width", "heads", "layers", "vocab_size"}``; None without captions.
        embed_dim: width of the space that ECGs and texts share.
        caption_weight: weight of the captioning loss, relative to the contrastive loss.
        **kwargs: settings that every transformers config has.

    Raises:
        GemConfigError: a value that is unknown, out of range or of the wrong type.
    """

    model_type = "gem_ecg_coca"
    has_no_defaults_at_init = True

    def __init__(
        self,
        ecg: dict[str, Any] | None = None,
        text: dict[str, Any] | None = None,
        decoder: dict[str, Any] | None = None,
        embed_dim: int = 512,
        caption_weight: float = 2.0,
        **kwargs: Any,
    ) -> None:
        given = {"ecg": ecg, "text": text, "decoder": decoder, "embed_dim": embed_dim, "caption_weight": caption_weight}
        check_arguments(EcgCocaConfig, given, "the config")
        check_numbers(given, "the config")
        kwargs = common_settings(kwargs, "the config")
        if text is not None:
            text = {"model_type": "bert", **text}
            transformers_config(text, TEXT_TOWERS, "text")
        self.ecg, self.text, self.decoder = ecg or {}, text, decoder
        self.embed_dim, self.caption_weight = embed_dim, caption_weight
        super().__init__(**kwargs)


for _config in (GemConfig, EcgCocaConfig):
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
