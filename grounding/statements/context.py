"""State of reading a sentence from left to right, and the questions that the rules ask about it."""

from __future__ import annotations

from dataclasses import dataclass

from .items import Phrase
from .lexicon import WALLS, Lexicon, Subject
from .parsed import ParsedStatement
from .scope import exclusions
from .tokens import Sentence, word_set

JOINS = frozenset(
    {",", "and", "or", "nor", "&", "/", "+", "und", "oder", "noch", "sowie", "as", "well", "plus", "-", "bzw"}
)
OR = frozenset({"or", "nor", "oder", "noch", "/", "bzw"})
SIGNS = frozenset(",():-=/.[]+*\"'#>~&–_")
_LIST_SIGNS = SIGNS | {"and", "und", "°"}
IS = word_set("is are was were be been ist sind war waren : = appears appear remains")
VERBS = word_set("is are was were be been ist sind war waren : appears appear remains shows show has have with zeigt")
CLOSE = 6  # words at most between a cue and the finding it refers to
FAR = 14  # words at most between a quantity and its number
_LONGEST_LIST = 12  # quantities whose values follow together
# before a cause, which is there: "no further analysis because of LBBB"
_CAUSE = frozenset({"due", "because", "owing", "given", "view", "wegen", "aufgrund", "attributable", "secondary"})
_FAR_GAP = 30  # words of a gap that are examined
# kinds of items that may come between a quantity and its value
_MODIFIERS = word_set(
    "approx compare formula no maybe now number both reference present quality regularity year hypothetical qualifiers "
    "unlikely met comparative"
)
# findings that continue a list after "no" ("no ST elevation, T inversion"), unlike "no P waves, atrial fibrillation"
_FAMILY = dict.fromkeys(
    (
        "st_elevation",
        "st_depression",
        "t_wave_inversion",
        "flat_t_wave",
        "tall_t_wave",
        "q_waves",
        "early_repolarisation",
        *WALLS["infarction"][""][0],
        *WALLS["ischemia"][""][0],
    ),
    "shape",
)


def family_of(subject: Subject) -> str:
    """The kind of findings that make up one list after "no"; ``""`` for the others.

    Args:
        subject: the findings.
    """
    return _FAMILY.get(subject[0][0], "") if subject else ""


@dataclass(slots=True)
class Scope:
    """A cue ("no", "possible", "history of") and its effect on the findings that follow.

    Attributes:
        last: last token of the cue, or of the last finding that it applies to.
        negated: it denies.
        uncertain: it expresses doubt.
        exclusion: why what follows is not a claim about this recording, or ``""``.
        strong: it also applies after a comma ("no evidence of").
        whole: an "and" continues its list ("free of ectopy and ischaemia").
        heading: it applies to a whole list of findings ("PMH: AF, MI, LBBB").
        heads: number of findings that it has been applied to.
        family: kind of the last of these findings.
    """

    last: int
    negated: bool = False
    uncertain: bool = False
    exclusion: str = ""
    strong: bool = False
    heading: bool = False
    whole: bool = False
    heads: int = 0
    family: str = ""


@dataclass(slots=True)
class Head:
    """Statements to which a following "absent" or "cannot be excluded" applies together.

    Attributes:
        statements: one or more.
        first: first token.
        last: last token.
        joined: to the head before, by "and" or a comma.
        closed: a following cue does not apply any more.
    """

    statements: list[ParsedStatement]
    first: int
    last: int
    joined: bool
    closed: bool = False


@dataclass(slots=True)
class QuantitySubject:
    """A quantity to which following numbers and words may refer.

    Attributes:
        name: in the names of ``Measurement``; ``""`` for a quantity that is not measured.
        first: first token.
        last: last token.
        by_finding: it is only implied by a finding, as QRS in "LBBB (150 ms)".
        numbers: how many numbers have been assigned to it.
        stated: a word ("normal") has been assigned to it.
        joined: to the quantity before, as in a list.
    """

    name: str
    first: int
    last: int
    by_finding: bool = False
    numbers: int = 0
    stated: bool = False
    joined: bool = False


