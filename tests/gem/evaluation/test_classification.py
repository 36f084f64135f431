"""Reliability, abstention and what is asserted, counted on answers small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

import gem
import grounding
from gem.data.samples import Sample
from gem.evaluation.classification import abstention, asserted, class_logits, logits_by_inputs, reliability
from gem.metrics.multilabel import calibration_error
from grounding import EcgSignalError
from grounding.paper import Page, draw


def test_reliability_counts_every_answer_once_and_the_error_is_the_distance() -> None:
    truth, score = np.array([0.0, 1, 1, 1, 0, 1]), np.array([0.0, 0.1, 0.15, 0.95, 0.85, 1.0])
    rows = reliability(truth, score)
    assert [(row["low"], row["n"], row["true"]) for row in rows] == [(0, 1, 0), (0.1, 2, 1), (0.8, 1, 0), (0.9, 2, 1)]
    assert calibration_error(truth, score) == pytest.approx((0 + 2 * 0.875 + 0.85 + 2 * 0.025) / 6)
    perfect = np.repeat([0.0, 1.0], 5)
    assert calibration_error(perfect, perfect) == 0
    assert calibration_error(1 - perfect, perfect) == 1


def test_what_is_asserted_is_counted_by_how_sure_it_is() -> None:
    truth = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    score = np.array([[0.6, 0.49], [0.5, 0.9], [0.7, 1.0]])
    rows = asserted(truth, score)
    assert [(row["low"], row["high"], row["n"], row["true"]) for row in rows] == [
        (0.5, 0.7, 2, 0.5),
        (0.7, 0.9, 1, 1.0),
        (0.9, 1.0, 2, 1.0),
    ]
    assert rows[1]["interval"] == (1.0, 1.0)


def test_the_least_sure_records_are_left_out_first() -> None:
    truth = np.array([[1.0], [1.0], [0.0], [0.0]])
    score = np.array([[0.9], [0.45], [0.55], [0.1]])
    told = abstention(truth, score, shares=(1.0, 0.5))
    assert told == {"share": [1.0, 0.5], "accuracy": [0.5, 1.0], "exact": [0.5, 1.0]}


def of_record(name: str) -> Sample:
    nothing: dict[str, tuple[str, ...]] = {"superclasses": (), "subclasses": (), "form": (), "rhythm": ()}
    who = {"patient": name, "fold": None, "age": None, "sex": None, "scp_codes": {}, "report": "", "source": "raw"}
    return Sample(record_id=name, read=lambda: grounding.read_record(grounding.sample_path(name)), **who, **nothing)


def test_a_picture_alone_is_read_and_answers_much_like_its_record() -> None:
    model, samples = gem.load("gem-nano"), [of_record(name) for name in ("ptbxl_13", "ptbxl_286")]
    said = logits_by_inputs(model, samples, ["signal", "picture", "pixels"])
    chances = {inputs: 1 / (1 + np.exp(-logits[:, :5])) for inputs, logits in said.items()}
    far = {inputs: np.abs(chances[inputs] - chances["signal"]).mean() for inputs in ("picture", "pixels")}
    assert 0.001 < far["picture"] < 0.15
    assert np.abs(chances["picture"] - chances["pixels"]).max() > 0.01
    # what is measured in the records has no way in, nor have samples that the page does not show
    short = [Sample(**{**vars(one), "read": lambda one=one: one.record.crop(0, 2)}) for one in samples]
    assert np.abs(class_logits(model, short, "picture") - said["picture"]).max() > 0.1


def test_where_no_trace_is_seen_on_a_page_its_pixels_speak_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Page.read

    def read(page: Page) -> grounding.ECGRecord:
        if page.layout.panels[0].zero == unseen:
            raise EcgSignalError("no trace is seen on the page")
        return whole(page)

    model, samples = gem.load("gem-nano"), [of_record(name) for name in ("ptbxl_13", "ptbxl_286")]
    unseen = draw(samples[1].record).layout.panels[0].zero
    seen = class_logits(model, samples, "picture")
    monkeypatch.setattr(Page, "read", read)
    said = logits_by_inputs(model, samples, ["picture", "pixels"])
    assert said["picture"][1] == pytest.approx(said["pixels"][1], abs=1e-4)
    assert said["picture"][0] == pytest.approx(seen[0], abs=1e-4)
