"""The classification head with measured values: what is missing, who votes, and how it is stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import gem
from gem import GemConfigError, GemForConditionalGeneration, GemInputError, GemProcessor
from gem.fusion.heads import MeasuredHead
from gem.measured import NAMES

Build = Callable[..., GemForConditionalGeneration]
MEASURED = {"names": ["qrs_ms", "heart_rate_bpm", "V1 r_mv"], "hidden": 8, "members": 2}
VOTES = {"ecg": 0.4, "vision": 0.1, "measured": 0.6}


@pytest.fixture(scope="module")
def head() -> MeasuredHead:
    torch.manual_seed(0)
    head = MeasuredHead(3, 2, hidden=8, members=2).eval()
    head.centre.copy_(torch.tensor([100.0, 70.0, 0.3]))
    head.scale.copy_(torch.tensor([10.0, 15.0, 0.2]))
    return head


@pytest.fixture(scope="module")
def model(tiny_model: Build) -> GemForConditionalGeneration:
    model = tiny_model(measured=MEASURED, class_votes=VOTES)
    with torch.no_grad():
        for weight in model.class_head.heads["measured"].parameters():
            weight.normal_(0, 0.5)
    return model


VALUES = torch.tensor([[90.0, 60.0, 0.2], [150.0, float("nan"), 0.9], [float("nan")] * 3])


def test_a_batch_equals_one_by_one(head: MeasuredHead) -> None:
    torch.testing.assert_close(head(VALUES), torch.cat([head(row[None]) for row in VALUES]))


def test_the_logits_are_the_mean_of_the_networks(head: MeasuredHead) -> None:
    x = (VALUES[0] - head.centre) / head.scale
    wanted = []
    for member in range(2):
        rows = torch.cat([x, torch.zeros(3)])
        for weight, bias in zip(head.weights[:-1], head.biases[:-1], strict=True):
            rows = torch.nn.functional.gelu(rows @ weight[member] + bias[member, 0])
        wanted.append(rows @ head.weights[-1][member] + head.biases[-1][member, 0])
    torch.testing.assert_close(head(VALUES[:1])[0], torch.stack(wanted).mean(0))


def test_a_missing_value_is_told_from_a_usual_one_and_extremes_are_clipped(head: MeasuredHead) -> None:
    usual = torch.tensor([[100.0, 70.0, 0.3]])
    missing = torch.tensor([[100.0, float("nan"), 0.3]])
    assert torch.isfinite(head(missing)).all()
    assert not torch.equal(head(usual), head(missing))
    far, farther = (torch.tensor([[value, 70.0, 0.3]]) for value in (140.0, 1e6))
    torch.testing.assert_close(head(far), head(farther))


def test_half_precision_weights_take_values_in_their_own_units(head: MeasuredHead) -> None:
    half = MeasuredHead(3, 2, hidden=8, members=2)
    half.load_state_dict(head.state_dict())
    values = torch.tensor([[101.3, 1e5, 0.31]])  # 1e5 is no float16
    torch.testing.assert_close(half.half().eval()(values).float(), head(values), atol=2e-2, rtol=2e-2)


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
    slope, shift = torch.tensor([2.0, 0.5]), torch.tensor([-1.0, 3.0])
    for name, given in (("measured", {"measured": VALUES[:2]}), ("ecg", {"ecg": tiny_inputs["ecg"]})):
        before = model.encode(**given).class_logits
        model.class_head.rescale(name, slope, shift)
        torch.testing.assert_close(model.encode(**given).class_logits, before * slope + shift)


def test_saved_and_loaded(model: GemForConditionalGeneration, tmp_path: Path) -> None:
    model.class_head.heads["measured"].centre.copy_(torch.tensor([100.0, 70.0, 0.3]))
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
        ({"names": list(NAMES), "hidden": 0}, "at least 1"),
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
