"""ECG-Reasoning-Benchmark: multiple-choice questions, answered from measurements and the benchmark's protocols."""

from __future__ import annotations

from .answering import Reasoner, Step
from .evaluating import answer_sample, evaluate_reasoning, questions, reasoning_table, stage_accuracy
from .questions import Sign, read_sign
from .scale import estimate_millivolts

__all__ = [
    "Reasoner",
    "Sign",
    "Step",
    "answer_sample",
    "estimate_millivolts",
    "evaluate_reasoning",
    "questions",
    "read_sign",
    "reasoning_table",
    "stage_accuracy",
]
