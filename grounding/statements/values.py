"""Quantities and words about their values: "normal PR and QRS", "the QTc is prolonged"."""

from __future__ import annotations

from .context import FAR, IS, JOINS, Context, QuantitySubject, Scope
from .cues import mark_preceding
from .exceptions import intervals_left, leave_out_quantity
from .items import Phrase
from .lexicon import SEGMENT_WORDS, Term
from .parsed import NO_CRITERION, ParsedStatement
from .scope import COMPARED
from .tokens import word_set
from .waves import state_shape

BE = frozenset({"is", "are", "ist", "sind"})
WIDE_RANGE = 30  # a range at least this wide that is called normal is a reference range, not a value
_LIST_WORDS = JOINS | {"the", "a", "rate", "interval", "("}
_NEW_PART = frozenset({"and", ",", "with", "und", "mit", "·", "•"})
_POSSESSIVE = frozenset({"with", "whose", "having", "mit"})
_AND_OR = frozenset({"or", "and", "oder", "und"})
_QRS = word_set("qrs complex complexes t komplex komplexe kammerkomplex kammerkomplexe qrskomplex ventricular ( )")
_CHANGING = frozenset({"increased", "shortened", "lengthened", "elevated", "raised", "erhoeht"})
_CHANGED_BY = frozenset({"by", "um"})
_RESULTS = frozenset({"negative", "neg", "negativ"})
_NORMS = frozenset({"normal", "norm", "limits", "limit", "uln", "lln", "obergrenze", "untergrenze", "normbereich"})
_OPERATORS = frozenset({"+", "/", "*", "×", "√", "·", "x", "÷"})
DIMENSIONS = word_set("wide long broad tall high breit lang hoch")
_RESULT_ENDS = frozenset({"", ",", ")", ";", "and", "und"})
_CHANGED_TO = frozenset({"to", "from", "auf", "von"})


def read_quantity(c: Context, number: int, item: Phrase) -> None:
    """Read the name of a quantity, or of several."""
    names = item.term.values
    before = c.before(number)
    if before is not None and before.term.kind == "qualifiers" and before.last == item.first - 1:
        read_unmeasured(c, number, item)  # "maximum heart rate"
        return
    if (
        names == ("intervals",)
        and c.subjects
        and c.subjects[-1].last == item.first - 1
        and not c.subjects[-1].by_finding
    ):
        c.subjects[-1].last = item.last  # "PR, QRS and QT intervals"
        return
    if len(names) > 1:
        c.subjects = [QuantitySubject(name, item.first, item.last, joined=bool(at)) for at, name in enumerate(names)]
        c.axis_heading, c.segment = item.last, None
        return
    if _of_other_beats(c, item):
        read_unmeasured(c, number, item)
        return
    name = "qtc" if names[0] == "qt" and c.formula and item.first - c.formula[1] <= 3 else names[0]
    if name == "intervals" and intervals_left(c, item.first, item.last):
        return
    if leave_out_quantity(c, name, item) or _is_part_of_formula(c, item):
        return
    joined = _continues_list(c, item)
    if not joined:
        c.subjects = []
    subject = QuantitySubject(name, item.first, item.last, joined=joined)
    c.subjects.append(subject)
    c.reference, c.segment, c.compare = -1, None, None
    if name == "axis":
        c.axis_heading = item.last
    elif name != "qrs" or item.first - c.axis_heading > FAR:
        c.axis_heading = -FAR - 1
    _take_word_before(c, number, subject)


def _continues_list(c: Context, item: Phrase) -> bool:
    """Whether a quantity continues a list."""
    previous = c.subjects[-1] if c.subjects else None
    if previous is None or previous.by_finding or previous.numbers or (previous.stated and not c.word_before_list):
        return False
    gap = c.gap(previous.last, item.first)
    return 0 < len(gap) <= 4 and _LIST_WORDS.issuperset(gap)


