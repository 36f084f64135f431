"""Each published system as a small model: what must hold for all of them, whatever their encoders and fusion."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

import gem
from gem import GemConfig, GemForConditionalGeneration
from gem.configuration import EcgCocaConfig
from gem.fusion import prefix
from gem.fusion.coca import EcgCocaModel
from gem.outputs import CACHE
from gem.training.packing import UNPACKABLE, text_loss
from gem.untrusted import DECODERS

TEXT = {
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": None,
    "initializer_range": 0.1,
}
COCA = {"name": "ecg_coca", "kwargs": {"n_samples": 500, "width": 64, "layers": 1, "embed_dim": 16}}
CLIP = {
    "name": "clip_vision",
    "kwargs": {
        "config": {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": 14,
            "image_size": 28,
        }
    },
}
TILES = {
    "mode": "anyres",
    "size": [28, 28],
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
    "grid_pinpoints": [[28, 56], [56, 28], [56, 56]],
}
RESNET = {"name": "ecg_resnet", "kwargs": {"depths": [1, 1], "widths": [4, 8], "n_samples": 500}}
FAMILIES: dict[str, dict[str, Any]] = {
    "GEM": {
        "ecg_encoder": COCA,
        "vision_encoder": CLIP,
        "ecg_projector": {"type": "linear", "width": 32},
        "share_projector": True,
    },
    "PULSE": {"vision_encoder": CLIP, "picture": TILES},
    "LLaVA-1.6": {"vision_encoder": CLIP, "picture": TILES, "merge": "spatial_unpad"},
    "ECG-Chat": {"ecg_encoder": COCA},
    "MEIT": {"ecg_encoder": RESNET, "ecg_projector": {"type": "meit", "hidden": 16}, "fusion": "prefix_kv"},
}
Family = tuple[GemForConditionalGeneration, dict[str, Any]]


def make(name: str) -> Family:
    """A model in eval mode, and a batch of two unequal rows, the second padded on the right."""
    torch.manual_seed(0)
    config = GemConfig(text_config=TEXT, **FAMILIES[name])
    model = GemForConditionalGeneration(config).eval()
    ids = torch.randint(3, 64, (2, 7))
    mask = torch.ones_like(ids)
    ids[1, 5:], mask[1, 5:] = 0, 0
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if config.fusion == "tokens":
        ids[:, 2] = -200
    if config.ecg_encoder:
        inputs["ecg"] = torch.randn(2, 12, 500)
    if config.picture and config.picture["mode"] == "anyres":
        inputs["pixel_values"] = [torch.randn(5, 3, 28, 28), torch.randn(3, 3, 28, 28)]
        inputs["image_sizes"] = [(110, 85), (60, 120)]
    elif config.vision_encoder:
        inputs["pixel_values"] = torch.randn(2, 3, 28, 28)
    return model, inputs


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return make(request.param)


def row(inputs: dict[str, Any], i: int) -> dict[str, Any]:
    """Row ``i`` alone, without its padding."""
    length = int(inputs["attention_mask"][i].sum())
    one = {key: value[i : i + 1] for key, value in inputs.items()}
    return one | {"input_ids": one["input_ids"][:, :length], "attention_mask": one["attention_mask"][:, :length]}


def labels_of(inputs: dict[str, Any]) -> Tensor:
    ids: Tensor = inputs["input_ids"]
    return ids.masked_fill((ids < 0) | (inputs["attention_mask"] == 0), -100)


@torch.no_grad()
def test_saved_and_loaded_it_is_equal(family: Family, tmp_path: Path) -> None:
    model, inputs = family
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(gem.load(tmp_path)(**inputs).logits, model(**inputs).logits, atol=0, rtol=0)


@torch.no_grad()
def test_a_batch_is_its_rows(family: Family) -> None:
    model, inputs = family
    both = model(**inputs)
    for i in range(2):
        alone = model(**row(inputs, i)).logits[0]
        torch.testing.assert_close(both.logits[i, : len(alone)], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_with_a_cache_it_is_as_without(family: Family) -> None:
    """Token by token, on a dynamic cache, against one pass over all tokens; both names of the cache."""
    model, inputs = family
    first = row(inputs, 0)
    more = torch.tensor([[7, 9, 11]])
    whole = model(**{**first, "input_ids": torch.cat([first["input_ids"], more], 1), "attention_mask": None}).logits
    seen = model(**first, use_cache=True)
    cache = seen.cache
    assert cache is seen.past_key_values
    prefix = model._prefix(model.encode(first["ecg"])) if model.config.fusion == "prefix_kv" else {}
    for i, name in enumerate((CACHE, "past_key_values", "cache")):
        step = model(more[:, i : i + 1], **{name: cache}, use_cache=True, **prefix).logits
        torch.testing.assert_close(step[:, -1], whole[:, -3 + i], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_generation(family: Family) -> None:
    """Left padding changes nothing; static cache, no cache and top_k=1 are greedy; beams are no less likely."""
    model, inputs = family
    options: dict[str, Any] = {"max_new_tokens": 4, "do_sample": False}
    greedy = model.generate(**inputs, **options)[:, -4:]
    for i in range(2):
        assert torch.equal(model.generate(**row(inputs, i), **options)[0, -4:], greedy[i])
    for changed in ({"cache_implementation": "static"}, {"use_cache": False}, {"do_sample": True, "top_k": 1}):
        assert torch.equal(model.generate(**inputs, **{**options, **changed})[:, -4:], greedy), changed

    def likelihood(new: Tensor) -> Tensor:
        scores = []
        for i in range(2):
            one = row(inputs, i)
            one |= {"input_ids": torch.cat([one["input_ids"], new[i : i + 1]], 1), "attention_mask": None}
            logs = model(**one).logits[0, -5:-1].log_softmax(-1)
            scores.append(logs.gather(1, new[i][:, None]).sum())
        return torch.stack(scores)

    beams = model.generate(**inputs, **options, num_beams=64)[:, -4:]
    assert (likelihood(beams) >= likelihood(greedy) - 1e-4).all()
    samples = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        samples.append(model.generate(**inputs, **{**options, "do_sample": True, "num_return_sequences": 3}))
    assert samples[0].shape == (6, 7 + 4)
    assert torch.equal(samples[0], samples[1])
    assert not torch.equal(samples[0], samples[2])


def test_lora_learns_by_ordinary_names(family: Family, tmp_path: Path) -> None:
    """MEIT's vector passes the adapted projections too; what was learned survives saving, loading and merging."""
    peft = pytest.importorskip("peft")
    model, inputs = family
    model.save_pretrained(tmp_path / "base")
    tuned = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["q_proj", "k_proj", "v_proj"]))
    tuned.train()
    for module in tuned.modules():  # MEIT's batch norms would learn statistics, which no adapter keeps
        module.train(not isinstance(module, torch.nn.BatchNorm1d))
    optimizer = torch.optim.AdamW([p for p in tuned.parameters() if p.requires_grad], lr=0.02)
    losses = []
    for _ in range(4):
        loss = tuned(**inputs, labels=labels_of(inputs)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    tuned.eval()
    tuned.save_pretrained(tmp_path / "adapter")
    with torch.no_grad():
        want = tuned(**inputs).logits
        again = peft.PeftModel.from_pretrained(gem.load(tmp_path / "base"), tmp_path / "adapter").eval()
        torch.testing.assert_close(again(**inputs).logits, want, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(again.merge_and_unload()(**inputs).logits, want, atol=1e-4, rtol=1e-4)


def test_gradient_checkpointing_changes_no_gradient(family: Family) -> None:
    model, inputs = family
    model.train()
    for module in model.modules():
        module.train(not isinstance(module, torch.nn.BatchNorm1d))
    gradients = []
    for _ in range(2):
        model(**inputs, labels=labels_of(inputs)).loss.backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        model.zero_grad()
        model.gradient_checkpointing_enable()
    assert model.language_model.model.layers[0].gradient_checkpointing
    assert any(name.startswith(("ecg_encoder", "vision_encoder")) for name in gradients[0])
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_half_precision(family: Family, dtype: torch.dtype) -> None:
    model, inputs = family
    full = model(**inputs).logits
    half = model.to(dtype)(**inputs).logits
    assert half.dtype == dtype
    assert (half.float() - full).abs().max() < 0.03 * full.abs().max()
    assert model.generate(**inputs, max_new_tokens=2, do_sample=False).shape == (2, 9)


@torch.no_grad()
def test_device_map(family: Family, tmp_path: Path) -> None:
    """By name, by rule, and piece by piece with a layer that stays on disk until it is needed."""
    pytest.importorskip("accelerate")
    model, inputs = family
    model.save_pretrained(tmp_path)
    want = model(**inputs).logits
    pieces = {name: "cpu" for name, _ in [*model.named_children(), *model.named_parameters(recurse=False)]}
    del pieces["language_model"]
    pieces |= {
        f"language_model.{name}": "cpu"
        for name in ("lm_head", "model.embed_tokens", "model.norm", "model.rotary_emb", "model.layers.0")
    }
    pieces["language_model.model.layers.1"] = "disk"
    for where in ("cpu", "auto", pieces):
        if where == "auto" and torch.cuda.is_available():
            continue  # then it is another arithmetic
        again = GemForConditionalGeneration.from_pretrained(
            tmp_path, device_map=where, offload_folder=tmp_path / "disk"
        )
        torch.testing.assert_close(again.eval()(**inputs).logits, want, atol=1e-6, rtol=1e-6)
    assert next(again.language_model.model.layers[1].parameters()).is_meta


@pytest.mark.parametrize("name", ["GEM", "MEIT"])  # one of each fusion: the step sees no encoder
@torch.no_grad()
def test_a_step_on_a_static_cache_is_one_graph(name: str) -> None:
    model, inputs = make(name)
    first = row(inputs, 0)
    cache = transformers.StaticCache(config=model.config.text_config, max_cache_len=80)
    seen = model(**first, use_cache=True, **{CACHE: cache})
    prefix = model._prefix(model.encode(first["ecg"])) if model.config.fusion == "prefix_kv" else {}
    mask = torch.ones(1, seen.logits.shape[1] + 1, dtype=torch.long)

    def step(ids: Tensor) -> Tensor:
        out: Tensor = model(ids, attention_mask=mask, use_cache=True, **{CACHE: cache}, **prefix).logits
        return out

    torch._dynamo.reset()
    assert torch._dynamo.explain(step)(torch.tensor([[5]])).graph_break_count == 0
    torch._dynamo.reset()


@pytest.fixture
def coca() -> EcgCocaModel:
    torch.manual_seed(0)
    return EcgCocaModel(
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
    ).eval()


@pytest.fixture
def words() -> Any:
    """A tokenizer of a few words that closes every text, as BERT's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "normal", "ecg", "atrial", "fibrillation", "sinus", "rhythm"]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(known)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]")


@torch.no_grad()
def test_ecg_coca_labels_and_retrieves_with_texts(coca: EcgCocaModel, words: Any, tmp_path: Path) -> None:
    from gem import GemProcessor
    from gem.fusion.coca import retrieval

    coca.processor = GemProcessor(coca.ecg.contract, tokenizer=words)
    coca.save_pretrained(tmp_path)
    coca.processor.save_pretrained(tmp_path)
    model = gem.load(tmp_path)
    texts = model.processor.texts(["Normal ECG", "atrial fibrillation", "sinus rhythm normal rhythm"])
    assert texts["input_ids"][0].tolist() == [2, 4, 5, 3, 0, 0]
    assert model.processor.texts(["sinus " * 200])["input_ids"].shape == (1, 77)
    assert model.processor.texts(["sinus " * 200])["input_ids"][0, -1] == 3
    ecg = torch.randn(3, 12, 500)
    scores = model.zero_shot(ecg, **texts)
    cosines = model.encode_ecg(ecg).ecg_embeds @ model.encode_text(**texts).T
    torch.testing.assert_close(scores, (model.logit_scale.exp() * cosines).sigmoid())
    one = model.zero_shot(ecg[1:2], **{key: value[:1, :4] for key, value in texts.items()})
    torch.testing.assert_close(scores[1, :1], one[0], atol=1e-5, rtol=1e-5)
    assert set(retrieval(model.encode_ecg(ecg).ecg_embeds, model.encode_text(**texts))) == {
        "R@1",
        "R@5",
        "R@10",
        "median_rank",
    }
    torch.testing.assert_close(model(ecg, **texts).loss, coca(ecg, **texts).loss, atol=0, rtol=0)
    with pytest.raises(gem.GemInputError, match="12, 500"):
        model.encode_ecg(ecg[:, :, :100])


@torch.no_grad()
def test_ecg_coca_captions(coca: EcgCocaModel) -> None:
    """Greedy ids are the likeliest at every step of the training pass's decoder, row by row as in a batch."""
    ecg = torch.randn(3, 12, 500)
    ids = coca.caption(ecg, bos_token_id=2, eos_token_id=3, max_new_tokens=6)
    assert ids[:, 0].tolist() == [2] * 3
    assert int(ids.max()) < 50
    for i in range(3):
        alone = coca.caption(ecg[i : i + 1], bos_token_id=2, eos_token_id=3, max_new_tokens=6)[0]
        assert torch.equal(ids[i, : len(alone)], alone)
        assert not ids[i, len(alone) :].any()
        for n in range(1, len(alone)):  # the pass drops the last position: any token may stand there
            seen = torch.cat([alone[:n], torch.tensor([7])])[None]
            mask = torch.tensor([[1] * n + [0]])
            logits = coca(ecg[i : i + 1], seen, mask).caption_logits[0, -1, :50]
            assert int(logits.argmax()) == int(alone[n])
    torch.manual_seed(0)
    assert coca.caption(ecg, 2, 3, max_new_tokens=6, top_k=20).shape[0] == 3


def test_ecg_coca_takes_lora(coca: EcgCocaModel) -> None:
    peft = pytest.importorskip("peft")
    tuned = peft.get_peft_model(coca, peft.LoraConfig(r=4, target_modules=["c_fc", "query", "value"]))
    ecg, ids = torch.randn(3, 12, 500), torch.randint(4, 50, (3, 6))
    optimizer = torch.optim.AdamW([p for p in tuned.parameters() if p.requires_grad], lr=0.02)
    losses = []
    for _ in range(4):
        loss = tuned(ecg=ecg, input_ids=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_auto_classes_know_everything(coca: EcgCocaModel, tmp_path: Path) -> None:
    """In a process that says no more than import gem.auto."""
    from gem import GemProcessor

    model, _ = make("ECG-Chat")
    for name, made in (("gem", model), ("coca", coca)):
        made.save_pretrained(tmp_path / name)
        GemProcessor((made.ecg if name == "coca" else made.ecg_encoder).contract).save_pretrained(tmp_path / name)
    code = (
        "import sys, gem.auto, transformers as t\n"
        "for name in ('gem', 'coca'):\n"
        "    for auto in (t.AutoConfig, t.AutoModel, t.AutoProcessor):\n"
        "        print(type(auto.from_pretrained(sys.argv[1] + '/' + name)).__name__)\n"
        "print(type(t.AutoModelForCausalLM.from_pretrained(sys.argv[1] + '/gem')).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    want = [
        "GemConfig",
        "GemForConditionalGeneration",
        "GemProcessor",
        "EcgCocaConfig",
        "EcgCocaModel",
        "GemProcessor",
        "GemForConditionalGeneration",
    ]
    assert done.stdout.split() == want, done.stderr


EXPERTS = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 32}
OWN: dict[str, dict[str, Any]] = {  # what a decoder of each family needs beside its sizes
    "granite": {"logits_scaling": 8.0, "embedding_multiplier": 12.0},
    "cohere": {"logit_scale": 0.25},
    "cohere2": {"logit_scale": 0.25},
    "gemma2": {"final_logit_softcapping": 0.5},
    "gemma3_text": {"final_logit_softcapping": 0.5},
    "mixtral": {"num_local_experts": 2},
    "qwen2_moe": EXPERTS,
    "qwen3_moe": EXPERTS,
}
HEADS = ("gemma", "gemma2", "gemma3_text", "glm", "glm4", "qwen3", "helium", "ministral3", "seed_oss", "ernie4_5")


def decoder(kind: str) -> dict[str, Any]:
    sizes = {**TEXT, "model_type": kind, "num_key_value_heads": 4, **OWN.get(kind, {})}
    return {**sizes, "head_dim": 8} if kind in HEADS else sizes


@pytest.mark.parametrize("kind", DECODERS)
@torch.no_grad()
def test_every_decoder_has_its_own_logits(kind: str) -> None:
    """Scaled and capped as the decoder itself does it."""
    torch.manual_seed(0)
    model = GemForConditionalGeneration(GemConfig(text_config=decoder(kind), ecg_encoder=COCA)).eval()
    ids = torch.randint(3, 64, (2, 7))
    torch.testing.assert_close(model(input_ids=ids).logits, model.language_model(input_ids=ids).logits)


@pytest.mark.parametrize("kind", DECODERS)
@torch.no_grad()
def test_packed_rows_have_the_loss_of_padded_ones_or_are_refused(kind: str) -> None:
    torch.manual_seed(0)
    model = GemForConditionalGeneration(GemConfig(text_config=decoder(kind), ecg_encoder=COCA)).eval()
    ids = torch.randint(3, 64, (3, 9))
    ids[:, 2], mask = -200, torch.ones_like(ids)
    ids[1, 6:], mask[1, 6:] = 0, 0
    labels = ids.masked_fill((ids < 0) | (mask == 0), -100)
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels, "ecg": torch.randn(3, 12, 500)}
    if kind in UNPACKABLE:
        with pytest.raises(gem.GemConfigError, match="can't be packed"):
            text_loss(model, batch, 400)
        return
    torch.testing.assert_close(text_loss(model, batch, 400), text_loss(model, batch), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", DECODERS)
@torch.no_grad()
def test_the_prefix_reaches_the_decoder_or_is_refused(kind: str) -> None:
    torch.manual_seed(0)
    config = GemConfig(text_config=decoder(kind), **FAMILIES["MEIT"])
    if kind not in prefix.FAMILIES:
        with pytest.raises(gem.GemConfigError, match="does not reach"):
            GemForConditionalGeneration(config)
        return
    model = GemForConditionalGeneration(config).eval()
    ids = torch.randint(3, 64, (2, 7))
    first, second = (model(input_ids=ids, ecg=scale * torch.randn(2, 12, 500)).logits for scale in (1, 30))
    assert not torch.allclose(first, model(input_ids=ids).logits, atol=1e-6)
    assert not torch.allclose(first, second, atol=1e-6)
    assert model.generate(input_ids=ids, ecg=torch.randn(2, 12, 500), max_new_tokens=2, do_sample=False).shape == (2, 9)


@torch.no_grad()
def test_the_loss_is_first_and_a_tuple_is_given(family: Family) -> None:
    model, inputs = family
    labels = labels_of(inputs)
    out, parts = model(**inputs, labels=labels), model(**inputs, labels=labels, return_dict=False)
    assert isinstance(parts, tuple)
    assert torch.equal(out[0], out.loss)
    assert torch.equal(parts[0], out.loss)
    assert torch.equal(parts[1], out.logits)
