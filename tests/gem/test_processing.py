"""The processor: signal contract, picture modes, prompts, batches with holes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gem
import grounding
from gem import GemConfigError, GemForConditionalGeneration, GemInputError, GemProcessor
from gem.pictures import prepare_picture, rgb
from grounding import ECGRecord

CLIP = {"size": [28, 28], "mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return grounding.read_record(grounding.sample_path())


@pytest.fixture(scope="module")
def tokenizer() -> object:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {
        word: i for i, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", "what", "is", "the", "rhythm", "USER", "A"])
    }
    core = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., GemForConditionalGeneration], tokenizer: object) -> GemForConditionalGeneration:
    model = tiny_model()
    model.processor = GemProcessor.from_config(model.config, tokenizer)
    return model


def test_record_to_answer(model: GemForConditionalGeneration, record: ECGRecord) -> None:
    ready = model.processor(record, prompt="what is the rhythm")
    assert ready["ecg"].shape == (1, 12, 500)
    assert ready["pixel_values"].shape == (1, 3, 64, 64)
    assert ready["input_ids"].tolist()[0].count(-200) == 1
    ids = model.generate(**ready, max_new_tokens=3, do_sample=False)
    assert isinstance(model.processor.decode(ids[0]), str)


def test_mixed_batch(model: GemForConditionalGeneration, record: ECGRecord) -> None:
    paper = Image.new("RGB", (400, 300), "white")
    ready = model.processor([record, None], picture=[None, paper], prompt=["what", "what is the rhythm"])
    assert ready["ecg_mask"].tolist() == [True, False]
    assert ready["attention_mask"][0].tolist() == [0, 0, 0, 1, 1, 1]  # padded on the left
    assert model(**ready).logits.shape[0] == 2
    only = model.processor(record, picture=False)
    assert set(only) == {"ecg"}


def test_placeholder_and_conversation(tokenizer: object) -> None:
    processor = GemProcessor({}, None, tokenizer, conversation="A USER {prompt}")
    assert processor.encode_prompt("what <ecg> rhythm") == [1, 9, 8, 4, -200, 7]
    assert processor.encode_prompt("rhythm") == [1, 9, 8, -200, 7]
    with pytest.raises(GemInputError, match="2 placeholders"):
        processor.encode_prompt("<ecg> <ecg>")
    with pytest.raises(GemConfigError, match="tokenizer"):
        GemProcessor({}).encode_prompt("what")


def test_save_and_load(model: GemForConditionalGeneration, record: ECGRecord, tmp_path: Path) -> None:
    import gem

    model.save_pretrained(tmp_path)
    model.processor.save_pretrained(tmp_path)
    again = gem.load(tmp_path)
    first, second = (m.processor(record, prompt="what is the rhythm") for m in (model, again))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, atol=0, rtol=0)


@pytest.mark.parametrize("size", [(110, 85), (60, 121), (28, 28), (2200, 1700)])
def test_ori_is_clips_own_processing(size: tuple[int, int]) -> None:
    import transformers

    # the Pillow one, where a release has it beside the torch one
    published = getattr(transformers, "CLIPImageProcessorPil", None) or transformers.CLIPImageProcessor

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    theirs = published(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    want = torch.as_tensor(np.asarray(theirs(picture, return_tensors="np")["pixel_values"]))
    torch.testing.assert_close(prepare_picture(picture, CLIP, "ori"), want.float(), atol=1e-5, rtol=0)


def test_letterbox_shows_the_whole_paper() -> None:
    picture = Image.new("RGB", (220, 170), "white")
    picture.putpixel((0, 85), (0, 0, 0))
    marked = Image.new("RGB", (220, 170), "white")
    marked.paste((0, 0, 0), (0, 60, 12, 110))  # what stands at the left edge, where lead names are

    def sees(mode: str) -> bool:
        blank = prepare_picture(Image.new("RGB", (220, 170), "white"), CLIP, mode)
        return bool((prepare_picture(marked, CLIP, mode) - blank).abs().max() > 0.5)

    assert sees("letterbox")
    assert sees("pad")
    assert not sees("ori")


def test_compat_switch(record: ECGRecord) -> None:
    processor = GemProcessor({"n_samples": 5000}, CLIP | {"mode": "letterbox", "compat_mode": "ori"})
    turned = record.select(record.leads[::-1])
    right, published = processor(turned, picture=False), processor(turned, picture=False, compat=True)
    torch.testing.assert_close(published["ecg"], right["ecg"].flip(1), atol=1e-6, rtol=0)


def test_nothing_to_look_at(model: GemForConditionalGeneration) -> None:
    with pytest.raises(GemInputError, match="neither"):
        model.processor(prompt="what")
    with pytest.raises(GemInputError, match="lists of"):
        model.processor([None, None], prompt=["what"])
    with pytest.raises(GemInputError, match="float64"):
        model.processor(picture=np.zeros((3, 3, 3)))


def test_a_processor_shows_its_steps_in_the_order_they_are_taken() -> None:
    shown = repr(gem.load("gem-nano").processor).splitlines()
    names = [line.split(",")[1].split(":")[0].strip() for line in shown if line.startswith("  signal")]
    assert names == ["leads", "gaps", "rate", "bandpass", "window", "unit"]
    assert "given each lead's typical size" in shown[6]
    assert any(line.startswith("  picture: letterbox to 400x512") for line in shown)
    assert any("587 tokens" in line for line in shown)
    assert any(line.startswith("  measured: 521 values, 'heart_rate_bpm'") for line in shown)


@pytest.fixture(scope="module")
def measuring(tiny_model: Callable[..., GemForConditionalGeneration]) -> GemProcessor:
    model = tiny_model(measured={"names": ["qrs_ms", "V1 s_mv"], "trees": 4})
    return GemProcessor.from_config(model.config)


def test_a_measurement_is_taken_or_made(measuring: GemProcessor, monkeypatch: pytest.MonkeyPatch) -> None:
    record = grounding.read_record(grounding.sample_path("ptbxl_424"))
    measurement = grounding.measure(record)
    made = measuring(record, picture=False)["measured"]
    assert made.shape == (1, 2)
    assert made[0].tolist() == pytest.approx(
        [measurement.intervals["qrs"], measurement.lead_summary.set_index("lead").at["V1", "s_mv"]], rel=1e-5
    )

    def never(*_: object) -> None:
        raise AssertionError("measured a second time")

    monkeypatch.setattr("gem.measured.measure", never)
    given = measuring(record, picture=False, measurement=measurement)["measured"]
    assert torch.equal(made, given)
    assert "measured" not in measuring(record, picture=False, measurement=False)


def test_rows_without_a_measurement_are_nan(measuring: GemProcessor) -> None:
    good = grounding.read_record(grounding.sample_path("ptbxl_424"))
    bad = ECGRecord.from_array(np.zeros((12, 20), np.float32), 500.0, good.leads)
    paper = Image.new("RGB", (400, 300), "white")
    ready = measuring([good, bad, None], picture=[paper, paper, paper])
    assert ready["measured"].isfinite().tolist() == [[True, True], [False, False], [False, False]]
    assert "measured" not in measuring(picture=paper)


def test_a_measurement_of_another_record_is_refused(measuring: GemProcessor, record: ECGRecord) -> None:
    other = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_424")))
    with pytest.raises(GemInputError, match="ptbxl_424"):
        measuring(record, measurement=other)


def test_a_model_without_measured_values_is_given_none(model: GemForConditionalGeneration, record: ECGRecord) -> None:
    assert "measured" not in model.processor(record)


def test_photographs_are_shown_upright_however_they_are_given(
    model: GemForConditionalGeneration, tmp_path: Path
) -> None:
    """As a phone stores them, lying on their side; as files, tensors, in 16 bits and on nothing."""
    greys = np.add.outer(np.arange(60), 3 * np.arange(40)).astype(np.uint8)
    upright = Image.fromarray(np.stack([greys] * 3, -1))
    lying, exif = upright.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6  # turn it by 90 degrees clockwise
    file = tmp_path / "photograph.png"
    lying.save(file, exif=exif)
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    given = {
        "a file": file,
        "a picture": Image.open(file),
        "channels first": np.asarray(upright).transpose(2, 0, 1),
        "a tensor": torch.from_numpy(np.asarray(upright).copy()),
        "16 bits": Image.fromarray(greys.astype(np.uint16) * 257),
    }
    for name, picture in given.items():
        assert np.array_equal(np.asarray(rgb(picture)), np.asarray(upright)), name
        shown = model.processor(picture=picture)["pixel_values"]
        assert torch.equal(shown, model.processor(picture=upright)["pixel_values"]), name
    assert np.asarray(rgb(clear)).min() == 255
    parts = [{"type": "image", "image": Image.open(file)}, {"type": "text", "text": "What is it?"}]
    messages = [{"role": "user", "content": parts}]
    told = model.processor.apply_chat_template(messages, tokenize=True)["pixel_values"]
    assert torch.equal(told, model.processor(picture=upright)["pixel_values"])


def test_a_recording_may_be_a_file(model: GemForConditionalGeneration, record: ECGRecord) -> None:
    path = grounding.sample_path("ptbxl_13")
    read = model.processor(grounding.read_record(path), picture=False)["ecg"]
    assert torch.equal(model.processor(str(path), picture=False)["ecg"], read)
    assert torch.equal(model.processor([path, record], picture=False)["ecg"][:1], read)
    with pytest.raises(GemInputError, match="from_array"):
        model.processor(np.zeros((12, 5000)))
    with pytest.raises(GemInputError, match="padding_side"):
        model.processor(record, padding_side="right")