def _is_part_of_formula(c: Context, item: Phrase) -> bool:
    """Whether a quantity is part of the formula of the one before it: "QTc = QT / √RR = ..."."""
    subject = c.subjects[-1] if c.subjects else None
    if subject is None or subject.numbers or subject.by_finding or not subject.name:
        return False
    gap = c.gap(subject.last, item.first)
    begins = "=" in gap and c.word(item.last + 1) in _OPERATORS
    if not (begins or c.formula_last == subject.last) or not gap or not _OPERATORS.issuperset({*gap} - {"=", "("}):
        return False
    subject.last = c.formula_last = item.last
    return True


def _take_word_before(c: Context, number: int, subject: QuantitySubject) -> None:
    """Apply a word before a list to all of it: "normal PR, QRS and QT"."""
    qualities, c.qualities = c.qualities, []
    quality = qualities[-1] if qualities and 0 <= subject.first - qualities[-1].last <= 2 else None
    if quality is not None:
        scope = c.scope_for(quality.first, subject.last, number)
        statement = _category(c, subject, quality, quality.first, subject.last, scope)
        subject.stated = True
        c.head([statement], quality.first, subject.last)
        c.word_before_list = quality.term.values[0]
        return
    before = c.out[-1] if c.out else None
    if (
        subject.joined
        and c.word_before_list
        and not value_follows(c, number)
        and before is not None
        and before.kind == "category"
    ):
        c.add(
            "category",
            (subject.name,),
            subject.first,
            subject.last,
            word=before.word,
            negated=before.negated,
            uncertain=before.uncertain,
            exclusion=before.exclusion,
        )
        subject.stated = True
    else:
        c.word_before_list = ""


def _of_other_beats(c: Context, item: Phrase) -> bool:
    """Whether a quantity is that of premature beats: "PVCs with a QRS of 160 ms"."""
    head = c.heads[-1] if c.heads else None
    if head is None or item.first - head.last > 4 or _POSSESSIVE.isdisjoint(c.gap(head.last, item.first)):
        return False
    return any(
        name.startswith("premature") for statement in head.statements for group in statement.findings for name in group
    )


def value_follows(c: Context, number: int) -> bool:
    """Whether a number or word follows a quantity.

    Args:
        c: the sentence.
        number: of the quantity's item.
    """
    following, last = c.next(number), c.items[number].last
    if following is None or following.first - last > 4 or not _NEW_PART.isdisjoint(c.gap(last, following.first)):
        return False
    return following.term.kind in ("number", "quality", "compare", "approx")


def read_unmeasured(c: Context, number: int, item: Phrase) -> None:
    """Read a quantity that is not measured; its number is not checked."""
    c.subjects = [QuantitySubject("", item.first, item.last)]
    c.segment, c.qualities = None, []


def read_stated(c: Context, number: int, item: Phrase) -> None:
    """Read a phrase that has a quantity and a word in one ("Linkstyp", "QT-Verlängerung")."""
    name, word = item.term.values
    _state_word(c, number, item, "category", name, word)
    c.subjects = [QuantitySubject(name, item.first, item.last, by_finding=True)]
    c.segment = None


def read_quality(c: Context, number: int, item: Phrase) -> None:
    """Read a word for a value or a shape: of what follows directly, of the last segment, or of the last quantity."""
    before = c.before(number)
    if c.words[item.first] in DIMENSIONS and before is not None and before.last == item.first - 1 and before.number:
        return  # "91 ms wide"
    if item.term.values[1] == "inverted" and _denies(c, item):
        mark_preceding(c, item, denied=True)
    elif item.term.values[0] in ("normal", "borderline") and _state_past_normal(c, number, item):
        return
    elif _belongs_ahead(c, number, item):
        c.qualities.append(item)
    elif not state_shape(c, number, item) and item.term.values[0]:
        _state_of_quantity(c, number, item)


