"""Random checkpoints of other sizes and settings, against plain code written from the published descriptions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

import gem
from gem import GemCheckpointError

MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
ECG, CLIP = "model.ecg_tower.ecg_tower.", "model.vision_tower.vision_tower."
BASE: dict[str, Any] = {
    "hidden": 48,
    "inner": 64,
    "layers": 2,
    "heads": 4,
    "kv": 4,
    "vocabulary": 90,
    "width": 64,
    "clip_layers": 3,
    "side": 28,
    "patch": 14,
    "select": -2,
    "feature": "patch",
    "projector": "mlp2x_gelu",
    "ecg": None,
    "ratio": "ori",
    "merge": "flat",
    "pinpoints": None,
}
TOWER: dict[str, Any] = {
    "leads": 12,
    "samples": 5000,
    "patch": 50,
    "width": 64,
    "layers": 2,
    "head": 64,
    "embed": 24,
    "projector": "linear",
}
GRID = [[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]]
CASES: dict[str, dict[str, Any]] = {
    "GEM, other sizes": {
        "ecg": {"width": 128, "layers": 1, "patch": 40, "head": 32, "samples": 2010},
        "heads": 6,
        "kv": 2,
        "layers": 3,
        "vocabulary": 131,
    },
    "GEM, 8 leads, no open_clip config": {"ecg": {"leads": 8, "patch": 48, "file": False}, "select": -1},
    "GEM, deeper ECG projector, tiles": {
        "ecg": {"projector": "mlp2x_gelu"},
        "ratio": "anyres",
        "pinpoints": GRID,
        "merge": "spatial_unpad",
    },
    "GEM, padded pictures": {"ecg": {}, "ratio": "pad", "bf16": True},
    "PULSE, linear": {
        "ratio": "anyres",
        "pinpoints": [[42, 84], [84, 84]],
        "side": 42,
        "patch": 7,
        "projector": "linear",
    },
    "PULSE, three layers": {
        "ratio": "anyres",
        "pinpoints": str([tuple(pair) for pair in GRID]),
        "projector": "mlp3x_gelu",
        "select": -3,
        "tied": True,
    },
    "LLaVA, rows": {"ratio": "anyres", "pinpoints": [[56, 28], [28, 112]], "merge": "spatial", "kv": 1},
    "LLaVA, unpadded": {
        "ratio": "anyres",
        "pinpoints": [[112, 28], [56, 84], [28, 84]],
        "merge": "spatial_unpad",
        "select": 1,
        "sparse": True,
    },
    "class token": {"feature": "cls_patch", "side": 56},
    "Mistral": {"decoder": "llava_mistral", "kv": 2, "ratio": "anyres", "pinpoints": GRID},
}
SIZES = ((85, 110), (61, 33), (28, 28), (200, 40))  # height, width


def projector(kind: str, inner: int, outer: int) -> dict[str, Tensor]:
    """Published keys: the layer itself when linear, else every second place of a sequence."""
    depth = 0 if kind == "linear" else int(kind[3])
    names = [""] if depth == 0 else [f"{2 * i}." for i in range(depth)]
    out: dict[str, Tensor] = {}
    for i, name in enumerate(names):
        out |= {
            f"{name}weight": torch.randn(outer, outer if i else inner) * 0.2,
            f"{name}bias": torch.randn(outer) * 0.1,
        }
    return out


def project(w: dict[str, Tensor], prefix: str, x: Tensor) -> Tensor:
    keys = sorted(key.removesuffix("weight") for key in w if key.startswith(prefix) and key.endswith("weight"))
    for i, key in enumerate(keys):
        x = F.linear(F.gelu(x) if i else x, w[key + "weight"], w[key + "bias"])
    return x


def tower(s: dict[str, Any]) -> dict[str, Tensor]:
    width, tokens = s["width"], s["samples"] // s["patch"] + 1
    shapes: dict[str, tuple[int, ...]] = {
        "class_embedding": (width,),
        "positional_embedding": (tokens, width),
        "proj": (width, s["embed"]),
        "conv1.weight": (width, s["leads"], s["patch"]),
    }
    shapes |= {f"{name}.{part}": (width,) for name in ("ln_pre", "ln_post") for part in ("weight", "bias")}
    for n in range(s["layers"]):
        block = f"transformer.resblocks.{n}."
        shapes |= {f"{block}{name}.{part}": (width,) for name in ("ln_1", "ln_2") for part in ("weight", "bias")}
        for name, rows, columns in (
            ("attn.out_proj", width, width),
            ("mlp.c_fc", 4 * width, width),
            ("mlp.c_proj", width, 4 * width),
        ):
            shapes |= {f"{block}{name}.weight": (rows, columns), f"{block}{name}.bias": (rows,)}
        shapes |= {f"{block}attn.in_proj_weight": (3 * width, width), f"{block}attn.in_proj_bias": (3 * width,)}
    return {
        key: torch.randn(shape) * 0.1 + float("ln_" in key and key.endswith("weight")) for key, shape in shapes.items()
    }


def see(w: dict[str, Tensor], s: dict[str, Any], x: Tensor) -> Tensor:
    """The ECG tower: class token in front, before the last norm."""

    def norm(key: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], w[ECG + key + ".weight"], w[ECG + key + ".bias"])

    x = F.conv1d(x, w[ECG + "conv1.weight"], stride=s["patch"]).mT
    x = torch.cat([w[ECG + "class_embedding"].expand(len(x), 1, -1), x], 1) + w[ECG + "positional_embedding"]
    x = norm("ln_pre", x)
    for n in range(s["layers"]):
        b = f"transformer.resblocks.{n}."
        qkv = F.linear(norm(b + "ln_1", x), w[ECG + b + "attn.in_proj_weight"], w[ECG + b + "attn.in_proj_bias"]).chunk(
            3, -1
        )
        q, k, v = (part.unflatten(2, (-1, s["head"])).transpose(1, 2) for part in qkv)
        mixed = (q @ k.mT / s["head"] ** 0.5).softmax(-1) @ v
        x = x + F.linear(
            mixed.transpose(1, 2).flatten(2), w[ECG + b + "attn.out_proj.weight"], w[ECG + b + "attn.out_proj.bias"]
        )
        inner = F.gelu(F.linear(norm(b + "ln_2", x), w[ECG + b + "mlp.c_fc.weight"], w[ECG + b + "mlp.c_fc.bias"]))
        x = x + F.linear(inner, w[ECG + b + "mlp.c_proj.weight"], w[ECG + b + "mlp.c_proj.bias"])
    return x


def clip_pixels(image: Image.Image, side: int) -> np.ndarray:
    """CLIP: shortest side, centre crop, scale, normalise."""
    width, height = image.size
    size = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
    image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    array = np.asarray(image.crop((left, top, left + side, top + side)), np.float64) / 255
    return ((array - MEAN) / STD).transpose(2, 0, 1).astype(np.float32)


def canvas_of(size: tuple[int, int], pinpoints: list[list[int]]) -> list[int]:
    best, most, least = [0, 0], -1, 10**9
    for width, height in pinpoints:
        scale = min(width / size[0], height / size[1])
        kept = min(int(size[0] * scale) * int(size[1] * scale), size[0] * size[1])
        if kept > most or (kept == most and width * height - kept < least):
            best, most, least = [width, height], kept, width * height - kept
    return best


def pixels(image: Image.Image, s: dict[str, Any]) -> Tensor:
    side = s["side"]
    if s["ratio"] == "pad" and image.width != image.height:
        square = Image.new("RGB", (max(image.size),) * 2, tuple(int(255 * value) for value in MEAN))
        square.paste(image, ((square.width - image.width) // 2, (square.height - image.height) // 2))
        image = square
    if s["ratio"] != "anyres":
        return torch.from_numpy(clip_pixels(image, side))
    width, height = canvas_of(image.size, grid_of(s))
    across, down = width / image.width, height / image.height
    if across < down:
        size = (width, min(int(np.ceil(image.height * across)), height))
    else:
        size = (min(int(np.ceil(image.width * down)), width), height)
    canvas = Image.new("RGB", (width, height))
    canvas.paste(image.resize(size), ((width - size[0]) // 2, (height - size[1]) // 2))
    views = [image.resize((side, side))]
    views += [canvas.crop((x, y, x + side, y + side)) for y in range(0, height, side) for x in range(0, width, side)]
    return torch.from_numpy(np.stack([clip_pixels(view, side) for view in views]))


def grid_of(s: dict[str, Any]) -> list[list[int]]:
    found = s["pinpoints"]
    return json.loads(found.replace("(", "[").replace(")", "]")) if isinstance(found, str) else found


class Published:
    """A random release on disk, and what the published code computes with it."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        torch.manual_seed(11)
        s = self.s = BASE | changes
        mistral = s.get("decoder") == "llava_mistral"
        text = {
            "vocab_size": s["vocabulary"],
            "hidden_size": s["hidden"],
            "intermediate_size": s["inner"],
            "num_hidden_layers": s["layers"],
            "num_attention_heads": s["heads"],
            "num_key_value_heads": s["kv"],
            "tie_word_embeddings": bool(s.get("tied")),
            "rms_norm_eps": 1e-5,
        }
        if mistral:
            text |= {"sliding_window": None}
        self.llm = (
            MistralForCausalLM(MistralConfig(**text)) if mistral else LlamaForCausalLM(LlamaConfig(**text))
        ).eval()
        clip = {
            "hidden_size": s["width"],
            "intermediate_size": 80,
            "num_hidden_layers": s["clip_layers"],
            "num_attention_heads": 2,
            "patch_size": s["patch"],
            "image_size": s["side"],
            "hidden_act": "quick_gelu",
        }
        self.clip = CLIPVisionModel(CLIPVisionConfig(**clip, attn_implementation="eager")).eval()
        inner = getattr(self.clip, "vision_model", self.clip)
        w = {
            key: value.clone()
            for key, value in self.llm.state_dict().items()
            if not (s.get("tied") and key.startswith("lm_head"))
        }
        w |= {f"{CLIP}vision_model.{key}": value for key, value in inner.state_dict().items()}
        w |= {
            f"model.mm_projector.{key}": value
            for key, value in projector(s["projector"], s["width"], s["hidden"]).items()
        }
        w["model.image_newline"] = torch.randn(s["hidden"])
        config: dict[str, Any] = {
            **text,
            "model_type": s.get("decoder", "llava_llama"),
            "mm_vision_tower": "vision_tower",
            "mm_hidden_size": s["width"],
            "mm_vision_select_layer": s["select"],
            "mm_vision_select_feature": s["feature"],
            "mm_patch_merge_type": s["merge"],
            "mm_projector_type": s["projector"],
            "image_aspect_ratio": s["ratio"],
            "rope_theta": 10000.0,
        }
        if s["pinpoints"]:
            config["image_grid_pinpoints"] = s["pinpoints"]
        if s["ecg"] is not None:
            e = self.e = TOWER | s["ecg"]
            w |= {ECG + key: value for key, value in tower(e).items()}
            w |= {
                f"model.ecg_projector.{key}": value
                for key, value in projector(e["projector"], e["width"], s["width"]).items()
            }
            config |= {"mm_ecg_tower": "x.pt", "ecg_projector_type": e["projector"], "open_clip_config": "coca_small"}
            if e.get("file", True):
                stored = {"embed_dim": e["embed"], "ecg_cfg": {"seq_length": e["samples"], "head_width": e["head"]}}
                (folder / "coca_small.json").write_text(json.dumps(stored))
        if s.get("sparse"):
            config = {
                key: value
                for key, value in config.items()
                if key not in ("vocab_size", "num_key_value_heads", "rope_theta", "mm_hidden_size")
            }
        if s.get("bf16"):
            w = {key: value.bfloat16() for key, value in w.items()}
        save_file({key: value.contiguous() for key, value in w.items()}, folder / "model.safetensors")
        (folder / "vision_tower").mkdir()
        (folder / "vision_tower" / "config.json").write_text(json.dumps(clip | {"model_type": "clip_vision_model"}))
        processing = {
            "size": {"shortest_edge": s["side"]},
            "crop_size": {"height": s["side"], "width": s["side"]},
            "image_mean": MEAN,
            "image_std": STD,
        }
        (folder / "vision_tower" / "preprocessor_config.json").write_text(json.dumps(processing))
        (folder / "config.json").write_text(json.dumps(config))
        self.w = {key: value.float() for key, value in w.items()}
        if s.get("bf16"):
            self.llm.load_state_dict({key: self.w[key] for key in self.llm.state_dict()})
            inner.load_state_dict({key: self.w[f"{CLIP}vision_model.{key}"] for key in inner.state_dict()})

    def look(self, x: Tensor) -> Tensor:
        """(tiles, 3, H, W) -> (tiles, tokens, hidden), layer by layer, independent of a library's layer indices."""
        body = getattr(self.clip, "vision_model", self.clip)
        states = [body.pre_layrnorm(body.embeddings(x))]
        for layer in body.encoder.layers:
            out = layer(states[-1], attention_mask=None)
            states.append(out[0] if isinstance(out, tuple) else out)
        chosen = states[self.s["select"]]
        return project(self.w, "model.mm_projector.", chosen if self.s["feature"] == "cls_patch" else chosen[:, 1:])

    def picture(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        s = self.s
        tokens = self.look(x[None] if x.dim() == 3 else x)
        if s["merge"] == "flat" or s["ratio"] != "anyres":
            return tokens.flatten(0, 1)
        side = s["side"] // s["patch"]
        width, height = canvas_of(size, grid_of(s))
        columns, rows = width // s["side"], height // s["side"]
        grid = tokens.new_zeros(s["hidden"], rows * side, columns * side)
        for i, tile in enumerate(tokens[1:]):
            r, c = divmod(i, columns)
            grid[:, r * side : (r + 1) * side, c * side : (c + 1) * side] = tile.T.unflatten(1, (side, side))
        if s["merge"] == "spatial":
            return torch.cat([tokens[0], grid.flatten(1).T])
        high, wide = grid.shape[1:]
        if size[0] / size[1] > wide / high:
            edge = (high - int(size[1] * wide / size[0])) // 2
            grid = grid[:, edge : high - edge]
        else:
            edge = (wide - int(size[0] * high / size[1])) // 2
            grid = grid[:, :, edge : wide - edge]
        grid = torch.cat([grid, self.w["model.image_newline"][:, None, None].expand(-1, grid.shape[1], 1)], 2)
        return torch.cat([tokens[0], grid.flatten(1).T])

    @torch.no_grad()
    def logits(self, ids: list[int], ecg: Tensor | None, image: Image.Image) -> Tensor:
        block = [self.picture(pixels(image, self.s), image.size)]
        if ecg is not None:
            tokens = project(self.w, "model.ecg_projector.", see(self.w, self.e, ecg[None]))
            block = [project(self.w, "model.mm_projector.", tokens)[0], *block]
        at, table = ids.index(-200), self.w["model.embed_tokens.weight"]
        whole = torch.cat([table[ids[:at]], *block, table[ids[at + 1 :]]])
        logits: Tensor = self.llm(inputs_embeds=whole[None]).logits[0]
        return logits


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_other_random_releases(tmp_path: Path, name: str) -> None:
    """Pixels within 1e-5 and logits within 1e-4, in a batch of odd pictures."""
    theirs = Published(tmp_path, **CASES[name])
    model = gem.load(tmp_path, dtype=torch.float32)
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)) for height, width in SIZES]
    inputs = model.processor(picture=images, compat=True)
    for ours, image in zip(inputs["pixel_values"], images, strict=True):
        torch.testing.assert_close(ours, pixels(image, theirs.s), atol=1e-5, rtol=0)
    ids = torch.randint(3, 90, (len(images), 6))
    ids[:, 3] = -200
    if theirs.s["ecg"] is not None:
        inputs["ecg"] = torch.randn(len(images), theirs.e["leads"], theirs.e["samples"])
    out = model(ids, **inputs)
    for i, image in enumerate(images):
        want = theirs.logits(ids[i].tolist(), inputs["ecg"][i] if "ecg" in inputs else None, image)
        length = out.logits.shape[1] if out.attention_mask is None else int(out.attention_mask[i].sum())
        assert length == len(want)
        torch.testing.assert_close(out.logits[i, : len(want)], want, atol=1e-4, rtol=0)


