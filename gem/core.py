"""What a model of this family does around its decoder: encode, classify, and merge the tokens into the prompt.

Nothing of transformers is needed for it, so that the bundled model can do without (``gem.bundled``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .encoded import Encoded, drop_modalities, left_padded, masked_rows
from .encoders.contract import SignalContract
from .encoders.registry import build_kind
from .errors import GemConfigError, GemInputError
from .fusion import towers
from .fusion.heads import ClassificationHead
from .fusion.merge import Merged, gather_places, merge_tokens, project_and_merge
from .fusion.projectors import build_projector
from .kernels.graph import Graphs

Pictures = Tensor | Sequence[Tensor]


class GemCore(nn.Module):
    """Encoders, projectors and classification head of a model; the base of its classes.

    Attributes:
        config: as ``GemConfig``.
    """

    config: Any

    def _build_parts(self, config: Any) -> None:
        """Make the encoders, projectors and head; fills in ``signal`` and ``picture`` of the config where None."""
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
            size, own = config.picture.get("size"), tuple(self.vision_encoder.image_size)  # type: ignore[arg-type]
            if size is not None and tuple(size) != own:
                raise GemConfigError(
                    f"the config's picture has the size {list(size)}, the encoder takes {list(own)}",
                    remedy="set picture to None where the encoder is another one",
                )
        if self.ecg_encoder is not None:
            out = self._head_dim() if config.fusion == "prefix_kv" else hidden
            self.ecg_projector = build_projector(config.ecg_projector, self.ecg_encoder.width, out)
            if config.signal is None and self.ecg_encoder.contract is not None:
                config.signal = self.ecg_encoder.contract.to_dict()
        if config.signal is not None:
            check_signal(SignalContract.from_dict(config.signal), getattr(self.ecg_encoder, "contract", None))
        if config.share_projector and self.vision_projector is None:
            raise GemConfigError("share_projector needs a vision_encoder")
        if config.merge == "spatial_unpad":
            self.image_newline = nn.Parameter(torch.randn(hidden) * hidden**-0.5)
        if config.class_names:
            inputs = tuple(name for name in ("ecg", "vision") if getattr(self, f"{name}_encoder") is not None)
            size = len(config.class_names)
            votes, measured = config.class_votes, config.measured
            self.class_head = ClassificationHead(hidden, size, inputs, config.class_dropout, votes, measured)
        self.graphs = Graphs()  # CUDA graphs of both towers, for small batches on a GPU

    def _head_dim(self) -> int:
        text: Any = self.config.text_config
        head_dim = int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)
        if head_dim * text.num_attention_heads != text.hidden_size:
            raise GemConfigError("prefix_kv needs hidden_size = heads x head_dim in text_config")
        return head_dim

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
        """The decoder's vectors of tokens; any for the placeholder, whose vector the merge replaces."""
        raise NotImplementedError

    def _prompt_vectors(self, input_ids: Tensor, attention_mask: Tensor, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """The vectors of prompts with what was encoded in its place, (B, T, hidden), and their mask (B, T)."""
        # padding must be on the left, or new tokens would follow padding
        prompt, mask = left_padded(input_ids, attention_mask)
        merged = self._merge(prompt, encoded, mask, None)
        if merged is None:
            return self._embed(prompt), mask
        return left_padded(merged.embeds, merged.attention_mask)

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


def check_signal(stored: SignalContract, own: SignalContract | None) -> None:
    """Refuse a config whose signal is that of another encoder: filters may be chosen, what the network sees may not.

    Args:
        stored: of the config.
        own: of the encoder; None where it takes no signal.

    Raises:
        GemConfigError: rate, length, leads or normalization differ.
    """
    for name in ("fs_hz", "n_samples", "leads", "normalization") if own is not None else ():
        here, there = getattr(stored, name), getattr(own, name)
        if here != there:
            raise GemConfigError(
                f"the config's signal has {name} {here}, the encoder takes {there}",
                remedy="set signal to None where the encoder is another one",
            )
