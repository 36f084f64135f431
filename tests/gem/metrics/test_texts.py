"""Metrics of reports: CIDEr-D against a plain implementation of its paper, damage that lowers scores, two processes."""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torchmetrics import Metric

import grounding
from gem.metrics import (
    CalibrationError,
    CiderD,
    LeadAgreement,
    MacroAUROC,
    Meteor,
    NumericError,
    StatedFindings,
    SupportedClaims,
    TimeAgreement,
    cider_d,
    meteor,
    stated_times,
)
from gem.metrics.texts import own_report

WORDS = [
    "sinus",
    "rhythm",
    "with",
    "normal",
    "axis",
    "left",
    "ventricular",
    "hypertrophy",
    "st",
    "depression",
    "in",
    "v4",
    "v5",
    "and",
    "premature",
    "beats",
]


def texts(n: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 20))) for _ in range(n)]


def by_the_paper(said: list[str], true: list[str]) -> list[float]:
    """Equations 1 to 4 of the paper with vectors over all n-grams, a clipped numerator and the Gaussian penalty."""

    def grams(text: str, n: int) -> list[str]:
        words = text.split()
        return [" ".join(words[k : k + n]) for k in range(len(words) - n + 1)]

    out = np.zeros(len(said))
    for n in (1, 2, 3, 4):
        names = sorted({gram for text in [*said, *true] for gram in grams(text, n)})
        df = np.array([max(1, sum(gram in set(grams(text, n)) for text in true)) for gram in names])
        idf = math.log(len(true)) - np.log(df)
        for k, (one, other) in enumerate(zip(said, true, strict=True)):
            a, b = (np.array([grams(text, n).count(gram) for gram in names]) * idf for text in (one, other))
            norm = np.linalg.norm(a) * np.linalg.norm(b)
            gap = len(grams(one, 2)) - len(grams(other, 2))
            value = (np.minimum(a, b) * b).sum() / norm if norm else 0.0
            out[k] += 10 / 4 * value * math.exp(-(gap**2) / 72)
    return out.tolist()


def test_cider_d_is_that_of_its_paper() -> None:
    said, true = texts(40, 0), texts(40, 1)
    said[:10] = true[:10]
    assert cider_d(said, true) == pytest.approx(by_the_paper(said, true), abs=1e-9)


def test_statements_fall_step_by_step_with_the_damage() -> None:
    true = "Sinus rhythm. Left anterior fascicular block. Left ventricular hypertrophy. ST depression in V4 and V5."
    ladder = [
        true,
        true.replace("Left ventricular hypertrophy. ", ""),
        true.replace("Left ventricular hypertrophy. ", "").replace("Left anterior fascicular block. ", ""),
        "Atrial fibrillation.",
    ]
    values = []
    for text in ladder:
        metric = StatedFindings()
        metric.update([text], [true])
        values.append(float(metric.compute()["f1"].nan_to_num()))
    assert values[0] == 1
    assert all(a > b for a, b in itertools.pairwise(values))


def test_numbers_leads_and_claims() -> None:
    numbers = NumericError()
    numbers.update(["PR 200 ms. QRS 90 ms."], ["PR 160 ms. QRS 100 ms. Heart rate 60 bpm."])
    found = {name: float(value) for name, value in numbers.compute().items()}
    assert found == pytest.approx({"pr": 40, "qrs": 10, "given": 2 / 3})
    leads = LeadAgreement()
    leads.update(["ST elevation in V1, V2 and V3."], ["ST elevation in V2."])
    assert float(leads.compute()) == pytest.approx(1 / 3)
    measurement = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_424")))
    claims = SupportedClaims()
    claims.update([f"Heart rate {measurement.heart_rate:.0f} bpm.", "Heart rate 200 bpm."], [measurement] * 2)
    result = claims.compute()
    assert (float(result["supported"]), float(result["contradicted"]), int(result["n"])) == (0.5, 0.5, 2)


def test_claims_are_held_against_the_recording_and_its_findings() -> None:
    measurement = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_424")))
    report = own_report(measurement)
    assert "complete right bundle branch block" in report
    sentences = report.split(". ")
    values = []
    for text in (report, ". ".join(sentences[:-1]), f"{report} Atrial fibrillation.", "Atrial fibrillation.", ""):
        metric = SupportedClaims()
        metric.update([text], [measurement])
        values.append({name: float(value) for name, value in metric.compute().items()})
    whole, shorter, invented, wrong, empty = values
    assert (whole["precision"], whole["recall"], whole["f1"]) == (1, 1, 1)
    assert shorter["precision"] == 1
    assert shorter["recall"] == pytest.approx(2 / 3)  # the block is in the last sentence
    assert invented["precision"] < 1
    assert invented["recall"] == 1
    assert (wrong["contradicted"], wrong["recall"]) == (1, 0)
    assert np.isnan(empty["precision"])
    assert empty["recall"] == 0


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("Noise from 2.3 to 3.1 s, and 5-6 s.", ((2.3, 3.1), (5.0, 6.0))),
        ("The QRS complexes at [2.30s - 3.10s] and [2.9s - 4s]", ((2.3, 4.0),)),
        ("between 1 and 2.5 seconds", ((1.0, 2.5),)),
        ("The QRS complex at 0.3-0.5 s is wide.", ((0.3, 0.5),)),
        ("The QT interval is between 0.40 and 0.42 s.", ()),
        ("PR interval 0.16-0.20 s.", ()),
        ("9 to 3 s", ()),
        ("V1 to V3", ()),
    ],
)
def test_times_are_read(text: str, times: tuple[tuple[float, float], ...]) -> None:
    assert stated_times(text) == times


