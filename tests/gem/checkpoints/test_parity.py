"""What the published code computed, folder by folder; the greatest differences are printed in docs/models."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import gem

Published = Callable[[str], tuple[Path, dict[str, torch.Tensor]]]
DATA = Path(__file__).resolve().parents[2] / "data" / "published"


def close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-4) -> None:
    assert ours.shape == theirs.shape
    assert float((ours.detach() - theirs).abs().max()) <= tolerance


def close_logits(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """In the tree lies one column in eight."""
    close(ours[..., :: ours.shape[-1] // theirs.shape[-1]], theirs)


def test_ecg_coca(published: Published) -> None:
    folder, want = published("ecg_coca")
    out = gem.load(folder)(want["input.ecg"])
    for name in ("last_hidden", "tokens", "pooled"):
        close(getattr(out, name), want[f"output.{name}"])


def test_ecg_coca_pickle_converts_to_the_same(published: Published, tmp_path: Path) -> None:
    from gem.checkpoints.convert import convert

    folder, want = published("ecg_coca")
    pickled = folder / "cpt_tiny.pt"
    if not pickled.exists():  # as the training code saves it
        state = {"epoch": 20, "name": "tiny", "state_dict": load_file(folder / "model.safetensors")}
        torch.save(state, pickled)
    report = convert(pickled, tmp_path / "converted")
    assert report is not None
    assert report.loaded == 32
    close(gem.load(tmp_path / "converted")(want["input.ecg"]).pooled, want["output.pooled"])


def test_gem(published: Published) -> None:
    folder, want = published("gem")
    model = gem.load(folder)
    inputs = {
        "input_ids": want["input.input_ids"],
        "attention_mask": want["input.attention_mask"],
        "ecg": want["input.ecgs"],
        "pixel_values": want["input.images"],
    }
    merged = model._merge(
        inputs["input_ids"],
        model.encode(inputs["ecg"], inputs["pixel_values"]),
        inputs["attention_mask"],
        want["input.labels"],
    )
    embeds = want["output.inputs_embeds"]
    close(merged.embeds[: len(embeds)], embeds)  # in the tree lies the first row's ECG
    assert (merged.labels == want["output.labels"]).all()
    out = model(**inputs, labels=want["input.labels"])
    assert (out.attention_mask == want["output.attention_mask"]).all()
    if "output.logits" in want:  # the decoder behind the merge is PULSE's; this one's weights are not in the tree
        close(out.logits, want["output.logits"])
        close(out.loss[None], want["output.loss"])
        first = {name: value[:1] for name, value in inputs.items()}
        ids = model.generate(**first, max_new_tokens=12, do_sample=False)
        assert (ids[:, -12:] == want["output.generated"][:, 1:]).all()


@pytest.mark.parametrize("name", ["pulse", "llava_next_unpad"])
def test_pulse(published: Published, name: str) -> None:
    folder, want = published(name)
    model = gem.load(folder)
    ready = model.processor(picture=[want[f"input.image{i}"].numpy() for i in range(2)])
    for i in range(2):
        close(ready["pixel_values"][i], want[f"output.pixel_values{i}"], 1e-5)
    out = model(want["input.input_ids"], labels=want["input.labels"], **ready)
    close_logits(out.logits, want["output.logits"])
    close(out.loss[None], want["output.loss"])
    first = {key: value[:1] for key, value in ready.items()}
    ids = model.generate(want["input.input_ids"][:1], **first, max_new_tokens=12, do_sample=False)
    assert (ids[:, -12:] == want["output.generated"][:, 1:]).all()
    assert model.load_report.ignored == (["model.image_newline"] if name == "pulse" else [])


@pytest.mark.parametrize("name", ["meit", "meit_gqa"])
def test_meit(published: Published, name: str) -> None:
    folder, want = published(name)
    model, features = gem.load(folder), want["input.ecg_features"]
    out = model(want["input.input_ids"], want["input.attention_mask"], ecg=features, labels=want["input.labels"])
    close_logits(out.logits, want["output.logits"])
    close(out.loss[None], want["output.loss"])
    close(out.ecg_tokens[:, 0], want["output.ecg_embedding"])
    close_logits(model(want["input.input_ids"], want["input.attention_mask"]).logits, want["output.logits_without_ecg"])


def test_the_tree_holds_what_was_published(shared: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make", DATA / "make.py")
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    make.main(shared / "parity", tmp_path)
    files = [path.relative_to(DATA) for path in DATA.rglob("*") if path.suffix in (".npz", ".json")]
    assert len(files) > 20
    for file in files:
        if file.suffix == ".json":
            assert (tmp_path / file).read_text() == (DATA / file).read_text()
            continue
        with np.load(tmp_path / file) as made, np.load(DATA / file) as kept:
            assert set(made) == set(kept)
            for name in made:
                np.testing.assert_array_equal(made[name], kept[name], err_msg=f"{file}: {name}")
