"""GemForConditionalGeneration: ECG and picture encoders in front of any Llama-type decoder."""

from __future__ import annotations

import importlib.util
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    GenerationMixin,
    PreTrainedModel,
)

from . import forking  # noqa: F401  (a forked child can use a model)
from .configuration import GemConfig
from .core import GemCore, Pictures
from .decoding import can_decode, decode
from .encoded import Encoded
from .encoders.registry import Encoder
from .errors import GemConfigError, GemInputError
from .extras import how_to_install
from .fusion import prefix
from .labels import IGNORE
from .outputs import CACHE, GemOutput, class_loss, fraction_of, token_loss


class GemForConditionalGeneration(GemCore, PreTrainedModel, GenerationMixin):
    """From a recording, its picture or both, and a prompt, to text and class probabilities.

    Args:
        config: encoders, fusion and decoder; ``signal`` and ``picture`` are filled in from the encoders where None.

    Raises:
        GemConfigError: parts that don't fit together.
    """

    config: GemConfig
    config_class = GemConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _no_split_modules: ClassVar[list[str]] = ["LlamaDecoderLayer", "CLIPEncoderLayer", "ResidualAttentionBlock"]  # type: ignore[misc]

    def __init__(self, config: GemConfig) -> None:
        super().__init__(config)
        if config.fusion == "prefix_kv" and config.text_config is not None:
            prefix.check_family(config.text_config.model_type)
        self._build_parts(config)
        # keep the encoders' and projectors' own initialisation; on the meta device there is none to keep
        for parameter in self.parameters():
            if parameter.device.type != "meta":
                parameter._is_hf_initialized = True  # type: ignore[attr-defined]
        if config.fusion != "none":
            options = {"attn_implementation": prefix.NAME} if config.fusion == "prefix_kv" else {}
            self.language_model = AutoModelForCausalLM.from_config(config.text_config, **options)
        self.processor: Any = None
        self.load_report: Any = None
        self.post_init()

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load as transformers does; for a folder that you don't trust use ``gem.load``.

        Args:
            *args: as in ``PreTrainedModel.from_pretrained``.
            **kwargs: likewise.

        Raises:
            GemConfigError: ``device_map`` without accelerate.
        """
        if kwargs.get("device_map") is not None and importlib.util.find_spec("accelerate") is None:
            raise GemConfigError("device_map needs the package accelerate", remedy=how_to_install("accelerate"))
        return super().from_pretrained(*args, **kwargs)

    def initialize_weights(self) -> None:
        """Initialise what no checkpoint holds, the encoders' buffers included."""
        super().initialize_weights()
        # transformers leaves buffers that no file holds uninitialised
        for module in self.modules():
            if isinstance(module, Encoder):
                module.init_buffers()

    def get_input_embeddings(self) -> nn.Module:
        """The decoder's token embeddings."""
        return self.language_model.get_input_embeddings()  # type: ignore[no-any-return]

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the decoder's token embeddings."""
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module | None:
        """The decoder's output layer; None without a decoder."""
        return self.language_model.get_output_embeddings() if self.config.fusion != "none" else None

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Replace the decoder's output layer."""
        self.language_model.set_output_embeddings(value)

    def get_decoder(self) -> nn.Module:
        """The decoder without its output layer."""
        return self.language_model.get_decoder()  # type: ignore[no-any-return]

    def _embed(self, input_ids: Tensor) -> Tensor:
        # the placeholder's id is negative and has no embedding
        vectors: Tensor = self.get_input_embeddings()(input_ids.clamp(min=0))
        return vectors

    def _logits(self, states: Tensor) -> Tensor:
        """The output layer, and what the decoder does behind it: granite and cohere scale, gemma caps."""
        head: Any = self.get_output_embeddings()
        text: Any = self.config.text_config
        logits: Tensor = head(states)
        if (scale := getattr(text, "logit_scale", None)) is not None:
            logits = logits * scale
        if (divisor := getattr(text, "logits_scaling", None)) is not None:
            logits = logits / divisor
        if (cap := getattr(text, "final_logit_softcapping", None)) is not None:
            logits = cap * torch.tanh(logits / cap)
        return logits

    def _prefix(self, encoded: Encoded) -> dict[str, Tensor]:
        if self.config.fusion != "prefix_kv" or encoded.ecg is None:
            return {}
        rows = [row for row in encoded.ecg if row is not None]
        if not rows:
            return {}
        vectors = torch.stack([row[0] if row is not None else torch.zeros_like(rows[0][0]) for row in encoded.ecg])
        if len(rows) == len(encoded.ecg):
            return {"prefix_vector": vectors}
        there = torch.tensor([row is not None for row in encoded.ecg], device=vectors.device)
        return {"prefix_vector": vectors, "prefix_mask": there}

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        ecg: Tensor | None = None,
        pixel_values: Pictures | None = None,
        image_sizes: Any = None,
        labels: Tensor | None = None,
        class_labels: Tensor | None = None,
        ecg_mask: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        cache: Any = None,
        inputs_embeds: Tensor | None = None,
        logits_to_keep: int = 0,
        supervised_only: bool = False,
        num_items_in_batch: Tensor | int | None = None,
        prefix_vector: Tensor | None = None,
        prefix_mask: Tensor | None = None,
        measured: Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Forward pass.

        Args:
            input_ids: (B, L), one placeholder per row that has a recording or picture. Without ``labels``, rows may
                have several: ``ecg`` and ``pixel_values`` then have an entry for each, in the placeholders' order.
            attention_mask: (B, L).
            ecg: (B, leads, samples), or None.
            pixel_values: (B, 3, H, W), or B tensors (tiles, 3, H, W), or None.
            image_sizes: (width, height) of each picture before tiling.
            labels: (B, L), -100 where not trained; shifted here.
            class_labels: (B, labels) of 0 and 1, NaN where unknown.
            ecg_mask: (B,) bool, False for rows without a recording.
            pixel_mask: (B,) bool, False for rows without a picture.
            position_ids: as in transformers.
            past_key_values: the key/value cache, by its older name.
            cache: the key/value cache.
            inputs_embeds: as in transformers.
            logits_to_keep: compute the logits of this many last positions only; 0 for all.
            supervised_only: with labels, compute the logits of the trained positions only, which saves memory.
            num_items_in_batch: trained tokens of all batches of one optimiser step, as transformers' ``Trainer``
                counts them; the losses of these batches then add up to the mean over all their tokens. None for the
                mean over this batch.
            prefix_vector: (B, head_dim), the ECG under ``prefix_kv``, which ``generate`` passes on.
            prefix_mask: (B,), False for rows without ECG.
            measured: as in ``encode``.
            return_dict: False returns a tuple; the config's setting when None.
            **kwargs: passed on to the decoder (``use_cache``, ``output_hidden_states``, ...).

        Returns:
            A ``GemOutput``, or a tuple of what it holds: the loss first if there are labels.

        Raises:
            GemInputError: inputs that don't fit the model or each other.
        """
        return_dict = bool(self.config.return_dict) if return_dict is None else return_dict
        encoded = Encoded()
        if ecg is not None or pixel_values is not None or measured is not None:
            shown = pixel_values if ecg is None else ecg
            one_each = input_ids is not None and (shown is None or len(shown) == len(input_ids))
            prompted = inputs_embeds is None and one_each
            encoded = self._encode(ecg, pixel_values, image_sizes, ecg_mask, pixel_mask, measured, prompted)
        out = GemOutput(class_logits=encoded.class_logits)
        if class_labels is not None:
            if encoded.class_logits is None:
                raise GemInputError("class_labels, but the model has no classification head or the batch no input")
            out.loss = self.config.class_loss_weight * class_loss(encoded.class_logits, class_labels)
        if self.config.fusion == "none":
            return out.with_tokens(encoded).returned(return_dict)
        if input_ids is None and inputs_embeds is None:
            if class_labels is None:
                raise GemInputError("neither input_ids nor inputs_embeds", remedy="classify() needs no prompt")
            return out.with_tokens(encoded).returned(return_dict)
        # a single token is a decoding step; reading its value would break compilation
        if input_ids is not None and inputs_embeds is None and (len(encoded) or input_ids.shape[1] > 1):
            merged = self._merge(input_ids, encoded, attention_mask, labels)
            if merged is not None:
                inputs_embeds, labels = merged.embeds, merged.labels
                if attention_mask is not None or not bool(merged.attention_mask.all()):
                    attention_mask = merged.attention_mask
                position_ids = merged.position_ids
        out.with_tokens(encoded)
        if self.config.fusion == "prefix_kv":
            given = {"prefix_vector": prefix_vector, "prefix_mask": prefix_mask} if prefix_vector is not None else {}
            kwargs = {**self._prefix(encoded), **given, **kwargs}
        if inputs_embeds is None:
            assert input_ids is not None  # for mypy
            inputs_embeds = self._embed(input_ids)
        decoded = self.get_decoder()(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            **{CACHE: past_key_values if cache is None else cache},
            **kwargs,
        )
        states = decoded.last_hidden_state
        if labels is None:
            out.logits = self._logits(states[:, -logits_to_keep:] if logits_to_keep else states)
        else:
            targets = F.pad(labels[:, 1:], (0, 1), value=IGNORE)
            trained = targets != IGNORE
            out.logits = self._logits(states[trained] if supervised_only else states)
            wanted = targets[trained] if supervised_only else targets.flatten()
            loss = token_loss(out.logits.flatten(0, -2), wanted, num_items_in_batch)
            if out.loss is not None and num_items_in_batch is not None:
                out.loss = out.loss * fraction_of(trained.sum(), num_items_in_batch, out.loss)
            out.loss = loss if out.loss is None else out.loss + loss
        out.cache = decoded.get(CACHE)
        out.attention_mask = attention_mask if attention_mask is not None and attention_mask.dim() == 2 else None
        out.hidden_states = getattr(decoded, "hidden_states", None)
        out.attentions = getattr(decoded, "attentions", None)
        return out.returned(return_dict)

    @torch.no_grad()
    def generate(  # type: ignore[override,unused-ignore]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        ecg: Tensor | None = None,
        pixel_values: Pictures | None = None,
        image_sizes: Any = None,
        ecg_mask: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        encoded: Encoded | None = None,
        measured: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Generate text as transformers does (greedy, sampling, beams, any cache), with the inputs of ``forward``.

        Args:
            input_ids: (B, L), as in ``forward``.
            attention_mask: (B, L).
            ecg: as in ``encode``.
            pixel_values: as in ``encode``.
            image_sizes: as in ``encode``.
            ecg_mask: as in ``encode``.
            pixel_mask: as in ``encode``.
            encoded: the result of ``encode``, instead of recordings and pictures, so that they are encoded only once.
            measured: accepted because the processor gives it, and not used: the text does not depend on it.
            **kwargs: as in transformers.

        Returns:
            The prompt's ids as given, followed by the new ids (or transformers' output object with them).

        Raises:
            GemConfigError: the model has no language model.
            GemInputError: inputs that don't fit the model or each other.
        """
        if self.config.fusion == "none":
            raise GemConfigError("this model has no language model", remedy="use classify() or encode()")
        if kwargs.get("assistant_model") is not None:
            raise GemConfigError("an assistant_model can't see the ECG", remedy="leave it out")
        if input_ids is None:
            return _transformers_generate(self, attention_mask=attention_mask, **kwargs)
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if encoded is None:
            encoded = Encoded()
        if ecg is not None or pixel_values is not None:
            encoded = self.encode(ecg, pixel_values, image_sizes, ecg_mask, pixel_mask)
        embeds, mask = self._prompt_vectors(input_ids, attention_mask, encoded)
        if can_decode(self, kwargs):
            result: Any = decode(self, embeds, mask, kwargs["max_new_tokens"])
        else:
            kwargs |= self._prefix(encoded)
            result = _transformers_generate(self, inputs_embeds=embeds, attention_mask=mask, **kwargs)
        new = result if isinstance(result, Tensor) else result.sequences
        repeats = len(new) // len(input_ids)
        sequences = torch.cat([input_ids.repeat_interleave(repeats, 0), new], dim=1)
        if isinstance(result, Tensor):
            return sequences
        result.sequences = sequences
        return result


# Any, because transformers types it for a protocol that only its own classes match
_transformers_generate: Any = GenerationMixin.generate


for _auto in (AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText):
    _auto.register(GemConfig, GemForConditionalGeneration, exist_ok=True)