def meit(
    folder: Path, heads: int, kv: int, hidden: int, layers: int, **config: Any
) -> tuple[LlamaForCausalLM, dict[str, Tensor]]:
    torch.manual_seed(12)
    text = LlamaConfig(
        vocab_size=70,
        hidden_size=hidden,
        intermediate_size=56,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv,
        rms_norm_eps=1e-5,
        attn_implementation="eager",
        initializer_range=0.1,
    )
    llm, d = LlamaForCausalLM(text).eval(), hidden // heads
    w = {f"llm.{key}": value for key, value in llm.state_dict().items()}
    for n, (outer, inner) in ((0, (20, 36)), (3, (d, 20))):
        w |= {f"proj_ecg.{n}.weight": torch.randn(outer, inner) * 0.3, f"proj_ecg.{n}.bias": torch.randn(outer)}
        w |= {
            f"proj_ecg.{n + 1}.{part}": torch.rand(outer) + 0.5
            for part in ("weight", "bias", "running_mean", "running_var")
        }
        w[f"proj_ecg.{n + 1}.num_batches_tracked"] = torch.tensor(9)
    save_file({key: value.clone().contiguous() for key, value in w.items()}, folder / "model.safetensors")
    stored = {
        "num_key_value_heads": kv,
        "num_attention_heads": heads,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
    } | config
    (folder / "config.json").write_text(json.dumps({"llama": {k: v for k, v in stored.items() if v is not None}}))
    return llm, w


