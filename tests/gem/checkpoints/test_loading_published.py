"""Published layouts on checkpoints made here: keys and shapes at full size, and files that are broken."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import gem
from gem import GemCheckpointError
from gem.checkpoints import account, llava, on_meta
from gem.checkpoints.convert import convert

TEXT = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}
LLAVA = {
    "model_type": "llava_llama",
    "mm_hidden_size": 64,
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_select_layer": -2,
    "mm_vision_select_feature": "patch",
    "mm_patch_merge_type": "flat",
}


def layer_keys(hidden: int, inner: int, kv: int, layers: int, vocabulary: int) -> dict[str, tuple[int, ...]]:
    keys: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocabulary, hidden),
        "lm_head.weight": (vocabulary, hidden),
        "model.norm.weight": (hidden,),
    }
    for n in range(layers):
        base = f"model.layers.{n}."
        for name, shape in {"q": (hidden, hidden), "k": (kv, hidden), "v": (kv, hidden), "o": (hidden, hidden)}.items():
            keys[f"{base}self_attn.{name}_proj.weight"] = shape
        keys |= {f"{base}mlp.{name}_proj.weight": (inner, hidden) for name in ("gate", "up")}
        keys[f"{base}mlp.down_proj.weight"] = (hidden, inner)
        keys |= {f"{base}{name}_layernorm.weight": (hidden,) for name in ("input", "post_attention")}
    return keys


def clip_keys(width: int, inner: int, layers: int, positions: int) -> dict[str, tuple[int, ...]]:
    base = "model.vision_tower.vision_tower.vision_model."
    keys: dict[str, tuple[int, ...]] = {
        base + "embeddings.class_embedding": (width,),
        base + "embeddings.patch_embedding.weight": (width, 3, 14, 14),
        base + "embeddings.position_embedding.weight": (positions, width),
    }
    for norm in ("pre_layrnorm", "post_layernorm"):
        keys |= {f"{base}{norm}.{part}": (width,) for part in ("weight", "bias")}
    for n in range(layers):
        layer = f"{base}encoder.layers.{n}."
        for name in ("layer_norm1", "layer_norm2"):
            keys |= {f"{layer}{name}.{part}": (width,) for part in ("weight", "bias")}
        for name in "qkv":
            keys |= {
                f"{layer}self_attn.{name}_proj.weight": (width, width),
                f"{layer}self_attn.{name}_proj.bias": (width,),
            }
        keys |= {f"{layer}self_attn.out_proj.weight": (width, width), f"{layer}self_attn.out_proj.bias": (width,)}
        keys |= {f"{layer}mlp.fc1.weight": (inner, width), f"{layer}mlp.fc1.bias": (inner,)}
        keys |= {f"{layer}mlp.fc2.weight": (width, inner), f"{layer}mlp.fc2.bias": (width,)}
    return keys


def tower_keys(
    width: int, layers: int, embed: int, base: str = "model.ecg_tower.ecg_tower."
) -> dict[str, tuple[int, ...]]:
    keys: dict[str, tuple[int, ...]] = {
        "class_embedding": (width,),
        "positional_embedding": (101, width),
        "proj": (width, embed),
        "conv1.weight": (width, 12, 50),
    }
    keys |= {f"{norm}.{part}": (width,) for norm in ("ln_pre", "ln_post") for part in ("weight", "bias")}
    for n in range(layers):
        block = f"transformer.resblocks.{n}."
        keys |= {f"{block}{norm}.{part}": (width,) for norm in ("ln_1", "ln_2") for part in ("weight", "bias")}
        keys |= {f"{block}attn.in_proj_weight": (3 * width, width), f"{block}attn.in_proj_bias": (3 * width,)}
        keys |= {f"{block}attn.out_proj.weight": (width, width), f"{block}attn.out_proj.bias": (width,)}
        keys |= {f"{block}mlp.c_fc.weight": (4 * width, width), f"{block}mlp.c_fc.bias": (4 * width,)}
        keys |= {f"{block}mlp.c_proj.weight": (width, 4 * width), f"{block}mlp.c_proj.bias": (width,)}
    return {base + key: shape for key, shape in keys.items()}


def bridge_keys(mm: int, hidden: int, ecg: int | None) -> dict[str, tuple[int, ...]]:
    keys: dict[str, tuple[int, ...]] = {
        "model.mm_projector.0.weight": (hidden, mm),
        "model.mm_projector.0.bias": (hidden,),
        "model.mm_projector.2.weight": (hidden, hidden),
        "model.mm_projector.2.bias": (hidden,),
    }
    return keys | ({"model.ecg_projector.weight": (mm, ecg), "model.ecg_projector.bias": (mm,)} if ecg else {})


def write(folder: Path, keys: dict[str, tuple[int, ...]], config: dict[str, Any], shards: int = 1) -> None:
    torch.manual_seed(5)
    names = list(keys)
    (folder / "config.json").write_text(json.dumps(config))
    weight_map = {}
    for i in range(shards):
        file = "model.safetensors" if shards == 1 else f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = names[i::shards]
        save_file({key: torch.randn(keys[key]) * 0.05 for key in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    if shards > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def gem_keys() -> dict[str, tuple[int, ...]]:
    return layer_keys(32, 64, 16, 2, 96) | clip_keys(64, 96, 3, 5) | tower_keys(64, 1, 16) | bridge_keys(64, 32, 64)


@pytest.fixture
def gem_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "gem"
    folder.mkdir()
    config = (
        LLAVA | TEXT | {"mm_ecg_tower": "somewhere.pt", "ecg_projector_type": "linear", "image_aspect_ratio": "ori"}
    )
    write(folder, gem_keys(), config, shards=3)
    return folder


def test_every_key_of_7b_is_accounted_for(tmp_path: Path) -> None:
    config = LLAVA | {
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "mm_hidden_size": 1024,
        "rms_norm_eps": 1e-5,
    }
    llm, clip = layer_keys(4096, 11008, 4096, 32, 32000), clip_keys(1024, 4096, 24, 577)
    assert (len(llm), len(clip), len(tower_keys(768, 12, 512))) == (291, 391, 152)
    pulse = llm | clip | bridge_keys(1024, 4096, None) | {"model.image_newline": (4096,)}
    both = llm | clip | bridge_keys(1024, 4096, 768) | tower_keys(768, 12, 512)
    assert len(both) == 840
    for keys, extra, loaded in (
        (both, {"mm_ecg_tower": "cpt.pt", "mm_vision_tower": "clip"}, 840),
        (pulse, {"image_aspect_ratio": "anyres", "image_grid_pinpoints": "[(336, 672), (672, 672)]"}, 686),
    ):
        layout = llava.read_layout(tmp_path, config | extra, keys)
        report = account(on_meta(layout.config), keys, layout.rename, layout.ignored)
        assert report.complete, report
        assert report.loaded == loaded
        assert report.ignored == (["model.image_newline"] if keys is pulse else [])


def test_round_trip_through_convert(gem_folder: Path, tmp_path: Path) -> None:
    model = gem.load(gem_folder)
    report = convert(gem_folder, tmp_path / "ours")
    assert report is not None
    assert report.loaded == len(gem_keys())
    again = gem.load(tmp_path / "ours")
    inputs = {
        "input_ids": torch.tensor([[1, 5, -200, 9]]),
        "ecg": torch.randn(1, 12, 5000),
        "pixel_values": torch.randn(1, 3, 28, 28),
    }
    torch.testing.assert_close(again(**inputs).logits, model(**inputs).logits, atol=0, rtol=0)
    assert again.processor.contract == model.processor.contract
    with pytest.raises(GemCheckpointError, match="weights already"):
        convert(gem_folder, tmp_path / "ours")


def test_the_command_converts(gem_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import argparse

    from gem.cli import convert as cli

    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    assert cli.run(parser.parse_args([str(gem_folder), str(tmp_path / "out")])) == 0
    assert f"{len(gem_keys())} tensors fit" in capsys.readouterr().out


def test_half_precision_files_stay_half(gem_folder: Path) -> None:
    assert gem.load(gem_folder, dtype=torch.bfloat16).dtype == torch.bfloat16
    assert gem.load(gem_folder).dtype == torch.float32


def test_broken_files(gem_folder: Path) -> None:
    shard = gem_folder / "model-00002-of-00003.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(GemCheckpointError, match="truncated"):
        gem.load(gem_folder)
    shard.unlink()
    with pytest.raises(GemCheckpointError, match=r"model-00002-of-00003\.safetensors is missing"):
        gem.load(gem_folder)


@pytest.mark.parametrize("wrong", ["missing", "unexpected", "mismatched"])
def test_keys_that_do_not_fit(tmp_path: Path, wrong: str) -> None:
    keys = gem_keys()
    if wrong == "missing":
        del keys["model.ecg_projector.bias"]
    elif wrong == "unexpected":
        keys["model.mystery.weight"] = (3,)
    else:
        keys["model.mm_projector.2.bias"] = (33,)
    write(tmp_path, keys, LLAVA | TEXT | {"mm_ecg_tower": "x.pt"})
    with pytest.raises(GemCheckpointError, match=f"1 {wrong}"):
        gem.load(tmp_path)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("this must not run",))


def test_pickles_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.pt"
    torch.save({"state_dict": {"a": torch.ones(2)}, "run": Evil()}, path, pickle_module=pickle)
    with pytest.raises(GemCheckpointError, match="pickle"):
        gem.load(tmp_path)
    with pytest.raises(GemCheckpointError, match="more than tensors"):
        convert(path, tmp_path / "out")
    assert "must not run" not in capsys.readouterr().out
    path.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(GemCheckpointError):
        convert(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_strange_folders(tmp_path: Path) -> None:
    with pytest.raises(GemCheckpointError, match="no such model"):
        gem.load(tmp_path / "nowhere")
    with pytest.raises(GemCheckpointError, match=r"no model\.safetensors"):
        gem.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(GemCheckpointError, match="not JSON"):
        gem.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(GemCheckpointError, match="none of ours"):
        gem.load(tmp_path)


def test_whole_ecg_coca(tmp_path: Path) -> None:
    """Text tower and decoder too: the full size has 666 tensors, a small one scores texts and learns."""
    from gem.configuration import EcgCocaConfig
    from gem.fusion.coca import EcgCocaModel, retrieval

    with torch.device("meta"):
        full = EcgCocaModel(EcgCocaConfig(text={"model_type": "bert"}, decoder={"width": 768}))
    assert len(full.state_dict()) == 666
    assert sum(p.numel() for p in full.parameters()) == 403_348_993
    torch.manual_seed(0)
    small = EcgCocaModel(
        EcgCocaConfig(
            ecg={"n_samples": 500, "width": 64, "layers": 1},
            text={
                "model_type": "bert",
                "vocab_size": 50,
                "hidden_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 1,
                "intermediate_size": 64,
            },
            decoder={"width": 64, "heads": 8, "layers": 1, "vocab_size": 60},
            embed_dim=16,
        )
    )
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in small.state_dict().items()}}, tmp_path / "cpt.pt"
    )
    convert(tmp_path / "cpt.pt", tmp_path / "ours")
    model = gem.load(tmp_path / "ours")
    small.eval()
    ecg, ids = torch.randn(3, 12, 500), torch.randint(1, 50, (3, 7))
    ids[0, 4:] = 0
    out = model(ecg, ids)
    torch.testing.assert_close(out.loss, small(ecg, ids).loss)
    assert out.caption_logits.shape == (3, 6, 60)
    assert model.zero_shot(ecg, ids[:2]).shape == (3, 2)
    # captions are causal in what the decoder itself adds, and depend on the ECG
    assert (model(ecg.flip(0), ids).caption_logits - out.caption_logits).abs().max() > 1e-6
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(10):
        optimizer.zero_grad()
        loss = model(ecg, ids).loss
        loss.backward()
        optimizer.step()
    assert loss < out.loss
    assert retrieval(torch.eye(4), torch.eye(4).roll(1, 0))["R@1"] == 0.0


def test_meit_folder_round_trip(tmp_path: Path) -> None:
    llm = {"llm." + key: shape for key, shape in layer_keys(32, 64, 16, 2, 96).items()}
    head: dict[str, tuple[int, ...]] = {
        "proj_ecg.0.weight": (16, 24),
        "proj_ecg.3.weight": (8, 16),
        "proj_ecg.0.bias": (16,),
        "proj_ecg.3.bias": (8,),
    }
    for n, width in ((1, 16), (4, 8)):
        head |= {f"proj_ecg.{n}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
    write(tmp_path, llm | head, {"llama": TEXT, "ecg_layers": "all"})
    tensors = load_file(tmp_path / "model.safetensors")
    tensors |= {f"proj_ecg.{n}.num_batches_tracked": torch.tensor(3) for n in (1, 4)}
    tensors |= {key: value.abs() for key, value in tensors.items() if key.endswith("running_var")}
    save_file(tensors, tmp_path / "model.safetensors")
    model = gem.load(tmp_path)
    convert(tmp_path, tmp_path / "ours")
    ids, features = torch.randint(3, 96, (2, 5)), torch.randn(2, 24)
    again = gem.load(tmp_path / "ours")
    torch.testing.assert_close(again(ids, ecg=features).logits, model(ids, ecg=features).logits, atol=0, rtol=0)
    (tmp_path / "config.json").write_text(json.dumps({"llama": TEXT, "ecg_layers": "0,1"}))
    with pytest.raises(GemCheckpointError, match='only "all" works'):
        gem.load(tmp_path)


def test_configs_of_other_makes(tmp_path: Path) -> None:
    """Long-context scaling by its old name, a one-layer projector, class tokens kept."""
    config = (
        LLAVA
        | TEXT
        | {
            "rope_scaling": {"type": "linear", "factor": 2.0},
            "mm_projector_type": "linear",
            "mm_vision_select_feature": "cls_patch",
        }
    )
    keys = layer_keys(32, 64, 16, 2, 96) | clip_keys(64, 96, 3, 5)
    keys |= {"model.mm_projector.weight": (32, 64), "model.mm_projector.bias": (32,)}
    write(tmp_path, keys, config)
    model = gem.load(tmp_path)
    assert model.config.text_config.rope_parameters["rope_type"] == "linear"
    out = model(torch.tensor([[1, -200, 4]]), pixel_values=torch.randn(1, 3, 28, 28))
    assert out.logits.shape == (1, 2 + 5, 96)