def test_time_agreement_falls_with_the_shift() -> None:
    values = []
    for shift in (0.0, 0.25, 0.5, 2.0):
        metric = TimeAgreement()
        metric.update([f"PVC at {2 + shift}-{3 + shift} s."], ["PVC at 2-3 s."])
        metric.update(["No time."], ["No time."])  # it does not count
        values.append(float(metric.compute()["iou"]))
    assert values == pytest.approx([1, 0.6, 1 / 3, 0])
    missed = TimeAgreement()
    missed.update(["PVC at 2-3 s.", "PVC."], ["PVC at 2-3 s.", "PVC at 5-6 s."])
    assert float(missed.compute()["recall"]) == 0.5


def test_unequal_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="1 texts and 2 references"):
        CiderD().update(["a"], ["a", "b"])


REFERENCE = Path(__file__).parent / "reference" / "values.json"


def test_metrics_are_those_of_the_reference_implementations_on_200_texts() -> None:
    """Values by reference/make.py."""
    from torchmetrics.functional.text import bleu_score, rouge_score

    told = json.loads(REFERENCE.read_text(encoding="utf-8"))
    said, true = ([pair[place] for pair in told["texts"]] for place in (0, 1))
    assert len(said) == 200
    assert cider_d(said, true) == pytest.approx(told["cider_d"], abs=1e-4)
    assert [meteor(a, b) for a, b in zip(said, true, strict=True)] == pytest.approx(told["meteor"], abs=1e-4)
    for name in ("rouge1", "rouge2", "rougeL"):
        values = [
            float(rouge_score(a, b, rouge_keys=name)[f"{name}_fmeasure"]) for a, b in zip(said, true, strict=True)
        ]
        assert values == pytest.approx(told[name], abs=1e-4), name
    bleu = [float(bleu_score(said, [[text] for text in true], n_gram=order)) for order in (1, 2, 3, 4)]
    assert bleu == pytest.approx(told["corpus_bleu"], abs=1e-4)
    for metric, name in ((CiderD(), "cider_d"), (Meteor(), "meteor")):
        metric.update(said[:90], true[:90])
        metric.update(said[90:], true[90:])
        assert float(metric.compute()) == pytest.approx(np.mean(told[name]), abs=1e-4)


def test_meteor_knows_stems_and_order_and_no_synonyms() -> None:
    assert meteor("", "a") == meteor("a", "b") == 0
    assert meteor("elevated waves", "elevation wave") > 0
    assert meteor("large", "big") == 0
    assert meteor("a b c d", "a b c d") > meteor("d c b a", "a b c d")
    assert np.isnan(float(Meteor().compute()))


def _metrics() -> dict[str, Metric]:
    return {
        "cider": CiderD(),
        "findings": StatedFindings(),
        "meteor": Meteor(),
        "numbers": NumericError(),
        "leads": LeadAgreement(),
        "times": TimeAgreement(),
        "claims": SupportedClaims(),
        "calibration": CalibrationError(),
        "auroc": MacroAUROC(),
    }


def _update(metrics: dict[str, Metric], part: slice) -> None:
    """The same texts for every metric of texts, with numbers, leads and times in them."""
    draw = random.Random(4)

    def reports() -> list[str]:
        return [
            f"{text}. PR {draw.randint(120, 220)} ms. "
            f"ST depression in V{draw.randint(1, 3)} and V{draw.randint(4, 6)}. "
            f"PVC at {draw.randint(0, 4)}-{draw.randint(5, 9)} s."
            for text in texts(21, draw.randint(0, 99))
        ]

    said, true = reports()[part], reports()[part]
    measurement = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_424")))
    rng = np.random.default_rng(5)
    chances, labels = rng.uniform(size=(21, 3)), rng.integers(0, 2, (21, 3))
    for name, metric in metrics.items():
        if name in ("calibration", "auroc"):
            metric.update(chances[part], labels[part])
        elif name == "claims":
            metric.update(said, [measurement] * len(said))
        else:
            metric.update(said, true)


def _values(metrics: dict[str, Metric]) -> dict[str, float]:
    out: dict[str, float] = {}
    for name, metric in metrics.items():
        value = metric.compute()
        parts = value.items() if isinstance(value, dict) else [("", value)]
        out |= {f"{name} {part}": float(one) for part, one in parts}
    return out


def _worker(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    metrics = _metrics()
    _update(metrics, slice(rank, None, 2))
    result = _values(metrics)
    if rank == 0:
        torch.save(result, f"{folder}/result.pt")
    dist.destroy_process_group()


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    mp.spawn(_worker, (str(tmp_path),), nprocs=2)
    metrics = _metrics()
    _update(metrics, slice(None))
    values = _values(metrics)
    assert not any(np.isnan(value) for value in values.values())
    assert torch.load(tmp_path / "result.pt") == pytest.approx(values, abs=1e-12)