def read_reference(c: Context, number: int, item: Phrase) -> None:
    """Read words such as "upper limit": the next number is a reference value; "above" it is a word for a value."""
    head = c.heads[-1] if c.heads else None
    result = c.words[item.first] == "n" and head is not None and bool(head.statements[-1].findings)
    if result and head is not None and c.gap(head.last, item.first) in ([":"], ["="]):
        mark_preceding(c, item, denied=True)  # "AF: N"
        return
    _state_past_normal(c, number, item)
    c.reference = item.last


def _state_past_normal(c: Context, number: int, item: Phrase) -> bool:
    """Read "longer than normal", "above the upper limit": the value is high; whether the words are such."""
    words = set(c.words[item.first : item.last + 1])
    if c.compare is None or item.first - c.compare[1] > 2 or _NORMS.isdisjoint(words):
        return False
    (sign, _, negated), c.compare = c.compare, None
    word = {"upper": "high", "obergrenze": "high", "uln": "high", "lower": "low", "untergrenze": "low", "lln": "low"}
    limit = next((word[one] for one in words if one in word), "high" if sign == ">" else "low")
    inside = (limit == "high") != (sign == ">")  # "below the upper limit"
    count = len(c.out)
    _state_of_quantity(c, number, Phrase(Term("quality", (limit, "")), item.first, item.last))
    for statement in c.out[count:]:
        statement.negated ^= inside != negated
    return True


def _denies(c: Context, item: Phrase) -> bool:
    """Whether "negative" is a result: "LBBB: negative"."""
    head = c.heads[-1] if c.heads else None
    if c.words[item.first] not in _RESULTS or head is None or head.closed or not head.statements[-1].findings:
        return False
    gap, ends = c.gap(head.last, item.first), c.word(item.last + 1) in _RESULT_ENDS
    return gap in ([":"], ["="]) or (gap in ([], ["-"], ["criteria"]) and ends)


def _belongs_ahead(c: Context, number: int, item: Phrase) -> bool:
    """Whether a word belongs to what follows: "prolonged PR interval"; not in "the PR interval is normal, QRS wide"."""
    following = c.next(number)
    if following is None or following.first - item.last > 2 or c.has(",", item.last, following.first):
        return False
    kind, (about, shape) = following.term.kind, item.term.values
    subject = c.subjects[-1] if c.subjects else None
    waits = subject is not None and bool(subject.name) and not subject.stated and not subject.by_finding
    copula = not IS.isdisjoint(c.gap(subject.last if subject else item.first, item.first))
    if kind == "quantity" and about:
        taken = (
            waits
            and subject is not None
            and (copula or item.first - subject.last <= 1)
            and c.only_filler(subject.last + 1, item.first)
        )
        return not taken
    if kind == "wave" and (following.term.values[0], shape) in SEGMENT_WORDS:
        taken = (
            c.segment is not None
            and (copula or item.first - c.segment[1] <= 1)
            and c.only_filler(c.segment[1] + 1, item.first)
        )
        return not taken
    return (
        kind == "quality"
        and not _AND_OR.isdisjoint(c.gap(item.last, following.first))
        and c.segment is None
        and not waits
    )


def _state_of_quantity(c: Context, number: int, item: Phrase) -> None:
    subject = c.subjects[-1] if c.subjects else None
    if subject is None or not subject.name:
        return
    if subject.by_finding and (not subject.numbers or item.term.values[0] not in ("normal", "abnormal")):
        return
    if not c.only_filler(max(subject.last, _last_said(c, subject)) + 1, item.first) or _range_called_normal(c, item):
        return
    both = any(before.term.kind == "both" for before in c.items[max(0, number - 2) : number])
    several = c.list_of(subject) if not subject.numbers else c.subjects if both else [subject]
    scope = c.scope_for(item.first, item.last, number)
    unsaid = [one for one in several if not one.stated] or [subject]
    statements = [_category(c, one, item, one.first, item.last, scope) for one in unsaid]
    for one in unsaid:
        one.stated = True
    c.head(statements, subject.first, item.last)


