"""Benchmarks: a model's output against labels and measurements. One per file, picked by name."""

from . import (  # noqa: F401  (they register themselves)
    answers,
    classification_items,
    delineation,
    devices,
    dialogues,
    digitisation,
    ecg_qa,
    ecgbench,
    explanations,
    grounded,
    impressions,
    reasoning,
    reports,
    retrieval,
)
from .items import Item, ItemBenchmark, Score, item_benchmarks, register_item_benchmark
from .registry import Benchmark, benchmarks, register_benchmark
from .running import run_benchmark

__all__ = [
    "Benchmark",
    "Item",
    "ItemBenchmark",
    "Score",
    "benchmarks",
    "item_benchmarks",
    "register_benchmark",
    "register_item_benchmark",
    "run_benchmark",
]
