"""ECG-Reasoning-Benchmark: multiple-choice questions, answered from measurements and the benchmark's protocols."""

from __future__ import annotations

from .answering import Reasoner, Step
from .evaluating import evaluate_reasoning, reasoning_table, stage_accuracy
from .items import ReasoningItem, load_items, questions
from .questions import Sign, read_sign
from .scale import estimate_millivolts

__all__ = [
    "Reasoner",
    "ReasoningItem",
    "Sign",
    "Step",
    "estimate_millivolts",
    "evaluate_reasoning",
    "load_items",
    "questions",
    "read_sign",
    "reasoning_table",
    "stage_accuracy",
]
