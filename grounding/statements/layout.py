"""How a text is laid out: lists below a heading."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .items import items_of
from .lexicon import Lexicon
from .parsed import ParsedStatement
from .scope import OTHER_TIME
from .tokens import Sentence

_DENYING = frozenset({"no", "no_strong", "absent"})
_BULLET = re.compile(r"[ \t]*(?:[-*\u2022\u2013\u00b7]|\d{1,2}[.)])[ \t]")
_FEW = 3  # words of an entry in a line
_NEAR = 3  # words between a heading's last cue and its colon


@dataclass(frozen=True)
class Heading:
    """What a heading ("No signs of:") says of the entries of its list.

    Attributes:
        negated: they are denied.
        exclusion: why they are no claims about this recording, or ``""``.
        in_line: the list is in its line: "PMH: HTN. AF. LBBB."
    """

    negated: bool
    exclusion: str
    in_line: bool = False

    def has_entry(self, text: str, sentence: Sentence) -> bool:
        """Whether a sentence is an entry of the list: "- AF", "2. LBBB"; in a line it is a few words without a verb.

        Args:
            text: the whole.
            sentence: after the heading or another entry.
        """
        line = text.rfind("\n", 0, sentence.starts[0]) + 1
        if self.in_line:
            begins = not text[line : sentence.starts[0]].strip()
            return not begins and len(sentence.words) <= _FEW and "sinus" not in sentence.words
        return _BULLET.match(text, line) is not None

    def apply(self, statements: Iterable[ParsedStatement]) -> None:
        """Say it of the statements of an entry; those that are denied already stay so.

        Args:
            statements: of the entry.
        """
        for statement in statements:
            statement.exclusion = statement.exclusion or self.exclusion
            if statement.kind == "finding" and not statement.negated:
                statement.negated = self.negated


def heading_of(sentence: Sentence, lexicon: Lexicon) -> Heading | None:
    """The heading that a sentence with a colon is or begins with, if it denies or is about another time.

    Args:
        sentence: its tokens.
        lexicon: of the phrases.
    """
    items = items_of(sentence, lexicon)
    if sentence.words[-1] != ":":
        past = bool(items) and items[0].first == 0 and items[0].term.kind == "past"
        return Heading(negated=False, exclusion=OTHER_TIME, in_line=True) if past else None
    if not items or any(item.term.kind in ("finding", "regional", "number") for item in items):
        return None
    last = items[-1]
    if len(sentence.words) - last.last > _NEAR + 2 or last.term.kind not in _DENYING | {"past", "aside"}:
        return None
    return Heading(last.term.kind in _DENYING, "" if last.term.kind in _DENYING else OTHER_TIME)
