"""Judged answers: a rubric, judges behind endpoints with their agreement, and a judge without a model."""

from .agreement import icc, judged, weighted_kappa
from .asking import Judge, judges_of, mean_score

__all__ = [
    "Judge",
    "icc",
    "judged",
    "judges_of",
    "mean_score",
    "weighted_kappa",
]
