"""What the published code computed, folder by folder; the greatest differences are printed in docs/models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import gem


def expected(shared: Path, name: str) -> tuple[dict[str, torch.Tensor], Any]:
    folder = shared / "parity" / name
    if not folder.is_dir():
        pytest.skip("the published code's outputs are not here")
    return load_file(folder / "expected.safetensors"), gem.load(folder)


def close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-4) -> None:
    assert ours.shape == theirs.shape
    assert float((ours.detach() - theirs).abs().max()) <= tolerance


def test_ecg_coca(shared: Path) -> None:
    want, model = expected(shared, "ecg_coca")
    out = model(want["input.ecg"])
    for name in ("last_hidden", "tokens", "pooled"):
        close(getattr(out, name), want[f"output.{name}"])


def test_ecg_coca_pickle_converts_to_the_same(shared: Path, tmp_path: Path) -> None:
    from gem.checkpoints.convert import convert

    want, _ = expected(shared, "ecg_coca")
    report = convert(shared / "parity" / "ecg_coca" / "cpt_tiny.pt", tmp_path)
    assert report is not None
    assert report.loaded == 32
    close(gem.load(tmp_path)(want["input.ecg"]).pooled, want["output.pooled"])


def test_gem(shared: Path) -> None:
    want, model = expected(shared, "gem")
    inputs = {
        "input_ids": want["input.input_ids"], "attention_mask": want["input.attention_mask"],
        "ecg": want["input.ecgs"], "pixel_values": want["input.images"],
    }  # fmt: skip
    out = model(**inputs, labels=want["input.labels"])
    close(out.logits, want["output.logits"])
    close(out.loss[None], want["output.loss"])
    assert (out.attention_mask == want["output.attention_mask"]).all()
    merged = model._merge(
        inputs["input_ids"],
        model.encode(inputs["ecg"], inputs["pixel_values"]),
        inputs["attention_mask"],
        want["input.labels"],
    )
    close(merged.embeds, want["output.inputs_embeds"])
    assert (merged.labels == want["output.labels"]).all()
    first = {name: value[:1] for name, value in inputs.items()}
    ids = model.generate(**first, max_new_tokens=12, do_sample=False)
    assert (ids[:, -12:] == want["output.generated"][:, 1:]).all()


@pytest.mark.parametrize("name", ["pulse", "llava_next_unpad"])
def test_pulse(shared: Path, name: str) -> None:
    want, model = expected(shared, name)
    ready = model.processor(picture=[want[f"input.image{i}"].numpy() for i in range(2)])
    for i in range(2):
        close(ready["pixel_values"][i], want[f"output.pixel_values{i}"], 1e-5)
    out = model(want["input.input_ids"], labels=want["input.labels"], **ready)
    close(out.logits, want["output.logits"])
    close(out.loss[None], want["output.loss"])
    first = {key: value[:1] for key, value in ready.items()}
    ids = model.generate(want["input.input_ids"][:1], **first, max_new_tokens=12, do_sample=False)
    assert (ids[:, -12:] == want["output.generated"][:, 1:]).all()
    assert model.load_report.ignored == (["model.image_newline"] if name == "pulse" else [])


@pytest.mark.parametrize("name", ["meit", "meit_gqa"])
def test_meit(shared: Path, name: str) -> None:
    want, model = expected(shared, name)
    features = want["input.ecg_features"]
    out = model(want["input.input_ids"], want["input.attention_mask"], ecg=features, labels=want["input.labels"])
    close(out.logits, want["output.logits"])
    close(out.loss[None], want["output.loss"])
    close(out.ecg_tokens[:, 0], want["output.ecg_embedding"])
    close(model(want["input.input_ids"], want["input.attention_mask"]).logits, want["output.logits_without_ecg"])
