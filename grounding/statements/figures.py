"""Numbers and the quantities to which they belong."""

from __future__ import annotations

from dataclasses import replace

from .context import FAR, SIGNS, Context, QuantitySubject, Scope
from .cues import is_behind, mark_preceding, open_scope
from .items import Phrase
from .naming import LEAD_TIMES
from .numbers import Number
from .parsed import CHANGE, TIME, UNIT_CLASH, UNIT_OF, UNNAMED
from .times import is_time, places_ectopy
from .tokens import word_set
from .values import BE, DIMENSIONS, WIDE_RANGE, formulas, value_follows
from .waves import is_place, read_amplitude

_BRACKETS = frozenset({"(", "["})
_ARROWS = frozenset({"- >", "→", "= >", "⟶", "➔"})
_OPERATORS = frozenset({"+", "/", "*", "×", "√", "·", "x", "÷"})
_EQUALS = frozenset({"=", "~"})
_CALCULATION = _OPERATORS | _EQUALS | {"(", ")", "s", "ms"}
_OPERATOR_ITEMS = frozenset({"number"})
_THEN = frozenset({"before", "previously", "earlier", "initially", "vorher", "zuvor", "frueher"})
_RATES = frozenset({"frequenz", "hf", "herzfrequenz", "kammerfrequenz"})
_RANGING = frozenset({"ranges", "ranging", "varies", "varying", "range", "variiert"})
# kinds of items after which a rate is a heart rate: "sinus rhythm at 75 bpm"
_BEFORE_RATE = word_set(
    "finding quality regularity number stop contrast said lead wave quantity unmodelled maybe absent maybe_post "
    "present skip"
)


def read_number(c: Context, number: int, item: Phrase) -> None:
    """Read a number, or a list of numbers, and state what they belong to."""
    value = item.number
    assert value is not None
    compare, c.compare = c.compare, None
    if compare is not None and item.first - compare[1] > 3:
        compare = None
    behind = c.next(number)
    if behind is not None and behind.first == item.last + 1 and is_behind(c, number + 1, behind):  # "120 ms or more"
        compare = (behind.term.values[0], behind.last, compare is not None and compare[2])
    before = c.before(number)
    value.approximate = before is not None and before.term.kind == "approx" and item.first - before.last <= 2
    if compare is None and value.compare:
        compare = (value.compare, item.last, False)  # "120+ ms"
    if compare is not None:
        value.compare = compare[0]
    if value.unit == "paper" or is_place(c, number, item) or _is_operand(c, number, item):
        return
    if _counts_none(c, number, item):
        return
    if places_ectopy(c, number, item):
        c.time_last = item.last
        return
    if not _names_its_quantity(c, number, item) and is_time(c, number, item):
        c.time_last = item.last
        c.add("number", ("",), item.first, item.last, number=value, exclusion=TIME)
        return
    if _is_reference(c, number, item, compare is not None):
        c.reference = -1
        return
    numbers = c.numbers_from(number) if c.subjects or c.waves else [item]
    if not value.unit and c.waves and len(numbers) > 1:
        _share_millivolts(numbers)
    if value.unit == "mV" or (value.unit == "ms" and c.waves and c.waves[0][0] in LEAD_TIMES):
        if compare is not None and compare[2]:  # "is not > 3.5 mV"
            value.compare = "<" if compare[0] == ">" else ">"
        read_amplitude(c, number, item)
    elif not ((len(numbers) > 1 or (value.is_range and len(c.subjects) > 2)) and _assign_list(c, numbers)):
        _read_single(c, number, item, negated=compare is not None and compare[2])