@pytest.mark.parametrize(
    ("heads", "kv", "hidden", "layers", "config"),
    [(4, 1, 48, 1, {}), (6, 3, 48, 3, {}), (2, 2, 64, 2, {"num_attention_heads": None, "num_key_value_heads": None})],
)
@torch.no_grad()
def test_other_meits(tmp_path: Path, heads: int, kv: int, hidden: int, layers: int, config: dict[str, Any]) -> None:
    """Layer by layer: the vector, the same for each head, through the layer's k and v, in front, without a position."""
    llm, w = meit(tmp_path, heads, kv, hidden, layers, **config)
    model = gem.load(tmp_path)
    ids, features, d = torch.randint(1, 70, (2, 7)), torch.randn(2, 36), hidden // heads

    def bn(n: int, x: Tensor) -> Tensor:
        parts = (w[f"proj_ecg.{n}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts)

    vector = bn(1, F.linear(features, w["proj_ecg.0.weight"], w["proj_ecg.0.bias"])).relu()
    vector = F.normalize(bn(4, F.linear(vector, w["proj_ecg.3.weight"], w["proj_ecg.3.bias"])), dim=-1)
    x = llm.model.embed_tokens(ids)
    angle = torch.arange(7)[:, None] / 10000.0 ** (torch.arange(0, d, 2) / d)
    cos, sin = (torch.cat([f(angle), f(angle)], -1) for f in (torch.cos, torch.sin))

    def turned(x: Tensor) -> Tensor:
        return x * cos + torch.cat([-x[..., d // 2 :], x[..., : d // 2]], -1) * sin

    mask = torch.full((7, 7), float("-inf")).triu(1)
    for layer in llm.model.layers:
        y, a = layer.input_layernorm(x), layer.self_attn
        q, k, v = (proj(y).unflatten(2, (-1, d)).transpose(1, 2) for proj in (a.q_proj, a.k_proj, a.v_proj))
        first_k, first_v = (proj(vector.repeat(1, heads)).unflatten(1, (-1, 1, d)) for proj in (a.k_proj, a.v_proj))
        k, v = torch.cat([first_k, turned(k)], 2), torch.cat([first_v, v], 2)
        k, v = (part.repeat_interleave(heads // kv, 1) for part in (k, v))
        scores = turned(q) @ k.mT / d**0.5 + F.pad(mask, (1, 0))
        x = x + a.o_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        x = x + layer.mlp(layer.post_attention_layernorm(x))
    want = llm.lm_head(llm.model.norm(x))
    torch.testing.assert_close(model(ids, ecg=features).logits, want, atol=1e-4, rtol=0)
    torch.testing.assert_close(model(ids).logits, llm(ids).logits, atol=1e-4, rtol=0)


def test_a_releases_own_ids_and_length_are_taken(tmp_path: Path) -> None:
    Published(tmp_path)
    stored = {"eos_token_id": [2, 7], "pad_token_id": 0, "max_length": 30, "temperature": 0.2, "do_sample": True}
    (tmp_path / "generation_config.json").write_text(json.dumps(stored))
    model = gem.load(tmp_path)
    assert model.generation_config.eos_token_id == [2, 7]
    assert model.generation_config.max_length == 30
    assert not model.generation_config.do_sample
    model.save_pretrained(tmp_path / "ours")


def test_a_tokenizer_model_alone(tmp_path: Path) -> None:
    """The releases store a sentencepiece file only: pieces around the placeholder as sentencepiece itself cuts them."""
    spm = pytest.importorskip("sentencepiece")
    Published(tmp_path)
    (tmp_path / "corpus.txt").write_text(
        "Interpret this ECG. The rhythm is sinus rhythm, the rate is 60.\nA chat between a human and an assistant.\n"
        * 20
    )
    spm.SentencePieceTrainer.train(
        input=str(tmp_path / "corpus.txt"),
        model_prefix=str(tmp_path / "tokenizer"),
        vocab_size=340,
        model_type="bpe",
        byte_fallback=True,
        pad_id=-1,
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    config = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": True,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "legacy": True,
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    pieces = spm.SentencePieceProcessor(str(tmp_path / "tokenizer.model"))
    processor = gem.load(tmp_path).processor
    before, after = processor.conversation.replace("{prompt}", "<image>\nWhat is the rhythm?").split("<image>")
    assert processor.encode_prompt("What is the rhythm?") == [1, *pieces.encode(before), -200, *pieces.encode(after)]
    (tmp_path / "tokenizer.model").write_bytes(b"no tokenizer")
    with pytest.raises((GemCheckpointError, gem.GemConfigError), match="tokenizer can't be read"):
        gem.load(tmp_path)
