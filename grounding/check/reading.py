"""From text to statements: numbers, categories and findings, with negation, doubt and leads bound to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..record import STANDARD_LEADS
from .lexicon import SEGMENT_WORDS, SUBJECTS, Term, Token, lead_of, lexicon, tokens

_END = re.compile(r"[.!?](?=\s|$)|[\n;]|(?<=\w):(?=\s*\n)")
_UNITS = {
    "ms": ("ms", 1.0), "msec": ("ms", 1.0), "milliseconds": ("ms", 1.0), "s": ("ms", 1000.0), "sec": ("ms", 1000.0), "seconds": ("ms", 1000.0),
    "bpm": ("bpm", 1.0), "beats": ("bpm", 1.0), "min": ("bpm", 1.0), "degrees": ("deg", 1.0), "degree": ("deg", 1.0), "deg": ("deg", 1.0), "°": ("deg", 1.0),
    "mv": ("mV", 1.0), "mm": ("mV", 0.1), "millivolts": ("mV", 1.0), "µv": ("mV", 0.001), "uv": ("mV", 0.001),
}  # fmt: skip
UNIT_OF = {"heart_rate": "bpm", "atrial_rate_bpm": "bpm", "axis": "deg"}
# words that may stand between a finding and the leads it is said of
_BRIDGE = {"in", "the", "lead", "leads", "over", "across", "of", "(", "at", "from", "involving", "noted", "seen", "present", "is", "are", "observed", "on", ":", "within", "evident"}  # fmt: skip
_JOIN = {",", "and", "or", "to", "-", "–", "through", "lead", "leads", "/", "&", "the", "as", "well"}
_RANGE = {"-", "–", "to", "through"}
_BEFORE_LEAD_I = {"lead", "leads", "in", "and", ",", "(", "or", "/"}


@dataclass
class Number:
    """A number or a range as written, in the unit's base (ms, bpm, deg, mV)."""

    low: float
    high: float
    unit: str
    start: int
    end: int
    compare: str = ""


@dataclass
class Statement:
    """One thing a text says.

    ``kind``: ``number``, ``category``, ``regularity``, ``finding``, ``missing`` or ``other``; ``subject``: a quantity, or finding names.
    """

    kind: str
    subject: tuple[str, ...]
    start: int
    end: int
    negated: bool = False
    uncertain: bool = False
    leads: tuple[str, ...] = ()
    region: bool = False
    number: Number | None = None
    word: str = ""
    formulas: tuple[str, ...] = ()


@dataclass
class _Item:
    """A phrase of the lexicon (or a number) found in a sentence: tokens first..last."""

    term: Term
    first: int
    last: int
    number: Number | None = None


def read_statements(text: str) -> list[Statement]:
    """All statements of a text, in order."""
    out: list[Statement] = []
    for start, end in _sentences(text):
        sentence = tokens(text[start:end], start)
        found = _Sentence(sentence).statements() if sentence else []
        if not found and sum(token.text.isalpha() for token in sentence) >= 3:
            found = [Statement("other", (), sentence[0].start, sentence[-1].end)]
        out += found
    return out


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in _END.finditer(text):
        yield start, match.start()
        start = match.end()
    yield start, len(text)


