"""Accuracy on the corpus of labelled sentences, texts of devices and clinicians, and time on long texts."""

from __future__ import annotations

import cProfile
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import grounding

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_corpus", ROOT / "benchmarks" / "check_corpus.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_corpus"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measured(benchmark: ModuleType) -> dict[str, grounding.Measurement]:
    return benchmark.records()


def test_the_corpus_is_read_as_it_is_labelled(benchmark: ModuleType, measured: dict[str, Any]) -> None:
    corpus = benchmark.load()
    assert len(corpus) >= 400
    every = benchmark.score(corpus, measured)
    assert every.recall >= 0.95
    assert every.precision >= 0.98
    assert every.accuracy >= 0.97
    assert every.false_contradicted_share <= 0.01
    kept = benchmark.score([sentence for sentence in corpus if sentence.kept], measured)
    assert kept.recall >= 0.95
    assert kept.accuracy >= 0.96


def test_labels_that_are_wrong_are_noticed(benchmark: ModuleType, measured: dict[str, Any]) -> None:
    turned = {"S": "C", "C": "S", "U": "S", "N": "S"}
    corpus = [
        benchmark.Sentence(
            s.record, s.text, {words: turned[label] for words, label in s.labels.items()}, s.file, s.kept
        )
        for s in benchmark.load(("devices",))
    ]
    assert benchmark.score(corpus, measured).accuracy < 0.1


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("QT/QTc 380/425 ms", ["supported", "supported"]),
        ("QT/QTc 380/525 ms", ["supported", "contradicted"]),
        ("P-R-T axes 60 45 45", ["supported", "supported", "supported"]),
        ("history of atrial fibrillation", ["not_checkable"]),
        ("heart rate is not 150", ["supported"]),
        ("The heart rate increased by 20 bpm.", ["not_checkable", "not_checkable"]),
        ("60-100 bpm is normal; here 75 bpm.", ["not_checkable", "supported"]),
        ("25 mm/s 10 mm/mV", ["not_checkable"]),
        ("ST elevation 2 mm in V2", ["contradicted", "contradicted"]),
        ("No change since the previous tracing.", ["not_checkable"]),
        ("Sinusrhythmus, Normaltyp, kein Anhalt für Ischämie", ["supported", "supported", "supported"]),
        ("Vorhofflimmern", ["contradicted"]),
    ],
)
def test_as_clinicians_and_devices_write(text: str, verdicts: list[str], measured: dict[str, Any]) -> None:
    claims = grounding.check(text, measured["normal"])
    assert [claim.verdict for claim in claims] == verdicts, [
        (claim.text, claim.verdict, claim.reason) for claim in claims
    ]


@pytest.mark.parametrize(
    "part",
    [
        "PR 160 ms, QRS 92 ms. ",
        "no ",
        "V1-",
        "possible ",
        "1/",
        "(",
        "QT/QTc ",
        "60-100 ",
        "ST elevation in V1, ",
        "a",
        "Sinus rhythm and ",
        "AF, LBBB, ",
        "LAD ",
        "AF [1+ ms, ",
        "| LBBB | No |\n",
        "PR interval\n144 ms\n",
        "V1: ST elevation, T inversion, ",
    ],
)
def test_time_is_linear_in_the_text(part: str, measured: dict[str, Any]) -> None:
    """Four times the text takes four times as many calls (the same on every machine); quadratic time would take 16."""

    def calls(size: int) -> int:
        profile = cProfile.Profile()
        profile.runcall(grounding.check, part * (size // len(part)), measured["normal"])
        return sum(entry.callcount for entry in profile.getstats())

    calls(1000)
    assert calls(40_000) < 5 * calls(10_000)


def test_time_is_linear_in_a_list_of_quantities_and_their_values(measured: dict[str, Any]) -> None:
    """Comparisons within ``list.index`` are calls too."""

    def calls(count: int) -> int:
        profile = cProfile.Profile()
        text = f"{'PR, QRS, QT, ' * count}are {'144, 91, 400, ' * count}respectively"
        profile.runcall(grounding.check, text, measured["normal"])
        return sum(entry.callcount for entry in profile.getstats())

    calls(10)
    assert calls(1200) < 5 * calls(300)
