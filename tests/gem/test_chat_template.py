"""The processor in transformers' habits: messages, several ECGs, ``BatchFeature``, saving, a snapshot of the hub."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoProcessor, BatchFeature, ProcessorMixin

import gem
import gem.auto
import grounding

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def model(folders: Path) -> Any:
    return gem.load(folders / "GEM")


@pytest.fixture(scope="module")
def records() -> list[grounding.ECGRecord]:
    return [grounding.read_record(grounding.sample_path(name)) for name in ("ptbxl_102", "ptbxl_286")]


def user(*parts: Any) -> dict[str, Any]:
    return {
        "role": "user",
        "content": [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts],
    }


def ecg(record: Any) -> dict[str, Any]:
    return {"type": "ecg", "ecg": record}


def test_it_is_a_processor_of_transformers(model: Any, records: Any) -> None:
    processor = model.processor
    assert isinstance(processor, ProcessorMixin)
    inputs = processor(records[0], prompt="Why?")
    assert isinstance(inputs, BatchFeature)
    same = processor(record=records[0], text="Why?", return_tensors="pt", padding=True)
    assert torch.equal(same["input_ids"], inputs["input_ids"])
    half = inputs.to("cpu", torch.float16)
    assert half["ecg"].dtype == torch.float16
    assert half["input_ids"].dtype == torch.long
    assert set(pickle.loads(pickle.dumps(inputs))) == set(inputs)
    ids = model.generate(**processor(records[0], prompt="Why?"), max_new_tokens=3, do_sample=False)
    assert processor.batch_decode(ids) == [processor.decode(ids[0])]
    for wrong in ({"return_tensors": "np"}, {"truncation": True}, {"videos": [1]}, {"text": "a", "prompt": "b"}):
        with pytest.raises(gem.GemInputError):
            processor(records[0], **wrong)


def test_one_question_is_the_prompt(model: Any, records: Any) -> None:
    """A conversation of one question gives what the processor gives for it."""
    processor = model.processor
    inputs = processor.apply_chat_template([user(ecg(records[0]), "Why?")], tokenize=True)
    plain = processor(records[0], prompt="Why?")
    assert set(inputs) == set(plain)
    for name, value in plain.items():
        assert str(inputs[name]) == str(value), name
    assert processor.apply_chat_template([user(ecg(records[0]), "Why?")]).endswith("USER: <image>\nWhy? ASSISTANT:")
    assert "<image>" not in processor.apply_chat_template([{"role": "user", "content": "Hello"}])


def test_a_conversation_in_the_familys_form(model: Any, records: Any) -> None:
    turns = [user(ecg(records[0]), "One?"), {"role": "assistant", "content": "Yes."}, user("Two?")]
    text = model.processor.apply_chat_template(turns)
    assert text.endswith("USER: <image>\nOne? ASSISTANT: Yes.<eos>USER: Two? ASSISTANT:")
    told = model.processor.apply_chat_template([{"role": "system", "content": "Be brief."}, *turns])
    assert told.startswith("Be brief. USER: <image>")
    done = model.processor.apply_chat_template(turns[:2], add_generation_prompt=False)
    assert done.endswith("Yes.<eos>")
    from gem.data.conversations import encode_chat

    ids, _ = encode_chat(model.processor, [("One?", "Yes.")])
    assert model.processor.apply_chat_template(turns[:2], True, False, return_dict=False)[0].tolist() == ids


def test_several_ecgs(model: Any, records: Any) -> None:
    turns = [user(ecg(records[0]), "Before.", ecg(records[1]), "What changed?")]
    inputs = model.processor.apply_chat_template(turns, tokenize=True)
    assert len(inputs["ecg"]) == 2
    assert int((inputs["input_ids"] == -200).sum()) == 2
    out = model(**inputs)
    one = model.encode(inputs["ecg"][:1], inputs["pixel_values"][:1], inputs["image_sizes"][:1])
    block = len(one.ecg[0]) + len(one.vision[0])
    assert out.logits.shape[1] == inputs["input_ids"].shape[1] - 2 + 2 * block
    ids = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert torch.equal(ids[:, :-3], inputs["input_ids"])
    turned = model.processor.apply_chat_template(
        [user(ecg(records[1]), "Before.", ecg(records[0]), "What changed?")], tokenize=True
    )
    assert not torch.allclose(model(**turned).logits, out.logits)
    with pytest.raises(gem.GemInputError, match="prompts but"):
        model(**inputs, labels=inputs["input_ids"])


def test_several_ecgs_stand_where_their_placeholders_are(model: Any, records: Any) -> None:
    """The merged row is text, block, text, block, text, put together here by hand."""
    inputs = model.processor.apply_chat_template([user(ecg(records[0]), "A", ecg(records[1]), "B")], tokenize=True)
    encoded = model.encode(inputs["ecg"], inputs["pixel_values"], inputs["image_sizes"])
    row, blocks, embed = inputs["input_ids"][0], encoded.blocks(), model.get_input_embeddings()
    first, second = (row == -200).nonzero().flatten().tolist()
    parts = [embed(row[:first]), blocks[0], embed(row[first + 1 : second]), blocks[1], embed(row[second + 1 :])]
    wanted = model(inputs_embeds=torch.cat(parts)[None]).logits
    torch.testing.assert_close(model(**inputs).logits, wanted, atol=1e-4, rtol=1e-4)


def test_a_batch_of_conversations(model: Any, records: Any) -> None:
    rows = [[user(ecg(records[0]), "Short?")], [user(ecg(records[0]), "A", ecg(records[1]), "A longer question?")]]
    both = model.processor.apply_chat_template(rows, tokenize=True)
    assert len(both["ecg"]) == 3
    out = model(**both)
    alone = model(**model.processor.apply_chat_template(rows[0], tokenize=True))
    torch.testing.assert_close(out.logits[0, -1], alone.logits[0, -1], atol=1e-3, rtol=1e-3)


def test_pictures(folders: Path, model: Any, records: Any, tmp_path: Path) -> None:
    page = grounding.render(records[0], dpi=50)
    page.save(tmp_path / "x.png")
    pulse = gem.load(folders / "PULSE")
    inputs = pulse.processor.apply_chat_template([user({"type": "image", "image": page}, "Why?")], tokenize=True)
    again = pulse.processor.apply_chat_template(
        [user({"type": "image", "path": tmp_path / "x.png"}, "Why?")], tokenize=True
    )
    assert "ecg" not in inputs
    assert torch.equal(inputs["pixel_values"][0], again["pixel_values"][0])
    pair = [user(ecg(records[0]), {"type": "image", "image": page}, "Why?")]
    inputs = model.processor.apply_chat_template(pair, tokenize=True)
    assert int((inputs["input_ids"] == -200).sum()) == 1
    drawn = model.processor.apply_chat_template([user(ecg(records[0]), "Why?")], tokenize=True)
    assert not torch.equal(drawn["pixel_values"][0], inputs["pixel_values"][0])


def test_meit(folders: Path, records: Any) -> None:
    processor = gem.load(folders / "MEIT").processor
    assert processor.apply_chat_template([user(ecg(records[0]), "Why?")]) == "<|user|>\nWhy?\n<|assistant|>\n"
    with pytest.raises(gem.GemInputError, match="several ECGs"):
        processor.apply_chat_template([user(ecg(records[0]), ecg(records[1]), "Why?")])


Q = {"role": "user", "content": "Q"}
A = {"role": "assistant", "content": "A"}


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        "Why?",
        ["Why?"],
        [{"role": "user"}],
        [{"content": "x"}],
        [{"role": "doctor", "content": "x"}],
        [{"role": "user", "content": 3}],
        [{"role": "user", "content": ["x"]}],
        [{"role": "user", "content": "see <image>"}],
        [{"role": "user", "content": [{"type": "video", "video": "x"}]}],
        [{"role": "user", "content": [{"type": "ecg"}]}],
        [{"role": "user", "content": [{"type": "image", "url": "http://x"}]}],
        [{"role": "user", "content": [{"type": "text"}]}],
        [{"role": "user", "content": "x", "name": "y"}],
        [A],
        [Q, Q],
        [Q, A],
        [Q, {"role": "assistant", "content": [{"type": "ecg", "ecg": "x"}]}],
        [[Q], []],
    ],
)
def test_messages_of_a_wrong_form(model: Any, messages: Any) -> None:
    with pytest.raises(gem.GemInputError):
        model.processor.apply_chat_template(messages)
    with pytest.raises(gem.GemInputError):
        model.processor.apply_chat_template([Q], tools=[{}])


def test_a_snapshot_of_the_hub(folders: Path, tmp_path: Path, records: Any) -> None:
    """The cache's layout: blobs, and snapshots of links to them."""
    cache = tmp_path / "hub"
    root = cache / "models--someone--GEM"
    snapshot, blobs = root / "snapshots" / "0123abc", root / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("0123abc")
    for number, file in enumerate(path for path in (folders / "GEM").rglob("*") if path.is_file()):
        shutil.copy(file, blobs / f"{number}")
        link = snapshot / file.relative_to(folders / "GEM")
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(os.path.relpath(blobs / f"{number}", link.parent))
    for place in (snapshot, root):
        assert gem.load(place).processor.placeholder == "<image>"
    whole = gem.load(snapshot)
    whole.processor.save_pretrained(tmp_path / "ours")
    whole.save_pretrained(tmp_path / "ours")
    again = AutoProcessor.from_pretrained(tmp_path / "ours")
    assert type(again) is gem.GemProcessor
    assert repr(again) == repr(whole.processor)
    shutil.copytree(tmp_path / "ours", cache / "models--me--mine" / "snapshots" / "v1")
    mine = gem.GemProcessor.from_pretrained("me/mine", cache_dir=cache, revision="v1")
    assert mine.contract == again.contract
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_CACHE", str(cache))
        assert gem.load("someone/GEM").config.placeholder == "<image>"
    with pytest.raises(gem.GemCheckpointError, match="no revision 'main'"):
        gem.GemProcessor.from_pretrained("me/mine", cache_dir=cache)
    with pytest.raises(gem.GemConfigError, match="nothing is sent"):
        whole.processor.save_pretrained(tmp_path / "x", push_to_hub=True)
    with pytest.raises(gem.GemCheckpointError, match="no such model"):
        gem.load("nobody/nothing")


