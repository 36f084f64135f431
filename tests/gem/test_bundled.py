"""gem-nano without transformers: the same probabilities and tokens, and a start without the imports."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch

import gem
import grounding
from gem.bundled import is_bundled, load_bundled
from gem.errors import GemConfigError
from gem.explaining import load_once
from gem.snapshots import WEIGHTS
from gem.writing import encode_records, write_answers
from grounding.facts import facts

# what takes longest to import, of all that a first explanation could need
HEAVY = ("transformers", "torch._dynamo", "pandas", "torchvision", "accelerate", "sympy")


@pytest.fixture(scope="module")
def whole() -> Any:
    return gem.load("gem-nano")


@pytest.fixture(scope="module")
def light() -> Any:
    return load_bundled()


@pytest.fixture(scope="module")
def records() -> list[grounding.ECGRecord]:
    paths = grounding.readers.find_recordings([grounding.sample_path().parent])
    return [grounding.read_record(path) for path in paths[:4]]


def test_every_weight_is_that_of_the_whole_model(whole: Any, light: Any) -> None:
    ours, theirs = light.state_dict(), whole.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype, name
        assert torch.equal(ours[name], tensor), name
    assert not light.training
    assert not any(part.is_meta for part in (*light.parameters(), *light.buffers()))


def test_explanations_are_those_of_the_whole_model(whole: Any, light: Any, records: list[Any]) -> None:
    measurements = [grounding.measure(record) for record in records]
    texts = []
    for model in (light, whole):
        encoded = encode_records(model, records, measurements)
        chances = encoded.probabilities()
        items = [
            facts(measurement, grounding.find(measurement), chance)
            for measurement, chance in zip(measurements, chances, strict=True)
        ]
        alone = encode_records(model, records[:1], measurements[:1]).write(items[:1])
        texts.append((chances, encoded.write(items), alone))
    assert texts[0] == texts[1]
    assert len(set(texts[0][1])) > 1
    shown = [gem.explain(records[0], model=model) for model in (light, whole, "gem-nano")]
    assert shown[0].to_dict() == shown[1].to_dict() == shown[2].to_dict()


def test_answers_are_those_of_the_whole_model(whole: Any, light: Any, records: list[Any]) -> None:
    question = "What is the heart rate, and is there LVH?"
    light_answer, whole_answer = (gem.ask(records[1], question, model=model) for model in (light, whole))
    assert light_answer.to_dict() == whole_answer.to_dict()
    prompts = ["<ask> <rate>", "<ask> <pr> <qrs>"]
    assert write_answers(light, prompts) == write_answers(whole, prompts)


def test_the_tokenizer_reads_and_writes_as_transformers_does(whole: Any, light: Any) -> None:
    ours, theirs = light.processor, whole.processor
    for text in ("The ECG shows sinus rhythm, 75 bpm.", "<pr> <bos> é\n\n x", "", "ST-Hebung  in V2"):
        ids = theirs.encode_text(text)
        assert ours.encode_text(text) == ids
        assert ours.encode_prompt(text) == theirs.encode_prompt(text)
        for special in (True, False):
            assert ours.decode(ids, skip_special_tokens=special) == theirs.decode(ids, skip_special_tokens=special)
    assert ours.tokenizer.get_vocab() == theirs.tokenizer.get_vocab()
    for name in ("bos", "eos", "pad"):
        assert getattr(ours.tokenizer, f"{name}_token_id") == getattr(theirs.tokenizer, f"{name}_token_id")


def test_it_is_taken_for_its_name_alone(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(load_once("gem-nano")).__name__ == "BundledGem"
    assert is_bundled(str(WEIGHTS / "gem-nano"))
    assert not is_bundled("gem-135m")
    (tmp_path / "gem-nano").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not is_bundled("gem-nano"), "a folder of that name comes first, as for gem.load"


def test_it_only_writes_greedily(light: Any) -> None:
    inputs = light.processor.padded([[3, 5, 9]])
    with pytest.raises(GemConfigError, match="greedily"):
        light.generate(**inputs, max_new_tokens=4, do_sample=True)
    written = light.generate(**inputs, max_new_tokens=4)
    assert written[:, :3].tolist() == inputs["input_ids"].tolist()
    assert written.shape[1] > 3


def test_a_first_explanation_imports_little() -> None:
    script = (
        "import sys, gem, grounding\n"
        "from gem.views.html import page\n"
        "page(gem.explain(grounding.read_record(grounding.sample_path())))\n"
        f"sys.exit(', '.join(name for name in {HEAVY} if name in sys.modules) or 0)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
