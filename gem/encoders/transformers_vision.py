"""Vision models of transformers as the encoder of the picture; CLIP's is the one GEM and PULSE use."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from ..errors import GemConfigError
from ..untrusted import VISION_TOWERS, transformers_config
from .registry import Encoder, register_encoder

_TINY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "patch_size": 14,
    "image_size": 28,
}


class _TransformersVision(Encoder):
    kind: ClassVar[str] = "vision"

    def __init__(self, config: dict[str, Any], select_layer: int = -1, select_feature: str = "patch") -> None:
        super().__init__()
        from transformers import AutoModel

        if select_feature not in ("patch", "cls_patch"):
            raise GemConfigError(f"unknown select_feature {select_feature!r}", remedy="use patch or cls_patch")
        settings = transformers_config({"model_type": "clip_vision_model", **config}, VISION_TOWERS, "config")
        layers = getattr(settings, "num_hidden_layers", None)
        if layers is not None and not -layers - 1 <= select_layer <= layers:
            raise GemConfigError(f"select_layer {select_layer} of a tower with {layers} layers")
        body = AutoModel.from_config(settings)
        # some releases of transformers wrap the tower once more, which would change the keys
        self.body = getattr(body, "vision_model", body)
        self.select_layer, self.select_feature = select_layer, select_feature
        self.width = int(settings.hidden_size)
        size = settings.image_size
        self.image_size: tuple[int, ...] = (size, size) if isinstance(size, int) else tuple(size)
        self.patch_size = int(settings.patch_size)
        self.mean, self.std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
        grid = (self.image_size[0] // self.patch_size) * (self.image_size[1] // self.patch_size)
        # CLIP and ViT have a class token in front, SigLIP none, DeiT one more, others register tokens
        extra = 1 if settings.model_type == "deit" else int(getattr(settings, "num_register_tokens", 0))
        self.n_prefix = 0 if "siglip" in settings.model_type else 1 + extra
        self.n_tokens = grid + (self.n_prefix if select_feature == "cls_patch" else 0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, n_tokens, width)."""
        hidden: Tensor = self.body(x, output_hidden_states=True).hidden_states[self.select_layer]
        return hidden if self.select_feature == "cls_patch" else hidden[:, self.n_prefix :]

    def init_buffers(self) -> None:
        """Number the positions."""
        import torch

        for module in self.body.modules():
            ids = getattr(module, "position_ids", None)
            if isinstance(ids, torch.Tensor) and ids.device.type != "meta":
                ids.copy_(torch.arange(ids.shape[-1]).expand_as(ids))


@register_encoder(name="clip_vision")
class ClipVision(_TransformersVision):
    """CLIP's vision tower.

    Sees: a picture of 336 x 336, or tiles of one.
    Architecture: vision transformer, CLIP-L/14; the patches of its second-last layer.
    Source: CLIP, ICML 2021; GEM's and PULSE's picture tower.

    Args:
        config: fields of transformers' ``CLIPVisionConfig``; CLIP-L/14 at 336 pixels when None.
        select_layer: index of the layer whose output is taken.
        select_feature: ``"patch"`` or ``"cls_patch"`` (with the class token).
    """

    tiny: ClassVar[dict[str, Any]] = {"config": _TINY, "select_layer": -2}

    def __init__(
        self, config: dict[str, Any] | None = None, select_layer: int = -2, select_feature: str = "patch"
    ) -> None:
        super().__init__({**(config or CLIP_L_336), "model_type": "clip_vision_model"}, select_layer, select_feature)


@register_encoder(name="transformers_vision")
class TransformersVision(_TransformersVision):
    """A vision model of transformers.

    Sees: a picture of the config's size.
    Architecture: the config's.
    Source: transformers (Apache-2.0), and the model's own.

    Args:
        config: its config as a dict, with a ``model_type`` of ``gem.untrusted.VISION_TOWERS``.
        select_layer: index of the layer whose output is taken.
        select_feature: ``"patch"`` or ``"cls_patch"`` (with the tokens in front).
    """

    tiny: ClassVar[dict[str, Any]] = {"config": {**_TINY, "model_type": "siglip_vision_model"}}


# openai/clip-vit-large-patch14-336, the public configuration
CLIP_L_336: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 336,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
