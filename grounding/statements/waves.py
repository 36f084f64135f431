"""Waves and segments: statements about their shape and amplitude."""

from __future__ import annotations

from ..record import STANDARD_LEADS
from .context import FAR, Context, QuantitySubject
from .items import Phrase
from .lexicon import SEGMENT_WORDS, Subject
from .naming import (
    AMPLITUDE_OF,
    LEAD_TIMES,
    SECOND_WAVES,
    ST_POINTS,
    WAVES,
    direction_of,
    name_finding,
    take_amount_before,
    take_leads_before,
)
from .parsed import CHANGE, NO_CRITERION, SIZED, ParsedStatement

_J_WORDS = frozenset({"j", "stj"})
_AFTER = frozenset({"after", "past", "behind", "beyond", "following", "from", "nach", "hinter"})
_SUM_SIGNS = frozenset({"+", "/", "and", "plus", "&", "und"})
_IN_LEAD = frozenset({"in", "wave", "lead", "of", "the", "("})
_FROM_LEAD_TO_WAVE = frozenset({"the", "a", "an", ",", ":", "there", "is", "die", "das", "ist"})
_OR_WORDS = frozenset({"or", "oder", "bis"})
# of a T wave: its sign is meant, where "inverted" is a finding with a criterion
_T_WAYS = {"upright": "up", "positive": "up", "positiv": "up", "negative": "down", "negativ": "down"}
# kinds of items that may come between a segment and its shape, and between a wave and its amplitude
_SEGMENT_GAPS = frozenset({"lead", "region", "maybe", "finding", "stop", "present"})
_AMPLITUDE_GAPS = frozenset({"lead", "quality", "approx", "compare", "region", "skip"})
_ELSEWHERE = frozenset({"elsewhere", "otherwise", "sonst", "ansonsten"})


def read_wave(c: Context, number: int, item: Phrase) -> None:
    """Read the name of a wave or segment."""
    name = item.term.values[0]
    if name in LEAD_TIMES:
        c.waves, c.subjects, c.segment = [(name, "", item.first, item.last)], [], None
        return
    if name in SECOND_WAVES:
        c.waves, c.subjects = [(name, "", item.first, item.last)], []
        c.segment, c.segment_first = (name, item.last), item.first
        return
    following = c.next(number)
    if following is not None and following.term.kind == "number" and _is_value_of(c, item, following):
        return
    if following is not None and following.term.kind == "lead" and following.first - item.last <= 3:
        one = (
            not following.term.region
            and len(following.term.values) == 1
            and _IN_LEAD.issuperset(c.gap(item.last, following.first))
        )
        amount = one and _amplitude_follows(c, number + 1)
        if name == "q" and not amount:
            name_finding(c, number, item, (("q_waves",),))
            return
        if amount or (one and name in ("r", "s")):
            _wait_for_amplitude(c, _point(c, number, item), following.term.values[0], item.first, following.last)
            c.done_to = number + 1
            return
    qualities = [word for word in c.qualities if (name, word.term.values[1]) in SEGMENT_WORDS]
    c.qualities = []
    if qualities and item.first - qualities[-1].last <= 2:
        _state_of_segment(c, name, qualities, qualities[0].first, item.last, number)
        c.segment = (name, item.last)
        return
    if name == "p" and c.scopes and c.scopes[0].negated and item.first - c.scopes[0].last <= 4:
        name_finding(c, number, item, (("p_waves",),))
        return
    c.segment, c.segment_first = (name, item.last), item.first
    if name in WAVES:
        c.waves = [(_point(c, number, item), "", item.first, item.last)]
    c.subjects = []
    if c.leads_before is not None and item.first - c.leads_before.last > FAR:
        c.leads_before = None


def is_place(c: Context, number: int, item: Phrase) -> bool:
    """Whether a number is a place of measurement: "60 ms after the J point".

    Args:
        c: the sentence.
        number: of the item.
        item: the number.
    """
    following = c.next(number)
    if item.number is None or item.number.unit != "ms" or following is None or following.term.values[:1] != ("st",):
        return False
    return c.word(item.last + 1) in _AFTER and following.first - item.last <= 4


