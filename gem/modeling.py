"""GemForConditionalGeneration: ECG and picture encoders in front of any Llama-type decoder."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
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
from .decoding import can_decode, decode
from .encoders.contract import SignalContract
from .encoders.registry import Encoder, build_kind
from .errors import GemConfigError, GemInputError
from .extras import how_to_install
from .fusion import prefix, towers
from .fusion.heads import ClassificationHead
from .fusion.merge import Merged, gather_places, merge_tokens, project_and_merge
from .fusion.projectors import build_projector
from .kernels.graph import Graphs
from .labels import IGNORE
from .outputs import (
    CACHE,
    Encoded,
    GemOutput,
    class_loss,
    drop_modalities,
    fraction_of,
    left_padded,
    masked_rows,
    token_loss,
)

Pictures = Tensor | Sequence[Tensor]


class GemForConditionalGeneration(PreTrainedModel, GenerationMixin):
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
        if config.ecg_encoder is None and config.vision_encoder is None:
            raise GemConfigError("the config names neither an ecg_encoder nor a vision_encoder")
        if config.fusion != "none" and config.text_config is None:
            raise GemConfigError(f"fusion {config.fusion!r} needs a text_config", remedy='or set fusion to "none"')
        self.ecg_encoder = build_kind(config.ecg_encoder, "ecg")
        self.vision_encoder = build_kind(config.vision_encoder, "vision")
        self.ecg_projector: nn.Module | None = None
        self.vision_projector: nn.Module | None = None
        hidden = config.hidden_size
        if self.vision_encoder is not None:
            self.vision_projector = build_projector(config.vision_projector, self.vision_encoder.width, hidden)
            if config.picture is None:
                vision: Any = self.vision_encoder
                config.picture = {
                    "mode": "letterbox",
                    "size": list(vision.image_size),
                    "mean": list(vision.mean),
                    "std": list(vision.std),
                }
        if self.ecg_encoder is not None:
            out = self._head_dim() if config.fusion == "prefix_kv" else hidden
            self.ecg_projector = build_projector(config.ecg_projector, self.ecg_encoder.width, out)
            if config.signal is None and self.ecg_encoder.contract is not None:
                config.signal = self.ecg_encoder.contract.to_dict()
        if config.signal is not None:
            SignalContract.from_dict(config.signal)
        if config.share_projector and self.vision_projector is None:
            raise GemConfigError("share_projector needs a vision_encoder")
        if config.merge == "spatial_unpad":
            self.image_newline = nn.Parameter(torch.randn(hidden) * hidden**-0.5)
        if config.class_names:
            inputs = tuple(name for name in ("ecg", "vision") if getattr(self, f"{name}_encoder") is not None)
            size = len(config.class_names)
            votes, measured = config.class_votes, config.measured
            self.class_head = ClassificationHead(hidden, size, inputs, config.class_dropout, votes, measured)
        # keep the encoders' and projectors' own initialisation; on the meta device there is none to keep
        for parameter in self.parameters():
            if parameter.device.type != "meta":
                parameter._is_hf_initialized = True  # type: ignore[attr-defined]
        if config.fusion != "none":
            options = {"attn_implementation": prefix.NAME} if config.fusion == "prefix_kv" else {}
            self.language_model = AutoModelForCausalLM.from_config(config.text_config, **options)
        self.processor: Any = None
        self.load_report: Any = None
        self.graphs = Graphs()  # CUDA graphs of both towers, for small batches on a GPU
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

    def _head_dim(self) -> int:
        text: Any = self.config.text_config
        head_dim = int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)
        if head_dim * text.num_attention_heads != text.hidden_size:
            raise GemConfigError("prefix_kv needs hidden_size = heads x head_dim in text_config")
        return head_dim

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

    def encode(
        self,
        ecg: Tensor | None = None,
        pixel_values: Pictures | None = None,
        image_sizes: Any = None,
        ecg_mask: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        measured: Tensor | None = None,
    ) -> Encoded:
        """Run the encoders, the projectors and the classification head.

        Args:
            ecg: (B, leads, samples) as the signal contract wants it, the same before normalization as int16 uV with
                -32768 where the encoder sees zeros, or (B, width) features computed before.
            pixel_values: (B, 3, H, W), or B tensors (tiles, 3, H, W) with the base view first.
            image_sizes: (width, height) of each picture before tiling.
            ecg_mask: (B,) bool, False for rows without a recording.
            pixel_mask: (B,) bool, False for rows without a picture.
            measured: (B, values) in the order of ``config.measured["names"]``, NaN where something was not measured;
                for the classification head alone.

        Raises:
            GemInputError: the shapes don't fit the encoders or the head, or an input has no encoder or head.
        """
        return self._encode(ecg, pixel_values, image_sizes, ecg_mask, pixel_mask, measured)

    def _encode(
        self,
        ecg: Tensor | None,
        pixel_values: Pictures | None,
        image_sizes: Any,
        ecg_mask: Tensor | None,
        pixel_mask: Tensor | None,
        measured: Tensor | None = None,
        to_merge: bool = False,
    ) -> Encoded:
        """``encode``; with ``to_merge`` the tokens may stay unprojected, because the merge will project them."""
        out = Encoded(measured=measured)
        towers.check_batch(self, ecg, pixel_values, measured, {"ecg_mask": ecg_mask, "pixel_mask": pixel_mask})
        out.raw = to_merge and towers.can_defer_projection(self, ecg, pixel_values)
        tokens, pictures = towers.tokens(self, ecg, pixel_values, out.raw)
        if tokens is not None:
            out.ecg = masked_rows(list(tokens), ecg_mask)
        if pictures is not None and pixel_values is not None:
            out.vision = masked_rows(towers.picture_rows(self, pictures, pixel_values, image_sizes), pixel_mask)
        if self.training and self.config.modality_dropout and out.ecg is not None and out.vision is not None:
            drop_modalities(out, self.config.modality_dropout)
        if self.config.class_names and self.config.fusion != "prefix_kv":
            rows = {name: getattr(out, name) for name in ("ecg", "vision") if getattr(out, name) is not None}
            if measured is not None or any(row is not None for given in rows.values() for row in given):
                out.class_logits = self.class_head(rows, measured)
        return out

    def tower_modules(self) -> list[nn.Module]:
        """All modules of the encoders and projectors."""
        parts = (self.ecg_encoder, self.ecg_projector, self.vision_encoder, self.vision_projector)
        return self.graphs.modules(part for part in parts if part is not None)

    def classify(
        self,
        ecg: Tensor | None = None,
        pixel_values: Pictures | None = None,
        image_sizes: Any = None,
        encoded: Encoded | None = None,
        **more: Any,
    ) -> Tensor:
        """Probability of each of ``config.class_names``.

        Gradients are computed in training mode only (``model.train()``).

        Args:
            ecg: as in ``encode``.
            pixel_values: as in ``encode``.
            image_sizes: as in ``encode``.
            encoded: the result of ``encode``, instead of the inputs.
            **more: ``ecg_mask``, ``pixel_mask`` and ``measured``, as in ``encode``.

        Returns:
            (B, labels).

        Raises:
            GemConfigError: the model has no classification head.
            GemInputError: no input is given.
        """
        if not self.config.class_names:
            raise GemConfigError("this model has no classification head", remedy="its config lists no class_names")
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            if encoded is None:
                encoded = self.encode(ecg, pixel_values, image_sizes, **more)
            logits = encoded.class_logits
            if logits is None:
                raise GemInputError("neither ecg nor pixel_values to classify")
            return logits.float().sigmoid()

    def _embed(self, input_ids: Tensor) -> Tensor:
        # the placeholder's id is negative and has no embedding; the merge replaces its vector
        vectors: Tensor = self.get_input_embeddings()(input_ids.clamp(min=0))
        return vectors

    def _merge(
        self, input_ids: Tensor, encoded: Encoded, attention_mask: Tensor | None, labels: Tensor | None
    ) -> Merged | None:
        """The merged sequence; None if there is neither input nor placeholder."""
        if len(encoded) not in (0, len(input_ids)):
            if labels is not None or int((input_ids == self.config.placeholder_token_id).sum()) != len(encoded):
                raise GemInputError(f"{len(input_ids)} prompts but {len(encoded)} recordings or pictures")
            place, mask = self.config.placeholder_token_id, attention_mask
            blocks = encoded.blocks(with_ecg=self.config.fusion == "tokens")
            ids, mask, rows = gather_places(input_ids, mask, blocks, self._embed, place)
            return merge_tokens(ids, self._embed(ids), rows, place, mask, None)
        sources = (encoded.ecg if self.config.fusion == "tokens" else None, encoded.vision)
        nothing = all(row is None for rows in sources for row in rows or [])
        if nothing and not bool((input_ids == self.config.placeholder_token_id).any()):
            return None
        if encoded.raw:
            none: list[Tensor | None] = [None] * len(input_ids)
            merged, ecg, vision = project_and_merge(
                input_ids,
                self._embed(input_ids),
                encoded.ecg or none,
                encoded.vision or none,
                *towers.projector_weights(self),
                self.config.placeholder_token_id,
                attention_mask,
                labels,
            )
            encoded.ecg, encoded.vision = encoded.ecg and ecg, encoded.vision and vision
            return merged
        return merge_tokens(
            input_ids,
            self._embed(input_ids),
            encoded.blocks(with_ecg=self.config.fusion == "tokens") or [None] * len(input_ids),
            self.config.placeholder_token_id,
            attention_mask,
            labels,
        )

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
        **kwargs: Any,
    ) -> GemOutput:
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
            **kwargs: passed on to the decoder (``use_cache``, ``output_hidden_states``, ...).

        Raises:
            GemInputError: inputs that don't fit the model or each other.
        """
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
            return out.with_tokens(encoded)
        if input_ids is None and inputs_embeds is None:
            if class_labels is None:
                raise GemInputError("neither input_ids nor inputs_embeds", remedy="classify() needs no prompt")
            return out.with_tokens(encoded)
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
        head: Any = self.get_output_embeddings()
        if labels is None:
            out.logits = head(states[:, -logits_to_keep:] if logits_to_keep else states)
        else:
            targets = F.pad(labels[:, 1:], (0, 1), value=IGNORE)
            trained = targets != IGNORE
            out.logits = head(states[trained] if supervised_only else states)
            wanted = targets[trained] if supervised_only else targets.flatten()
            loss = token_loss(out.logits.flatten(0, -2), wanted, num_items_in_batch)
            if out.loss is not None and num_items_in_batch is not None:
                out.loss = out.loss * fraction_of(trained.sum(), num_items_in_batch, out.loss)
            out.loss = loss if out.loss is None else out.loss + loss
        out.cache = decoded.get(CACHE)
        out.attention_mask = attention_mask if attention_mask is not None and attention_mask.dim() == 2 else None
        out.hidden_states = getattr(decoded, "hidden_states", None)
        out.attentions = getattr(decoded, "attentions", None)
        return out

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
        # padding must be on the left, or new tokens would follow padding
        prompt, prompt_mask = left_padded(input_ids, attention_mask)
        if encoded is None:
            encoded = Encoded()
        if ecg is not None or pixel_values is not None:
            encoded = self.encode(ecg, pixel_values, image_sizes, ecg_mask, pixel_mask)
        merged = self._merge(prompt, encoded, prompt_mask, None)
        embeds, mask = (
            (self._embed(prompt), prompt_mask) if merged is None else left_padded(merged.embeds, merged.attention_mask)
        )
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