def _is_operand(c: Context, number: int, item: Phrase) -> bool:
    """Whether a number is part of a sum or quotient whose result follows: "SV1 + RV5 = 0.65 + 0.56 = 1.21 mV"."""
    before = c.word(item.first - (2 if c.word(item.first - 1) == "(" else 1))
    calculates, last = not _OPERATORS.isdisjoint((before, c.words[item.first])), item.last
    for following in c.items[number + 1 : number + 6]:
        gap = c.gap(last, following.first)
        if not _CALCULATION.issuperset(gap) or following.term.kind not in ("number", "approx"):
            return False
        result = following.term.kind == "approx" or not _EQUALS.isdisjoint(gap)
        if result and calculates:
            _pass_over(c, item)
            return True
        calculates, last = calculates or not _OPERATORS.isdisjoint((*gap, c.words[following.first])), following.last
    return False


def _pass_over(c: Context, item: Phrase) -> None:
    """Let the quantity or wave before a calculation reach over a part of it to its result."""
    if c.subjects and c.only_filler(c.subjects[-1].last + 1, item.first, _OPERATOR_ITEMS):
        c.subjects[-1].last = item.last
    elif c.waves and c.only_filler(c.waves[-1][3] + 1, item.first):
        wave, lead, first, _ = c.waves[-1]
        c.waves[-1] = (wave, lead, first, item.last)


def _counts_none(c: Context, number: int, item: Phrase) -> bool:
    """Read a count of zero, which denies its finding: "PVCs: 0", "0 PVCs"; whether it is one."""
    value, following = item.number, c.next(number)
    if value is None or value.unit or value.low or value.high:
        return False
    if (
        c.heads
        and not c.heads[-1].closed
        and (
            c.gap(c.heads[-1].last, item.first) in ([":"], ["="], ["count"], ["count", ":"])
            or (c.heads[-1].last == item.first - 1 and c.word(item.last + 1) in ("", ","))
        )
    ):
        return mark_preceding(c, item, denied=True)
    if following is not None and following.term.kind == "finding" and following.first == item.last + 1:
        open_scope(c, item, negated=True)
        return True
    return False


def _share_millivolts(numbers: list[Phrase]) -> None:
    """Apply the unit of the last number to all: "0.85/1.00 mV"."""
    last = numbers[-1].number
    if last is None or last.unit != "mV" or not last.written or not last.written[0]:
        return
    scale = last.low / last.written[0]
    for part in numbers[:-1]:
        if part.number is not None and not part.number.unit:
            part.number.low, part.number.high, part.number.unit = (
                part.number.low * scale,
                part.number.high * scale,
                "mV",
            )


def _assign_list(c: Context, numbers: list[Phrase]) -> bool:
    """Assign a list of numbers to a list of quantities: "QT/QTc 400/420 ms"; whether they fit."""
    group = c.list_of(c.subjects[-1]) if c.subjects else []
    if not group or not group[-1].name or not c.only_filler(group[-1].last + 1, numbers[0].first):
        return False
    if len(group) == 1:
        return (
            not group[0].numbers
            and len(numbers) > 1
            and c.has("/", numbers[0].last, numbers[1].first)
            and _several_values_of_one(c, group[0], numbers)
        )
    if len(group) != len(numbers):
        split = [
            Phrase(part.term, part.first, part.last, replace(part.number, low=one, high=one))
            for part in numbers
            if part.number
            for one in part.number.written
        ]
        if len(split) == len(group):
            numbers = split  # "55 - 45 - 45"
        elif len(numbers) > len(group):
            numbers = numbers[: len(group)]
        else:
            return False
    shared = next((part.number.unit for part in reversed(numbers) if part.number is not None and part.number.unit), "")
    for subject, part in zip(group, numbers, strict=True):
        assert part.number is not None
        if not part.number.unit and shared == "ms" and UNIT_OF.get(subject.name, "ms") == "ms":
            scale = 1000.0 if part.number.low < 3 else 1.0
            part.number.low, part.number.high, part.number.unit = (
                part.number.low * scale,
                part.number.high * scale,
                "ms",
            )
        _state(c, subject, part, first=part.first)
    c.done_to = max(c.done_to, c.item_at[numbers[-1].first])
    return True


