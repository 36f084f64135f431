"""What is known while a sentence is read from left to right, and the questions that every rule asks of it."""

from __future__ import annotations

from dataclasses import dataclass

from .items import Phrase
from .lexicon import WALLS, Lexicon, Subject
from .parsed import ParsedStatement
from .scope import asides
from .tokens import Sentence, word_set

JOINS = frozenset(
    {",", "and", "or", "nor", "&", "/", "+", "und", "oder", "noch", "sowie", "as", "well", "plus", "-", "bzw"}
)
OR = frozenset({"or", "nor", "oder", "noch", "/", "bzw"})
SIGNS = frozenset(",():-=/.[]+*\"'#>~&–_")
_LIST_SIGNS = SIGNS | {"and", "und", "°"}
IS = word_set("is are was were be been ist sind war waren : = appears appear remains")
VERBS = word_set("is are was were be been ist sind war waren : appears appear remains shows show has have with zeigt")
CLOSE = 6  # how many words may stand between a cue and what it is about
FAR = 14  # between a quantity and its number
_FAR_GAP = 30  # gaps are not looked at further than this
# kinds of items that may stand between a quantity and what is said of it
_MODIFIERS = word_set(
    "approx compare formula no maybe now number both reference present quality regularity year hypothetical qualifiers unlikely met comparative"
)
# findings that a list after "no" goes on with ("no ST elevation, T inversion"), other than "no P waves, atrial
# fibrillation"
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


@dataclass(slots=True)
class Scope:
    """A cue ("no", "possible", "history of") and how far it has reached: the token behind which the next finding must be joined."""

    last: int
    negated: bool = False
    uncertain: bool = False
    aside: str = ""
    strong: bool = False
    heads: int = 0
    family: str = ""


@dataclass(slots=True)
class Head:
    """Statements that stand or fall together under "absent" or "cannot be excluded"; ``joined`` to the head before by "and" or a comma."""

    statements: list[ParsedStatement]
    first: int
    last: int
    joined: bool
    closed: bool = False


@dataclass(slots=True)
class QuantitySubject:
    """A quantity that waits for its value; ``by_finding`` where only a finding speaks of it ("LBBB (150 ms)")."""

    name: str
    first: int
    last: int
    by_finding: bool = False
    numbers: int = 0
    said: bool = False
    joined: bool = False


class Context:
    """One sentence, its items, and what has been read of it so far.

    Attributes:
        out: the statements, in order.
        heads: findings and words for values, with their places.
        subjects: the last quantities named, joined ones together.
        segment: the wave or segment last named and its last token.
        waves: (wave, lead, first, last) of amplitudes that wait for their number; more than one are a sum or a list.
        qualities: words that wait for the quantity or segment behind them ("prolonged", in "prolonged PR interval").
        regions: walls named before a finding ("inferior").
        leads_before: leads that wait for a finding ("in V1-V4 there is ...").
        amount: "2 mm" before "ST elevation".
        done_to: items up to this one were read with an earlier one.
    """

    def __init__(self, sentence: Sentence, items: list[Phrase], lexicon: Lexicon) -> None:
        self.words, self.starts, self.ends = sentence.words, sentence.starts, sentence.ends
        self.items = items
        self.bridge = lexicon.bridge
        self.aside = asides(sentence, items)
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
        self.last_leads: tuple[tuple[str, ...], bool] = ((), False)
        self.amount: Phrase | None = None
        self.formula: tuple[str, int] | None = None
        self.compare: tuple[str, int, bool] | None = None
        self.reference = -1  # token of a word such as "upper limit"
        self.axis_heading = -FAR - 1  # token of "axis": bare numbers of P, QRS and T behind it are degrees
        self.word_before_list = ""  # the word in "normal PR, QRS and QT"
        self.number_last = -1  # last token of the last number stated
        self.done_to = -1
        self._listed_or: list[bool] | None = None

    def next(self, number: int) -> Phrase | None:
        """The item behind item ``number``."""
        return self.items[number + 1] if number + 1 < len(self.items) else None

    def before(self, number: int) -> Phrase | None:
        """The item before item ``number``."""
        return self.items[number - 1] if number else None

    def gap(self, last: int, first: int) -> list[str]:
        """The words behind token ``last`` and before token ``first``, cut where they are too many to matter."""
        return self.words[last + 1 : min(first, last + _FAR_GAP)]

    def has(self, sign: str, last: int, first: int) -> bool:
        return sign in self.gap(last, first)

    def word(self, at: int) -> str:
        """A token, ``""`` outside the sentence."""
        return self.words[at] if 0 <= at < len(self.words) else ""

    def add(
        self, kind: str, subject: tuple[str, ...], first: int, last: int, *, aside: str = "", **rest: object
    ) -> ParsedStatement:
        """State something with the words ``first`` to ``last``."""
        reason = aside or self.aside[last] or self.aside[first]
        statement = ParsedStatement(kind, subject, self.starts[first], self.ends[last], aside=reason, **rest)  # type: ignore[arg-type]
        self.out.append(statement)
        return statement

    def head(self, statements: list[ParsedStatement], first: int, last: int) -> None:
        """What "absent" behind it may deny, and "in V1-V3" may place."""
        joined = False
        if self.heads:
            gap = self.gap(self.heads[-1].last, first)
            joined = len(gap) <= CLOSE and not JOINS.isdisjoint(gap) and VERBS.isdisjoint(gap)
        self.heads.append(Head(statements, first, last, joined))

    def bridged(self, first: int, behind: int, also: frozenset[str] = frozenset()) -> bool:
        """Whether tokens ``first`` to ``behind`` (without it) say nothing of their own: signs, words of the bridge list, adverbs, modifiers."""
        if behind - first > FAR:
            return False
        for at in range(first, behind):
            word = self.words[at]
            if word in self.bridge:
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
        """The negation and doubt that reach a head at tokens ``first`` to ``last`` of item ``number``."""
        if not self.scopes:
            return _NOTHING
        scope = self.scopes[0]
        gap = self.gap(scope.last, first)
        family = _FAMILY.get(subject[0][0], "") if subject else ""
        if not scope.heads:
            reached = len(gap) <= CLOSE + 2 and (scope.strong or "," not in gap[1:] or bool(scope.aside))
        else:
            reached = (
                len(gap) <= CLOSE
                and not JOINS.isdisjoint(gap)
                and VERBS.isdisjoint(gap)
                and self._goes_on(scope, gap, number, family)
            )
        if not reached:
            self.scopes = []
            return _NOTHING
        scope.last, scope.heads, scope.family = last, scope.heads + 1, family
        return scope

    def _goes_on(self, scope: Scope, gap: list[str], number: int, family: str) -> bool:
        """Whether a list after a cue goes on with a head behind ``gap``."""
        if not OR.isdisjoint(gap) or self._list_has_or(number):
            return True
        same = bool(family) and family == scope.family
        if "and" in gap or "und" in gap:
            return same or bool(scope.aside) or not scope.negated
        return not scope.aside and (scope.strong or same)

    def _list_has_or(self, number: int) -> bool:
        """Whether the list that item ``number`` stands in goes on to an "or": "A, B or C"."""
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
        """This number and those that follow with only signs between: "60 -12 45", "400/420", "160, 92 and 400"."""
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
        """The quantities joined to this one: "PR interval and QRS duration are normal"."""
        at = self.subjects.index(subject)
        first = at
        while first and self.subjects[first].joined:
            first -= 1
        return self.subjects[first : at + 1]


_NOTHING = Scope(-1)  # never changed: no cue reaches here
