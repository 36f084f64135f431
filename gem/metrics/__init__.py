"""Metrics: subclasses of ``torchmetrics.Metric``, by name."""

from .meteor import Meteor, meteor
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
from .times import TimeAgreement, stated_times

__all__ = [
    "BalancedAccuracy",
    "CalibrationError",
    "CiderD",
    "LeadAgreement",
    "MacroAUROC",
    "MacroF1",
    "Meteor",
    "MultilabelMetric",
    "NumericError",
    "StatedFindings",
    "SupportedClaims",
    "TimeAgreement",
    "cider_d",
    "meteor",
    "metrics",
    "register_metric",
    "stated_findings",
    "stated_numbers",
    "stated_times",
]
