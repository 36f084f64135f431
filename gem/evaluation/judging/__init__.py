"""Judged answers: a rubric, judges behind endpoints with their agreement, and a judge without a model."""

from .agreement import icc, judged, weighted_kappa
from .asking import Judge, judges_of
from .rubric import ARENA, GROUNDED, Criterion, Opinion, Rubric

__all__ = [
    "ARENA",
    "GROUNDED",
    "Criterion",
    "Judge",
    "Opinion",
    "Rubric",
    "icc",
    "judged",
    "judges_of",
    "weighted_kappa",
]
