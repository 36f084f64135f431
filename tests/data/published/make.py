"""Pack the published code's checkpoints and outputs into a folder: ``python make.py ../shared/parity OUT``.

What is left out, so that all six fit into 5 MB, is said in README.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

# mantissa bits of weights and inputs that are rounded away; with them the published outputs are met within 5e-5
ROUNDED_BITS = {"ecg_coca": 7, "gem": 9, "pulse": 6, "llava_next_unpad": 6, "meit": 7, "meit_gqa": 7}
EVERY = 8  # one in so many columns of the logits
# weights that none of the outputs kept here depends on
UNUSED = {
    "gem": (
        "encoder.layers.2.",
        "post_layernorm",
        "ln_post",
        "ecg_tower.proj",
        "model.layers.",
        "model.norm",
        "lm_head",
    ),
    "pulse": ("encoder.layers.2.", "post_layernorm"),
    "llava_next_unpad": ("encoder.layers.2.", "post_layernorm"),
}

Arrays = dict[str, np.ndarray]


def rounded(array: np.ndarray, bits: int) -> np.ndarray:
    """The nearest float32 whose last ``bits`` bits are zero; other types as they are."""
    if array.dtype != np.float32:
        return array
    half, mask = np.uint32(1 << bits >> 1), np.uint32(0xFFFFFFFF << bits & 0xFFFFFFFF)
    return ((array.view(np.uint32) + half) & mask).view(np.float32)


def save(path: Path, arrays: Arrays) -> None:
    """First bytes of all values, then second ones, ...: so they compress. ``conftest.py`` puts them together again."""
    planes: Arrays = {}
    for name, array in arrays.items():
        if array.dtype == np.float32:
            array = np.moveaxis(np.asarray(array, order="C")[..., None].view(np.uint8), -1, 0)  # (4, ...)
            name += ".float32"
        planes[name] = np.asarray(array, order="C")
    np.savez_compressed(path, **planes)


def needed(name: str, weights: Arrays, want: Arrays) -> Arrays:
    """The weights with NaN where no output that is kept depends on them."""
    weights = {key: value.copy() for key, value in weights.items()}
    ids = np.concatenate(
        [value.ravel() for key, value in want.items() if key.endswith(("input_ids", "generated"))] or [[]]
    )
    for key, value in weights.items():
        if any(part in key for part in UNUSED.get(name, ())):
            value[...] = np.nan
        elif key.endswith("embed_tokens.weight"):
            value[~np.isin(np.arange(len(value)), ids)] = np.nan
        elif key == "proj_ecg.0.weight":
            value[:, (want["input.ecg_features"] == 0).all(axis=0)] = np.nan
    return weights


def kept(name: str, want: Arrays) -> Arrays:
    """The inputs and outputs that fit."""
    for key in want:
        if key.startswith("output.logits"):
            want[key] = want[key][..., ::EVERY]
        elif name == "ecg_coca" or key == "output.inputs_embeds":
            want[key] = want[key][:1]
    if name == "gem":
        del want["output.logits"], want["output.loss"], want["output.generated"]
        want["input.ecgs"][1] = 0  # of the second row only the plan of the merge is kept
    return {
        key: rounded(value, ROUNDED_BITS[name]) if key.startswith("input.") else value for key, value in want.items()
    }


def main(parity: Path, out: Path) -> None:
    for name, bits in ROUNDED_BITS.items():
        target = out / name
        for path in (parity / name).rglob("*.json"):
            copy = target / path.relative_to(parity / name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
        want = kept(name, load_file(parity / name / "expected.safetensors"))
        weights = needed(name, load_file(parity / name / "model.safetensors"), want)
        if name in ("pulse", "llava_next_unpad"):  # both were shown the same two pictures
            pictures = {key: want.pop(key) for key in list(want) if "image" in key or "pixel_values" in key}
            save(out / "pictures.npz", pictures)
        save(target / "expected.npz", want)
        save(target / "model.npz", {key: rounded(value, bits) for key, value in weights.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
