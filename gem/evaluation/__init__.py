"""Benchmarks: a model's output against labels and measurements. One per file, picked by name."""

from . import answers, classification, explanations  # noqa: F401  (they register themselves)
from .registry import Benchmark, benchmarks, register_benchmark

__all__ = ["Benchmark", "benchmarks", "register_benchmark"]
