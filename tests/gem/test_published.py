"""``gem.explain`` with published models: asked as their authors ask, and grounded; whatever a recording comes as."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gem
import grounding
from gem import GemForConditionalGeneration

sys.path.insert(0, str(Path(__file__).parent))
import strangers

SAID = "Sinus rhythm at 83 bpm. Left bundle branch block."


@pytest.fixture(scope="module")
def record() -> grounding.ECGRecord:
    return grounding.read_record(grounding.sample_path())


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the models are given; each of them writes ``SAID``, a stop word, and more."""
    given: list[dict[str, Any]] = []

    def generate(self: Any, input_ids: Any, **options: Any) -> Any:
        tokenizer = self.processor.tokenizer
        ids = [one for one in input_ids[0].tolist() if one >= 0]
        given.append({"text": tokenizer.decode(ids), "ids": input_ids, "model": self, **options})
        answer = torch.tensor([tokenizer(f" {SAID}</s> RBBB.")["input_ids"]] * len(input_ids))
        return torch.cat([input_ids, answer], 1)

    monkeypatch.setattr(GemForConditionalGeneration, "generate", generate)
    return given


def test_gem_is_asked_as_its_authors_ask(folders: Path, record: grounding.ECGRecord, said: Any) -> None:
    explanation = gem.explain(record, model=folders / "GEM")
    assert explanation.text == SAID  # up to its stop word
    assert {claim.text: claim.verdict for claim in explanation.claims}["Left bundle branch block"] == "contradicted"
    assert explanation.model == "GEM"
    assert explanation.verdict_of("inserted")["supported"] == 0
    text = said[0]["text"]
    assert text.startswith("A chat between a curious human")
    assert "USER: \nInterpret the provided ECG image, identify key features" in text
    assert text.endswith("ASSISTANT:")
    assert int((said[0]["ids"] == -200).sum()) == 1
    assert said[0]["max_new_tokens"] == 1024
    assert said[0]["do_sample"] is False
    assert "<pr>" not in text
    gem.explain(record, model=str(folders / "GEM"), prompt="Is it broad?")
    assert "USER: \nIs it broad? ASSISTANT:" in said[1]["text"]


def test_pulse_sees_the_picture(folders: Path, record: grounding.ECGRecord, said: Any) -> None:
    assert gem.explain(record, model=folders / "PULSE").text == SAID
    assert "Write a clinical report based on this ECG image. ASSISTANT:" in said[0]["text"]
    assert said[0]["encoded"].vision[0].shape[0] > 4  # tiles
    assert said[0]["encoded"].ecg is None


def test_meit_has_no_placeholder_and_counts_the_prompt(folders: Path, record: Any, said: Any) -> None:
    assert gem.explain(record, model=folders / "MEIT").text == f"{SAID}</s> RBBB."  # it ends by its end token alone
    assert said[0]["text"].startswith("<|user|>\nGiven the ECG signal embeddings")
    assert said[0]["text"].endswith("\n<|assistant|>\n")
    assert not (said[0]["ids"] < 0).any()
    assert said[0]["max_new_tokens"] == 1  # the small tokenizer's prompt is longer than the published 128 tokens


def test_real_generation_ends_and_is_grounded(folders: Path, record: grounding.ECGRecord) -> None:
    model = gem.load(folders / "GEM")
    model.config.asking = {**model.config.asking, "max_new_tokens": 5, "stop": ["\x00never"]}
    many = gem.explain([record, grounding.sample_path("ptbxl_286")], model=model)
    assert [one.record_id for one in many] == ["ptbxl_102", "ptbxl_286"]
    alone = gem.explain(record, model=model)
    assert alone.text == many[0].text
    assert alone.text


def test_stop_words_end_a_row(folders: Path) -> None:
    from gem.writing import stop_at

    tokenizer = strangers.tokenizer()
    rows = [tokenizer("rhythm</s>")["input_ids"], tokenizer("The rhythm")["input_ids"]]
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    assert stop_at(["</s>"], tokenizer)(ids, None).tolist() == [True, False]


@pytest.mark.parametrize(
    ("name", "told"),
    [("MEIT-features", "2048 features"), ("CoCa", "writes no answers"), ("encoders", "writes no answers")],
)
def test_a_model_that_can_not_be_asked_says_what_it_needs(folders: Path, record: Any, name: str, told: str) -> None:
    with pytest.raises(gem.GemConfigError, match=told) as error:
        gem.explain(record, model=folders / name)
    assert name in str(error.value)


