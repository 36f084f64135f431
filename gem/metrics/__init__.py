"""Metrics: subclasses of ``torchmetrics.Metric``, by name."""

from .multilabel import (
    BalancedAccuracy,
    CalibrationError,
    MacroAUROC,
    MacroF1,
    MultilabelMetric,
    metrics,
    register_metric,
)

__all__ = [
    "BalancedAccuracy",
    "CalibrationError",
    "MacroAUROC",
    "MacroF1",
    "MultilabelMetric",
    "metrics",
    "register_metric",
]
