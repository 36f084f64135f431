"""The errors of the model side; those about recordings are in ``grounding.errors``."""

from __future__ import annotations

from grounding.errors import EcgError


class GemError(EcgError):
    """Base of every error about models, checkpoints and requests."""


class GemConfigError(GemError):
    """A configuration that does not fit together."""


class GemInputError(GemError):
    """Inputs that don't fit the model: placeholders without features, wrong lead count or sampling rate, ..."""


class GemCheckpointError(GemError):
    """A checkpoint that can't be read into the model: missing or unknown keys, truncated file, unsafe pickle."""