def test_without_a_tokenizer(folders: Path, record: grounding.ECGRecord) -> None:
    model = gem.load(folders / "GEM")
    model.processor.tokenizer = None
    with pytest.raises(gem.GemConfigError, match="without a tokenizer"):
        gem.explain(record, model=model)


def test_how_it_is_asked_is_saved(folders: Path, tmp_path: Path) -> None:
    from gem.checkpoints.convert import convert

    convert(folders / "GEM", tmp_path / "ours")
    model = gem.load(tmp_path / "ours")
    assert model.config.asking["stop"] == ["</s>"]
    for wrong in ({"prompt": 3}, {"words": "x"}, {"stop": [""]}, {"max_length": 0}):
        with pytest.raises(gem.GemConfigError, match="asking"):
            gem.GemConfig(ecg_encoder={"name": "ecg_patch"}, fusion="none", asking=wrong)


def test_arrays_and_readings(folders: Path, record: grounding.ECGRecord, said: Any) -> None:
    leads = list(record.leads)
    one = gem.explain(record.signal, folders / "GEM", fs=500, leads=leads, age=70, sex="female")
    assert (one.measurement.age, one.measurement.sex) == (70, "female")
    assert one.measurement.heart_rate == gem.explain(record, text="").measurement.heart_rate
    with pytest.raises(gem.GemInputError, match="an array without fs and leads"):
        gem.explain(record.signal, text="LBBB")
    with pytest.raises(gem.GemInputError, match="no recording"):
        gem.explain({"a": 1}, text="LBBB")
    with pytest.raises(gem.GemInputError, match="has its own"):
        gem.explain(record, text="LBBB", fs=500)
    with pytest.raises(grounding.EcgError):
        gem.explain(np.zeros((3, 3, 3)), text="LBBB", fs=500, leads=leads)


def test_pictures(record: grounding.ECGRecord) -> None:
    """A picture is read by the reader of photographs, and refused in one line where there is none, or no ECG on it."""
    from PIL import Image

    with pytest.raises(gem.GemInputError, match="no recording can be read from the picture"):
        gem.explain(Image.new("RGB", (300, 200), "white"), text="LBBB")


def test_the_picture_itself_is_seen(folders: Path, record: grounding.ECGRecord, said: Any, monkeypatch: Any) -> None:
    """A model of pictures gets the user's picture, not one that is drawn from what was read."""
    seen: list[Any] = []
    whole: Callable[..., Any] = gem.GemProcessor._pictures

    def pictures(self: Any, images: Any, compat: bool) -> Any:
        seen.extend(images)
        return whole(self, images, compat)

    monkeypatch.setattr(gem.GemProcessor, "_pictures", pictures)
    monkeypatch.setattr(grounding, "read_record", lambda path, **options: record)
    picture = grounding.render(record, dpi=50)
    gem.explain([picture, record], model=folders / "PULSE")
    assert seen[0] is picture
    assert seen[1].size != picture.size


def test_a_prompt_that_is_none(record: grounding.ECGRecord) -> None:
    for wrong in (3, ["a"], {"role": "user"}):
        with pytest.raises(gem.GemInputError, match="prompt"):
            gem.explain(record, prompt=wrong)  # type: ignore[call-overload]
    with pytest.raises(gem.GemInputError, match=r"gem\.ask"):
        gem.explain(record, prompt="Is there AV block?")
    with pytest.raises(gem.GemInputError, match="beside a text"):
        gem.explain(record, text="LBBB", prompt="why")


def test_messages_are_no_prompts(folders: Path, record: grounding.ECGRecord) -> None:
    processor = gem.load(folders / "GEM").processor
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes"}]
    with pytest.raises(gem.GemInputError, match="apply_chat_template"):
        processor([record] * 2, prompt=messages)
    with pytest.raises(gem.GemInputError, match="a prompt is int"):
        processor(record, prompt=3)


def test_the_command_asks(folders: Path, said: Any, capsys: Any) -> None:
    from gem.cli import main

    words = ["explain", str(grounding.sample_path()), "--model", str(folders / "GEM"), "--json"]
    words += ["--prompt", "Is it wide?"]
    assert main(words) == 0
    assert SAID in capsys.readouterr().out
    assert "Is it wide? ASSISTANT:" in said[0]["text"]
    assert main([*words, "--jsonl", "x.jsonl"]) == 2