def _point(c: Context, number: int, item: Phrase) -> str:
    """The point of the ST segment that is named: "J point", "ST 60 ms after the J point"; else the wave or segment."""
    name, before = item.term.values[0], c.before(number)
    if name != "st" or c.words[item.first] not in _J_WORDS:
        return name
    if before is None or before.number is None or not is_place(c, number - 1, before):
        return "j"
    point = f"st{before.number.low:g}"
    return point if point in ST_POINTS else name


def _is_value_of(c: Context, item: Phrase, following: Phrase) -> bool:
    """Whether a letter is an axis or a duration: "P 55 QRS 45 T 45" after "axis", "P 104 ms"."""
    name, number = item.term.values[0], following.number
    if number is None or name not in ("p", "r", "t") or not c.only_filler(item.last + 1, following.first):
        return False
    if number.unit in ("", "deg") and (item.first - c.axis_heading <= FAR or (number.unit == "deg" and name != "r")):
        c.subjects = [QuantitySubject({"p": "axis_p", "r": "axis", "t": "axis_t"}[name], item.first, item.last)]
        c.axis_heading = max(c.axis_heading, item.last)
        return True
    if name == "p" and (number.unit == "ms" or (not number.unit and 40 <= number.low <= 300)):
        c.subjects = [QuantitySubject("p", item.first, item.last)]
        return True
    return False


def _amplitude_follows(c: Context, number: int) -> bool:
    """Whether a number in mm or mV follows item ``number``, perhaps after a sum or list of such waves."""
    for following in c.items[number + 1 : number + 5]:
        if following.number is not None:
            return following.number.unit == "mV"
        if following.term.kind not in ("wave", "wavelead", "lead", "approx", "compare"):
            return False
    return False


def read_wavelead(c: Context, number: int, item: Phrase) -> None:
    """Read a wave in a lead: "SV1", "RaVL"."""
    _wait_for_amplitude(c, item.term.values[0], item.term.values[1], item.first, item.last)


def _wait_for_amplitude(c: Context, wave: str, lead: str, first: int, last: int) -> None:
    waiting = [entry for entry in c.waves if entry[1]]
    joined = bool(waiting) and first - waiting[-1][3] <= 3 and not _SUM_SIGNS.isdisjoint(c.gap(waiting[-1][3], first))
    c.waves = [*waiting[-3:], (wave, lead, first, last)] if joined else [(wave, lead, first, last)]
    c.subjects = []


def read_sum(c: Context, number: int, item: Phrase) -> None:
    """Read the name of a sum of amplitudes: "Sokolow-Lyon index"."""
    c.waves = [(item.term.values[0], "", item.first, item.last)]
    c.subjects = []


def state_shape(c: Context, number: int, item: Phrase) -> bool:
    """Apply a word to the last segment.

    Args:
        c: the sentence.
        number: of the item.
        item: the word.

    Returns:
        Whether the word is about this segment.
    """
    if c.segment is None or not item.term.values[1]:
        return False
    (name, last), shape = c.segment, item.term.values[1]
    if c.subjects and c.subjects[-1].last > last and not c.subjects[-1].by_finding:
        return False
    since = max(last, c.heads[-1].last if c.heads else last)
    if item.first - since > 8 or not c.only_filler(since + 1, item.first, _SEGMENT_GAPS):
        return False
    if (name, shape) not in SEGMENT_WORDS:
        if (name, shape) == ("t", "biphasic"):
            c.add("finding", (), c.segment_first, item.last, exclusion=NO_CRITERION)
        return (name, shape) == ("t", "biphasic")
    if shape in ("normal", "abnormal") and name != "q" and c.heads and c.heads[-1].last >= last:
        if shape == "normal":
            _normal_elsewhere(c, name, item)
        return True  # "schlechte R-Progression, pathologisch" is said of the ECG
    items = [item]
    following = c.next(number)
    denied = bool(c.scopes and c.scopes[0].negated)
    if following is not None and following.term.kind == "quality" and following.first - item.last <= 3 and not denied:
        either = (name, following.term.values[1]) in SEGMENT_WORDS
        if either and not _OR_WORDS.isdisjoint(c.gap(item.last, following.first)):
            items.append(following)  # "low or flat", "flat or slightly inverted": one or the other
            c.done_to = number + 1
    first = c.segment_first if not c.heads or c.heads[-1].last < last else item.first
    _state_of_segment(c, name, items, first, items[-1].last, number)
    return True


