"""Protocols of what the views show, so that they need not import ``gem.explanation``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from grounding import Claim, ECGRecord, Evidence, Finding, Measurement

# kind of a statement -> in words, where its verdict does not say it
KINDS = {
    "diagnosis": "from the encoders",
    "note": "note",
    "uncited": "no evidence cited",
    "missing": "not measured",
    "unread": "no claim was read in it",
}


class ShownStatement(Protocol):
    """A sentence with its evidence, see ``gem.explanation.Statement``."""

    @property
    def text(self) -> str:
        """As a reader sees it."""

    @property
    def kind(self) -> str:
        """See ``gem.explanation.Statement``."""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What it rests on."""

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What the checker found in it."""

    @property
    def verdict(self) -> str:
        """The worst verdict among its claims."""


class Shown(Protocol):
    """What was said about a recording, see ``gem.Explanation``."""

    @property
    def record_id(self) -> str:
        """Name of the recording."""

    @property
    def record(self) -> ECGRecord | None:
        """The samples, if they are at hand."""

    @property
    def measurement(self) -> Measurement:
        """What was measured."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of the criteria."""

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Class -> probability (0-1)."""

    @property
    def statements(self) -> Sequence[ShownStatement]:
        """The sentences."""

    @property
    def text(self) -> str:
        """All sentences."""

    @property
    def model(self) -> str:
        """Name of the model."""

    @property
    def given(self) -> str | None:
        """The text, where it was not put together from facts."""

    @property
    def verdict(self) -> Mapping[str, int]:
        """Number of claims by verdict."""

    @property
    def verdict_line(self) -> str:
        """The verdict in one line."""

    def save(self, path: str | Path) -> Path:
        """Write it to a file, in the format of the path's suffix."""
