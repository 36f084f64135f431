"""Any timm model as the encoder of the picture."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import GemConfigError
from .registry import Encoder, register_encoder

# arguments of timm.create_model that only change sizes or rates
ALLOWED_KWARGS = (
    "patch_size",
    "embed_dim",
    "embed_dims",
    "depth",
    "depths",
    "dims",
    "num_heads",
    "mlp_ratio",
    "window_size",
    "init_values",
    "qkv_bias",
    "class_token",
    "reg_tokens",
    "no_embed_class",
    "dynamic_img_size",
    "strict_img_size",
    "global_pool",
    "output_stride",
    "drop_rate",
    "drop_path_rate",
    "proj_drop_rate",
    "attn_drop_rate",
    "pos_drop_rate",
    "patch_drop_rate",
)
MAX_PIXELS = 2048  # per side; building some models takes memory that grows with the square of the number of patches


@register_encoder(name="timm")
class TimmVision(Encoder):
    """``forward_features`` of a timm model, as a sequence of tokens.

    Sees: a picture of the model's size, normalised as the model's own settings say.
    Architecture: the named model's.
    Source: timm (Apache-2.0), and the named model's own.

    Args:
        model: timm's name of it (``timm/<name>`` in a config is the same); not a name on a hub and not a folder.
        img_size: (H, W) of the input, or None for the model's default.
        **kwargs: sizes and rates, see ``ALLOWED_KWARGS``. ``timm.create_model`` takes more: files to read and models to
            download, which a config must not name.

    Raises:
        GemConfigError: an unknown model, or another argument.
    """

    kind: ClassVar[str] = "vision"
    tiny: ClassVar[dict[str, Any]] = {"model": "test_vit", "img_size": [64, 64]}

    def __init__(self, model: str, img_size: Sequence[int] | None = None, **kwargs: Any) -> None:
        super().__init__()
        import timm

        if not re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)?", model) or not timm.is_model(model):
            near = difflib.get_close_matches(model, timm.list_models(), n=3)
            raise GemConfigError(f"timm has no model {model[:80]!r}", remedy=f"nearest: {', '.join(near) or 'none'}")
        if unknown := sorted(set(kwargs) - set(ALLOWED_KWARGS)):
            raise GemConfigError(
                f"a timm encoder does not take {', '.join(unknown)[:200]}",
                remedy=f"it takes img_size, {', '.join(ALLOWED_KWARGS)}",
            )
        if img_size is not None and not all(1 <= side <= MAX_PIXELS for side in img_size):
            raise GemConfigError(f"img_size {img_size}", remedy=f"(H, W), 1 to {MAX_PIXELS} pixels each")
        self.model_name, self.build_kwargs = model, dict(kwargs)
        # only vision transformers take img_size when they are built
        self.body = self._create(timm, img_size)
        data = timm.data.resolve_model_data_config(self.body)
        self.image_size = tuple(img_size) if img_size else tuple(data["input_size"][1:])
        self.mean, self.std = tuple(data["mean"]), tuple(data["std"])
        self.width = int(self.body.num_features)  # type: ignore[arg-type]
        self.n_tokens = self._count_tokens()

    def _create(self, timm: Any, img_size: Sequence[int] | None) -> torch.nn.Module:
        options = {**self.build_kwargs, "num_classes": 0, "pretrained": False}
        if img_size is not None:
            try:
                model: torch.nn.Module = timm.create_model(self.model_name, img_size=tuple(img_size), **options)
                return model
            except TypeError:
                pass
        return timm.create_model(self.model_name, **options)  # type: ignore[no-any-return]

    @torch.no_grad()
    def _count_tokens(self) -> int:
        """Tokens of a picture of ``image_size``, from a pass on the meta device, which only computes shapes."""
        import copy

        body = copy.deepcopy(self.body).to("meta").eval()
        picture = torch.zeros(1, 3, *self.image_size, device="meta")
        return int(self._tokens(body, picture).shape[1])

    @staticmethod
    def _tokens(body: Any, x: Tensor) -> Tensor:
        features: Tensor = body.forward_features(x)
        if features.dim() == 4:
            # Swin-like models give (B, H, W, C), convolutional networks (B, C, H, W)
            last = features.shape[-1] == body.num_features and features.shape[1] != body.num_features
            features = features.flatten(1, 2) if last else features.flatten(2).transpose(1, 2)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, n_tokens, width)."""
        return self._tokens(self.body, x)

    @torch.no_grad()
    def init_buffers(self) -> None:
        """Copy the buffers that files do not hold from a newly built model."""
        import timm

        stored = set(self.body.state_dict())
        unset = {name: buffer for name, buffer in self.body.named_buffers() if name not in stored}
        unset = {name: buffer for name, buffer in unset.items() if not buffer.is_meta}
        if not unset:
            return
        with torch.device("cpu"):
            fresh = dict(self._create(timm, list(self.image_size)).named_buffers())
        for name, buffer in unset.items():
            buffer.copy_(fresh[name])