def _several_values_of_one(c: Context, subject: QuantitySubject, numbers: list[Phrase]) -> bool:
    """Read two values of one quantity: a QTc by two formulas; of others ("RR 120/80") they are not checkable."""
    if subject.name.startswith("qtc"):
        for part in numbers:
            _state(c, subject, part, first=part.first)
    else:
        c.add("number", ("",), subject.first, numbers[-1].last, number=numbers[0].number, exclusion=UNNAMED)
    subject.numbers += 1
    c.done_to = max(c.done_to, c.item_at[numbers[-1].first])
    return True


def _read_single(c: Context, number: int, item: Phrase, *, negated: bool) -> None:
    """Read a single number: of the quantity before it, of the one directly after it, or of the one with its unit."""
    value = item.number
    assert value is not None
    ahead = _quantity_after(c, number, item)
    subject = c.subjects[-1] if c.subjects else None
    if subject is not None and _assign_to_subject(c, number, item, subject, ahead is not None, negated):
        return
    if ahead is not None and UNIT_OF.get(ahead.term.values[0], "ms") == value.unit:
        target = QuantitySubject(ahead.term.values[0], item.first, ahead.last)
        _state(c, target, item, last=ahead.last, negated=negated)
        c.subjects, c.done_to = [target], number + 1
        return
    change = _change(c, item)
    if value.unit == "bpm" and _is_heart_rate(c, item):
        _state(c, QuantitySubject("heart_rate", item.first, item.last), item, negated=negated, exclusion=change)
    elif value.unit or (change and subject is not None and subject.name):
        c.add(
            "number",
            (subject.name if subject is not None and not value.unit else "",),
            item.first,
            item.last,
            number=value,
            exclusion=change or UNNAMED,
        )


def _assign_to_subject(
    c: Context, number: int, item: Phrase, subject: QuantitySubject, ahead: bool, negated: bool
) -> bool:
    """Assign a number to the quantity before it; whether it belongs there."""
    value = item.number
    assert value is not None
    since = max(subject.last, c.number_last if subject.numbers else -1)
    if not c.only_filler(since + 1, item.first):
        return False
    again = subject.numbers > 0 and not _formula_between(c, since, item)
    fits = value.unit in ("", UNIT_OF.get(subject.name, "ms")) or (subject.name == "qrs" and value.unit == "deg")
    if not subject.name or (not fits and not again and not ahead and not subject.by_finding):
        c.add(
            "number", ("",), subject.first, item.last, number=value, exclusion=UNIT_CLASH if subject.name else UNNAMED
        )
        subject.numbers += 1
        return True
    if not fits or (again and (ahead or not value.unit)):
        return False
    if (
        subject.by_finding
        and not value.unit
        and not (subject.name in ("axis", "heart_rate") and plausible(subject.name, value))
    ):
        return True  # "first-degree AV block in 3 beats": not a value of the interval
    if again and c.word(item.first - 1) in _BRACKETS:
        return True
    _state(c, subject, item, negated=negated, exclusion=_change(c, item))
    return True


def _quantity_after(c: Context, number: int, item: Phrase) -> Phrase | None:
    """The quantity directly after its number, as in "a 160 ms PR interval"; else None."""
    following = c.next(number)
    if following is not None and following.first == item.last + 1 and c.words[following.first] in DIMENSIONS:
        number, item = number + 1, Phrase(item.term, item.first, following.last, item.number)  # "a 91 ms wide QRS"
        following = c.next(number)
    if (
        following is None
        or following.term.kind != "quantity"
        or len(following.term.values) > 1
        or item.number is None
        or not item.number.unit
    ):
        return None
    gap = c.gap(item.last, following.first)
    bracketed = _names_its_quantity(c, number, item)
    return following if bracketed or (gap in ([], ["-"], ["for"]) and not value_follows(c, number + 1)) else None


