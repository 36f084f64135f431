"""ECGFounder and ECG-FM: random checkpoints in their layouts, against plain code and transformers' wav2vec 2.0."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, Wav2Vec2Config
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2Encoder

import gem
import grounding
from gem import GemCheckpointError
from gem.checkpoints.convert import convert
from gem.encoders import SignalContract
from gem.training.parts import assemble
from grounding import STANDARD_LEADS, ECGRecord

FILTERS, BLOCKS, BASE, GROUP = (16, 32, 48), (2, 1, 2), 8, 8


def founder(norm: bool) -> dict[str, Tensor]:
    """A random Net1D checkpoint; every file holds batch norms, used or not, and the head of its 150 labels."""
    torch.manual_seed(3)
    out: dict[str, Tensor] = {}

    def put(key: str, *shape: int) -> None:
        out[key + ".weight"], out[key + ".bias"] = torch.randn(shape) * 0.2, torch.randn(shape[0]) * 0.1

    def batch_norm(key: str, width: int) -> None:
        used = float(norm)
        out[key + ".weight"], out[key + ".bias"] = (
            torch.ones(width) + used * torch.rand(width),
            used * torch.randn(width),
        )
        out[key + ".running_mean"], out[key + ".running_var"] = used * torch.rand(width), 1 + used * torch.rand(width)
        out[key + ".num_batches_tracked"] = torch.tensor(100 * int(norm))

    put("first_conv.conv", BASE, 12, 16)
    batch_norm("first_bn", BASE)
    inner = BASE
    for i, (outer, depth) in enumerate(zip(FILTERS, BLOCKS, strict=True)):
        for j in range(depth):
            block = f"stage_list.{i}.block_list.{j}."
            for n, width in ((1, inner), (2, outer), (3, outer)):
                batch_norm(f"{block}bn{n}", width)
            put(block + "conv1.conv", outer, inner, 1)
            put(block + "conv2.conv", outer, GROUP, 16)
            put(block + "conv3.conv", outer, outer, 1)
            put(block + "se_fc1", outer // 2, outer)
            put(block + "se_fc2", outer, outer // 2)
            inner = outer
    put("dense", 150, inner)
    return out


def net1d(w: dict[str, Tensor], x: Tensor, norm: bool) -> Tensor:
    """Net1D in eval mode, from its description: (B, 12, samples) -> (B, channels, time)."""

    def conv(key: str, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
        kernel, size = w[key + ".weight"].shape[2], x.shape[2]
        lack = max(0, ((size + stride - 1) // stride - 1) * stride + kernel - size)
        x = torch.cat([x.new_zeros(*x.shape[:2], lack // 2), x, x.new_zeros(*x.shape[:2], lack - lack // 2)], 2)
        return F.conv1d(x, w[key + ".weight"], w[key + ".bias"], stride, groups=groups)

    def act(key: str, x: Tensor) -> Tensor:
        if norm:
            mean, var = w[key + ".running_mean"][:, None], w[key + ".running_var"][:, None]
            x = (x - mean) / (var + 1e-5).sqrt() * w[key + ".weight"][:, None] + w[key + ".bias"][:, None]
        return x * x.sigmoid()

    x = act("first_bn", conv("first_conv.conv", x, 2))
    for i, (outer, depth) in enumerate(zip(FILTERS, BLOCKS, strict=True)):
        for j in range(depth):
            block = f"stage_list.{i}.block_list.{j}."
            y = x if i == j == 0 else act(block + "bn1", x)
            y = act(block + "bn2", conv(block + "conv1.conv", y))
            y = act(block + "bn3", conv(block + "conv2.conv", y, 2 if j == 0 else 1, outer // GROUP))
            y = conv(block + "conv3.conv", y)
            se = F.linear(y.mean(2), w[block + "se_fc1.weight"], w[block + "se_fc1.bias"])
            se = F.linear(se * se.sigmoid(), w[block + "se_fc2.weight"], w[block + "se_fc2.bias"])
            y = y * se.sigmoid()[:, :, None]
            if j == 0:  # pairs of samples; a last odd one has a zero beside it
                x = F.pad(x, (0, x.shape[2] % 2)).unflatten(2, (-1, 2)).amax(3)
            front = (outer - x.shape[1]) // 2
            wide = y.clone()
            wide[:, front : front + x.shape[1]] += x
            x = wide
    return x


@pytest.mark.parametrize("norm", [False, True])
def test_ecg_founder(tmp_path: Path, norm: bool) -> None:
    weights = founder(norm)
    path = tmp_path / "12_lead_ECGFounder.pth"
    torch.save({"epoch": 3, "state_dict": weights, "optimizer": {"lr": 1e-3}}, path)
    report = convert(path, tmp_path / "ours")
    model = gem.load(tmp_path / "ours")
    ecg = torch.randn(2, 12, 5000)
    want = net1d(weights, ecg, norm)
    ours = model(ecg=ecg).ecg_tokens
    assert ours.shape == (2, model.ecg_encoder.n_tokens, 48)
    torch.testing.assert_close(ours, want.transpose(1, 2), atol=1e-4, rtol=1e-4)
    assert report is not None
    assert {key.split(".")[0] for key in report.ignored} == ({"dense"} if norm else {"dense", "first_bn", "stage_list"})
    assert report.loaded + len(report.ignored) == len(weights)
    assert model.processor.contract.checksum == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert "not checked" in model.config.tune["licence"]


def test_ecg_founder_at_its_published_size() -> None:
    with torch.device("meta"):
        encoder = gem.encoders.build_encoder("ecg_founder")
        assert encoder(torch.empty(1, 12, 5000)).shape == (1, encoder.n_tokens, 1024)


def fm(prefix: str = "", old: bool = True) -> tuple[dict[str, Tensor], Wav2Vec2Encoder, Wav2Vec2Config]:
    """A random ECG-FM checkpoint under fairseq's names, and transformers' own encoder with the same weights."""
    torch.manual_seed(4)
    config = Wav2Vec2Config(
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=96,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        hidden_act="gelu",
        do_stable_layer_norm=False,
        attn_implementation="eager",
    )
    theirs = Wav2Vec2Encoder(config).eval()
    renames = (
        ("pos_conv_embed.conv.parametrizations.weight.original0", "pos_conv_embed.conv.weight_g"),
        ("pos_conv_embed.conv.parametrizations.weight.original1", "pos_conv_embed.conv.weight_v"),
        (".attention.", ".self_attn."),
        ("feed_forward.intermediate_dense", "fc1"),
        ("feed_forward.output_dense", "fc2"),
    )
    out: dict[str, Tensor] = {}
    for key, value in theirs.state_dict().items():
        for here, there in renames[0 if old else 2 :]:
            key = key.replace(here, there)
        if key.startswith("layers"):
            key = key.replace(".layer_norm.", ".self_attn_layer_norm.")
        key = key.replace("pos_conv_embed.conv.", "conv_pos.pos_conv.0.") if "pos_conv" in key else f"encoder.{key}"
        out[key] = value.clone()
    for i in range(2):
        out[f"feature_extractor.conv_layers.{i}.0.weight"] = torch.randn(32, 32 if i else 12, 2) * 0.2
    out |= {
        "feature_extractor.conv_layers.0.2.weight": torch.rand(32),
        "feature_extractor.conv_layers.0.2.bias": torch.randn(32),
    }
    out |= {"layer_norm.weight": torch.rand(32), "layer_norm.bias": torch.randn(32)}
    out |= {"post_extract_proj.weight": torch.randn(128, 32) * 0.2, "post_extract_proj.bias": torch.randn(128)}
    out |= {"mask_emb": torch.randn(128), "quantizer.vars": torch.randn(1, 4, 8), "project_q.weight": torch.randn(8, 8)}
    return {prefix + key: value for key, value in out.items()}, theirs, config


@pytest.mark.parametrize(("prefix", "old"), [("", True), ("ecg_model.", False)])
def test_ecg_fm(tmp_path: Path, prefix: str, old: bool) -> None:
    weights, theirs, _ = fm(prefix, old)
    torch.save({"model": weights, "cfg": {"model": {"name": "wav2vec2_cmsc"}}}, tmp_path / "ecg_fm.pt")
    report = convert(tmp_path / "ecg_fm.pt", tmp_path / "ours")
    model = gem.load(tmp_path / "ours")
    ecg = torch.randn(2, 12, 2500)
    w = {key.removeprefix(prefix): value for key, value in weights.items()}
    x = F.conv1d(ecg, w["feature_extractor.conv_layers.0.0.weight"], stride=2)
    x = (x - x.mean(2, keepdim=True)) / (x.var(2, keepdim=True, unbiased=False) + 1e-5).sqrt()  # one channel a group
    x = F.gelu(
        x * w["feature_extractor.conv_layers.0.2.weight"][:, None]
        + w["feature_extractor.conv_layers.0.2.bias"][:, None]
    )
    x = F.gelu(F.conv1d(x, w["feature_extractor.conv_layers.1.0.weight"], stride=2))
    x = F.layer_norm(x.transpose(1, 2), (32,), w["layer_norm.weight"], w["layer_norm.bias"])
    want = theirs(F.linear(x, w["post_extract_proj.weight"], w["post_extract_proj.bias"])).last_hidden_state
    torch.testing.assert_close(model(ecg=ecg).ecg_tokens, want, atol=1e-4, rtol=1e-4)
    assert report is not None
    assert sorted(report.ignored) == sorted(prefix + key for key in ("mask_emb", "quantizer.vars", "project_q.weight"))


def test_ecg_fm_at_its_published_size() -> None:
    with torch.device("meta"):
        encoder = gem.encoders.build_encoder("ecg_fm")
        assert encoder(torch.empty(1, 12, 2500)).shape == (1, 156, 768)


@pytest.mark.parametrize("make", [lambda: founder(False), lambda: fm()[0]], ids=["ECGFounder", "ECG-FM"])
def test_what_does_not_fit_is_said(tmp_path: Path, make: Any) -> None:
    weights = make()
    lost = next(key for key in weights if key.endswith(("se_fc2.bias", "final_layer_norm.bias")))
    for changed, says in (
        ({key: value for key, value in weights.items() if key != lost}, "1 missing"),
        (weights | {"mystery.weight": torch.ones(3)}, "1 unexpected"),
    ):
        save_file(changed, tmp_path / "model.safetensors")
        with pytest.raises(GemCheckpointError, match=says):
            gem.load(tmp_path)


def test_a_converted_encoder_goes_into_another_model(tmp_path: Path) -> None:
    """By its folder: features of a real recording, and the signal's part of a model that a training run starts from."""
    weights, *_ = fm()
    save_file(weights, tmp_path / "model.safetensors")
    source = gem.load(tmp_path)
    record = grounding.read_record(grounding.sample_path())
    features = source(**source.processor(record)).ecg_tokens
    assert features.shape == (1, 625, 128)
    text = LlamaConfig(vocab_size=32, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    LlamaForCausalLM(text).save_pretrained(tmp_path / "text")
    settings = {"ecg_encoder": source.config.ecg_encoder}
    model = assemble(settings, {"text": str(tmp_path / "text"), "ecg": str(tmp_path)}).eval()
    inputs = model.processor(record)
    assert model(torch.tensor([[1, -200, 3]]), **inputs).logits.shape == (1, 2 + 625, 32)
    torch.testing.assert_close(model.ecg_encoder(inputs["ecg"]), features, atol=0, rtol=0)


def test_ecg_founders_published_filters() -> None:
    """Mains, drift and offset leave; a 10 Hz wave stays; all leads share one scale."""
    contract = gem.encoders.build_encoder("ecg_founder").contract
    assert contract is not None
    t = np.arange(5000) / 500
    wave = np.sin(2 * np.pi * 10 * t)
    dirty = wave + 0.5 * np.sin(2 * np.pi * 50 * t) + 2 * np.sin(2 * np.pi * 0.1 * t) + 3
    gains = np.linspace(0.5, 2, 12)[:, None]
    signal, _ = contract.execute(ECGRecord.from_array(gains * dirty, 500, STANDARD_LEADS))
    assert signal.std() == pytest.approx(1, abs=1e-3)
    scale = signal[:, 1000:4000].std(axis=1)
    np.testing.assert_allclose(scale / scale[0], gains[:, 0] / gains[0, 0], rtol=0.02)
    assert np.corrcoef(signal[0, 1000:4000], wave[1000:4000])[0, 1] > 0.99
    assert SignalContract.from_dict(contract.to_dict()) == contract
