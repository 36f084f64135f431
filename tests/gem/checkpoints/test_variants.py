"""Random checkpoints of the published layouts against transformers' own towers and decoder: what a release may vary."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

import gem
from gem import GemCheckpointError
from gem.checkpoints.convert import convert
from gem.encoders.ecg_coca import EcgCoca

PLAIN: dict[str, Any] = {"hidden": 32, "heads": 4, "kv": 2, "layers": 2, "vocabulary": 96}


class Release:
    """A random GEM, PULSE or ECG-Chat checkpoint on disk, and what its parts compute without our model."""

    def __init__(self, folder: Path, ecg: bool, picture: bool, **changes: Any) -> None:
        torch.manual_seed(7)
        self.folder, size = folder, PLAIN | changes
        hidden, self.picture = size["hidden"], picture
        text = {
            "vocab_size": size["vocabulary"],
            "hidden_size": hidden,
            "intermediate_size": 2 * hidden,
            "num_hidden_layers": size["layers"],
            "num_attention_heads": size["heads"],
            "num_key_value_heads": size["kv"],
            "tie_word_embeddings": bool(size.get("tied")),
        }
        self.llm = LlamaForCausalLM(LlamaConfig(**text)).eval()
        tensors = dict(self.llm.state_dict())
        if size.get("tied"):
            tensors.pop("lm_head.weight")
        config = {**text, "model_type": "llava_llama", "rope_theta": 10000.0, "mm_projector_type": "mlp2x_gelu"}
        width = 128 if picture else 64
        bridge = torch.nn.Sequential(torch.nn.Linear(width, hidden), torch.nn.GELU(), torch.nn.Linear(hidden, hidden))
        tensors |= {f"model.mm_projector.{key}": value for key, value in bridge.state_dict().items()}
        self.bridge = bridge
        if picture:
            clip = CLIPVisionConfig(
                hidden_size=128,
                intermediate_size=96,
                num_hidden_layers=3,
                num_attention_heads=2,
                patch_size=size.get("patch", 14),
                image_size=28,
            )
            self.clip = CLIPVisionModel(clip).eval()
            inner = getattr(self.clip, "vision_model", self.clip).state_dict()
            tensors |= {f"model.vision_tower.vision_tower.vision_model.{key}": value for key, value in inner.items()}
            config |= {"mm_vision_tower": "openai/clip", "mm_hidden_size": 128}
        if ecg:
            self.tower = EcgCoca(n_samples=500, width=64, layers=2, embed_dim=16).eval()
            tensors |= {f"model.ecg_tower.ecg_tower.{key}": value for key, value in self.tower.state_dict().items()}
            config |= {"mm_ecg_tower": "cpt_wfep_epoch_20.pt"}
            if picture:
                self.own = torch.nn.Linear(64, 128)
                tensors |= {f"model.ecg_projector.{key}": value for key, value in self.own.state_dict().items()}
        if size.get("buffers"):
            tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
            tensors["model.vision_tower.vision_tower.vision_model.embeddings.position_ids"] = torch.arange(5)[None]
        for key in size.get("lacks", ()):
            config.pop(key)
        self.config, self.tensors = config | size.get("config", {}), tensors
        self.write(int(size.get("shards", 1)), bool(size.get("index", True)))

    def write(self, shards: int = 1, index: bool = True) -> None:
        (self.folder / "config.json").write_text(json.dumps(self.config))
        names, places = sorted(self.tensors), {}
        for i in range(shards):
            file = "model.safetensors" if shards == 1 else f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
            save_file({key: self.tensors[key].contiguous() for key in names[i::shards]}, self.folder / file)
            places |= dict.fromkeys(names[i::shards], file)
        if shards > 1 and index:
            (self.folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))

    @torch.no_grad()
    def logits(self, ids: torch.Tensor, ecg: torch.Tensor | None, pixels: torch.Tensor | None) -> torch.Tensor:
        block = []
        if ecg is not None:
            tokens = self.tower(ecg)
            block.append(self.bridge(self.own(tokens) if self.picture else tokens))
        if pixels is not None:
            block.append(self.bridge(self.clip(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]))
        at = ids[0].tolist().index(-200)
        table = self.llm.get_input_embeddings()
        whole = torch.cat([table(ids[:, :at]), *block, table(ids[:, at + 1 :])], dim=1)
        return self.llm(inputs_embeds=whole).logits


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "multi-head": {"kv": 4, "layers": 1},
    "one kv head, other sizes": {"hidden": 48, "heads": 6, "kv": 1, "layers": 3, "vocabulary": 130},
    "patch 7": {"patch": 7},
    "tied": {"tied": True},
    "sharded": {"shards": 4},
    "sharded, no index": {"shards": 3, "index": False},
    "old buffers": {"buffers": True},
    "keys absent": {
        "lacks": (
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_key_value_heads",
            "mm_projector_type",
            "rope_theta",
        )
    },
    "square": {"config": {"image_aspect_ratio": "square", "rope_scaling": None}},
}


OF_PICTURES = ("old buffers", "patch 7", "square")


@pytest.mark.parametrize(
    ("name", "family"),
    [(n, f) for f in ("gem", "pulse", "ecg-chat") for n in VARIANTS if f != "ecg-chat" or n not in OF_PICTURES],
)
def test_variants(tmp_path: Path, name: str, family: str) -> None:
    ecg, picture = family != "pulse", family != "ecg-chat"
    release = Release(tmp_path, ecg, picture, **VARIANTS[name])
    model = gem.load(tmp_path)
    ids = torch.tensor([[1, 5, -200, 9, 11]])
    signal = torch.randn(1, 12, 500) if ecg else None
    pixels = torch.randn(1, 3, 28, 28) if picture else None
    ours = model(ids, ecg=signal, pixel_values=pixels).logits
    torch.testing.assert_close(ours, release.logits(ids, signal, pixels), atol=1e-4, rtol=0)
    if name in ("plain", "tied"):
        convert(tmp_path, tmp_path / "ours")
        again = gem.load(tmp_path / "ours")
        torch.testing.assert_close(again(ids, ecg=signal, pixel_values=pixels).logits, ours, atol=0, rtol=0)


def test_bf16_files_stay_bf16_and_mixed_ones_follow_most(tmp_path: Path) -> None:
    release = Release(tmp_path, True, True)
    release.tensors = {k: v if "ecg_tower" in k else v.bfloat16() for k, v in release.tensors.items()}
    release.write()
    model = gem.load(tmp_path)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    full = gem.load(tmp_path, dtype=torch.float32)
    assert {p.dtype for p in full.parameters()} == {torch.float32}
    assert torch.equal(full.language_model.lm_head.weight.bfloat16(), model.language_model.lm_head.weight)


def test_a_folder_without_its_towers_is_completed_from_their_files(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    release = Release(source, True, True)
    whole = gem.load(source)
    ecg, clip = "model.ecg_tower.ecg_tower.", "model.vision_tower.vision_tower."
    state = {k.replace(ecg, "module.ecg."): v for k, v in release.tensors.items() if k.startswith(ecg)}
    torch.save({"state_dict": state | {"module.logit_scale": torch.ones(())}}, tmp_path / "cpt.pt")
    save_file(
        {k.removeprefix(clip): v for k, v in release.tensors.items() if k.startswith(clip)},
        tmp_path / "clip.safetensors",
    )
    release.tensors = {k: v for k, v in release.tensors.items() if not k.startswith((ecg, clip))}
    release.write()
    with pytest.raises(GemCheckpointError, match="--ecg-tower"):
        gem.load(source)
    convert(source, tmp_path / "ours", tmp_path / "cpt.pt", tmp_path / "clip.safetensors")
    ours = gem.load(tmp_path / "ours").state_dict()
    assert all(torch.equal(value, ours[key]) for key, value in whole.state_dict().items())


def test_what_no_release_has_is_refused(tmp_path: Path) -> None:
    release = Release(tmp_path, True, True, shards=3, index=False)
    (tmp_path / "model-00003-of-00003.safetensors").unlink()
    with pytest.raises(GemCheckpointError, match="model-00003-of-00003"):
        gem.load(tmp_path)
    release.write(3)
    for key, value in (
        ("mm_patch_merge_type", "swirl"),
        ("image_aspect_ratio", "round"),
        ("image_grid_pinpoints", "os.system"),
        ("image_grid_pinpoints", [[28]]),
    ):
        (tmp_path / "config.json").write_text(json.dumps(release.config | {key: value}))
        with pytest.raises(GemCheckpointError, match=key):
            gem.load(tmp_path)
    for key, wrong in (
        ("num_attention_heads", 5),
        ("mm_vision_select_layer", -9),
        ("rope_scaling", "x"),
        ("hidden_size", "?"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(release.config | {key: wrong}))
        with pytest.raises(GemCheckpointError, match="contradict"):
            gem.load(tmp_path)


MEASURE = """
import sys, torch, gem, gem.checkpoints, gem.modeling, timm, accelerate
from transformers import LlamaForCausalLM, CLIPVisionModel
read = lambda name: next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))
gem.load(sys.argv[1])
start = read("VmRSS")
model = gem.load(sys.argv[2], dtype=getattr(torch, sys.argv[3]))
sum(float(p.sum()) for p in model.parameters())
size = sum(p.numel() * p.element_size() for p in model.parameters())
print((read("VmHWM") - start) / size, size)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_makes_no_second_copy(tmp_path: Path, dtype: str) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    for folder, sizes in (
        (small, {}),
        (large, {"hidden": 1024, "heads": 16, "kv": 16, "layers": 7, "vocabulary": 8000, "shards": 4}),
    ):
        folder.mkdir()
        Release(folder, True, True, **sizes)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, small, large, dtype], capture_output=True, text=True, check=False
    )
    ratio, size = map(float, done.stdout.split())
    assert size > (300e6 if dtype == "float32" else 150e6), done.stderr
    assert ratio < 1.3


def test_the_release_is_what_is_read(tmp_path: Path) -> None:
    release = Release(tmp_path, True, True)
    report = gem.load(tmp_path).load_report
    assert report.loaded == len(load_file(tmp_path / "model.safetensors")) == len(release.tensors)
