"""Times in a recording ("QRS complexes at [2.30s - 3.10s]"), which are places and no values."""

from __future__ import annotations

from .context import FAR, Context, QuantitySubject
from .items import Phrase
from .parsed import UNIT_OF
from .tokens import word_set

# a longer value is none of the quantity, where the words may mean a place
_LONGEST_MS = {"p": 300.0, "qrs": 400.0, "pr": 800.0, "qt": 1000.0, "qtc": 1000.0, "rr": 4000.0}
_SHORTEST_RECORDING_MS = 1000.0
_AT = word_set(
    "at @ between from during within in into around near about until till after before since over throughout across "
    "through by approximately roughly ~ bei zwischen von um ab nach vor waehrend innerhalb ueber im etwa ca ["
)
_IN = word_set("at @ between from during within in bei zwischen von waehrend innerhalb im")
_ORDINALS = word_set("first last initial final next ersten letzten naechsten")
_SEEN = word_set("the a seen noted occurs occur occurring present visible is are was were = : second")
_CLOCK = frozenset({"t", "time", "timestamp", "timestamps", "zeitpunkt"})
_RECORDINGS = word_set(
    "mark marks point into strip strips record recording recordings tracing tracings ecg ekg window windows period "
    "epoch epochs segment segments snippet section excerpt clip timestamp rhythm "
    "aufzeichnung streifen registrierung abschnitt marke"
)
_WAVES = word_set("wave waves complex complexes beat beats peak peaks komplex komplexe welle wellen zacke zacken")
_MEASURES = word_set("duration width interval intervals time length dauer breite zeit intervall")
_LINKS = word_set("is are was were of measures lasts equals : = betraegt misst dauert ist")
_LINKS_BEHIND = _LINKS | {"measuring", "lasting", "measured"}
_LIST = frozenset({",", "and", "&", "und", "]", "[", "(", ")", "/", "s"})
_BEFORE = frozenset({"at", "from", "between", "in", "the", "of", "=", ":", "is", "a", "about", "around", "~", "[", "("})


ECTOPY = {
    "premature_ventricular_complex": "pvc_count",
    "premature_atrial_complex": "pac_count",
}  # findings of single beats, and the quantity that counts these


def places_ectopy(c: Context, number: int, item: Phrase) -> bool:
    """Read when premature beats are said to be: "a PVC at 3.2 s", "PACs at 2.1, 5.0 and 7.4 s"; whether it is that.

    Args:
        c: the sentence.
        number: of the item.
        item: the number.
    """
    head, value = c.heads[-1] if c.heads else None, item.number
    scale = 1.0 if value is not None and value.unit == "ms" else _shared_unit(c, number)
    if head is None or value is None or value.unit not in ("", "ms") or not scale:
        return False
    statement = head.statements[-1]
    if len(statement.findings) != 1 or not any(name in ECTOPY for name in statement.findings[0]):
        return False
    in_list = c.time_last > head.last
    between = c.gap(max(head.last, c.time_last), item.first)
    allowed = _LIST if in_list else _AT | _LIST | _CLOCK | _SEEN
    if not allowed.issuperset(between) or (not in_list and _AT.isdisjoint(between) and "(" not in between):
        return False
    statement.at_s = (*statement.at_s[:20], (value.low * scale / 1000.0, value.high * scale / 1000.0))
    statement.end = c.ends[item.last]
    return True


