"""A whole ECG-CoCa of other sizes, against transformers' BERT and a plain implementation of the decoder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from transformers import BertConfig, BertModel

import gem
from gem import GemCheckpointError

WIDTH, HEADS, INNER, LAYERS, VOCABULARY = 64, 2, 96, 2, 53


def release(folder: Path) -> tuple[BertModel, dict[str, Tensor]]:
    """Heads of 16 channels in the text tower and 32 in the decoder: only the configs beside the weights tell."""
    torch.manual_seed(13)
    settings = {
        "vocab_size": 40,
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 80,
        "layer_norm_eps": 1e-6,
    }
    bert = BertModel(BertConfig(**settings, initializer_range=0.2), add_pooling_layer=False).eval()
    w = {f"text.transformer.{key}": value for key, value in bert.state_dict().items()}
    shapes: dict[str, tuple[int, ...]] = {
        "ecg.class_embedding": (WIDTH,),
        "ecg.positional_embedding": (11, WIDTH),
        "ecg.proj": (WIDTH, 24),
        "ecg.conv1.weight": (WIDTH, 12, 50),
        "text.proj.weight": (24, WIDTH),
        "text_decoder.text_projection": (WIDTH, VOCABULARY),
        "logit_scale": (),
    }
    norms = ["ecg.ln_pre", "ecg.ln_post", "text_decoder.ln_final"]
    blocks = [("ecg.transformer.resblocks.0.", 4 * WIDTH)]
    blocks += [(f"text_decoder.{kind}.{n}.", INNER) for kind in ("resblocks", "cross_attn") for n in range(LAYERS)]
    for block, inner in blocks:
        norms += [f"{block}{name}" for name in ("ln_1", "ln_2", *(["ln_1_kv"] if "cross" in block else []))]
        shapes |= {f"{block}attn.in_proj_weight": (3 * WIDTH, WIDTH), f"{block}attn.in_proj_bias": (3 * WIDTH,)}
        for name, rows, columns in (
            ("attn.out_proj", WIDTH, WIDTH),
            ("mlp.c_fc", inner, WIDTH),
            ("mlp.c_proj", WIDTH, inner),
        ):
            shapes |= {f"{block}{name}.weight": (rows, columns), f"{block}{name}.bias": (rows,)}
    w |= {key: torch.randn(shape) * 0.2 for key, shape in shapes.items()}
    w |= {f"{norm}.weight": torch.rand(WIDTH) + 0.5 for norm in norms} | {
        f"{norm}.bias": torch.randn(WIDTH) * 0.1 for norm in norms
    }
    save_file({f"module.{key}": value.clone().contiguous() for key, value in w.items()}, folder / "model.safetensors")
    (folder / "text_tower").mkdir()
    (folder / "text_tower" / "config.json").write_text(json.dumps({**settings, "model_type": "bert"}))
    stored = {"embed_dim": 24, "ecg_cfg": {"seq_length": 520}, "multimodal_cfg": {"heads": HEADS}}
    (folder / "open_clip_config.json").write_text(json.dumps(stored))
    return bert, w


def decode(w: dict[str, Tensor], x: Tensor, ecg: Tensor) -> Tensor:
    def norm(key: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, (WIDTH,), w[key + ".weight"], w[key + ".bias"])

    def attend(key: str, q: Tensor, kv: Tensor, causal: bool) -> Tensor:
        weights, biases = w[key + "attn.in_proj_weight"].chunk(3), w[key + "attn.in_proj_bias"].chunk(3)
        heads = [
            F.linear(y, a, b).unflatten(2, (HEADS, -1)).transpose(1, 2)
            for y, a, b in zip((q, kv, kv), weights, biases, strict=True)
        ]
        scores = heads[0] @ heads[1].mT / (WIDTH / HEADS) ** 0.5
        if causal:
            scores = scores + torch.full(scores.shape[-2:], float("-inf")).triu(1)
        mixed = (scores.softmax(-1) @ heads[2]).transpose(1, 2).flatten(2)
        return F.linear(mixed, w[key + "attn.out_proj.weight"], w[key + "attn.out_proj.bias"])

    def mlp(key: str, x: Tensor) -> Tensor:
        inner = F.gelu(F.linear(norm(key + "ln_2", x), w[key + "mlp.c_fc.weight"], w[key + "mlp.c_fc.bias"]))
        return F.linear(inner, w[key + "mlp.c_proj.weight"], w[key + "mlp.c_proj.bias"])

    for n in range(LAYERS):
        own, cross = f"text_decoder.resblocks.{n}.", f"text_decoder.cross_attn.{n}."
        y = norm(own + "ln_1", x)
        x = x + attend(own, y, y, True)
        x = x + mlp(own, x)
        x = x + attend(cross, norm(cross + "ln_1", x), norm(cross + "ln_1_kv", ecg), False)
        x = x + mlp(cross, x)
    return norm("text_decoder.ln_final", x) @ w["text_decoder.text_projection"]


@torch.no_grad()
def test_text_tower_decoder_and_losses(tmp_path: Path) -> None:
    bert, w = release(tmp_path)
    model = gem.load(tmp_path)
    assert model.load_report.loaded == len(w)
    ecg, ids = torch.randn(3, 12, 520), torch.randint(1, 40, (3, 9))
    ids[1, 6:] = 0
    mask = (ids != 0).long()
    out = model(ecg, ids)
    hidden = bert(ids, attention_mask=mask).last_hidden_state
    pooled = torch.stack([hidden[i, : mask[i].sum()].mean(0) for i in range(3)])
    text = F.normalize(pooled @ w["text.proj.weight"].T, dim=-1)
    torch.testing.assert_close(out.text_embeds, text, atol=1e-5, rtol=1e-4)
    want = decode(w, hidden[:, :-1], out.tokens)
    torch.testing.assert_close(out.caption_logits, want, atol=1e-4, rtol=1e-4)
    logits = w["logit_scale"].exp() * out.ecg_embeds @ text.T
    pairs = -(logits.log_softmax(1).diagonal().mean() + logits.log_softmax(0).diagonal().mean()) / 2
    known = mask[:, 1:].bool()
    words = -want.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0][known].mean()
    torch.testing.assert_close(out.loss, pairs + 2 * words, atol=1e-4, rtol=1e-4)
    scores = model.zero_shot(ecg, ids)
    torch.testing.assert_close(scores, logits.sigmoid(), atol=1e-5, rtol=1e-4)


def test_half_a_text_tower_is_refused(tmp_path: Path) -> None:
    _, w = release(tmp_path)
    for lost in ("text.transformer.encoder.layer.0.intermediate.dense.weight", "text_decoder.ln_final.bias"):
        save_file({key: value.contiguous() for key, value in w.items() if key != lost}, tmp_path / "model.safetensors")
        with pytest.raises(GemCheckpointError, match="missing"):
            gem.load(tmp_path)
