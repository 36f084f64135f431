"""From text to statements: numbers, words for values, and findings, with negation, doubt, time and leads bound to them.

A sentence is read from left to right. Quantities ("PR interval"), segments ("T waves") and findings are subjects; numbers and words for values are
said of the subject before them where only words without a meaning of their own stand between. Negation and doubt hold for the next finding or word and
for what is joined to it by "and", "or" or a comma.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ..record import STANDARD_LEADS
from .items import Item, items_of
from .lexicon import GROUPS, QUANTITY_OF, REGION_LEADS, SEGMENT_OF, SEGMENT_WORDS, WALLS, Lexicon, Subject, lexicon
from .numbers import Number
from .scope import COMPARED, OTHER_TIME, asides
from .tokens import Sentence, sentences

UNIT_OF = {"heart_rate": "bpm", "atrial_rate_bpm": "bpm", "axis": "deg", "axis_p": "deg", "axis_t": "deg"}
CHANGE = "a change, not a value"
UNNAMED = "the number's quantity is not one that was measured"
UNIT_CLASH = "the unit is not one of the quantity named"
NO_CRITERION = "there is no criterion for it"
_JOINS = frozenset({",", "and", "or", "nor", "&", "/", "+", "und", "oder", "noch", "sowie", "as", "well", "plus", "-", "bzw"})
_OR = frozenset({"or", "nor", "oder", "noch", "/", "bzw"})
_SIGNS = frozenset(",():-=/.[]+*\"'#>~&–_")
_COPULAS = frozenset("is are was were be been ist sind war waren : appears appear remains shows show has have with zeigt".split())
_IS = frozenset("is are was were be been ist sind war waren : = appears appear remains".split())
_CLOSE_WORDS = 6  # how many words may stand between a cue and what it is about
_FAR_WORDS = 14  # between a quantity and its number
_FAR_GAP = 30  # gaps are not looked at further than this
_LEAD_BRIDGE = frozenset(
    "in the lead leads over across of ( at from involving noted seen present is are observed on : within evident about involves and bis von den der ueber "
    "ableitung ableitungen auch up to , mainly especially most maximal best predominantly limited affecting - findet finden sich vorhanden mm approximately".split()
)
_LEADS_FIRST = frozenset("there is are show shows a an , : the no has have with leads lead without - ) zeigen zeigt besteht bestehen findet finden sich eine ein keine in of evidence segment".split())
_AMPLITUDE_OF = {"st_elevation": "st", "st_depression": "st", "t_wave_inversion": "t", "flat_t_wave": "t", "tall_t_wave": "t", "q_waves": "q", "pathological_q_waves": "q"}  # fmt: skip
_CHANGING = frozenset({"increased", "shortened", "lengthened", "elevated", "raised", "erhoeht"})
_ACUTE = frozenset("acute recent evolving hyperacute akuter akute akuten akutem frischer frische frischen subacute subakuter".split())
_INFARCTIONS = frozenset(WALLS["infarction"][""][0][:3])
_FOUND_FOR = frozenset("positive diagnostic criteria evidence suspicious suggestive typical characteristic pathognomonic significant notable remarkable except specific meets sign signs support".split())
_TYPES = frozenset({"type", "typ", "like", "configuration", "konfiguration", "artig"})
_WAVES = frozenset({"p", "q", "r", "s", "t", "st"})
_FAMILY = {
    **dict.fromkeys(("st_elevation", "st_depression", "t_wave_inversion", "flat_t_wave", "tall_t_wave", "q_waves", "pathological_q_waves", "early_repolarisation"), "shape"),
    **dict.fromkeys((*WALLS["infarction"][""][0], *WALLS["ischemia"][""][0]), "shape"),
}  # fmt: skip


@dataclass
class Statement:
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


@dataclass(slots=True)
class _Scope:
    """A cue and how far it has reached: the token behind which the next finding must be joined."""

    last: int
    negated: bool = False
    uncertain: bool = False
    aside: str = ""
    strong: bool = False
    heads: int = 0
    family: str = ""


@dataclass(slots=True)
class _Head:
    """Statements that stand or fall together under "absent" or "cannot be excluded"."""

    statements: list[Statement]
    first: int
    last: int
    joined: bool
    closed: bool = False


@dataclass(slots=True)
class _Subject:
    """A quantity that waits for its value."""

    name: str
    first: int
    last: int
    by_finding: bool = False
    numbers: int = 0
    said: bool = False
    joined: bool = False


def read_statements(text: str) -> list[Statement]:
    """All statements of a text, in order."""
    words = lexicon()
    out: list[Statement] = []
    for sentence in sentences(text, words.abbreviations):
        items = items_of(sentence, words)
        found = _Reader(sentence, items, words).statements() if items else []
        if not found and sum(word.isalpha() for word in sentence.words) >= 3:
            found = [Statement("other", (), sentence.starts[0], sentence.ends[-1])]
        out += found
    return out


@dataclass
class _Reader:
    """Reads one sentence."""

    sentence: Sentence
    items: list[Item]
    lexicon: Lexicon
    out: list[Statement] = field(default_factory=list)

    def statements(self) -> list[Statement]:
        self.words, self.starts, self.ends = self.sentence.words, self.sentence.starts, self.sentence.ends
        self.aside = asides(self.sentence, self.items)
        self.item_at = [-1] * len(self.words)
        for number, item in enumerate(self.items):
            for token in range(item.first, item.last + 1):
                self.item_at[token] = number
        self.listed_or = self._lists_with_or()
        self.scopes: list[_Scope] = []
        self.heads: list[_Head] = []
        self.subjects: list[_Subject] = []
        self.segment: tuple[str, int] | None = None  # (name, last token)
        self.segment_first = 0
        self.waves: list[tuple[str, str, int, int]] = []  # (wave, lead, first, last): a sum or list of amplitudes that waits
        self.qualities: list[Item] = []  # words that wait for the quantity or segment behind them
        self.regions: list[Item] = []
        self.leads_before: Item | None = None
        self.last_leads: tuple[tuple[str, ...], bool] = ((), False)
        self.amount: Item | None = None  # "2 mm" before "ST elevation"
        self.formula: tuple[str, int] | None = None
        self.compare: tuple[str, int, bool] | None = None
        self.reference = -1  # token of a word such as "upper limit", -1 where there is none
        self.axis_heading = -_FAR_WORDS - 1
        self.axis_leads: str = ""
        self.quantity_before_list: str = ""
        self.done_to = -1  # items up to this one were read with another
        for number, item in enumerate(self.items):
            if number <= self.done_to:
                continue
            handle = _HANDLERS.get(item.term.kind)
            if handle is not None and handle(self, number, item):
                break
        return self.out

    # --- helpers

    def _lists_with_or(self) -> list[bool]:
        """For every item whether the list it stands in goes on to an "or": "A, B or C"."""
        out = [False] * len(self.items)
        for number in range(len(self.items) - 2, -1, -1):
            item, following = self.items[number], self.items[number + 1]
            gap = self.words[item.last + 1 : min(following.first, item.last + 8)]
            if item.term.kind in ("stop", "now"):
                continue
            if _OR & set(gap) or (following.term.kind == "no" and self.words[following.first] in _OR):
                out[number] = True
            elif following.first - item.last <= 7 and not _COPULAS & set(gap):
                out[number] = out[number + 1]
        return out

    def _add(self, kind: str, subject: tuple[str, ...], first: int, last: int, **rest: object) -> Statement:
        aside = str(rest.pop("aside", "")) or self.aside[last] or self.aside[first]
        statement = Statement(kind, subject, self.starts[first], self.ends[last], aside=aside, **rest)  # type: ignore[arg-type]
        self.out.append(statement)
        return statement

    def _bridged(self, first: int, last: int, also: frozenset[str] = frozenset()) -> bool:
        """Whether tokens first..last (exclusive) say nothing of their own: signs, words of the bridge list, adverbs, and items that modify."""
        if last - first > _FAR_WORDS:
            return False
        for at in range(first, last):
            item = self.item_at[at]
            word = self.words[at]
            if item >= 0:
                kind = self.items[item].term.kind
                if kind not in _MODIFIERS and kind not in also and word not in self.lexicon.bridge:
                    return False
            elif word not in self.lexicon.bridge and word not in _SIGNS and not (word.endswith("ly") or len(word) == 1 and not word.isalnum()):
                return False
        return True

    def _cue(self, item: Item, **marks: object) -> None:
        """A cue opens a scope; cues that follow each other directly are taken together ("probably no")."""
        fresh = [scope for scope in self.scopes if not scope.heads and item.first - scope.last <= 4 and not self._has(",", scope.last, item.first)]
        inherited = [scope for scope in self.scopes if scope.heads and scope.negated and item.first - scope.last <= 4 and not self._has(",", scope.last, item.first)]
        scope = _Scope(item.last)
        for before in fresh:
            scope.negated, scope.uncertain = scope.negated or before.negated, scope.uncertain or before.uncertain
            scope.aside, scope.strong = scope.aside or before.aside, scope.strong or before.strong
        if inherited and marks.get("uncertain") and self.words[item.first] not in ("possible", "possibly", "probable", "probably", "likely"):
            # "no ST changes suggestive of ischaemia" denies both
            scope.negated, marks = True, {}
        for name, value in marks.items():
            setattr(scope, name, value)
        self.scopes = [scope]

    def _gap(self, last: int, first: int) -> list[str]:
        """The words behind token ``last`` and before token ``first``, cut where they are too many to matter."""
        return self.words[last + 1 : min(first, last + _FAR_GAP)]

    def _has(self, sign: str, first: int, last: int) -> bool:
        return sign in self._gap(first, last)

    def _scope_for(self, first: int, last: int, number: int, subject: Subject = ()) -> _Scope:
        """The negation and doubt that reach a head at tokens first..last of item ``number``."""
        nothing = _Scope(-1)
        if not self.scopes:
            return nothing
        scope = self.scopes[0]
        gap = self._gap(scope.last, first)
        family = _FAMILY.get(subject[0][0], "") if subject and subject[0] else ""
        if not scope.heads:
            reached = len(gap) <= _CLOSE_WORDS + 2 and (scope.strong or "," not in gap[1:] or bool(scope.aside))
        else:
            joined = [word for word in gap if word in _JOINS]
            reached = bool(joined) and len(gap) <= _CLOSE_WORDS and not _COPULAS & set(gap)
            if reached and not _OR & set(gap):
                same = bool(family) and family == scope.family
                reached = self.listed_or[number] or self._or_behind(number) or (scope.strong and not scope.aside) or (same and not scope.aside) or (bool({"and", "und"} & set(gap)) and (same or bool(scope.aside) or not scope.negated))
        if not reached:
            self.scopes = []
            return nothing
        scope.last, scope.heads = last, scope.heads + 1
        scope.family = family
        return scope

    def _or_behind(self, number: int) -> bool:
        return number > 0 and self.listed_or[number - 1] and self.listed_or[number]

    def _head(self, statements: list[Statement], first: int, last: int) -> None:
        joined = False
        if self.heads:
            gap = self._gap(self.heads[-1].last, first)
            joined = len(gap) <= _CLOSE_WORDS and any(word in _JOINS for word in gap) and not _COPULAS & set(gap)
        self.heads.append(_Head(statements, first, last, joined))

    # --- cues

    def _stop(self, number: int, item: Item) -> bool:
        self.scopes, self.reference, self.compare = [], -1, None
        if item.term.kind == "now":
            return False
        for head in self.heads[-1:]:
            head.closed = True
        self.regions, self.amount = [], None
        return False

    def _no(self, number: int, item: Item) -> bool:
        following = self.items[number + 1].term.kind if number + 1 < len(self.items) else ""
        if following in ("missing", "maybe_post", "absent"):
            return False
        if number + 1 >= len(self.items) and self.heads and not self.heads[-1].closed and item.first - self.heads[-1].last <= 2 and ":" in self._gap(self.heads[-1].last, item.first):
            return self._absent(number, item)  # "LBBB: no"
        self._cue(item, negated=True, strong=item.term.kind == "no_strong")
        return False

    def _maybe(self, number: int, item: Item) -> bool:
        if self._ends_here(number, item) and self._doubt_before(item):
            return False
        if self.words[item.first] in ("versus", "vs") and self.heads:
            self._doubt_before(item)
        self._cue(item, uncertain=True)
        return False

    def _ends_here(self, number: int, item: Item) -> bool:
        """Whether nothing follows that the doubt could be about: then it is about what stands before."""
        if number + 1 >= len(self.items):
            return True
        following = self.items[number + 1]
        gap = self._gap(item.last, following.first)
        return following.term.kind in ("stop", "now") or len(gap) > _CLOSE_WORDS or bool({",", ")"} & set(gap[:1]))

    def _doubt_before(self, item: Item) -> bool:
        return self._mark_before(item, "uncertain")

    def _mark_before(self, item: Item, what: str) -> bool:
        """Deny or doubt the list of findings that ends before this item; whether there is one."""
        if not self.heads or self.heads[-1].closed or item.first - self.heads[-1].last > _FAR_WORDS:
            return False
        head_at = len(self.heads) - 1
        first_seen = item
        while head_at >= 0:
            head = self.heads[head_at]
            if head.closed:
                break
            for statement in head.statements:
                if what == "negated":
                    statement.negated = not statement.negated
                else:
                    statement.uncertain = True
            if head_at == len(self.heads) - 1:
                for statement in head.statements:
                    statement.end = max(statement.end, self.ends[first_seen.last])
            head.closed = True
            if not head.joined:
                break
            head_at -= 1
        self.scopes = []
        return True

    def _absent(self, number: int, item: Item) -> bool:
        if self.segment and self.segment[0] == "p" and (not self.heads or self.heads[-1].last < self.segment[1]):
            first = self.segment[1]
            if self._bridged(first + 1, item.first):
                scope = self._scope_for(first, item.last, number)
                statement = self._add("finding", (), first, item.last, findings=(("p_waves",),), negated=not scope.negated, uncertain=scope.uncertain)
                self._head([statement], first, item.last)
                self.heads[-1].closed = True
                self.segment = None
                return False
        following = self.items[number + 1] if number + 1 < len(self.items) else None
        before = following is not None and following.first - item.last <= 2 and following.term.kind in ("finding", "wave", "regional", "quality", "unmodelled", "region") and self.words[item.first] in ("absent", "missing", "excluded")
        near = bool(self.heads) and self._near_head(item)
        if before and not (near and self._is_copula_before(item)):
            self._cue(item, negated=True)
        elif near:
            self._mark_before(item, "negated")
        elif self.words[item.first] in ("absent", "missing", "none", "excluded"):
            self._cue(item, negated=True)
        return False

    def _is_copula_before(self, item: Item) -> bool:
        return item.first > 0 and self.words[item.first - 1] in _IS

    def _near_head(self, item: Item) -> bool:
        head = self.heads[-1]
        gap = self._gap(head.last, item.first)
        return len(gap) <= _FAR_WORDS and "," not in gap[:1]

    def _present(self, number: int, item: Item) -> bool:
        if self.segment and self.segment[0] == "p" and self._bridged(self.segment[1] + 1, item.first) and (not self.heads or self.heads[-1].last < self.segment[1]):
            first = self.segment[1]
            scope = self._scope_for(first, item.last, number)
            statement = self._add("finding", (), first, item.last, findings=(("p_waves",),), negated=scope.negated, uncertain=scope.uncertain)
            self._head([statement], first, item.last)
            self.segment = None
        return False

    def _doubt_sign(self, number: int, item: Item) -> bool:
        """"LVH?", "?LVH", "(?)"."""
        following = self.items[number + 1] if number + 1 < len(self.items) else None
        if following is not None and following.first == item.last + 1 and self.starts[following.first] == self.ends[item.last]:
            self._cue(item, uncertain=True)
        elif self.heads and item.first - self.heads[-1].last <= 3:
            self._doubt_before(item)
        return False

    def _maybe_post(self, number: int, item: Item) -> bool:
        if not (self.heads and self._near_head(item) and self._doubt_before(item)):
            self._cue(item, uncertain=True)
        return False

    def _unlikely(self, number: int, item: Item) -> bool:
        if self.heads and self._near_head(item) and not self.heads[-1].closed:
            for statement in self.heads[-1].statements:
                statement.uncertain = True
            self._mark_before(item, "negated")
        else:
            self._cue(item, negated=True, uncertain=True)
        return False

    def _past(self, number: int, item: Item) -> bool:
        self._cue(item, aside=OTHER_TIME)
        return False

    def _approx(self, number: int, item: Item) -> bool:
        return False

    def _compares(self, number: int, item: Item) -> bool:
        negated = bool(self.scopes and self.scopes[0].negated and not self.scopes[0].heads and item.first - self.scopes[0].last <= 3)
        if negated:
            self.scopes = []
        self.compare = (item.term.values[0], item.last, negated)
        return False

    def _refers(self, number: int, item: Item) -> bool:
        self.reference = item.last
        return False

    def _has_formula(self, number: int, item: Item) -> bool:
        name = item.term.values[0]
        last = self.out[-1] if self.out else None
        if last is not None and last.kind == "number" and last.subject[0] == "qtc" and self.starts[item.first] - last.end <= 6 and not self._number_follows(number):
            last.formulas = (*last.formulas, name)
        self.formula = (name, item.last)
        return False

    def _number_follows(self, number: int) -> bool:
        return number + 1 < len(self.items) and self.items[number + 1].term.kind == "number" and self.items[number + 1].first - self.items[number].last <= 3

    def _missing(self, number: int, item: Item) -> bool:
        subject = self.subjects[-1] if self.subjects else None
        if subject is None or not self._bridged(subject.last + 1, item.first):
            return False
        names = ("pr", "qrs", "qtc") if subject.name == "intervals" else (subject.name,)
        self._add("missing", names, subject.first, item.last)
        return True  # what follows is the reason, not a statement

    def _comparative(self, number: int, item: Item) -> bool:
        """"longer", "unchanged": said of another recording too, so nothing that could be held against this one."""
        following = self.items[number + 1] if number + 1 < len(self.items) else None
        if following is not None and following.term.kind == "compare":
            return False
        last = self.out[-1] if self.out else None
        if last is not None and last.kind in ("number", "amplitude") and self.starts[item.first] - last.end <= 2:
            last.aside = CHANGE  # "20 bpm faster"
            return False
        for subject in self.subjects[-1:]:
            if not subject.by_finding and not subject.said and self._bridged(subject.last + 1, item.first):
                self._add("category", (subject.name,), subject.first, item.last, word="compared", aside=COMPARED)
                subject.said = True
                return False
        if self.segment and self._bridged(self.segment[1] + 1, item.first):
            self._add("finding", (), self.segment[1], item.last, aside=COMPARED)
        return False

    # --- subjects

    def _quantity(self, number: int, item: Item) -> bool:
        names = item.term.values
        if number and self.items[number - 1].term.kind == "qualifiers" and self.items[number - 1].last == item.first - 1:
            return self._unmeasured(number, item)
        if names == ("intervals",) and self.subjects and self.subjects[-1].last == item.first - 1 and not self.subjects[-1].by_finding:
            self.subjects[-1].last = item.last  # "PR, QRS and QT intervals"
            return False
        if len(names) > 1:
            self.subjects = [_Subject(name, item.first, item.last, joined=bool(at)) for at, name in enumerate(names)]
            self.axis_heading, self.segment = item.last, None
            return False
        name = names[0]
        if self._of_other_beats(item):
            return self._unmeasured(number, item)
        if name == "qt" and self.formula and item.first - self.formula[1] <= 3:
            name = "qtc"
        previous = self.subjects[-1] if self.subjects else None
        gap = self._gap(previous.last, item.first) if previous else []
        joined = bool(previous and not previous.by_finding and not previous.numbers and (not previous.said or bool(self.quantity_before_list)) and gap and len(gap) <= 4
                      and all(word in _JOINS or word in ("the", "a", "rate", "interval", "(") for word in gap))  # fmt: skip
        if not joined:
            self.subjects = []
        subject = _Subject(name, item.first, item.last, joined=joined)
        self.subjects.append(subject)
        self.reference, self.segment, self.compare = -1, None, None
        if name == "axis":
            self.axis_heading = item.last
        elif name != "qrs" or item.first - self.axis_heading > _FAR_WORDS:
            self.axis_heading = -_FAR_WORDS - 1
        qualities = [word for word in self.qualities if 0 <= item.first - word.last <= 2]
        if qualities:
            self._say_of(subject, qualities[-1], number, before=True)
            self.quantity_before_list = qualities[-1].term.values[0]
        elif joined and self.quantity_before_list and not self._value_follows(number):
            before = self.out[-1] if self.out else None
            if before is not None and before.kind == "category":
                self._add("category", (name,), item.first, item.last, word=before.word, negated=before.negated, uncertain=before.uncertain, aside=before.aside)
                subject.said = True
        else:
            self.quantity_before_list = ""
        self.qualities = []
        return False

    def _of_other_beats(self, item: Item) -> bool:
        """"PVCs with a QRS of 160 ms": the premature beats' own."""
        head = self.heads[-1] if self.heads else None
        if head is None or item.first - head.last > 4 or not {"with", "whose", "having", "mit"} & set(self._gap(head.last, item.first)):
            return False
        return any(name.startswith("premature") for statement in head.statements for group in statement.findings for name in group)

    def _value_follows(self, number: int) -> bool:
        if number + 1 >= len(self.items):
            return False
        following, last = self.items[number + 1], self.items[number].last
        near = following.first - last <= 4 and not {"and", ",", "with", "und", "mit"} & set(self._gap(last, following.first))
        return near and following.term.kind in ("number", "quality", "compare", "approx")

    def _unmeasured(self, number: int, item: Item) -> bool:
        self.subjects = [_Subject("", item.first, item.last)]
        self.segment, self.qualities = None, []
        return False

    def _qualifier(self, number: int, item: Item) -> bool:
        return False

    def _said(self, number: int, item: Item) -> bool:
        """A phrase that names a quantity and says something of it ("Linkstyp", "QT-Verlängerung")."""
        name, word = item.term.values
        scope = self._scope_for(item.first, item.last, number)
        statement = self._add("category", (name,), item.first, item.last, word=word, negated=scope.negated, uncertain=scope.uncertain, aside=scope.aside)
        self._head([statement], item.first, item.last)
        self.subjects = [_Subject(name, item.first, item.last, by_finding=True)]
        self.segment = None
        return False

    def _wave(self, number: int, item: Item) -> bool:
        name = item.term.values[0]
        following = self.items[number + 1] if number + 1 < len(self.items) else None
        gap = following.first - item.last if following else 99
        near_number = following is not None and following.term.kind == "number" and self._bridged(item.last + 1, following.first)
        if name in ("p", "t") and near_number and following is not None and following.number is not None:
            unit, value = following.number.unit, following.number.low
            if unit == "deg" or (not unit and item.first - self.axis_heading <= _FAR_WORDS):
                self.subjects = [_Subject(f"axis_{name}", item.first, item.last)]
                self.axis_heading = max(self.axis_heading, item.last)
                return False
            if name == "p" and (unit == "ms" or (not unit and 40 <= value <= 300)):
                self.subjects = [_Subject("p", item.first, item.last)]
                return False
        if name == "r" and near_number and item.first - self.axis_heading <= _FAR_WORDS and following is not None and following.number is not None and following.number.unit in ("", "deg"):
            self.subjects = [_Subject("axis", item.first, item.last)]
            self.axis_heading = item.last
            return False
        if name in _WAVES and following is not None and following.term.kind == "lead" and not following.term.region and len(following.term.values) == 1 and gap <= 3 and set(self._gap(item.last, following.first)) <= {"in", "wave", "lead", "of", "the", "("}:
            if name == "q" and not self._amplitude_follows(number + 1):
                return self._finding_said(number, item, (("q_waves",),), False)
            if self._amplitude_follows(number + 1) or name in ("r", "s"):
                self._wave_in(name, following.term.values[0], item.first, following.last)
                self.done_to = number + 1
                return False
        if name == "q" and gap <= 3 and following is not None and following.term.kind == "lead":
            return self._finding_said(number, item, (("q_waves",),), False)
        qualities = [word for word in self.qualities if (name, word.term.values[1]) in SEGMENT_WORDS]
        self.qualities = []
        if qualities and item.first - qualities[-1].last <= 2:
            self._segment_said(name, qualities, min(word.first for word in qualities), item.last, number)
            self.segment = (name, item.last)
            return False
        if name == "p" and self.scopes and self.scopes[0].negated and item.first - self.scopes[0].last <= 4:
            return self._finding_said(number, item, (("p_waves",),), False)
        self.segment, self.segment_first = (name, item.last), item.first
        if name in ("r", "s", "t", "p", "q", "st"):
            self.waves = [(name, "", item.first, item.last)]
        self.subjects = []
        self.leads_for_segment(item)
        return False

    def leads_for_segment(self, item: Item) -> None:
        """"In V4-V6 the ST segment is ...": leads before a segment wait on."""
        if self.leads_before is not None and item.first - self.leads_before.last > _CLOSE_WORDS:
            self.leads_before = None

    def _amplitude_follows(self, number: int) -> bool:
        """Whether a number in mm or mV follows item ``number``, perhaps behind a sum or list of such waves."""
        for following in self.items[number + 1 : number + 5]:
            if following.term.kind == "number" and following.number is not None:
                return following.number.unit == "mV"
            if following.term.kind not in ("wave", "wavelead", "lead", "approx", "compare"):
                return False
        return False

    def _wavelead(self, number: int, item: Item) -> bool:
        self._wave_in(item.term.values[0], item.term.values[1], item.first, item.last)
        return False

    def _wave_in(self, wave: str, lead: str, first: int, last: int) -> None:
        waiting = [entry for entry in self.waves if entry[1]]
        joined = bool(waiting) and first - waiting[-1][3] <= 3 and bool({"+", "/", "and", "plus", "&", "und"} & set(self._gap(waiting[-1][3], first)))
        self.waves = [*waiting[-3:], (wave, lead, first, last)] if joined else [(wave, lead, first, last)]
        self.subjects = []

    def _sum(self, number: int, item: Item) -> bool:
        self.waves = [(item.term.values[0], "", item.first, item.last)]
        self.subjects = []
        return False

    # --- what is said

    def _quality(self, number: int, item: Item) -> bool:
        about, shape = item.term.values
        following = self.items[number + 1] if number + 1 < len(self.items) else None
        gap = following.first - item.last if following is not None else 99
        subject = self.subjects[-1] if self.subjects else None
        open_subject = subject is not None and not subject.said and not subject.by_finding and bool(subject.name)
        copula = any(word in _IS for word in self._gap(subject.last if subject else item.first, item.first))
        if following is not None and gap <= 2 and "," not in self._gap(item.last, following.first):
            kind = following.term.kind
            if kind == "quantity" and about and not (open_subject and subject is not None and (copula or item.first - subject.last <= 1) and self._bridged(subject.last + 1, item.first)):
                self.qualities.append(item)
                return False
            if kind == "wave" and not (self.segment and self._bridged(self.segment[1] + 1, item.first) and (copula or item.first - self.segment[1] <= 1)) and (following.term.values[0], shape) in SEGMENT_WORDS:
                self.qualities.append(item)
                return False
            if kind == "quality" and {"or", "and", "oder", "und"} & set(self._gap(item.last, following.first)) and not self.segment and not open_subject:
                self.qualities.append(item)
                return False
        if self.segment is not None and shape and self._segment_reaches(item) and self._shape_said(number, item):
            return False
        if about and subject is not None and self._quantity_said(number, item, subject):
            return False
        return False

    def _segment_reaches(self, item: Item) -> bool:
        assert self.segment is not None
        name, last = self.segment
        if self.subjects and self.subjects[-1].last > last and not self.subjects[-1].by_finding:
            return False
        since = max(last, self.heads[-1].last if self.heads else last)
        return item.first - since <= 8 and self._bridged(since + 1, item.first, _SEGMENT_GAPS)

    def _shape_said(self, number: int, item: Item) -> bool:
        assert self.segment is not None
        name, last = self.segment
        if (name, item.term.values[1]) not in SEGMENT_WORDS:
            if name == "t" and item.term.values[1] == "biphasic":
                self._add("finding", (), last, item.last, aside=NO_CRITERION)
                return True
            return False
        if item.term.values[1] == "normal" and name != "q" and self.heads and self.heads[-1].last >= last:
            return self._normal_elsewhere(number, item)
        items = [item]
        # "low or flat", "flat or slightly inverted": one or the other
        following = self.items[number + 1] if number + 1 < len(self.items) else None
        if following is not None and following.term.kind == "quality" and following.first - item.last <= 3 and {"or", "oder", "bis"} & set(self._gap(item.last, following.first)) and (name, following.term.values[1]) in SEGMENT_WORDS and not (self.scopes and self.scopes[0].negated):
            items.append(following)
            self.done_to = number + 1
        since = self.heads[-1].last if self.heads else -1
        first = self.segment_first if since < last else item.first
        self._segment_said(name, items, first, items[-1].last, number)
        return True

    def _normal_elsewhere(self, number: int, item: Item) -> bool:
        """"ST changes in I and V6, normal elsewhere"; "these T waves are probably normal" judges a finding and states none."""
        assert self.segment is not None
        before = self.heads[-1].statements[0]
        if before.leads and not before.region and self.words[item.last + 1 : item.last + 2] and self.words[item.last + 1] in ("elsewhere", "otherwise", "sonst", "ansonsten"):
            subject, denied = SEGMENT_WORDS[(self.segment[0], "normal")]
            leads = tuple(lead for lead in STANDARD_LEADS if lead not in before.leads and lead != "aVR")
            statement = self._add("finding", (), item.first, item.last + 1, findings=subject, negated=denied, leads=leads, region=True)
            self._head([statement], item.first, item.last + 1)
        return True

    def _segment_said(self, name: str, qualities: list[Item], first: int, last: int, number: int) -> None:
        """Findings for what is said of a segment; several words are alternatives."""
        groups = [SEGMENT_WORDS[(name, word.term.values[1])] for word in qualities if (name, word.term.values[1]) in SEGMENT_WORDS]
        negated = groups[-1][1]
        subject: Subject = (tuple(dict.fromkeys(finding for group, denied in groups if denied == negated for finding in group[0])),)
        scope = self._scope_for(qualities[0].first, last, number, subject)
        before = self.heads[-1].statements[-1] if self.heads else None
        if name == "q" and before is not None and before.findings == (("q_waves",),):
            # "Q waves in III are not pathological" says one thing
            before.findings, before.negated, before.uncertain, before.end = subject, scope.negated != negated, scope.uncertain or before.uncertain, self.ends[last]
            return
        statement = self._add("finding", (), first, last, findings=subject, negated=scope.negated != negated, uncertain=scope.uncertain, aside=scope.aside)
        self._head([statement], first, last)
        self._leads_given([statement], first)
        self._amount_given(statement, first, last)
        self.segment = (name, last) if self.segment is None else (name, max(last, self.segment[1]))

    def _quantity_said(self, number: int, item: Item, subject: _Subject) -> bool:
        if not subject.name or (subject.by_finding and item.term.values[0] not in ("normal", "abnormal")):
            return False
        if subject.by_finding and not subject.numbers:
            return False
        since = max(subject.last, self._last_said(subject))
        if not self._bridged(since + 1, item.first):
            return False
        if self._range_called_normal(item):
            return True
        both = any(self.items[before].term.kind == "both" for before in range(max(0, number - 2), number))
        several = self._list_of(subject) if not subject.numbers else self.subjects if both else [subject]
        statements = []
        scope = self._scope_for(item.first, item.last, number)
        for one in several:
            if one.said:
                continue
            statements.append(self._category(one, item, item.last, scope))
            one.said = True
        if not statements:
            statements.append(self._category(subject, item, item.last, scope))
        self._head(statements, subject.first, item.last)
        return True

    def _last_said(self, subject: _Subject) -> int:
        """The last token of what was said of a quantity."""
        ends = [head.last for head in self.heads[-1:] if head.first >= subject.first]
        if self.out and self.out[-1].kind == "number" and self.out[-1].start >= self.starts[subject.first]:
            ends.append(self.number_last)
        return max(ends, default=-1)

    number_last: int = -1

    def _list_of(self, subject: _Subject) -> list[_Subject]:
        """The quantities joined to this one: "PR interval and QRS duration are normal"."""
        at = self.subjects.index(subject)
        first = at
        while first and self.subjects[first].joined:
            first -= 1
        return self.subjects[first : at + 1]

    def _say_of(self, subject: _Subject, quality: Item, number: int, before: bool = False) -> None:
        scope = self._scope_for(quality.first, subject.last, number)
        statement = self._category(subject, quality, subject.last if before else quality.last, scope, first=quality.first if before else subject.first)
        subject.said = True
        self._head([statement], quality.first, subject.last)

    def _category(self, subject: _Subject, quality: Item, last: int, scope: _Scope, first: int | None = None) -> Statement:
        word = quality.term.values[0]
        uncertain = scope.uncertain or word == "borderline"
        aside = scope.aside or (COMPARED if self._changed(quality) else "")
        return self._add("category", (subject.name,), subject.first if first is None else first, last, word="normal" if word == "borderline" else word,
                         negated=scope.negated, uncertain=uncertain, aside=aside, formulas=self._formulas(subject, last))  # fmt: skip

    def _changed(self, quality: Item) -> bool:
        """"prolonged by 20 ms", "prolonged since", "wide compared with": a change."""
        behind = self.words[quality.last + 1 : quality.last + 2]
        number = self.item_at[quality.first] + 1
        following = self.items[number] if number < len(self.items) else None
        if behind and (behind[0] in ("by", "um") or (behind[0] in ("to", "from", "auf", "von") and self.words[quality.last] in _CHANGING)):
            return following is not None and following.term.kind in ("number", "approx")
        if following is not None and following.term.kind == "comparison" and following.first - quality.last <= 1:
            return not any(item.term.kind == "number" for item in self.items[number + 1 : number + 2])
        return False

    def _range_called_normal(self, quality: Item) -> bool:
        """"60-100 bpm is normal" is about norms."""
        last = self.out[-1] if self.out else None
        if quality.term.values[0] == "normal" and last is not None and last.kind == "number" and last.number is not None and last.number.is_range and 0 <= quality.first - self.number_last <= 4 and {"is", "are", "ist", "sind"} & set(self.words[self.number_last + 1 : quality.first]):
            wide = abs(last.number.high - last.number.low) >= 30
            if wide:
                self.out.pop()
                return True
        return False

    def _regularity(self, number: int, item: Item) -> bool:
        following = self.items[number + 1] if number + 1 < len(self.items) else None
        if following is not None and following.term.kind == "wave" and following.first - item.last <= 1 and following.term.values[0] == "p":
            self.segment = None
        scope = self._scope_for(item.first, item.last, number)
        statement = self._add("regularity", ("rr_cv",), item.first, item.last, word=item.term.values[0], negated=scope.negated, uncertain=scope.uncertain, aside=scope.aside)
        self._head([statement], item.first, item.last)
        return False

    # --- numbers

    def _number(self, number: int, item: Item) -> bool:
        value = item.number
        assert value is not None
        compare = self.compare if self.compare is not None and item.first - self.compare[1] <= 3 else None
        self.compare = None
        previous = self.items[number - 1] if number else None
        value.approximate = bool(previous and previous.term.kind == "approx" and item.first - previous.last <= 2)
        if compare:
            value.compare = compare[0]
        if value.unit == "paper":
            return False
        if self._is_reference(number, item, compare is not None):
            self.reference = -1
            return False
        many = self._numbers_from(number)
        several = len(many) > 1 or (value.is_range and len(self.subjects) > 2)
        if not value.unit and self.waves and len(many) > 1:
            self._share_unit(many)
        if value.unit == "mV":
            self._amplitude(number, item)
            return False
        if several and self._pairs(many):
            return False
        self._single(number, item, negated=bool(compare and compare[2]))
        return False

    def _numbers_from(self, number: int) -> list[Item]:
        """This number and those that follow with only signs between: "60 -12 45", "400/420", "160, 92 and 400"."""
        out = [self.items[number]]
        for following in self.items[number + 1 : number + 6]:
            gap = self._gap(out[-1].last, following.first)
            if following.term.kind != "number" or len(gap) > 2 or not all(word in _SIGNS or word in ("and", "und", "°") for word in gap):
                break
            out.append(following)
        return out

    @staticmethod
    def _share_unit(many: list[Item]) -> None:
        """"0.85/1.00 mV": the unit stands behind the last."""
        last = many[-1].number
        if last is not None and last.unit == "mV" and last.written[0]:
            for part in many[:-1]:
                assert part.number is not None
                scale = last.low / last.written[0]
                part.number.low, part.number.high, part.number.unit = part.number.low * scale, part.number.high * scale, "mV"

    def _pairs(self, many: list[Item]) -> bool:
        """"QT/QTc 400/420 ms": as many numbers as names, or as many as formulas."""
        if not self.subjects:
            return False
        group = self._list_of(self.subjects[-1])
        first = many[0]
        if not group[-1].name or not self._bridged(group[-1].last + 1, first.first) or len(group) < 2:
            if len(group) == 1 and group[0].name and not group[0].numbers and self._bridged(group[0].last + 1, first.first) and "/" in self._gap(first.last, many[1].first):
                # two values under one name: "BP 120/80", "QTc 420/415"
                return self._several_of_one(group[0], many)
            return False
        if len(group) != len(many):
            split = [Item(part.term, part.first, part.last, replace(part.number, low=value, high=value)) for part in many if part.number is not None for value in part.number.written]  # "55 - 45 - 45"
            if len(split) == len(group):
                many = split
            elif len(many) > len(group):
                many = many[: len(group)]
            else:
                return False
        shared = next((part.number.unit for part in reversed(many) if part.number is not None and part.number.unit), "")
        for subject, part in zip(group, many, strict=True):
            assert part.number is not None
            if not part.number.unit and shared == "ms" and UNIT_OF.get(subject.name, "ms") == "ms":
                scale = 1000.0 if part.number.low < 3 else 1.0
                part.number.low, part.number.high, part.number.unit = part.number.low * scale, part.number.high * scale, "ms"
            self._value(subject, part, first=part.first)
        self.done_to = max(self.done_to, self.item_at[many[-1].first])
        return True

    def _several_of_one(self, subject: _Subject, many: list[Item]) -> bool:
        if subject.name not in ("qtc", "qtc_bazett", "qtc_fridericia"):
            self._add("number", ("",), subject.first, many[-1].last, number=many[0].number, aside=UNNAMED)
        else:
            for part in many:
                self._value(subject, part, first=part.first)
        subject.numbers += 1
        self.done_to = max(self.done_to, self.item_at[many[-1].first])
        return True

    def _single(self, number: int, item: Item, negated: bool) -> None:
        value = item.number
        assert value is not None
        ahead = self._quantity_ahead(number, item)
        subject = self.subjects[-1] if self.subjects else None
        if subject is not None:
            since = max(subject.last, self.number_last if subject.numbers else -1)
            adjacent = self._bridged(since + 1, item.first)
            expected = UNIT_OF.get(subject.name, "ms")
            fits = value.unit in ("", expected) or (subject.name == "qrs" and value.unit == "deg") or (subject.name == "qrs" and not value.unit)
            again = subject.numbers > 0 and not self._formula_between(since, item)
            if adjacent and not subject.name:
                self._add("number", ("",), subject.first, item.last, number=value, aside=UNNAMED)
                subject.numbers += 1
                return
            if adjacent and not fits and not again and not ahead and not subject.by_finding:
                self._add("number", ("",), subject.first, item.last, number=value, aside=UNIT_CLASH)
                subject.numbers += 1
                return
            if adjacent and fits and not (ahead and again) and not (again and not value.unit):
                if subject.by_finding and not value.unit and (subject.name not in ("axis", "heart_rate") or not self._plausible(subject.name, value)):
                    return  # "first-degree AV block in 3 beats"
                if again and self._in_brackets(item):
                    return
                change = self._is_change(number, item)
                self._value(subject, item, negated=negated, aside=change)
                return
        if ahead is not None:
            target = _Subject(ahead.term.values[0], item.first, ahead.last, numbers=1)
            if UNIT_OF.get(target.name, "ms") == value.unit:
                self._value(target, item, last=ahead.last, negated=negated)
                self.subjects, self.done_to = [target], number + 1
                return
        self._unnamed(number, item, subject, negated)

    def _unnamed(self, number: int, item: Item, subject: _Subject | None, negated: bool) -> None:
        """A number whose quantity only its unit tells: "sinus rhythm at 75 bpm"."""
        value = item.number
        assert value is not None
        change = self._is_change(number, item)
        if value.unit == "bpm":
            if self._stands_free(number, item):
                self._value(_Subject("heart_rate", item.first, item.last), item, negated=negated, aside=change)
            else:
                self._add("number", ("",), item.first, item.last, number=value, aside=change or UNNAMED)
        elif value.unit in ("ms", "deg"):
            self._add("number", ("",), item.first, item.last, number=value, aside=change or UNNAMED)
        elif change and subject is not None and subject.name:
            self._add("number", (subject.name,), item.first, item.last, number=value, aside=change)

    def _stands_free(self, number: int, item: Item) -> bool:
        """Whether the words before a rate leave it the heart's: "at 75 bpm" does, "metronome 100 bpm" does not."""
        at = item.first - 1
        while at >= 0 and (self.words[at] in self.lexicon.bridge or self.words[at] in _SIGNS or self.words[at].endswith("ly") or (self.item_at[at] >= 0 and self.items[self.item_at[at]].term.kind in ("approx", "compare", "now"))):
            at -= 1
        if at < 0:
            return True
        kind = self.items[self.item_at[at]].term.kind if self.item_at[at] >= 0 else ""
        return kind in ("finding", "quality", "regularity", "number", "stop", "said", "lead", "wave", "quantity", "unmodelled", "maybe", "absent", "maybe_post", "present", "skip")

    def _quantity_ahead(self, number: int, item: Item) -> Item | None:
        """"a 160 ms PR interval": the quantity directly behind its number."""
        value = item.number
        if number + 1 >= len(self.items) or value is None or not value.unit:
            return None
        following = self.items[number + 1]
        gap = self._gap(item.last, following.first)
        if following.term.kind != "quantity" or len(following.term.values) > 1 or len(gap) > 1 or (gap and gap[0] not in ("-", "for")):
            return None
        return following if not self._value_follows(number + 1) else None

    def _formula_between(self, since: int, item: Item) -> bool:
        return self.formula is not None and since < self.formula[1] < item.first and item.first - self.formula[1] <= 4

    def _in_brackets(self, item: Item) -> bool:
        return item.first > 0 and self.words[item.first - 1] in ("(", "[")

    def _is_change(self, number: int, item: Item) -> str:
        """"by 20 bpm", "from 70 to 90", "20 ms longer": a change, or the value before it."""
        before = self.words[max(0, item.first - 3) : item.first]
        if "um" in before or ("by" in before and not self._formula_between(item.first - 4, item)):
            return CHANGE
        if "from" in before or "von" in before[-1:] and "auf" in self.words[item.last + 1 : item.last + 3]:
            if item.number is not None and item.number.is_range:
                ranging = {"ranges", "ranging", "varies", "varying", "range", "variiert"} & set(self.words[max(0, item.first - 4) : item.first])
                return "" if ranging else CHANGE
            return CHANGE
        return ""

    def _is_reference(self, number: int, item: Item, compared: bool) -> bool:
        """"(normal 120-200 ms)", "[ref. 120-200]", "upper limit 460": norms, not values."""
        value = item.number
        assert value is not None
        if self.reference >= 0 and item.first - self.reference <= 8:
            return True
        limits = value.is_range or compared
        subject = self.subjects[-1] if self.subjects else None
        had = subject is not None and subject.numbers > 0 or self.segment is not None
        previous = self.items[number - 1] if number else None
        opened = set(self.words[max(0, item.first - 5) : item.first]) & {"(", "["}
        normal_before = previous is not None and previous.term.kind in ("quality", "compare") and item.first - previous.last <= 2
        if normal_before and previous is not None and previous.term.kind == "compare":
            previous = self.items[number - 2] if number > 1 and previous.first - self.items[number - 2].last <= 2 else None
        if normal_before and previous is not None and previous.term.kind == "quality" and previous.term.values[0] == "normal" and limits:
            # the word was no statement either
            if self.out and self.out[-1].kind == "category" and self.out[-1].word == "normal" and self.out[-1].end >= self.starts[previous.first] and (had or opened):
                self.out.pop()
            return True
        if had and limits and opened:
            return True
        if compared and subject is not None and subject.by_finding and {"(", "["} & set(self._gap(subject.last, item.first)):
            return True  # "tachycardia (above 100 bpm)": what the word means
        if compared and opened and self.heads and self.heads[-1].statements[0].kind == "finding" and item.first - self.heads[-1].last <= 5 and self.heads[-1].statements[0].negated:
            return True  # "no tachycardia (HR > 100)"
        if subject is not None and subject.said and value.is_range and value.high - value.low >= 30 and not opened and self.out and self.out[-1].word == "normal" and self.out[-1].end == self.ends[subject.last]:
            self.out.pop()  # "normal heart rate: 60-100 bpm"
            return True
        following = self.items[number + 1] if number + 1 < len(self.items) else None
        return bool(value.is_range and following is not None and following.term.kind == "quality" and following.term.values[0] == "normal" and following.first - item.last <= 4
                    and {"is", "are", "ist", "sind"} & set(self._gap(item.last, following.first)) and abs(value.high - value.low) >= 30 and self._swallow(number + 1))  # fmt: skip

    def _swallow(self, number: int) -> bool:
        self.done_to = max(self.done_to, number)
        return True

    def _formulas(self, subject: _Subject, last: int) -> tuple[str, ...]:
        if self.formula is not None and subject.last < self.formula[1] <= last and subject.name.startswith("qtc"):
            return (self.formula[0],)
        if subject.name.startswith("qtc_"):
            return (subject.name,)
        if subject.name == "qtc" and self.formula is not None and -3 <= subject.first - self.formula[1] <= 4:
            return (self.formula[0],)
        return ()

    def _value(self, subject: _Subject, item: Item, *, first: int | None = None, last: int | None = None, negated: bool = False, aside: str = "") -> None:
        """State a number of a quantity."""
        value = item.number
        assert value is not None
        name = subject.name
        if name == "qrs" and (value.unit == "deg" or (not value.unit and subject.first - self.axis_heading <= _FAR_WORDS and abs(value.low) <= 180)):
            name = "axis"
        formulas = self._formulas(subject, item.last)
        if name == "qt" and self.formula is not None and subject.last < self.formula[1] < item.first:
            name, formulas = "qtc", (self.formula[0],)
        if name.startswith("qtc_"):
            name = "qtc"
        expected = UNIT_OF.get(name, "ms")
        if not value.unit:
            if not self._plausible(name, value):
                subject.numbers += 1
                self._add("number", ("",), item.first, item.last, number=value, aside=UNNAMED)
                self.number_last = item.last
                return
            if expected == "ms" and value.high < 3:
                value.low, value.high = value.low * 1000, value.high * 1000
        if expected != "deg" and not value.either_sign and (value.low < 0 or self.words[item.first] in ("+", "-")):
            aside = aside or CHANGE  # "+20 ms"
        scope = self._scope_for(item.first, item.last, self.item_at[item.first]) if self.scopes and not self.scopes[0].heads and item.first - self.scopes[0].last <= 5 else _Scope(-1)
        begin, end = subject.first if first is None else first, item.last if last is None else last
        if "(" in self.words[begin:end] and self.words[end + 1 : end + 2] == [")"] and ")" not in self.words[begin:end]:
            end += 1
        self._add("number", (name,), begin, end, number=value,
                  negated=scope.negated != negated, uncertain=scope.uncertain, aside=aside or scope.aside, formulas=formulas)  # fmt: skip
        subject.numbers += 1
        self.number_last = item.last if last is None else last

    @staticmethod
    def _plausible(name: str, value: Number) -> bool:
        """Whether a number without a unit can be a value of the quantity: "QRS complexes: 4" is a count."""
        expected = UNIT_OF.get(name, "ms")
        if name == "intervals" or not name:
            return False
        if expected == "ms":
            return 20 <= value.high <= 3000 or 0 < value.high < 3 and value.high != int(value.high) or (name == "rr" and 0.2 < value.high < 3)
        if value.low != int(value.low):
            return False
        return 15 <= value.high <= 400 if expected == "bpm" else -180 <= value.low <= value.high <= 360

    def _amplitude(self, number: int, item: Item) -> None:
        """A number in mm or mV: of the wave, sum or finding named beside it."""
        ahead = self.items[number + 1] if number + 1 < len(self.items) else None
        waiting = self.waves
        if waiting and self._bridged(waiting[-1][3] + 1, item.first, frozenset({"lead", "quality", "approx", "compare", "region", "skip"})):
            many = self._numbers_from(number)
            if len(waiting) > 1 and len(many) == len(waiting) and not self._has("+", waiting[0][3], waiting[-1][2]):
                for (wave, lead, first, _), part in zip(waiting, many, strict=True):
                    self._amplitude_said((wave,), (lead,), first if part is item else part.first, part)
                self.done_to = max(self.done_to, self.item_at[many[-1].first])
                self.waves = []
                return
            if len(waiting) == 1 and not waiting[0][1]:
                name, _, first, _ = waiting[0]
                leads = next((self.items[at].term.values for at in (number - 1, number - 2) if at >= 0 and self.items[at].term.kind == "lead" and self.items[at].first > first), ())
                if name in ("st", "t", "p") and self.heads and self.heads[-1].first <= first and self.heads[-1].last >= first and not leads:
                    leads = self.heads[-1].statements[0].leads
                if not leads and name == "st" and self.leads_before is not None:
                    leads = self.leads_before.term.values
                said = self._amplitude_said((name,), leads, first, item)
                if not leads:
                    self._head([said], first, item.last)  # its leads may follow
                return
            self._amplitude_said(tuple(f"{wave}:{lead}" for wave, lead, _, _ in waiting) if len(waiting) > 1 else (waiting[0][0],), (waiting[0][1],) if len(waiting) == 1 else (), waiting[0][2], item)
            self.waves = []
            return
        head = self.heads[-1] if self.heads else None
        if head is not None and head.statements[-1].kind == "finding" and self._bridged(head.last + 1, item.first, frozenset({"lead", "approx", "compare"})):
            names = head.statements[-1].findings
            wave = _AMPLITUDE_OF.get(names[0][0], "") if names and names[0] else ""
            if wave and not self._ahead_of_finding(ahead, item):
                self._amplitude_said((wave,), head.statements[-1].leads, item.first, item, region=head.statements[-1].region)
                return
        self.amount = item

    def _ahead_of_finding(self, ahead: Item | None, item: Item) -> bool:
        return ahead is not None and ahead.term.kind in ("finding", "wave") and ahead.first - item.last <= 3

    def _amplitude_said(self, subject: tuple[str, ...], leads: tuple[str, ...], first: int, item: Item, region: bool = False) -> Statement:
        before = self.words[max(0, item.first - 3) : item.first]
        if "to" in before and "up" in before and item.number is not None:
            item.number.compare = ""
        leads = leads if leads != ("same",) else self.last_leads[0]
        if self.words[item.last + 1 : item.last + 2] and self.words[item.last + 1] in ("higher", "lower", "more", "less"):
            return self._add("amplitude", subject, first, item.last, number=item.number, leads=leads, aside=CHANGE)
        return self._add("amplitude", subject, first, item.last, number=item.number, leads=leads, region=region)

    def _amount_given(self, statement: Statement, first: int, last: int) -> None:
        """"2 mm ST elevation": the amount stood before."""
        amount, self.amount = self.amount, None
        if amount is None or not 0 < first - amount.last <= 4:
            return
        wave = _AMPLITUDE_OF.get(statement.findings[0][0], "") if statement.findings and statement.findings[0] else ""
        if wave:
            self.out.append(Statement("amplitude", (wave,), self.starts[amount.first], self.ends[amount.last], number=amount.number,
                                      leads=statement.leads, region=statement.region, aside=statement.aside, uncertain=statement.uncertain))  # fmt: skip
            self.heads[-1].statements.append(self.out[-1])

    # --- findings

    def _finding(self, number: int, item: Item) -> bool:
        return self._finding_said(number, item, item.term.subject, item.term.negated)

    def _purpose(self, first: int) -> str:
        """"flecainide for AF": a finding behind "for" and a word that is not of ECGs is a reason for something."""
        at = first - 1
        while at > 0 and self.words[at] in ("a", "an", "the", "her", "his", "acute", "chronic", "persistent"):
            at -= 1
        if at < 1 or self.words[at] != "for" or self.item_at[at] >= 0:
            return ""
        before = self.words[at - 1]
        return "" if self.item_at[at - 1] >= 0 or not before.isalpha() or before in _FOUND_FOR else OTHER_TIME

    def _only_named(self, number: int, item: Item) -> bool:
        """"delay of LBBB type", "pacemaker lower rate": the words name something else."""
        if self.words[item.last + 1 : item.last + 2] and self.words[item.last + 1] in _TYPES:
            return True
        following = self.items[number + 1] if number + 1 < len(self.items) else None
        return following is not None and following.first == item.last + 1 and following.term.kind == "unmeasured"

    def _finding_said(self, number: int, item: Item, subject: Subject, denied: bool) -> bool:
        if self._only_named(number, item):
            return False
        regions = self._regions_for(item)
        first = regions[0].first if regions else item.first
        if subject[0][0] in _INFARCTIONS and self._acute(first, item.last):
            subject = GROUPS["acute_infarction"]
        if self._alternative(item, subject, denied):
            return False
        scope = self._scope_for(item.first, item.last, number, subject)
        aside = scope.aside or self._purpose(first)
        if aside and subject[0][0] in _INFARCTIONS and set(self.words[max(0, first - 2) : first]) & {"prior", "previous", "past"}:
            aside = ""  # a prior infarction is one that shows
        statement = self._add("finding", (), first, item.last, findings=subject, negated=scope.negated != denied, uncertain=scope.uncertain, aside=aside)
        self._head([statement], first, item.last)
        if regions:
            statement.leads = tuple(dict.fromkeys(lead for region in regions for lead in REGION_LEADS[region.term.values[0]]))
            statement.region = True
        else:
            self._leads_given([statement], first)
        self._amount_given(statement, first, item.last)
        name = subject[0][0] if subject and subject[0] else ""
        self.segment = (SEGMENT_OF[name], item.last) if name in SEGMENT_OF else None
        quantity = next((QUANTITY_OF[one] for one in subject[0] if one in QUANTITY_OF), "") if subject else ""
        self.subjects = [_Subject(quantity, item.first, item.last, by_finding=True)] if quantity else []
        self.qualities, self.waves = [], []
        return False

    def _alternative(self, item: Item, subject: Subject, denied: bool) -> bool:
        """"atrial fibrillation or flutter" is borne out by either: joined to the finding before."""
        if not self.heads or denied or len(subject) != 1:
            return False
        head = self.heads[-1]
        gap = self._gap(head.last, item.first)
        before = head.statements[-1]
        if not (0 < len(gap) <= 3 and _OR & set(gap)) or head.closed or len(head.statements) != 1:
            return False
        if before.kind != "finding" or before.negated or len(before.findings) > 1 or before.leads or before.aside == OTHER_TIME:
            return False
        if before.aside and before.aside != NO_CRITERION:
            return False
        if "/" in gap and not (before.findings and before.findings[0][0].startswith("atrial")):
            return False
        if before.aside == NO_CRITERION:
            return False
        before.findings = (tuple(dict.fromkeys((*before.findings[0], *subject[0]))),)
        before.end = self.ends[item.last]
        head.last = item.last
        for scope in self.scopes:
            scope.last = item.last
        return True

    def _regions_for(self, item: Item) -> list[Item]:
        regions, self.regions = self.regions, []
        return regions if regions and item.first - regions[-1].last <= 4 else []

    def _regional(self, number: int, item: Item) -> bool:
        """Infarction or ischaemia with the walls named before it: "inferior and lateral infarcts" are two."""
        walls = WALLS[item.term.values[0]]
        regions = self._regions_for(item)
        names = [region.term.values[0] for region in regions] or [""]
        between = self._gap(regions[0].last, item.first) if regions else []
        acute = item.term.values[0] == "infarction" and self._acute(regions[0].first if regions else item.first, item.last)
        if len(names) > 1 and {"or", "oder", "/", "-"} & set(between):
            subjects: list[Subject] = [(tuple(name for wall in names for name in walls[wall][0]),)]
        else:
            subjects = [walls[name] for name in names]
        if acute:  # told by ST elevation, not by the Q waves of an old one
            subjects = [GROUPS["acute_infarction"]]
        first = regions[0].first if regions else item.first
        if len(subjects) == 1 and not regions and self._alternative(item, subjects[0], False):
            return False
        scope = self._scope_for(item.first, item.last, number, walls[""])
        aside = scope.aside
        if aside == OTHER_TIME and item.term.values[0] == "infarction" and set(self.words[max(0, first - 2) : first]) & {"prior", "previous", "past"}:
            aside = ""  # a prior infarction is one that shows
        statements = [
            self._add("finding", (), first, item.last, findings=subject, negated=scope.negated, uncertain=scope.uncertain, aside=aside) for subject in subjects
        ]
        self._head(statements, first, item.last)
        self.segment, self.subjects, self.qualities, self.waves = None, [], [], []
        return False

    def _acute(self, first: int, last: int) -> bool:
        """"acute inferior infarct", "inferior infarct, acute"."""
        return bool(_ACUTE & {*self.words[max(0, first - 3) : first], *self.words[last + 1 : last + 3]})

    def _region(self, number: int, item: Item) -> bool:
        self.regions = [*self.regions[-3:], item] if self.regions and item.first - self.regions[-1].last <= 3 else [item]
        following = self.items[number + 1] if number + 1 < len(self.items) else None
        ahead = following is not None and following.first - item.last <= 4 and following.term.kind in ("regional", "finding", "wave", "region", "quality", "unmodelled", "maybe", "said")
        if not ahead and self.heads:
            self.regions = []
            place = Item(item.term, item.first, item.last)
            self._attach(REGION_LEADS[item.term.values[0]], True, place)
        return False

    def _unmodelled(self, number: int, item: Item) -> bool:
        self._regions_for(item)
        scope = self._scope_for(item.first, item.last, number)
        statement = self._add("finding", (), item.first, item.last, negated=scope.negated, uncertain=scope.uncertain, aside=scope.aside or NO_CRITERION)
        self._head([statement], item.first, item.last)
        self.subjects, self.segment, self.qualities = [], None, []
        return False

    # --- leads

    def _lead(self, number: int, item: Item) -> bool:
        leads, region = item.term.values, item.term.region
        if leads == ("same",):
            leads, region = self.last_leads
        else:
            joined = self._joined_to_leads(number, item)
            if joined and self.last_leads[0]:
                leads, region = tuple(dict.fromkeys((*self.last_leads[0], *leads))), True
                self._widen(leads)
                self.last_leads = (leads, region)
                return False
            self.last_leads = (leads, region)
        if self.segment is not None and self.segment[0] in _WAVES and self.waves and not self.waves[-1][1] and not (self.heads and self.heads[-1].last >= self.segment_first):
            self.leads_before = item  # "T waves in V1-V3 are inverted"
            return False
        if not self._attach(leads, region, item):
            self.leads_before = item
        return False

    def _joined_to_leads(self, number: int, item: Item) -> bool:
        """"limb leads and V5,6": one list of a region and leads."""
        if not number:
            return False
        before = self.items[number - 1]
        return before.term.kind == "lead" and item.first - before.last <= 3 and set(self._gap(before.last, item.first)) <= {"and", ",", "or", "&", "und", "as", "well", "in"} and (before.term.region or item.term.region)

    def _widen(self, leads: tuple[str, ...]) -> None:
        for statement in reversed(self.out[-3:]):
            if statement.leads and set(statement.leads) < set(leads):
                statement.leads, statement.region = leads, True

    def _attach(self, leads: tuple[str, ...], region: bool, item: Item) -> bool:
        """Give leads to the findings they follow; with "ST elevation and T inversion in V1-V3" to both."""
        given = False
        behind = item.first
        for head in reversed(self.heads):
            takers = [statement for statement in head.statements if statement.kind in ("finding", "amplitude") and not statement.leads]
            if not takers:
                break
            gap = self._gap(head.last, behind)
            if not given:
                amount = [word for word in gap if word not in _LEAD_BRIDGE and word not in ("up", "to", "mv") and not word[0].isdigit() and not word.endswith("ly")]
                if len(gap) > 9 or amount:
                    break
            elif not head_joined:
                break
            for statement in takers:
                statement.leads, statement.region = leads, region
                if not given:
                    statement.end = max(statement.end, self.ends[item.last])
            for statement in self.out[-2:]:
                if statement.kind == "amplitude" and not statement.leads and statement.subject[0] in _WAVES:
                    statement.leads, statement.region = leads, region
            if not given:
                head.last = max(head.last, item.last)
                for scope in self.scopes:
                    if scope.heads:
                        scope.last = max(scope.last, item.last)
            given, behind, head_joined = True, head.first, head.joined
        return given

    def _leads_given(self, statements: list[Statement], first: int) -> None:
        """"In V1-V4 there is ST elevation": leads that stood before."""
        before, self.leads_before = self.leads_before, None
        if before is None or first < before.first:
            if before is not None:
                for statement in statements:
                    statement.leads, statement.region = self.last_leads
            return
        gap = self._gap(before.last, first)
        if len(gap) <= _CLOSE_WORDS + 2 and set(gap) <= _LEADS_FIRST | _JOINS:
            for statement in statements:
                statement.leads, statement.region = (before.term.values, before.term.region) if before.term.values != ("same",) else self.last_leads

    # --- signs

    def _met(self, number: int, item: Item) -> bool:
        return False