@dataclass
class _Sentence:
    tokens: list[Token]
    items: list[_Item] = field(default_factory=list)
    out: list[Statement] = field(default_factory=list)

    def statements(self) -> list[Statement]:
        self._match()
        formulas = tuple(item.term.values[0] for item in self.items if item.term.kind == "formula")
        self._read()
        for statement in self.out:
            statement.formulas = formulas
        return self.out

    def _match(self) -> None:
        """Longest phrases from left to right; numbers and leads in between."""
        index, at, n = lexicon(), 0, len(self.tokens)
        words = [token.word for token in self.tokens]
        while at < n:
            if (lead := lead_of(self.tokens[at])) and self._is_lead(at, lead):
                at = self._lead_list(at)
                continue
            matched = 0
            for phrase, term in index.get(words[at], ()):
                length = self._phrase_length(words, at, phrase)
                if length:
                    self.items.append(_Item(term, at, at + length - 1))
                    matched = length
                    break
            if matched:
                at += matched
            elif words[at][0].isdigit() and words[at].replace(".", "").isdigit():
                at = self._number(at)
            else:
                at += 1

    @staticmethod
    def _phrase_length(words: list[str], at: int, phrase: tuple[str, ...]) -> int:
        """How many tokens the phrase covers here (hyphens may join its words), or 0."""
        position = at
        for number, word in enumerate(phrase):
            if number and position < len(words) and words[position] in "-–/" and word not in "-–/":
                position += 1
            if position >= len(words) or words[position] != word:
                return 0
            position += 1
        return position - at

    def _is_lead(self, at: int, lead: str) -> bool:
        if lead == "I":
            before = self.tokens[at - 1].word if at else ""
            listed = (
                at + 2 < len(self.tokens)
                and self.tokens[at + 1].word in {",", "and"}
                and lead_of(self.tokens[at + 2]) is not None
            )
            return listed or before in {"lead", "leads"} or (self.tokens[at].text == "I" and before in _BEFORE_LEAD_I)
        if lead in ("II", "III"):
            return not (at and self.tokens[at - 1].word in {"block", "degree", "type", "mobitz", "grade"})
        return True

    def _lead_list(self, at: int) -> int:
        """Read "II, III and aVF" or "V1-V4" from here; gives the position after it."""
        leads: list[str] = []
        first = last = at
        ranged = False
        while at < len(self.tokens):
            lead = lead_of(self.tokens[at])
            if lead is not None:
                if ranged and leads and lead in STANDARD_LEADS:
                    a, b = STANDARD_LEADS.index(leads[-1]), STANDARD_LEADS.index(lead)
                    leads += STANDARD_LEADS[a + 1 : b + 1]
                else:
                    leads.append(lead)
                last, ranged = at, False
            elif self.tokens[at].word in _JOIN:
                ranged = ranged or self.tokens[at].word in _RANGE
            elif (
                self.tokens[at].text.isdigit()
                and (ranged or (self.tokens[at - 1].text == "," and self._bare_lead(at)))
                and leads
                and leads[-1].startswith("V")
                and "V" + self.tokens[at].text in STANDARD_LEADS
            ):
                a, b = STANDARD_LEADS.index(leads[-1]), STANDARD_LEADS.index("V" + self.tokens[at].text)
                leads += STANDARD_LEADS[a + 1 : b + 1] if ranged else STANDARD_LEADS[b : b + 1]
                last, ranged = at, False
            else:
                break
            at += 1
        self.items.append(_Item(Term("lead", tuple(dict.fromkeys(leads))), first, last))
        return last + 1

    def _bare_lead(self, at: int) -> bool:
        """ "V4,5,6": a number without a unit behind a chest lead."""
        return at + 1 >= len(self.tokens) or self.tokens[at + 1].word not in _UNITS

    def _number(self, at: int) -> int:
        """Read a number or range with its unit; gives the position after it."""
        token = self.tokens[at]
        first, low = at, float(token.text)
        before = self.tokens[at - 1] if at else None
        spelt = bool(before and before.word in {"minus", "negative"})
        if (
            spelt
            or (
                before
                and before.text in "-−–"
                and not (at > 1 and (self.tokens[at - 2].text[0].isdigit() or self.tokens[at - 2].end == before.start))
            )
            or (before and before.text in "-−–" and at > 1 and self.tokens[at - 2].text == "(")
        ):
            low, first = -low, at - 1
        high, last = low, at
        unit, scale, last = self._unit(at, last)
        after = last + 1
        if (
            after + 1 < len(self.tokens)
            and self.tokens[after].text in {"-", "–", "to", "and"}
            and self.tokens[after + 1].text.replace(".", "").isdigit()
        ):
            joined_by_and = self.tokens[after].text == "and"
            if not joined_by_and or (first and self.tokens[first - 1].word == "between"):
                high, last = float(self.tokens[after + 1].text), after + 1
                unit, scale, last = self._unit(last, last)
        number = Number(
            min(low, high) * scale, max(low, high) * scale, unit, self.tokens[first].start, self.tokens[last].end
        )
        if last + 1 < len(self.tokens) and self.tokens[last + 1].word in {"-", "year", "years", "lead", "leads", "%"}:
            nearby = {token.word for token in self.tokens[last + 1 : last + 3]}
            if nearby & {"year", "years", "lead", "leads", "%"}:
                return last + 1
        self.items.append(_Item(Term("number"), first, last, number))
        return last + 1

    def _unit(self, at: int, last: int) -> tuple[str, float, int]:
        following = at + 1
        if (
            following < len(self.tokens)
            and self.tokens[following].text == "/"
            and following + 1 < len(self.tokens)
            and self.tokens[following + 1].word in {"min", "minute"}
        ):
            return "bpm", 1.0, following + 1
        if following < len(self.tokens) and self.tokens[following].word in _UNITS:
            unit, scale = _UNITS[self.tokens[following].word]
            slash = following + 1 < len(self.tokens) and self.tokens[following + 1].text == "/"
            if slash and unit == "mV":  # 25 mm/s, 10 mm/mV: the paper, not the heart
                return "paper", 1.0, following + 2
            return unit, scale, following + 2 if slash and following + 2 < len(self.tokens) else following
        return "", 1.0, last

    def _read(self) -> None:
        negated = uncertain = reference = False
        quantity: tuple[str, ...] = ()
        spoken: _Item | None = None
        segment: _Item | None = None
        compare = ""
        pending: _Item | None = None
        clause_from = 0
        for number, item in enumerate(self.items):
            kind, values = item.term.kind, item.term.values
            if kind == "stop":
                negated = uncertain = reference = False
                segment, clause_from = None, len(self.out)
            elif kind == "no":
                following = self.items[number + 1].term.kind if number + 1 < len(self.items) else ""
                negated = True
                if following == "missing":
                    negated = False
            elif kind == "absent":
                for statement in self.out[clause_from:][-1:]:
                    if statement.kind == "finding":
                        statement.negated = not statement.negated
                        statement.end = self.tokens[item.last].end
            elif kind == "maybe":
                uncertain = True
            elif kind == "maybe_post":
                for statement in self.out[clause_from:][-1:]:
                    statement.uncertain = True
            elif kind == "reference":
                reference = True
            elif kind == "missing":
                if quantity:
                    self._add("missing", quantity, spoken or item, item, uncertain=False)
                return  # what follows is the reason, not a statement
            elif kind == "compare":
                compare = values[0]
            elif kind == "quantity":
                negated = reference = False
                quantity, spoken, segment, compare = values, item, None, ""
                self._category_before(number, item)
            elif kind == "segment":
                segment = item
                self._segment_before(number, item, negated, uncertain)
            elif kind == "number" and item.number is not None:
                self._number_said(item, quantity, spoken, compare, reference)
                compare = ""
            elif kind == "category":
                if segment is not None and self._segment_said(segment, item, negated, uncertain):
                    segment = None
                elif (
                    quantity
                    and spoken is not None
                    and item.first - spoken.last <= 14
                    and not self._next_is(number, "quantity", "finding")
                ):
                    self._add("category", quantity, spoken, item, negated=negated, uncertain=uncertain, word=values[0])
                    negated = False
            elif kind == "regularity":
                self._add("regularity", ("rr_cv",), item, item, negated=negated, uncertain=uncertain, word=values[0])
                negated = False
            elif kind == "lead":
                if not self._attach(item):
                    pending = item
            elif kind == "finding":
                statement = self._add(
                    "finding", values, item, item, negated=negated != item.term.negated, uncertain=uncertain
                )
                if pending is not None and not self._next_is(number, "lead") and self._leads_lead_to(pending, item):
                    statement.leads, statement.region = pending.term.values, pending.term.region
                pending = None
                segment = None
                subject = next((SUBJECTS[name] for name in values if name in SUBJECTS), "")
                quantity, spoken = ((subject,), item) if subject else (quantity, spoken)

    def _next_is(self, number: int, *kinds: str) -> bool:
        """Whether the next item, directly behind this one, is of one of these kinds."""
        if number + 1 >= len(self.items):
            return False
        following = self.items[number + 1]
        return (
            following.term.kind in kinds
            and following.first - self.items[number].last <= 2
            and not any(token.text in ",;" for token in self.tokens[self.items[number].last + 1 : following.first])
        )

    def _add(self, kind: str, subject: tuple[str, ...], first: _Item, last: _Item, **rest: object) -> Statement:
        a, b = min(first.first, last.first), max(first.last, last.last)
        statement = Statement(kind, subject, self.tokens[a].start, self.tokens[b].end, **rest)  # type: ignore[arg-type]
        self.out.append(statement)
        return statement

    def _category_before(self, number: int, item: _Item) -> None:
        """ "a prolonged PR interval": the category stands before the quantity."""
        if number == 0:
            return
        before = self.items[number - 1]
        if before.term.kind == "category" and item.first - before.last <= 2:
            negated = (
                number > 1
                and self.items[number - 2].term.kind == "no"
                and before.first - self.items[number - 2].last <= 3
            )
            self._add("category", item.term.values, before, item, negated=negated, word=before.term.values[0])

    def _segment_before(self, number: int, item: _Item, negated: bool, uncertain: bool) -> None:
        """ "inverted T waves", "normal ST segments"."""
        before = self.tokens[item.first - 1].word if item.first else ""
        said = SEGMENT_WORDS.get((item.term.values[0], before))
        if said:
            self._add("finding", said[0], item, item, negated=negated != said[1], uncertain=uncertain)

    def _segment_said(self, segment: _Item, item: _Item, negated: bool, uncertain: bool) -> bool:
        said = SEGMENT_WORDS.get((segment.term.values[0], self.tokens[item.first].word))
        if said is None or item.first - segment.last > 6:
            return False
        self._add("finding", said[0], segment, item, negated=negated != said[1], uncertain=uncertain)
        return True

    def _number_said(
        self, item: _Item, quantity: tuple[str, ...], spoken: _Item | None, compare: str, reference: bool
    ) -> None:
        number = item.number
        assert number is not None
        if reference or number.unit == "paper":
            return
        number.compare = compare
        name = quantity[0] if quantity else ""
        expected = UNIT_OF.get(name, "ms")
        if number.unit == "mV":
            return
        if name in ("", "intervals") or (number.unit and number.unit != expected):
            fallback = {"bpm": "heart_rate", "deg": "axis"}.get(number.unit)
            if fallback is None:
                if number.unit == "ms" and not name:
                    self._add("number", ("",), item, item, number=number)
                return
            self._add("number", (fallback,), item, item, number=number)
        elif spoken is not None and (number.unit or item.first - spoken.last <= 6):
            if not number.unit and spoken.term.kind == "finding" and name != "axis":
                return  # "first-degree AV block in 3 beats": a bare number says nothing about the interval
            self._add("number", quantity, spoken, item, number=number)

    def _attach(self, item: _Item) -> bool:
        """Give the leads to the finding they follow; with "ST elevation and T inversion in V1-V3" to both."""
        given = False
        for statement in reversed(self.out):
            if statement.kind != "finding" or statement.leads:
                break
            between = [
                token.word for token in self.tokens if statement.end <= token.start < self.tokens[item.first].start
            ]
            if not given and (len(between) > 6 or not set(between) <= _BRIDGE):
                break
            if given and not set(between) <= {"and", "or", ",", *self._words_of(self.out[-1])} | _BRIDGE:
                break
            statement.leads, statement.region = item.term.values, item.term.region
            statement.end = max(statement.end, self.tokens[item.last].end) if not given else statement.end
            given = True
        return given

    def _leads_lead_to(self, leads: _Item, finding: _Item) -> bool:
        """ "In V1-V4 there is ST elevation": only such words stand between."""
        between = {token.word for token in self.tokens[leads.last + 1 : finding.first]}
        return between <= {
            "there",
            "is",
            "are",
            "show",
            "shows",
            "a",
            "an",
            ",",
            ":",
            "the",
            "no",
            "has",
            "have",
            "with",
            "leads",
            "lead",
            "without",
        }

    def _words_of(self, statement: Statement) -> set[str]:
        return {token.word for token in self.tokens if statement.start <= token.start < statement.end}
