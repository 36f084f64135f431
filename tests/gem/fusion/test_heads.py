"""The classification head with measured values: what is missing, who votes, and how it is stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import gem
from gem import GemConfigError, GemForConditionalGeneration, GemInputError, GemProcessor
from gem.fusion.trees import TreesHead
from gem.measured import NAMES

Build = Callable[..., GemForConditionalGeneration]
MEASURED = {"names": ["qrs_ms", "heart_rate_bpm", "V1 r_mv"], "trees": 3, "leaves": 2}
VOTES = {"ecg": 0.4, "vision": 0.1, "measured": 0.6}


def plant(head: Any) -> None:
    """Trees with one split each, on a value of its own; a missing value goes left."""
    assert isinstance(head, TreesHead)
    head.feature[:, 0] = torch.tensor([0, 1, 2, 2, 1, 0])
    head.threshold[:, 0] = torch.tensor([100.0, 70.0, 0.3, 0.5, 65.0, 120.0])
    head.left[:, 0], head.right[:, 0], head.missing_left[:, 0] = -1, -2, True
    head.value.copy_(torch.tensor([[-0.5, 0.5], [0.2, -0.3], [0.1, 0.7], [0.4, -0.6], [-0.2, 0.9], [0.3, 0.8]]))


@pytest.fixture(scope="module")
def model(tiny_model: Build) -> GemForConditionalGeneration:
    model = tiny_model(measured=MEASURED, class_votes=VOTES)
    plant(model.class_head.heads["measured"])
    return model


VALUES = torch.tensor([[90.0, 60.0, 0.2], [150.0, float("nan"), 0.9], [float("nan")] * 3])


def test_the_trees_add_up_and_missing_values_go_their_way() -> None:
    head = TreesHead(2, trees=3, leaves=2)
    plant(head)
    wanted = [
        [-0.5 + 0.2 + 0.1, 0.4 - 0.2 + 0.3],
        [0.5 + 0.2 + 0.7, -0.6 - 0.2 + 0.8],
        [-0.5 + 0.2 + 0.1, 0.4 - 0.2 + 0.3],
    ]
    torch.testing.assert_close(head(VALUES), torch.tensor(wanted))


def test_the_vote_of_all_three(model: GemForConditionalGeneration, tiny_inputs: dict[str, Any]) -> None:
    ecg, pixels, values = tiny_inputs["ecg"], tiny_inputs["pixel_values"], VALUES[:2]
    apart = {
        "ecg": model.encode(ecg).class_logits,
        "vision": model.encode(pixel_values=pixels).class_logits,
        "measured": model.encode(measured=values).class_logits,
    }
    encoded = model.encode(ecg, pixels, measured=values)
    wanted = sum(VOTES[name] * logits for name, logits in apart.items()) / sum(VOTES.values())
    torch.testing.assert_close(encoded.class_logits, wanted)
    torch.testing.assert_close(model.classify(ecg, pixels, measured=values), wanted.sigmoid())
    torch.testing.assert_close(model.classify(encoded=encoded), wanted.sigmoid())
    torch.testing.assert_close(model(**tiny_inputs, measured=values).class_logits, wanted)
    assert encoded.measured is values
    ids = model.generate(**tiny_inputs, measured=values, max_new_tokens=2, do_sample=False)
    assert torch.equal(ids, model.generate(**tiny_inputs, max_new_tokens=2, do_sample=False))


def test_where_nothing_is_measured_the_others_decide(
    model: GemForConditionalGeneration, tiny_inputs: dict[str, Any]
) -> None:
    ecg, values = tiny_inputs["ecg"], VALUES[1:]  # the second row: nothing
    mixed = model.encode(ecg, measured=values).class_logits
    torch.testing.assert_close(mixed[1], model.encode(ecg).class_logits[1])
    assert (mixed[0] - model.encode(ecg).class_logits[0]).abs().max() > 1e-3
    alone = model.encode(ecg, measured=values, ecg_mask=torch.tensor([False, False])).class_logits
    torch.testing.assert_close(alone[0], model.encode(measured=values).class_logits[0])
    assert alone[1].isnan().all()
    assert model.encode(measured=values).class_logits[1].isnan().all()


def test_rescaling_stretches_and_shifts_one_inputs_logits(tiny_model: Build, tiny_inputs: dict[str, Any]) -> None:
    model = tiny_model(measured=MEASURED)
    plant(model.class_head.heads["measured"])
    slope, shift = torch.tensor([2.0, 0.5]), torch.tensor([-1.0, 3.0])
    for name, given in (("measured", {"measured": VALUES[:2]}), ("ecg", {"ecg": tiny_inputs["ecg"]})):
        before = model.encode(**given).class_logits
        model.class_head.rescale(name, slope, shift)
        torch.testing.assert_close(model.encode(**given).class_logits, before * slope + shift)


def test_saved_and_loaded(model: GemForConditionalGeneration, tmp_path: Path) -> None:
    model.processor = GemProcessor.from_config(model.config)
    model.save_pretrained(tmp_path)
    model.processor.save_pretrained(tmp_path)
    again = gem.load(tmp_path)
    assert again.config.measured == MEASURED
    assert again.processor.measured == tuple(MEASURED["names"])
    torch.testing.assert_close(again.classify(measured=VALUES[:2]), model.classify(measured=VALUES[:2]))


def test_a_processor_of_other_values_is_refused(model: GemForConditionalGeneration, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    GemProcessor(model.config.signal, model.config.picture, measured=["qrs_ms"]).save_pretrained(tmp_path)
    with pytest.raises(gem.GemError, match="different measured values"):
        gem.load(tmp_path)


def test_weights_without_measured_values_load_as_before(tiny_model: Build, tmp_path: Path) -> None:
    model = tiny_model()
    model.save_pretrained(tmp_path)
    assert model.config.measured is None
    assert set(gem.load(tmp_path).class_head.heads) == {"ecg", "vision"}


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        ({"names": ["qrs_ms", "qrs_furlongs"]}, "unknown measured value 'qrs_furlongs'"),
        ({"names": ["qrs_ms", "qrs_ms"]}, "twice"),
        ({"names": []}, "no names"),
        ({"names": list(NAMES), "trees": 0}, "at least 1"),
        ({"names": list(NAMES), "leaves": 1}, "at least 2"),
        ({"names": list(NAMES), "layers": 3}, "layers"),
        ({"names": "qrs_ms"}, "names"),
    ],
)
def test_configs_that_are_refused(tiny_config: Callable[..., Any], measured: dict[str, Any], says: str) -> None:
    with pytest.raises(GemConfigError, match=says):
        tiny_config(measured=measured)


def test_measured_values_need_a_head(tiny_config: Callable[..., Any]) -> None:
    with pytest.raises(GemConfigError, match="class_names"):
        tiny_config(measured=MEASURED, class_names=[])


def test_what_does_not_fit(model: GemForConditionalGeneration, tiny_model: Build, tiny_inputs: dict[str, Any]) -> None:
    with pytest.raises(GemInputError, match=r"\(batch, 3\)"):
        model.classify(measured=torch.zeros(2, 4))
    with pytest.raises(GemInputError, match="2 recordings but 1 rows of measured values"):
        model.classify(tiny_inputs["ecg"], measured=VALUES[:1])
    with pytest.raises(GemInputError, match="takes no measured values"):
        tiny_model().classify(tiny_inputs["ecg"], measured=VALUES[:2])