def _names_its_quantity(c: Context, number: int, item: Phrase) -> bool:
    """Whether the quantity is in brackets behind its number: "144 ms (PR), 91 ms (QRS)"."""
    following = c.next(number)
    if following is None or following.term.kind != "quantity" or c.gap(item.last, following.first) != ["("]:
        return False
    return c.word(following.last + 1) == ")"


def _is_heart_rate(c: Context, item: Phrase) -> bool:
    """Whether a rate is a heart rate by the words before it: "at 75 bpm", but not "metronome 100 bpm"."""
    for at in range(item.first - 1, max(-1, item.first - 1 - FAR), -1):
        word, known = c.words[at], c.item_at[at]
        kind = c.items[known].term.kind if known >= 0 else ""
        if word in c.filler or word in SIGNS or word.endswith("ly") or kind in ("approx", "compare", "now"):
            continue
        return kind in _BEFORE_RATE
    return True


def _formula_between(c: Context, since: int, item: Phrase) -> bool:
    return c.formula is not None and since < c.formula[1] < item.first and item.first - c.formula[1] <= 4


def _change(c: Context, item: Phrase) -> str:
    """The exclusion of a number that is a change, or a former value: "by 20 bpm", "from 70 to 90"; else ``""``."""
    before = c.words[max(0, item.first - 3) : item.first]
    if c.word(item.first - 1) == "um" and c.word(item.first - 2) in _RATES:
        return ""  # "Frequenz um 64/min"
    if "um" in before or ("by" in before and not _formula_between(c, item.first - 4, item)):
        return CHANGE
    if c.word(item.last + 1) in _THEN and c.word(item.last + 2) not in ("the", "each", "every", "a"):
        return CHANGE  # "was 300 ms before"
    following = c.next(c.item_at[item.last])
    if (
        following is not None
        and following.first - item.last <= 3
        and _ARROWS.intersection((c.word(item.last + 1), " ".join(c.words[item.last + 1 : item.last + 3])))
    ):
        after = c.next(c.item_at[following.last]) if following.term.kind == "compare" else following
        if after is not None and after.term.kind == "number" and after.first - item.last <= 3:
            return CHANGE  # "QTc 520 -> 413 ms"
    if "from" in before or (before[-1:] == ["von"] and "auf" in c.words[item.last + 1 : item.last + 3]):
        ranging = (
            item.number is not None
            and item.number.is_range
            and not _RANGING.isdisjoint(c.words[max(0, item.first - 4) : item.first])
        )
        return "" if ranging else CHANGE
    return ""


def _is_reference(c: Context, number: int, item: Phrase, compared: bool) -> bool:
    """Whether a number is a reference value: "(normal 120-200 ms)", "upper limit 460", "60-100 bpm is normal"."""
    value = item.number
    assert value is not None
    if c.reference >= 0 and item.first - c.reference <= 8:
        return True
    following = c.next(number)
    wide = value.high - value.low >= WIDE_RANGE
    if (
        wide
        and following is not None
        and following.term.values[:1] == ("normal",)
        and following.first - item.last <= 4
        and not BE.isdisjoint(c.gap(item.last, following.first))
    ):
        c.done_to = max(c.done_to, number + 1)
        return True
    if not (value.is_range or compared):
        return False
    subject = c.subjects[-1] if c.subjects else None
    had = (subject is not None and subject.numbers > 0) or c.segment is not None
    bracketed = not _BRACKETS.isdisjoint(c.words[max(0, item.first - 5) : item.first])
    last = c.out[-1] if c.out else None
    normal = _normal_before(c, number, item)
    if normal is not None:
        # "PR 240 ms (normal 120-200 ms)": "normal" is not a statement either; it is one in "QTc normal (< 440 ms)"
        if (
            last is not None
            and _BRACKETS.isdisjoint(c.gap(normal.last, item.first))
            and last.kind == "category"
            and last.word == "normal"
            and last.end >= c.starts[normal.first]
            and (had or bracketed)
        ):
            c.out.pop()
        return True
    if bracketed and (had or (compared and _defines(c, item, subject))):
        return True
    if (
        wide
        and not bracketed
        and subject is not None
        and subject.stated
        and last is not None
        and last.word == "normal"
        and last.end == c.ends[subject.last]
    ):
        c.out.pop()  # "normal heart rate: 60-100 bpm"
        return True
    return False