class Context:
    """One sentence, its items, and what has been read so far.

    Args:
        sentence: its tokens.
        items: its items, in order.
        lexicon: for the filler words.

    Attributes:
        other_meanings: names of findings that mean something else here.
        out: the statements, in order.
        heads: findings and words for values, with their places.
        subjects: the last quantities, with those in the same list.
        segment: the last wave or segment and its last token.
        waves: (wave, lead, first, last) of amplitudes without a number so far; more than one are a sum or a list.
        qualities: words that refer to the next quantity or segment ("prolonged" in "prolonged PR interval").
        regions: walls before a finding ("inferior").
        leads_before: leads before a finding ("in V1-V4 there is ...").
        leads_heading: leads with a colon, for every finding that follows.
        amount: "2 mm" before "ST elevation".
        left_out: statements to which an exception follows ("except", "other than").
        left_out_last: last token of the exception.
        left_quantity: an interval that is an exception to the others.
        done_to: items up to this one have been read with an earlier one.
    """

    def __init__(self, sentence: Sentence, items: list[Phrase], lexicon: Lexicon) -> None:
        self.words, self.starts, self.ends = sentence.words, sentence.starts, sentence.ends
        self.items = items
        self.filler = lexicon.filler
        self.other_meanings = {name for name, others in lexicon.homonyms.items() if not others.isdisjoint(self.words)}
        self.exclusion = exclusions(sentence, items)
        self.item_at = [-1] * len(self.words)
        for number, item in enumerate(items):
            for token in range(item.first, item.last + 1):
                self.item_at[token] = number
        self.out: list[ParsedStatement] = []
        self.scopes: list[Scope] = []
        self.heads: list[Head] = []
        self.subjects: list[QuantitySubject] = []
        self.segment: tuple[str, int] | None = None
        self.segment_first = 0
        self.waves: list[tuple[str, str, int, int]] = []
        self.qualities: list[Phrase] = []
        self.regions: list[Phrase] = []
        self.leads_before: Phrase | None = None
        self.leads_heading: Phrase | None = None
        self.last_lead = max((item.first for item in items if item.term.kind == "lead"), default=-1)
        self.last_leads: tuple[tuple[str, ...], bool] = ((), False)
        self.amount: Phrase | None = None
        self.formula: tuple[str, int] | None = None
        self.compare: tuple[str, int, bool] | None = None
        self.reference = -1  # token of a word such as "upper limit"
        self.axis_heading = -FAR - 1  # token of "axis": numbers without a unit after P, QRS and T are degrees
        self.word_before_list = ""  # the word in "normal PR, QRS and QT"
        self.number_last = -1  # last token of the last stated number
        self.time_last = -FAR - 1  # last token of the last time in the recording
        self.formula_last = -1  # last token of a formula: "QTc = QT / √RR"
        self.done_to = -1
        self.left_out: list[ParsedStatement] = []
        self.left_out_last = -1
        self.left_quantity = ""
        self._listed_or: list[bool] | None = None

    def next(self, number: int) -> Phrase | None:
        """The item after item ``number``, or None."""
        return self.items[number + 1] if number + 1 < len(self.items) else None

    def before(self, number: int) -> Phrase | None:
        """The item before item ``number``, or None."""
        return self.items[number - 1] if number else None

    def gap(self, last: int, first: int) -> list[str]:
        """The words between tokens ``last`` and ``first``; of a long gap only its beginning."""
        return self.words[last + 1 : min(first, last + _FAR_GAP)]

    def has(self, sign: str, last: int, first: int) -> bool:
        """Whether a word or sign is between tokens ``last`` and ``first``."""
        return sign in self.gap(last, first)

    def word(self, at: int) -> str:
        """The word at a token; ``""`` outside the sentence."""
        return self.words[at] if 0 <= at < len(self.words) else ""

    def add(
        self, kind: str, subject: tuple[str, ...], first: int, last: int, *, exclusion: str = "", **rest: object
    ) -> ParsedStatement:
        """Add a statement with the tokens ``first`` to ``last``; ``rest`` are other fields of ``ParsedStatement``."""
        reason = exclusion or self.exclusion[last] or self.exclusion[first]
        start, end = self.starts[first], self.ends[last]
        statement = ParsedStatement(kind, subject, start, end, exclusion=reason, **rest)  # type: ignore[arg-type]
        self.out.append(statement)
        return statement

    def head(self, statements: list[ParsedStatement], first: int, last: int) -> None:
        """Add a head, to which a following "absent" or "in V1-V3" may refer."""
        joined = False
        if self.heads:
            gap = self.gap(self.heads[-1].last, first)
            joined = len(gap) <= CLOSE and not JOINS.isdisjoint(gap) and VERBS.isdisjoint(gap)
            joined = joined and not self._said_between(self.heads[-1].last, first)
        self.heads.append(Head(statements, first, last, joined))

    def _said_between(self, last: int, first: int) -> bool:
        """Whether "present" or "absent" between two findings ends the list of the first."""
        return any(
            self.items[number].term.kind in ("present", "absent", "ended")
            for number in self.item_at[last + 1 : first]
            if number >= 0
        )

    def only_filler(self, first: int, behind: int, also: frozenset[str] = frozenset()) -> bool:
        """Whether a range of tokens has only signs, filler words, adverbs and modifiers.

        Args:
            first: first token.
            behind: the token after the last one.
            also: further kinds of items that are allowed.
        """
        if behind - first > FAR:
            return False
        for at in range(first, behind):
            word = self.words[at]
            if word in self.filler:
                continue
            item = self.item_at[at]
            if item >= 0:
                kind = self.items[item].term.kind
                if kind not in _MODIFIERS and kind not in also:
                    return False
            elif word not in SIGNS and not word.endswith("ly") and (len(word) > 1 or word.isalnum()):
                return False
        return True

    def scope_for(self, first: int, last: int, number: int, subject: Subject = ()) -> Scope:
        """The scope that applies to a head.

        Args:
            first: first token of the head.
            last: last token of the head.
            number: of its item.
            subject: its findings, if any.

        Returns:
            A scope without any effect where no cue applies.
        """
        if not self.scopes:
            return _NO_SCOPE
        scope = self.scopes[0]
        gap = self.gap(scope.last, first)
        family = family_of(subject)
        if not scope.heads:
            reached = (
                len(gap) <= CLOSE + 2
                and _CAUSE.isdisjoint(gap)
                and (scope.strong or "," not in gap[1:] or bool(scope.exclusion))
            )
        else:
            reached = (
                len(gap) <= CLOSE
                and not JOINS.isdisjoint(gap)
                and VERBS.isdisjoint(gap)
                and not (scope.negated and _gives_a_size(gap))
                and self._list_continues(scope, gap, number, family, bool(subject) and "sinus_rhythm" not in subject[0])
            )
        if not reached and not (scope.heading and subject and _NEW_MATTER.isdisjoint(gap[1:])):
            self.scopes = []
            return _NO_SCOPE
        scope.last, scope.heads, scope.family = last, scope.heads + 1, family
        return scope

    def _list_continues(self, scope: Scope, gap: list[str], number: int, family: str, subject: bool) -> bool:
        """Whether a head after ``gap`` continues the list to which a cue applies."""
        if not OR.isdisjoint(gap) or self._list_has_or(number):
            return True
        same = bool(family) and family == scope.family
        if "and" in gap or "und" in gap:
            return same or bool(scope.exclusion) or not scope.negated or (scope.whole and subject)
        return not scope.exclusion and (scope.strong or same)

    def _list_has_or(self, number: int) -> bool:
        """Whether the list with item ``number`` has an "or" further on: "A, B or C"."""
        if self._listed_or is None:
            out = [False] * len(self.items)
            for at in range(len(self.items) - 2, -1, -1):
                item, following = self.items[at], self.items[at + 1]
                if item.term.kind in ("stop", "contrast", "now"):
                    continue
                gap = self.words[item.last + 1 : min(following.first, item.last + 8)]
                if not OR.isdisjoint(gap) or (following.term.kind == "no" and self.words[following.first] in OR):
                    out[at] = True
                elif following.first - item.last <= CLOSE + 1 and VERBS.isdisjoint(gap):
                    out[at] = out[at + 1]
            self._listed_or = out
        return self._listed_or[number]

    def numbers_from(self, number: int) -> list[Phrase]:
        """Number ``number`` and those after it with only signs between them: "60 -12 45", "160, 92 and 400"."""
        out = [self.items[number]]
        for following in self.items[number + 1 : number + 6]:
            if (
                following.term.kind != "number"
                or following.first - out[-1].last > 3
                or not _LIST_SIGNS.issuperset(self.gap(out[-1].last, following.first))
            ):
                break
            out.append(following)
        return out

    def list_of(self, subject: QuantitySubject) -> list[QuantitySubject]:
        """The quantities in the same list: "PR interval and QRS duration are normal"."""
        at = len(self.subjects) - 1
        while self.subjects[at] is not subject:
            at -= 1
        first = at
        while first and self.subjects[first].joined and at - first < _LONGEST_LIST:
            first -= 1
        return self.subjects[first : at + 1]


def _gives_a_size(gap: list[str]) -> bool:
    """Whether what follows a list behind "no" is there: "no ST elevation, only mild ST depression", "and 1 mm of"."""
    last = max((at for at, word in enumerate(gap) if word in JOINS), default=0)
    return not _ONLY.isdisjoint(gap) or any(word[0].isdecimal() for word in gap[last:])


_ONLY = frozenset({"only", "just", "merely", "nur", "lediglich"})
# what ends the list behind a heading: "PMH: AF, MI; ECG: LBBB", "PMH: AF, ECG shows LBBB"
_NEW_MATTER = VERBS | {":", ";"}
_NO_SCOPE = Scope(-1)  # must not be changed