def test_transformers_own_ways(model: Any, records: Any) -> None:
    """Its pipeline, a streamer, the Auto class; an assistant model can't see the ECG."""
    from transformers import AutoModelForImageTextToText, TextIteratorStreamer, pipeline

    inputs = model.processor(records[0], prompt="Why?")
    streamer = TextIteratorStreamer(model.processor.tokenizer)
    ids = model.generate(**inputs, max_new_tokens=4, do_sample=False, streamer=streamer)
    assert "".join(streamer) == model.processor.tokenizer.decode(ids[0, -4:])
    with pytest.raises(gem.GemConfigError, match="assistant_model"):
        model.generate(**inputs, assistant_model=model)
    assert AutoModelForImageTextToText._model_mapping[type(model.config)] is gem.GemForConditionalGeneration
    pipe: Any = pipeline("image-text-to-text", model=model, processor=model.processor)
    page = grounding.render(records[0], dpi=50)
    for shown in ({"type": "image", "image": page}, ecg(records[0])):
        turns = [user(shown, "Why?")]
        said = pipe(turns, max_new_tokens=4, do_sample=False, return_full_text=False)[0]["generated_text"]
        given = model.processor.apply_chat_template(turns, tokenize=True)
        own = model.generate(**given, max_new_tokens=4, do_sample=False)
        assert said == model.processor.decode(own[0, given["input_ids"].shape[1] :])
