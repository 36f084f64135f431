"""A pretrained decoder behind frozen encoders: trained in two stages, stored as what was trained, loaded and used."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import pytest
import torch
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import gem
import grounding
from gem.cli.train import run
from gem.data.ptbxl import load_ptbxl
from gem.data.readings import impression_text, stated_codes, statement_words, superclasses_of
from gem.errors import GemCheckpointError
from gem.evaluation.impressions import evaluate_impressions
from gem.training.language import LanguageTuning


def write_decoder(folder: Path) -> Path:
    """A tiny Llama with a tokenizer that has SmolLM2's marks of a conversation."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=marks,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*statement_words().values()], trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=marks[1], eos_token=marks[2], pad_token=marks[2]
    ).save_pretrained(folder)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def stages(ptbxl_like: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both recipes, two steps each, with a tiny decoder: ``align`` and ``tuned``."""
    root = tmp_path_factory.mktemp("language")
    decoder = write_decoder(root / "decoder")
    for recipe, name in (("gem_135m_align", "align"), ("gem_135m", "tuned")):
        arguments = {"decoder": str(decoder), "output": str(root / name)}
        if name == "tuned":
            arguments |= {"init": str(root / "align"), "learning_rate": 0.05}
        small = root / f"{name}.yaml"
        settings = {
            "model": {"init_args": arguments},
            "data": {"init_args": {"root": str(ptbxl_like), "cache": str(root / "cache"), "batch_size": 3}},
            "trainer": {"max_epochs": -1, "max_steps": 2, "logger": False, "enable_progress_bar": False},
        }
        small.write_text(yaml.safe_dump(settings))
        overrides = ["--config", str(small), f"--trainer.default_root_dir={root}"]
        assert run(argparse.Namespace(config=recipe, overrides=overrides)) == 0
    return root


def test_the_first_stage_leaves_the_decoder_alone_and_the_second_does_not(stages: Path) -> None:
    from safetensors.torch import load_file

    align, tuned = (load_file(stages / name / "adapter.safetensors") for name in ("align", "tuned"))
    ups = [key for key in align if key.startswith("lora.") and key.endswith(".B")]
    assert len(ups) == 14  # seven layers' products in each of two layers
    assert all(float(align[key].abs().max()) == 0 for key in ups)
    assert all(float(tuned[key].abs().max()) > 0 for key in ups)
    for key in ("ecg_projector.0.weight", "vision_projector.2.weight", "new_tokens"):
        assert not torch.equal(align[key], tuned[key])
    # nothing of encoders or decoder is stored
    assert not [key for key in tuned if "encoder" in key or key.startswith("language_model.")]


def test_the_loaded_model_is_the_trained_one(stages: Path) -> None:
    module = LanguageTuning(decoder=str(stages / "decoder"), init=str(stages / "tuned"))
    trained, loaded = module.model.eval(), gem.load(stages / "tuned")
    record = grounding.read_record(grounding.sample_path("ptbxl_286"))
    inputs = loaded.processor(record=record, prompt="What does this ECG show?", measurement=False)
    with torch.inference_mode():
        wanted, got = trained(**inputs).logits, loaded(**inputs).logits
    torch.testing.assert_close(got, wanted, atol=2e-4, rtol=1e-3)  # stored as float16
    # LoRA matters: without it the logits are others
    state = loaded.state_dict()
    plain = LlamaForCausalLM.from_pretrained(stages / "decoder").state_dict()
    key = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(state[f"language_model.{key}"], plain[key])
    rows = state["language_model.model.embed_tokens.weight"]
    torch.testing.assert_close(rows[: len(plain["model.embed_tokens.weight"])], plain["model.embed_tokens.weight"])


def test_it_explains_and_is_evaluated(stages: Path, ptbxl_like: Path) -> None:
    model = gem.load(stages / "tuned")
    said = gem.explain(grounding.sample_path("ptbxl_286"), model=model)
    assert said.text
    assert said.measurement.heart_rate
    samples = load_ptbxl(ptbxl_like, (8,), ("raw",))
    figures = evaluate_impressions(model, samples)
    assert set(figures["conditions"]) == {"own", "other", "none", "own_facts", "none_facts"}
    losses = [figures["conditions"][name]["perplexity"] for name in ("own", "other", "none")]
    assert len(set(losses)) == 3
    assert figures["n"] == 2
    assert set(figures["texts"]) == {"13", "424"}


def test_statements_are_read_back_from_their_words() -> None:
    words = statement_words()
    assert len(set(words.values())) == len(words)
    pick = random.Random(0)
    for _ in range(50):
        codes = set(pick.sample(sorted(words), pick.randint(1, 6)))
        assert stated_codes(f"The rate is <rate>. {impression_text(dict.fromkeys(codes, 100.0))}") == codes
    assert stated_codes("It shows sinus rhythm, normal ECG.") == set()
    assert superclasses_of({"AFIB", "IMI", "LVH"}) == {"MI", "HYP"}


def test_what_is_missing_or_wrong_is_said(stages: Path, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(stages / "tuned", broken)
    values = json.loads((broken / "config.json").read_text())
    for change, words in (
        ({"decoder": str(tmp_path / "nowhere")}, "no such decoder"),
        ({"encoders": "gem-nowhere"}, "no such model"),
        ({"lora": {"r": 100000, "alpha": 1}}, "rank"),
        ({"lora": {}}, "can't be read"),
        ({"encoders_hash": "of others"}, "not those that it was trained with"),
    ):
        (broken / "config.json").write_text(json.dumps({**values, **change}))
        with pytest.raises(GemCheckpointError, match=words):
            gem.load(broken)
    (broken / "config.json").write_text(json.dumps(values))
    (broken / "adapter.safetensors").write_bytes(b"no tensors")
    with pytest.raises(GemCheckpointError, match="can't be read"):
        gem.load(broken)


def test_a_decoder_with_a_head_of_its_own_is_refused(stages: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(stages / "decoder", tmp_path / "untied")
    config = tmp_path / "untied" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "tie_word_embeddings": False}))
    with pytest.raises(gem.GemConfigError, match="not tied"):
        LanguageTuning(decoder=str(tmp_path / "untied"))