def _last_said(c: Context, subject: QuantitySubject) -> int:
    """Last token of the last statement about a quantity."""
    ends = [head.last for head in c.heads[-1:] if head.first >= subject.first]
    if c.out and c.out[-1].kind == "number" and c.out[-1].start >= c.starts[subject.first]:
        ends.append(c.number_last)
    return max(ends, default=-1)


def _category(
    c: Context, subject: QuantitySubject, quality: Phrase, first: int, last: int, scope: Scope
) -> ParsedStatement:
    word = quality.term.values[0]
    # "abnormal QRS" may be one of its shape, which no criterion decides
    words = c.gap(subject.first - 1, subject.last + 1)
    of_shape = word == "abnormal" and subject.name == "qrs" and _QRS.issuperset(words)
    borderline = word == "borderline"  # "at the upper limit of normal"
    return c.add(
        "category",
        (subject.name,),
        first,
        last,
        word="normal" if borderline else word,
        negated=scope.negated,
        uncertain=scope.uncertain or borderline,
        exclusion=scope.exclusion or (COMPARED if _changed(c, quality) else NO_CRITERION if of_shape else ""),
        formulas=formulas(c, subject, last),
    )


def _changed(c: Context, quality: Phrase) -> bool:
    """Whether a word describes a change: "prolonged by 20 ms", "increased to 160 ms", "wide compared with"."""
    following = c.next(c.item_at[quality.first])
    behind = c.word(quality.last + 1)
    if following is None:
        return False
    if behind in _CHANGED_BY or (behind in _CHANGED_TO and c.words[quality.last] in _CHANGING):
        return following.term.kind in ("number", "approx")
    if following.term.kind != "comparison" or following.first - quality.last > 1:
        return False
    after = c.next(c.item_at[following.first])
    return after is None or after.term.kind != "number"


def _range_called_normal(c: Context, quality: Phrase) -> bool:
    """Remove the statement on a reference range ("60-100 bpm is normal"); whether there was one."""
    last = c.out[-1] if c.out else None
    if (
        quality.term.values[0] != "normal"
        or last is None
        or last.kind != "number"
        or last.number is None
        or not last.number.is_range
    ):
        return False
    if not 0 <= quality.first - c.number_last <= 4 or BE.isdisjoint(c.gap(c.number_last, quality.first)):
        return False
    if last.number.high - last.number.low < WIDE_RANGE:
        return False
    c.out.pop()
    return True


def read_regularity(c: Context, number: int, item: Phrase) -> None:
    """Read "regular" and "irregular"."""
    _state_word(c, number, item, "regularity", "rr_cv", item.term.values[0])


def _state_word(c: Context, number: int, item: Phrase, kind: str, name: str, word: str) -> None:
    """Add the statement of an item that has a quantity and a word in one."""
    scope = c.scope_for(item.first, item.last, number)
    statement = c.add(
        kind,
        (name,),
        item.first,
        item.last,
        word=word,
        negated=scope.negated,
        uncertain=scope.uncertain,
        exclusion=scope.exclusion,
    )
    c.head([statement], item.first, item.last)


def formulas(c: Context, subject: QuantitySubject, last: int) -> tuple[str, ...]:
    """The formula of a QTc: between it and token ``last``, in its name, or just before it.

    Args:
        c: the sentence.
        subject: the quantity.
        last: last token of its statement.

    Returns:
        Empty for other quantities, or where the formula is not named.
    """
    if not subject.name.startswith("qtc"):
        return ()
    if c.formula is not None and subject.last < c.formula[1] <= last:
        return (c.formula[0],)
    if subject.name != "qtc":
        return (subject.name,)
    return (c.formula[0],) if c.formula is not None and -3 <= subject.first - c.formula[1] <= 4 else ()
