"""Examples become batches: inputs from files, drawn or read; caches; distorted pages in training only."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import gem
import grounding
from gem.data.conversations import EcgData
from gem.data.ptbxl import load_ptbxl
from gem.data.stamps import stamp
from gem.labels import IGNORE
from gem.training.start import start
from tests.gem.training import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return start(model=tiny.MODELS["gem"])


def source(model: Any, path: Path, **options: Any) -> EcgData:
    made = EcgData(str(path), **{"val_share": 0.0, **options})
    made.trainer = SimpleNamespace(lightning_module=SimpleNamespace(model=model), global_rank=0, world_size=1)  # type: ignore[assignment]
    made.setup()
    return made


def examples(model: Any, path: Path, **options: Any) -> Any:
    made = source(model, path, **options).train
    assert made is not None
    return made


def test_only_answers_are_trained(model: Any, data: Path) -> None:
    batch = examples(model, data)[[0, 1]]
    tokenizer = model.processor.tokenizer
    for row, text in zip(
        batch["labels"], ("Sinus rhythm. Case 0.", "Sinus rhythm. Sinus rhythm. Case 1."), strict=True
    ):
        told = tokenizer.decode([int(i) for i in row if i not in (IGNORE, tokenizer.eos_token_id)])
        assert text in told
        assert "What is it" not in told
    assert batch["ecg"].shape[:2] == (2, 12)
    assert (batch["input_ids"] == model.config.placeholder_token_id).sum(1).tolist() == [1, 1]


def test_pictures_are_read_drawn_or_left_out(model: Any, data: Path) -> None:
    pixels = {
        how: examples(model, data, picture=how)[[0, 1]].get("pixel_values")
        for how in ("none", "read", "render", "auto")
    }
    assert pixels["none"] is None
    assert torch.equal(torch.as_tensor(pixels["auto"]), torch.as_tensor(pixels["read"]))
    assert not torch.equal(torch.as_tensor(pixels["render"]), torch.as_tensor(pixels["read"]))


def test_pages_are_distorted_in_training_alone_and_the_same_when_repeated(model: Any, data: Path) -> None:
    made = source(model, data, picture="render", distort=1.0, val_share=0.5)
    clean = source(model, data, picture="render", val_share=0.5)
    assert made.train is not None
    assert made.val is not None
    assert clean.train is not None
    assert clean.val is not None
    first = made.train[[0]]["pixel_values"]
    assert torch.equal(first, made.train[[0]]["pixel_values"])
    assert not torch.equal(first, clean.train[[0]]["pixel_values"])
    assert torch.equal(made.val[[0]]["pixel_values"], clean.val[[0]]["pixel_values"])


def test_the_signal_cache_is_used_and_may_be_deleted(model: Any, data: Path, tmp_path: Path) -> None:
    """A recording that changes is prepared anew, and so is another one under the same name."""
    records = tmp_path / "records"
    shutil.copytree(data.parent, records)
    options: dict[str, Any] = {"cache": str(tmp_path / "cache")}
    fresh = examples(model, records / "train.json", **options)[[0, 1, 2]]["ecg"]
    files = list((tmp_path / "cache").rglob("*.npy"))
    assert len(files) == 3
    for file in files:
        np.save(file, np.full_like(np.load(file), 7.0))
    assert (examples(model, records / "train.json", **options)[[0, 1, 2]]["ecg"] == 7).all()
    shutil.copy(records / "r1.dat", records / "r0.dat")
    changed = examples(model, records / "train.json")[[0]]["ecg"]
    assert not torch.equal(changed[0], fresh[0])
    assert torch.equal(examples(model, records / "train.json", **options)[[0]]["ecg"], changed)
    rows = json.loads((records / "train.json").read_text())
    other = records / "other.json"
    other.write_text(json.dumps([{**rows[0], "ecg": "r5"}]))
    prepared = examples(model, other)[[0]]["ecg"]
    assert torch.equal(examples(model, other, **options)[[0]]["ecg"], prepared)
    shutil.rmtree(tmp_path / "cache")
    assert torch.equal(examples(model, records / "train.json", **options)[[1, 2]]["ecg"], fresh[1:])


def test_recordings_are_told_apart_by_their_files(tmp_path: Path) -> None:
    """Those of another folder, and those that no file is known of."""
    folders = [tiny.write_ptbxl(tmp_path / name) for name in ("a", "b")]
    stamps = [json.dumps([stamp(sample.read) for sample in load_ptbxl(one, (1, 2, 5, 8))]) for one in folders]
    assert stamps[0] != stamps[1]
    assert stamps[0] == json.dumps([stamp(sample.read) for sample in load_ptbxl(folders[0], (1, 2, 5, 8))])
    records = [grounding.read_record(grounding.sample_path(name)) for name in ("ptbxl_13", "ptbxl_102")]
    first, second = (stamp(lambda one=one: one) for one in records)
    assert first != second


def test_classes_captions_and_signals(model: Any, data: Path) -> None:
    classes = examples(model, data, task="classes", classes=["NORM", "MI"])[[0, 1]]["classes"]
    assert classes.tolist() == [[0.0, 1.0], [1.0, 0.0]]
    captions = examples(model, data, task="caption", lower=True)[[0]]
    assert model.processor.tokenizer.decode(captions["input_ids"][0]).startswith("sinus rhythm")
    assert set(examples(model, data, task="signals")[[0]]) == {"ids", "ecg"}


def test_folds_and_patients_part_the_data(model: Any, tmp_path: Path) -> None:
    root = tiny.write_ptbxl(tmp_path)
    made = source(model, root, layout="ptbxl", train_folds=[1, 2, 3, 4, 5, 6, 7], val_folds=[8])
    assert made.train is not None
    assert made.val is not None
    assert (len(made.train), len(made.val)) == (6, 2)
    assert not {item.id for item in made.train.items} & {item.id for item in made.val.items}
    with pytest.raises(gem.GemConfigError, match="none in both"):
        source(model, root, layout="ptbxl", train_folds=[1, 8], val_folds=[8])


def test_an_answer_without_room_is_an_error(model: Any, data: Path) -> None:
    with pytest.raises(gem.GemInputError, match="raise the data's max_length"):
        examples(model, data, max_length=12)[[0]]


def test_zscored_arrays_and_raw_records_share_a_contract(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = start(model=tiny.MODELS["pretrain_signal"])
    root = tiny.write_ptbxl(tmp_path)
    batch = examples(small, root, layout="recordings", task="signals", train_folds=list(range(1, 8)), val_folds=[8])[
        [0, 5]
    ]
    assert batch["ecg"].shape == (2, 12, 500)
    assert np.allclose(batch["ecg"].std(-1), 1, atol=0.1)


def test_pictures_of_phones_are_upright_and_may_be_missing(model: Any, data: Path, tmp_path: Path) -> None:
    from PIL import Image

    rows = json.loads(data.read_text())[:3]
    picture = Image.open(data.parent / "r0.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying.png", exif=exif)
    rows[1]["image"] = str(tmp_path / "lying.png")
    del rows[2]["image"]
    for row in rows:
        row["ecg"] = str(data.parent / row["ecg"])
    rows[0]["image"] = str(data.parent / "r0.png")
    path = tmp_path / "train.json"
    path.write_text(json.dumps(rows))
    made = examples(model, path, picture="read")
    first, second = made[[0, 1]]["pixel_values"]
    assert torch.equal(first, second)
    assert "pixel_values" not in made[[2]]
    assert made[[2]]["ecg"].shape[0] == 1
    with pytest.raises(gem.GemInputError, match="no example of a batch has a picture"):
        examples(model, path, picture="read", signal=False)[[2]]


def test_examples_go_to_workers_that_are_started_anew(model: Any, data: Path) -> None:
    made = source(model, data)
    made.trainer.unpicklable = lambda: None  # type: ignore[union-attr,attr-defined]
    again = pickle.loads(pickle.dumps(made.train))
    assert made.train is not None
    assert torch.equal(again[[0]]["ecg"], made.train[[0]]["ecg"])
    assert made.trainer is not None
