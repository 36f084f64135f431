"""What the views show, by its shape: they take anything that has these, and know nothing of how it came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from grounding import Claim, ECGRecord, Evidence, Finding, Measurement


class ShownStatement(Protocol):
    """A sentence with its evidence, see ``gem.explanation.Statement``."""

    @property
    def text(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def evidence(self) -> tuple[Evidence, ...]: ...
    @property
    def claims(self) -> tuple[Claim, ...]: ...
    @property
    def verdict(self) -> str: ...


class Shown(Protocol):
    """What was said about a recording, see ``gem.Explanation``."""

    @property
    def record_id(self) -> str: ...
    @property
    def record(self) -> ECGRecord | None: ...
    @property
    def measurement(self) -> Measurement: ...
    @property
    def findings(self) -> tuple[Finding, ...]: ...
    @property
    def probabilities(self) -> Mapping[str, float]: ...
    @property
    def statements(self) -> Sequence[ShownStatement]: ...
    @property
    def text(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def verdict(self) -> Mapping[str, int]: ...
    @property
    def verdict_line(self) -> str: ...
    def save(self, path: str | Path) -> Path:
        """Write it; the suffix decides how."""