def _normal_elsewhere(c: Context, segment: str, item: Phrase) -> None:
    """Read "normal elsewhere" after a finding; "normal" alone ("these T waves are probably normal") is no statement."""
    before = c.heads[-1].statements[0]
    if before.leads and not before.region and c.word(item.last + 1) in _ELSEWHERE:
        subject, denied = SEGMENT_WORDS[(segment, "normal")]
        leads = tuple(lead for lead in STANDARD_LEADS if lead not in before.leads and lead != "aVR")
        statement = c.add(
            "finding", (), item.first, item.last + 1, findings=subject, negated=denied, leads=leads, region=True
        )
        c.head([statement], item.first, item.last + 1)


def _state_of_segment(c: Context, name: str, qualities: list[Phrase], first: int, last: int, number: int) -> None:
    """Add the findings that words about a segment mean; several words are alternatives."""
    groups = [SEGMENT_WORDS[(name, word.term.values[1])] for word in qualities]
    denied = groups[-1][1]
    subject: Subject = (
        tuple(dict.fromkeys(finding for group, other in groups if other == denied for finding in group[0])),
    )
    scope = c.scope_for(qualities[0].first, last, number, subject)
    before = c.heads[-1].statements[-1] if c.heads else None
    if name == "q" and before is not None and before.findings == (("q_waves",),):
        # "Q waves in III are not pathological" is one statement
        before.findings, before.negated, before.uncertain = (
            subject,
            scope.negated != denied,
            scope.uncertain or before.uncertain,
        )
        before.end = c.ends[last]
        return
    statement = c.add(
        "finding",
        (),
        first,
        last,
        findings=subject,
        negated=scope.negated != denied,
        uncertain=scope.uncertain,
        exclusion=scope.exclusion,
    )
    if name == "t":
        said = {way for word in c.words[first : last + 1] if (way := _T_WAYS.get(word))}
        statement.word = said.pop() if len(said) == 1 else ""
    c.head([statement], first, last)
    take_leads_before(c, statement, first)
    take_amount_before(c, statement, first)
    c.segment = (name, last if c.segment is None else max(last, c.segment[1]))


def read_amplitude(c: Context, number: int, item: Phrase) -> None:
    """Read a number in mm or mV: of the wave, sum or finding beside it."""
    waiting = c.waves
    if waiting and c.only_filler(waiting[-1][3] + 1, item.first, _AMPLITUDE_GAPS):
        numbers = c.numbers_from(number)
        if len(waiting) > 1 and len(numbers) == len(waiting) and not c.has("+", waiting[0][3], waiting[-1][2]):
            for (wave, lead, first, _), part in zip(waiting, numbers, strict=True):
                _state_amplitude(c, (wave,), (lead,), first if part is item else part.first, part)
            c.done_to = max(c.done_to, c.item_at[numbers[-1].first])
            c.waves = []
        elif len(waiting) == 1 and not waiting[0][1]:
            _amplitude_of_wave(c, number, item)
        else:
            several = tuple(f"{wave}:{lead}" for wave, lead, _, _ in waiting)
            wave, lead, first, _ = waiting[0]
            _state_amplitude(
                c, several if len(waiting) > 1 else (wave,), () if len(waiting) > 1 else (lead,), first, item
            )
            c.waves = []
        return
    head = c.heads[-1] if c.heads else None
    following = c.next(number)
    before_finding = (
        following is not None
        and following.term.kind in ("finding", "wave")
        and following.first - item.last <= 3
        and not c.has(",", item.last, following.first)
    )
    if (
        head is not None
        and head.statements[-1].findings
        and not before_finding
        and c.only_filler(head.last + 1, item.first, _AMPLITUDE_GAPS)
    ):
        wave = AMPLITUDE_OF.get(head.statements[-1].findings[0][0], "")
        if wave and following is not None and _has_its_own_lead(c, head.first, item, following):
            # "Q wave -0.04 mV in I, -0.21 mV in II"
            c.head([_state_amplitude(c, (wave,), (), item.first, item)], item.first, item.last)
            return
        if wave:
            _size_of(c, head.statements[-1], wave, item)
            return
    c.amount = item