def _normal_before(c: Context, number: int, item: Phrase) -> Phrase | None:
    """The word "normal" directly before a number, or before its "<"; else None."""
    first = item.first
    for before in reversed(c.items[max(0, number - 2) : number]):
        if first - before.last > 2 or before.term.kind not in ("quality", "compare"):
            return None
        if before.term.kind == "quality":
            return before if before.term.values[0] == "normal" else None
        first = before.first
    return None


def _defines(c: Context, item: Phrase, subject: QuantitySubject | None) -> bool:
    """Whether a number defines a word: "tachycardia (above 100 bpm)", "no tachycardia (HR > 100)"."""
    if subject is not None and subject.by_finding:
        return not _BRACKETS.isdisjoint(c.gap(subject.last, item.first))
    head = c.heads[-1] if c.heads else None
    return (
        head is not None
        and head.statements[0].kind == "finding"
        and head.statements[0].negated
        and item.first - head.last <= 5
    )


def _state(
    c: Context,
    subject: QuantitySubject,
    item: Phrase,
    *,
    first: int | None = None,
    last: int | None = None,
    negated: bool = False,
    exclusion: str = "",
) -> None:
    """Add the statement that a quantity has a value."""
    value = item.number
    assert value is not None
    name, by = subject.name, formulas(c, subject, item.last)
    begin, end = subject.first if first is None else first, item.last if last is None else last
    if name == "qrs" and (
        value.unit == "deg" or (not value.unit and subject.first - c.axis_heading <= FAR and abs(value.low) <= 180)
    ):
        name = "axis"
    elif name == "qt" and c.formula is not None and subject.last < c.formula[1] < item.first:
        name, by = "qtc", (c.formula[0],)
    elif name.startswith("qtc"):
        name = "qtc"
    subject.numbers += 1
    c.number_last = end
    degrees = UNIT_OF.get(name) == "deg"
    if not value.unit:
        if not plausible(name, value):
            c.add("number", ("",), item.first, item.last, number=value, exclusion=UNNAMED)
            return
        if name not in UNIT_OF and value.high < 3:
            value.low, value.high = value.low * 1000, value.high * 1000
    if not degrees and not value.either_sign and (value.low < 0 or c.words[item.first] in ("+", "-")):
        exclusion = exclusion or CHANGE  # "+20 ms"
    near = bool(c.scopes) and not c.scopes[0].heads and item.first - c.scopes[0].last <= 5
    scope = c.scope_for(item.first, item.last, c.item_at[item.first]) if near else Scope(-1)
    if "(" in c.words[begin:end] and c.word(end + 1) == ")" and ")" not in c.words[begin:end]:
        end += 1
    c.add(
        "number",
        (name,),
        begin,
        end,
        number=value,
        negated=scope.negated != negated,
        uncertain=scope.uncertain,
        exclusion=exclusion or scope.exclusion,
        formulas=by,
    )


def plausible(name: str, value: Number) -> bool:
    """Whether a number without a unit can be a value of a quantity: "QRS complexes: 4" is a count.

    Args:
        name: of the quantity.
        value: the number.
    """
    if name in ("", "intervals"):
        return False
    if UNIT_OF.get(name, "ms") == "ms":
        seconds = 0 < value.high < 3 and (value.high != int(value.high) or name == "rr")
        return 20 <= value.high <= 3000 or seconds
    if value.low != int(value.low):
        return False
    return 15 <= value.high <= 400 if UNIT_OF[name] == "bpm" else -180 <= value.low <= value.high <= 360
