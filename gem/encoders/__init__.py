"""Encoders: a recording or its picture in, tokens out. One entry per file, picked by name."""

from __future__ import annotations

from . import (  # noqa: F401
    ecg_beats,
    ecg_coca,
    ecg_conv,
    ecg_features,
    ecg_fm,
    ecg_founder,
    ecg_patch,
    ecg_resnet,
    ecg_ssm,
    paper_traces,
    timm_vision,
    transformers_vision,
)
from .checking import check_encoder
from .contract import SignalContract
from .registry import ENCODERS, Encoder, build_encoder, list_encoders, register_encoder

__all__ = [
    "ENCODERS",
    "Encoder",
    "SignalContract",
    "build_encoder",
    "check_encoder",
    "list_encoders",
    "register_encoder",
]