def _size_of(c: Context, finding: ParsedStatement, wave: str, item: Phrase) -> None:
    """Add the size of a finding; where the size is what is denied, or stays under a limit, the finding is no claim."""
    assert item.number is not None
    over = item.number.compare == ">" or c.word(item.first - 1) == "of"  # "no ST elevation > 1 mm"
    stated = _state_amplitude(c, (wave,), finding.leads, item.first, item, region=finding.region)
    stated.negated = finding.negated and over
    stated.word = direction_of(finding)
    if stated.negated:
        item.number.compare = ">"
    none = item.number.low == item.number.high == 0  # "ST elevation: 0 mm"
    if stated.negated or ((item.number.compare == "<" or none) and not finding.negated):
        finding.exclusion = finding.exclusion or SIZED


def _has_its_own_lead(c: Context, since: int, item: Phrase, following: Phrase) -> bool:
    """Whether a number of a list is followed by its lead, while the leads before belong to another number."""
    earlier = any(before.number is not None and since < before.first < item.first for before in c.items)
    return earlier and following.term.kind == "lead" and following.first - item.last <= 3


def _amplitude_of_wave(c: Context, number: int, item: Phrase) -> None:
    """Add an amplitude whose lead is before or after it: "ST in V5 depressed by 2 mm", "T wave of 5 mm in V3"."""
    name, _, first, _ = c.waves[0]
    leads: tuple[str, ...] = ()
    following = c.next(number)
    if following is not None and _has_its_own_lead(c, first, item, following):
        first = item.first  # "-0.05 mV in I, -0.13 mV in V5": the lead before belongs to the other number
    else:
        for before in c.items[max(0, number - 2) : number]:
            if before.term.kind == "lead" and before.first > first:
                leads = before.term.values
    head = c.heads[-1] if c.heads else None
    if (
        not leads
        and first != item.first
        and head is not None
        and head.first <= first <= head.last
        and name in ST_POINTS | {"t", "p"}
    ):
        leads = head.statements[0].leads
    before_wave = c.leads_before
    if not leads and before_wave is not None and (name in ST_POINTS or _leads_to(c, before_wave, first)):
        leads = before_wave.term.values
    stated = _state_amplitude(c, (name,), leads, first, item)
    if not leads:
        c.head([stated], first, item.last)  # its leads may follow


def _leads_to(c: Context, lead: Phrase, first: int) -> bool:
    """Whether a lead belongs to the wave that follows it: "in V1 the R wave is 0.3 mV"."""
    return lead.last < first and _FROM_LEAD_TO_WAVE.issuperset(c.gap(lead.last, first))


def _state_amplitude(
    c: Context, subject: tuple[str, ...], leads: tuple[str, ...], first: int, item: Phrase, *, region: bool = False
) -> ParsedStatement:
    assert item.number is not None
    if {"up", "to"}.issubset(c.words[max(0, item.first - 3) : item.first]):
        item.number.compare = ""  # "up to 2 mm" is the largest of the leads
    leads = leads if leads != ("same",) else c.last_leads[0]
    exclusion = CHANGE if c.word(item.last + 1) in ("higher", "lower", "more", "less") else ""
    return c.add(
        "amplitude", subject, first, item.last, number=item.number, leads=leads, region=region, exclusion=exclusion
    )
