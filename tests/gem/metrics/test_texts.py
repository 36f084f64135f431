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

import grounding
from gem.metrics import CiderD, LeadAgreement, Meteor, NumericError, StatedFindings, SupportedClaims, cider_d, meteor

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


def _metrics() -> list[CiderD | StatedFindings | Meteor]:
    return [CiderD(), StatedFindings(), Meteor()]


def _values(metrics: list[CiderD | StatedFindings | Meteor]) -> list[float]:
    computed = [metric.compute() for metric in metrics]
    return [float(one["recall"] if isinstance(one, dict) else one) for one in computed]


def _worker(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    said, true = texts(21, 2), texts(21, 3)
    metrics = _metrics()
    for one in metrics:
        one.update(said[rank::2], true[rank::2])
    result = _values(metrics)
    if rank == 0:
        torch.save(result, f"{folder}/result.pt")
    dist.destroy_process_group()


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    mp.spawn(_worker, (str(tmp_path),), nprocs=2)
    metrics = _metrics()
    for one in metrics:
        one.update(texts(21, 2), texts(21, 3))
    assert torch.load(tmp_path / "result.pt") == pytest.approx(_values(metrics), abs=1e-12)
