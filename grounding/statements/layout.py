"""How a text is laid out: lists below a heading."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .items import items_of
from .lexicon import Lexicon, phrase_words
from .parsed import ParsedStatement
from .scope import OTHER_TIME
from .tokens import Sentence, word_set

_DENYING = frozenset({"no", "no_strong", "absent"})
_VALUE_COLUMN = word_set("value values measured measurement result results patient wert werte messwert befund status")
_REFERENCE_COLUMN = word_set("normal reference range norm normal: limits prior previous referenz normwert")
_BULLET = re.compile(r"[ \t]*(?:[-*\u2022\u2013\u00b7]|\d{1,2}[.)])[ \t]")
_LONGEST_NAME = 40  # characters
_AXES = re.compile(r"\W*ax[ei]s\W*", re.IGNORECASE)
_AXIS = re.compile(r"\s*(?:P|QRS|R|T)\s*:?\s+[-+]?\d{1,3}\s*°?\s*")
_VALUE = re.compile(
    r"\s*[-+]?\d+(?:[.,]\d+)?(?:\s*[/ ]\s*[-+]?\d+(?:[.,]\d+)?){0,2}\s*(?:ms|msec|s|bpm|/min|deg|°)?\s*", re.IGNORECASE
)
_UNIT = re.compile(r"\s*(?:ms|msec|s|bpm|/min|deg|°|degrees)\s*", re.IGNORECASE)
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


def with_rows(text: str, lexicon: Lexicon) -> str:
    """A text in which names and values that are laid out as a table stand beside each other; positions stay.

    A row with two cells is read as "name : value", one with more where the heading of the second column says so
    ("value", "measured"); so are a line with the name of a quantity and the line below it with its value.

    Args:
        text: the whole, ``normalised``.
        lexicon: of the phrases.
    """
    if "|" in text:
        text = _with_cells(text)
    return _with_lines(text, lexicon) if "\n" in text else text


def _with_cells(text: str) -> str:
    lines = text.split("\n")
    heading: list[str] | None = None
    for number, line in enumerate(lines):
        if not line.lstrip().startswith("|"):
            heading = None
            continue
        cells = [cell.strip().lower() for cell in line.strip().strip("|").split("|")]
        if heading is None:
            heading = cells
        named = len(heading) > 1 and not _VALUE_COLUMN.isdisjoint(heading[1].split())
        reference = len(heading) > 1 and not _REFERENCE_COLUMN.isdisjoint(heading[1].split())
        if len(cells) > 1 and (named or (len(cells) == 2 and not reference)):
            first = line.index("|", line.index("|") + 1)
            lines[number] = f"{line[:first]}:{line[first + 1 :]}"
    return "\n".join(lines)


def _with_lines(text: str, lexicon: Lexicon) -> str:
    """Join a printout's lines: "PR interval", "144", "ms"; and the axes below "AXIS"."""
    lines = text.split("\n")
    joins = ["\n"] * len(lines)  # what is behind each line
    names = [_is_name(line, lexicon) for line in lines]
    for at, line in enumerate(lines[:-1]):
        values = at + 1
        if _AXES.fullmatch(line):
            while values < len(lines) and _AXIS.fullmatch(lines[values]):
                joins[values - 1] = " "
                values += 1
        elif names[at] and not (at and names[at - 1]) and _VALUE.fullmatch(lines[values]):
            unit = values + 1 < len(lines) and bool(_UNIT.fullmatch(lines[values + 1]))
            last = values + unit
            if last + 1 < len(lines) and _VALUE.fullmatch(lines[last + 1]):
                continue  # a column of values: to which name each belongs is not known
            joins[at:last] = [" "] * (last - at)
    return "".join(line + join for line, join in zip(lines, joins, strict=True))[: len(text)]


def _is_name(line: str, lexicon: Lexicon) -> bool:
    """Whether a line is the name of a quantity, or of several ("QT/QTc"), and no more."""
    if not 0 < len(line.strip()) <= _LONGEST_NAME or line[-1].isdigit():
        return False
    for name in line.strip(" \t\r:").split("/"):
        node = lexicon.tree
        for word in phrase_words(name):
            node = node.get(word, {})
        if "" not in node or node[""].kind != "quantity":
            return False
    return True