# kinds of items that may stand between a quantity and what is said of it
_MODIFIERS = frozenset({"approx", "compare", "formula", "no", "maybe", "now", "number", "both", "reference", "present", "quality", "regularity", "year", "hypothetical", "qualifiers", "unlikely", "met", "comparative"})
_SEGMENT_GAPS = frozenset({"lead", "region", "maybe", "finding", "stop", "present"})
_HANDLERS: dict[str, Callable[[_Reader, int, Item], bool]] = {
    "stop": _Reader._stop, "contrast": _Reader._stop, "doubt": _Reader._doubt_sign, "now": _Reader._stop, "no": _Reader._no, "no_strong": _Reader._no, "absent": _Reader._absent, "present": _Reader._present,
    "maybe": _Reader._maybe, "maybe_post": _Reader._maybe_post, "unlikely": _Reader._unlikely, "past": _Reader._past, "compare": _Reader._compares,
    "reference": _Reader._refers, "formula": _Reader._has_formula, "missing": _Reader._missing, "comparative": _Reader._comparative,
    "quantity": _Reader._quantity, "unmeasured": _Reader._unmeasured, "said": _Reader._said, "wave": _Reader._wave, "wavelead": _Reader._wavelead,
    "sum": _Reader._sum, "quality": _Reader._quality, "regularity": _Reader._regularity, "number": _Reader._number, "finding": _Reader._finding,
    "regional": _Reader._regional, "region": _Reader._region, "unmodelled": _Reader._unmodelled, "lead": _Reader._lead,
}  # fmt: skip
