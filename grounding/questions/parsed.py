"""A question, read: what it names, and the options that it gives."""

from __future__ import annotations

from dataclasses import dataclass

from ..statements.numbers import Number
from ..statements.parsed import ParsedStatement

# kinds of statements that are true or false of a recording
CLAIMS = frozenset({"finding", "category", "regularity", "number", "amplitude", "relation"})
TRIM = " \t\n?.!,;:"


@dataclass(frozen=True)
class Link:
    """A phrase of a question and what it names.

    Attributes:
        start: index of its first character in the question.
        end: index after its last character.
        kind: ``claim`` (true or false of the recording), ``quantity``, ``amplitude``, ``rhythm``, ``lead``, ``time``
            (of a wave or premature beat), ``beats`` (single beats, or how many), ``versus`` (two values), ``leads`` (in
            which something holds), ``limits`` and ``error`` (of a value), ``quality`` (of the signal), or ``outside``
            (not measured here).
        words: the phrase.
        names: quantities, the wave or sum of an amplitude, or what is asked of the quality (a key of ``quality.ABOUT``,
            ``list`` where the answer is a list of leads, ``not`` where it is denied); of a time the wave, and which.
        leads: asked about; empty for all.
        statement: what a ``claim`` says.
        reason: why an ``outside`` thing can't be told, or of a ``claim`` that is there what the question says of it.
    """

    start: int
    end: int
    kind: str
    words: str
    names: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()
    statement: ParsedStatement | None = None
    reason: str = ""


@dataclass(frozen=True)
class Option:
    """One of the answers to choose from.

    Attributes:
        letter: ``A`` to ``H``.
        text: of the option.
        kind: ``claim``, ``number``, ``category``, ``missing``, ``none`` (none of the others), ``yes``, ``no``, or
            ``""`` where it is not understood.
        link: of a ``claim``.
        number: of a ``number``.
        word: of a ``category``.
        denied: what is not so is asked for, and the option holds where its text does not.
    """

    letter: str
    text: str
    kind: str
    link: Link | None = None
    number: Number | None = None
    word: str = ""
    denied: bool = False


@dataclass(frozen=True)
class Question:
    """A question, read.

    Attributes:
        text: as it was asked, without options and instructions on the form of the answer, in words of the vocabulary.
        links: what it names, in order.
        options: to choose from.
        wants: of ``where``, ``why``, ``value``, ``rhythm``, ``report``.
        topic: why the whole question can't be answered from a recording, or ``""``.
        denies: yes and no are turned round: "Is it false that ...?", "Can you exclude ...?".
    """

    text: str
    links: tuple[Link, ...] = ()
    options: tuple[Option, ...] = ()
    wants: frozenset[str] = frozenset()
    topic: str = ""
    denies: bool = False
    more: bool = False

    @property
    def tagged(self) -> str:
        """The question with a tag in place of each linked phrase: ``"Is there <q1>?"``."""
        out, last = "", 0
        for number, link in enumerate(self.links, 1):
            if link.start >= last and link.end > link.start:
                out += self.text[last : link.start] + f"<q{number}>"
                last = link.end
        return " ".join((out + self.text[last:]).split())
