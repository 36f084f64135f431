"""The statements of a text."""

from __future__ import annotations

from dataclasses import dataclass

from .lexicon import Subject
from .numbers import Number

UNIT_OF = {"heart_rate": "bpm", "atrial_rate_bpm": "bpm", "axis": "deg", "axis_p": "deg", "axis_t": "deg"}
# reasons why a statement is not checked
CHANGE = "a change, not a value"
SIZED = "only its size is limited"
TIME = "a time or a part of the recording, not a value"
UNNAMED = "the number's quantity is not one that was measured"
UNIT_CLASH = "the unit is not one of the quantity named"
NO_CRITERION = "there is no criterion for it"


@dataclass(slots=True)
class ParsedStatement:
    """One statement of a text.

    Attributes:
        kind: ``number``, ``amplitude``, ``category``, ``regularity``, ``finding``, ``relation``,
            ``missing`` or ``other``.
        subject: a quantity (``("pr",)``), the wave or sum of an amplitude, or the name of a relation (``.relations``)
            and the waves that it holds against each other.
        start: index of its first character in the text.
        end: index after its last character.
        findings: of a ``finding``; of each group one must be present. Empty where there is no criterion.
        negated: the text denies it.
        uncertain: the text expresses doubt.
        leads: in which leads.
        region: the leads are named as a region, not one by one.
        number: of a ``number`` or ``amplitude``.
        word: of a ``category`` or ``regularity``; of an ``amplitude`` the ST finding whose size it is; ``up`` or
            ``down`` where the sign of a T wave is meant.
        formulas: of a QTc.
        exclusion: why it is not a claim about this recording, or ``""``.
        at_s: of premature beats, when they are said to be: (from, to) in seconds.
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
    exclusion: str = ""
    at_s: tuple[tuple[float, float], ...] = ()

    def shifted(self, by: int) -> ParsedStatement:
        """A copy in a text that starts ``by`` characters earlier.

        Args:
            by: characters.
        """
        number = self.number
        return ParsedStatement(
            self.kind,
            self.subject,
            self.start + by,
            self.end + by,
            self.findings,
            self.negated,
            self.uncertain,
            self.leads,
            self.region,
            None if number is None else number.shifted(by),
            self.word,
            self.formulas,
            self.exclusion,
            self.at_s,
        )
