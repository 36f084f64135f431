"""What a text says, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

from .lexicon import Subject
from .numbers import Number

UNIT_OF = {"heart_rate": "bpm", "atrial_rate_bpm": "bpm", "axis": "deg", "axis_p": "deg", "axis_t": "deg"}
# why a statement can't be held against the recording
CHANGE = "a change, not a value"
UNNAMED = "the number's quantity is not one that was measured"
UNIT_CLASH = "the unit is not one of the quantity named"
NO_CRITERION = "there is no criterion for it"


@dataclass(slots=True)
class ParsedStatement:
    """One thing a text says.

    Attributes:
        kind: ``number``, ``amplitude``, ``category``, ``regularity``, ``finding``, ``missing`` or ``other``.
        subject: a quantity (``("pr",)``), or the wave or sum of an amplitude.
        start, end: place in the text.
        findings: what a ``finding`` names: of each group one must be there; empty where there is no criterion for it.
        negated, uncertain: as the words say.
        leads: the leads it is said of; ``region`` where they are named as a region.
        number: of a ``number`` or ``amplitude``.
        word: of a ``category`` or ``regularity``.
        formulas: of a QTc.
        aside: why it is no claim about this recording, or ``""``.
    """

    kind: str
    subject: tuple[str, ...]
    start: int
    end: int
    findings: Subject = ()
    negated: bool = False
    uncertain: bool = False
    leads: tuple[str, ...] = ()
    region: bool = False
    number: Number | None = None
    word: str = ""
    formulas: tuple[str, ...] = ()
    aside: str = ""