def is_time(c: Context, number: int, item: Phrase) -> bool:
    """Whether a number says when something is seen, and is no duration, interval or rate.

    "The first 5 seconds", "the 3 second mark" and "t = 2.3 s" are times whatever they stand beside. Of other numbers
    after "at", "between", "from" or a bracket, those are times that are too long for a value of the quantity, that are
    followed by one ("the RR interval from 2.3 to 3.1 s is 0.8 s"), or that place a wave ("the P wave at 0.52 s").

    Args:
        c: the sentence.
        number: of the item.
        item: the number.
    """
    value = item.number
    if value is None or value.unit not in ("", "ms"):
        return False
    in_seconds = value.unit == "ms" and value.high != max(map(abs, value.written), default=value.high)
    shared = 0.0 if value.unit else _shared_unit(c, number)
    if not value.unit and not shared and value.high == int(value.high):
        return False  # "beats 2 and 3"
    length_ms = value.high if value.unit else value.high * (shared or 1000.0)
    if value.unit and (_names_a_stretch(c, item, length_ms) or _on_a_clock(c, item)):
        return True
    subject = _subject(c, number, item)
    if subject is None:
        return False
    if c.time_last >= subject.first and _LIST.issuperset(c.gap(c.time_last, item.first)):
        return True  # "at 2.3 s, 3.1 s and 4.0 s"
    again = subject.numbers > 0
    since = max(subject.last, c.number_last if again else -1) if subject.first < item.first else item.first - 4
    between = c.words[max(0, since + 1) : item.first]
    placed, linked = not _AT.isdisjoint(between[-4:]), not _LINKS.isdisjoint(between)
    opened = between[-1:] in (["["], ["("])
    words = c.words[subject.first : subject.last + 1]
    measures = not _MEASURES.isdisjoint(words)
    names_waves = not measures and (subject.name == "p" or not _WAVES.isdisjoint(words))
    if length_ms > _LONGEST_MS.get(subject.name, _LONGEST_MS["qtc"]):
        ranged = value.is_range or between[-1:] == ["["]
        return again or ((placed or ranged) and (not (measures and linked) or _value_follows(c, number, item)))
    if linked or not in_seconds:
        return False
    if again or (opened and value.is_range):
        directly = between[-2 if opened else -1 :][:1]
        return not _IN.isdisjoint(directly) or (names_waves and between[-1:] == ["["])
    return placed and (_value_follows(c, number, item) or (names_waves and between[-1:] == ["at"]))


def _shared_unit(c: Context, number: int) -> float:
    """Milliseconds of the unit that a number without one has from the end of its list; 0 where there is none."""
    last = c.numbers_from(number)[-1].number
    if last is None or last.unit != "ms" or not last.written or not last.written[0]:
        return 0.0
    return abs(last.low / last.written[0])


def _subject(c: Context, number: int, item: Phrase) -> QuantitySubject | None:
    """The quantity in ms, beside the number: before it, or just after it ("at 2.3 s QRS complexes are")."""
    following = c.next(number)
    if c.subjects:
        subject = c.subjects[-1]
        near = item.first - max(subject.last, c.time_last) <= FAR
        return subject if subject.name and UNIT_OF.get(subject.name, "ms") == "ms" and near else None
    if following is None or following.term.kind != "quantity" or following.first - item.last > 3:
        return None
    name = following.term.values[0]
    return QuantitySubject(name, following.first, following.last) if UNIT_OF.get(name, "ms") == "ms" else None


def _names_a_stretch(c: Context, item: Phrase, length_ms: float) -> bool:
    """Whether it is the length of a part: "the first 5 seconds", "a 10-second strip", "the 3 second mark"."""
    if length_ms < _SHORTEST_RECORDING_MS:
        return False
    behind = [word for word in c.words[item.last + 1 : item.last + 4] if word not in ("-", "]", ")", "long")]
    return c.word(item.first - 1) in _ORDINALS or (bool(behind) and behind[0] in _RECORDINGS)


def _on_a_clock(c: Context, item: Phrase) -> bool:
    """Whether a clock's word is before it: "t = 2.3 s", "at time 2.3 s"; not "PR time 0.16 s"."""
    at = item.first - 1
    while at > 0 and c.words[at] in ("=", ":", "[", "of"):
        at -= 1
    if c.word(at) not in _CLOCK or (c.item_at[at] >= 0 and c.items[c.item_at[at]].term.kind == "quantity"):
        return False
    return c.word(at) not in ("t", "time") or at == 0 or c.word(at - 1) in _BEFORE or c.words[at + 1] == "="


def _value_follows(c: Context, number: int, item: Phrase) -> bool:
    """Whether the value is behind it: "at 2.3-3.1 s: 0.80 s", "from 2.3 to 3.1 s is 0.8 s"."""
    following = c.next(number)
    if following is None or following.number is None or following.number.unit != "ms":
        return False
    gap = c.gap(item.last, following.first)
    return not _LINKS_BEHIND.isdisjoint(gap) and c.only_filler(item.last + 1, following.first)
