"""Two public ECG foundation encoders, ECGFounder and ECG-FM: their checkpoints' keys and sizes as ours.

Written from the public descriptions, without a released file. A key that does not fit is an error and never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..configuration import GemConfig
from .files import open_safetensors, weight_files
from .llava import PublishedLayout, Shapes

FOUNDER, FM = "stage_list.0.block_list.0.conv1.conv.weight", "feature_extractor.conv_layers.0.0.weight"
# keys of the pre-training heads, which are not needed for features
HEADS = {
    "ecg_founder": re.compile(r"dense\."),
    "ecg_fm": re.compile(
        r"(mask_emb$|quantizer\.|project_q\.|final_proj\.|proj\.|target_glu\.|dropout_|classifier\.|input_quantizer\.)"
    ),
}


def is_foundation(shapes: Shapes) -> bool:
    """Whether these are the keys of ECGFounder or ECG-FM."""
    return any(key.endswith((FOUNDER, FM)) for key in shapes)


def read_layout(folder: Path, config: dict[str, Any], shapes: Shapes) -> PublishedLayout:
    """Our config (an encoder without a language model) and key names; sizes come from the tensors' shapes.

    Args:
        folder: of the weights.
        config: not used; these encoders publish none.
        shapes: every key and its shape.
    """
    name, mark = ("ecg_founder", FOUNDER) if any(key.endswith(FOUNDER) for key in shapes) else ("ecg_fm", FM)
    prefix = next(key for key in shapes if key.endswith(mark)).removesuffix(mark)
    own = {key.removeprefix(prefix): shape for key, shape in shapes.items() if key.startswith(prefix)}
    ignored = {key for key in shapes if HEADS[name].match(key.removeprefix(prefix))}
    if name == "ecg_founder":
        # every file has batch norm layers; if they were used in training, they have counted batches
        norm = _is_positive(folder, prefix + "first_bn.num_batches_tracked")
        kwargs = {**_founder(own), "norm": norm}
        if not norm:
            ignored |= {key for key in shapes if re.search(r"(^|\.)(first_bn|bn[123])\.", key)}
    else:
        kwargs = _fm(own)
    ours = GemConfig(
        ecg_encoder={"name": name, "kwargs": kwargs},
        fusion="none",
        ecg_projector={"type": "identity", "width": _width(name, kwargs)},
        tune={
            "source": "ECGFounder" if name == "ecg_founder" else "ECG-FM",
            "licence": "that of the release the file came from; not checked here",
        },
    )
    return PublishedLayout(ours, _renamer(prefix), ignored)


def _renamer(prefix: str) -> Callable[[str], str]:
    # torch's weight norm, by its older and its newer key names
    parts = {"weight_g": "gain", "weight_v": "direction", "bias": "bias"}
    parts |= {"parametrizations.weight.original0": "gain", "parametrizations.weight.original1": "direction"}

    def rename(key: str) -> str:
        key = key.removeprefix(prefix)
        found = re.fullmatch(r"(?:encoder\.)?(?:conv_pos\.)?pos_conv\.0\.(.+)", key)
        if found and found[1] in parts:
            key = f"conv_pos.{parts[found[1]]}"
        return f"ecg_encoder.{key}"

    return rename


def _founder(own: Shapes) -> dict[str, Any]:
    base, leads, kernel = own["first_conv.conv.weight"]
    depths = [_count(own, rf"stage_list\.{i}\.block_list\.(\d+)\.") for i in range(_count(own, r"stage_list\.(\d+)\."))]
    blocks = [f"stage_list.{i}.block_list.0." for i in range(len(depths))]
    filters = [own[f"{block}conv3.conv.weight"][0] for block in blocks]
    middle, group, _ = own[f"{blocks[-1]}conv2.conv.weight"]
    return {
        "leads": leads,
        "base": base,
        "filters": filters,
        "blocks": depths,
        "kernel": kernel,
        "ratio": middle / filters[-1],
        "groups_width": filters[-1] * group // middle,
    }


def _fm(own: Shapes) -> dict[str, Any]:
    count = _count(own, r"feature_extractor\.conv_layers\.(\d+)\.")
    convs = [own[f"feature_extractor.conv_layers.{i}.0.weight"] for i in range(count)]
    width = own["encoder.layer_norm.weight"][0]
    (positions,) = (shape for key, shape in own.items() if re.search(r"pos_conv\.0\..*(weight_v|original1)$", key))
    return {
        "leads": convs[0][1],
        "conv_layers": [[out, kernel, kernel] for out, _, kernel in convs],  # strides are the kernels
        "conv_bias": "feature_extractor.conv_layers.0.0.bias" in own,
        "width": width,
        "layers": _count(own, r"encoder\.layers\.(\d+)\."),
        "heads": max(1, width // 64),
        "mlp_width": own["encoder.layers.0.fc1.weight"][0],
        "conv_pos": positions[2],
        "conv_pos_groups": width // positions[1],
    }


def _width(name: str, kwargs: dict[str, Any]) -> int:
    return int(kwargs["filters"][-1] if name == "ecg_founder" else kwargs["width"])


def _count(shapes: Shapes, pattern: str) -> int:
    return len({match[1] for key in shapes if (match := re.match(pattern, key))})


def _is_positive(folder: Path, key: str) -> bool:
    for path in weight_files(folder):
        with open_safetensors(path) as file:
            if key in file.keys():  # noqa: SIM118  (not a mapping)
                return int(file.get_tensor(key)) > 0
    return False
