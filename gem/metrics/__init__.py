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
from .texts import (
    CiderD,
    LeadAgreement,
    NumericError,
    StatedFindings,
    SupportedClaims,
    cider_d,
    stated_findings,
    stated_numbers,
)

__all__ = [
    "BalancedAccuracy",
    "CalibrationError",
    "CiderD",
    "LeadAgreement",
    "MacroAUROC",
    "MacroF1",
    "MultilabelMetric",
    "NumericError",
    "StatedFindings",
    "SupportedClaims",
    "cider_d",
    "metrics",
    "register_metric",
    "stated_findings",
    "stated_numbers",
]
