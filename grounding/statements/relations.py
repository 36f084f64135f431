"""Relations: P to QRS ("every P conducts"), constancy of PR, waves held against each other, the direction of a wave.

They are whole phrases rather than a subject and its value, so that they are found before a sentence is read item by
item; each becomes one item.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from .context import Context
from .items import Phrase
from .lexicon import Term
from .numbers import Number
from .tokens import Sentence

# subjects of statements of kind ``relation``
P_QRS, QRS_P, PR_CONSTANT, LARGER, LARGEST, RATIO, TRANSITION, DIRECTION, FORM = (
    "every P is followed by a QRS",
    "every QRS follows a P",
    "constancy of the PR interval",
    "one wave against another",
    "largest wave",
    "R/S ratio",
    "R/S transition",
    "direction",
    "shape of the QRS",
)
_WITH_LEADS = (TRANSITION, DIRECTION, FORM)
_BARE_LEAD = r"(?:iii|ii|i|av[rlf]|v[1-6])"
_LEAD = rf"(?:lead )?{_BARE_LEAD}"
_LIST = (
    rf"(?:(?:the )?(?:leads? |ableitung(?:en)? )?{_BARE_LEAD}(?:(?: ,| -| /| &| and| to| through| und| bis){{1,3}} "
    rf"(?:leads? )?(?:{_BARE_LEAD}|[1-6](?!\S)))*"
    r"|(?:the )?(?:inferior|lateral|anterior|septal|anteroseptal|precordial|chest|limb) leads)"
)
_EACH = r"(?:every|each|all|jede[rms]?)(?: of)?(?: the| single)?"
_P = r"(?:an? |the |one |its |eine )?(?:sinus |upright |normal )?p(?: waves?| - wellen?| welle)?"
_QRS = (
    r"(?:a |an |the |one |its |ein |einem )?(?:narrow |wide )?"
    r"(?:qrs(?: complex(?:es)?| - komplexe?| komplex)?|ventricular complex(?:es)?)"
)
_IS = r"(?: is| are| was| were| ist| sind)?"
_MORE = (
    r"(?P<rel>>|<|taller|larger|bigger|higher|greater|deeper|more prominent|smaller|lower|shorter|shallower|"
    r"hoeher|groesser|tiefer|kleiner)"
)
_THAN = r"(?:than |als )(?:the |that |those )?"
_LESS = frozenset({"<", "smaller", "lower", "shorter", "shallower", "kleiner", "less than", "below", "under"})
_WAVE = r"(?: waves?| zacken?| - zacken?)?"
_CONSTANT = r"(?:constant|fixed|stable|unchanging|konstant|gleichbleibend)"
_VARYING = r"(?:varies|vary|varying|variable|inconstant|not constant|changes from beat to beat|wechselnd|variabel)"


@dataclass(frozen=True)
class _Pattern:
    """A relation in words.

    Attributes:
        name: of the relation.
        needs: words without one of which it can't match.
        regexes: over the sentence's words, joined by spaces.
        values: of a match: what the item's term holds beside the name; None where it is none after all.
    """

    name: str
    needs: frozenset[str]
    regexes: tuple[re.Pattern[str], ...]
    values: Callable[[re.Match[str]], tuple[str, ...] | None]


def _pattern(
    name: str, needs: str, *regexes: str, values: Callable[[re.Match[str]], tuple[str, ...] | None]
) -> _Pattern:
    whole = tuple(re.compile(rf"(?<!\S)(?:{regex})(?!\S)") for regex in regexes)
    return _Pattern(name, frozenset(needs.split()), whole, values)


def _said(word: str) -> Callable[[re.Match[str]], tuple[str, ...]]:
    return lambda match: (word,)


def _sides(match: re.Match[str]) -> tuple[str, ...] | None:
    """(">" or "<", "r:V5", "s:V1") of a comparison; what the second side leaves out is as on the first."""
    given = {name: text for name, text in match.groupdict().items() if text}
    if "ca" in given:
        given["wa"], given["la"] = given["ca"][0], given["ca"][1:]
    if "cb" in given:
        given["wb"], given["lb"] = given["cb"][0], given["cb"][1:]
    if "wa" not in given or not {"wb", "lb"} & set(given):
        return None
    first_lead, second_lead = given.get("la", given.get("lb")), given.get("lb", given.get("la"))
    sides = (f"{given['wa']}:{first_lead}", f"{given.get('wb', given['wa'])}:{second_lead}")
    if first_lead is None or sides[0] == sides[1]:
        return None
    return ("<" if given["rel"] in _LESS else ">", *(_in_lead(side) for side in sides))


def _in_lead(side: str) -> str:
    wave, lead = side.split(":")
    return f"{wave}:{_lead(lead)}"


def _lead(word: str) -> str:
    """The name of a lead, in lower case and perhaps behind "lead", as it is written."""
    word = word.removeprefix("lead ")
    return word.upper() if word[0] != "a" else f"aV{word[2:].upper()}"


def _largest(match: re.Match[str]) -> tuple[str, ...]:
    return ("", f"{match['w']}:{_lead(match['l'])}")


def _ratio(match: re.Match[str]) -> tuple[str, ...] | None:
    lead = match["l1"] or match["l2"]
    if not lead:
        return None
    sign = match["rel"] or ""
    return ("<" if sign in _LESS else ">" if sign else "", _lead(lead), match["n"])


def _dominant(match: re.Match[str]) -> tuple[str, ...]:
    other = "s" if match["w"] == "r" else "r"
    return (">", f"{match['w']}:{_lead(match['l'])}", f"{other}:{_lead(match['l'])}")


def _direction(match: re.Match[str]) -> tuple[str, ...] | None:
    if "w" not in match.groupdict() and _OF_A_WAVE.search(match.string[max(0, match.start() - _NEAR) : match.start()]):
        return None
    return (_upwards(match), match.groupdict().get("w") or "qrs")


def _displaced(match: re.Match[str]) -> tuple[str, ...]:
    early = match["side"] in ("early", "right", "rechts") or match["side"].startswith("counter")
    return ("early" if early else "late",)


def _upwards(match: re.Match[str]) -> str:
    return "up" if match["how"] in ("upright", "positive", "positiv") else "down"


def _followed() -> tuple[str, ...]:
    conducted = r"(?:conducts?|conducted|uebergeleitet|(?:always )?followed by " + _QRS + ")"
    return (
        rf"{_EACH} {_P}{_IS} {conducted}(?: to the ventricles?)?(?: 1 : 1)?",
        rf"{_QRS} (?:follows|after) (?:every|each) {_P}",
        r"(?:1 : 1|one to one|one - to - one) (?:av |a v |atrioventricular |p : qrs |p to qrs |p qrs )?"
        r"(?:conduction|relation(?:ship)?|ueberleitung)",
        r"(?:av |a v |atrioventricular )?(?:conduction|ueberleitung)(?: is| ist)? (?:1 : 1|one to one)",
        rf"auf jede {_P} folgt {_QRS}",
        r"(?:number of )?p waves that no qrs follows(?: is| are| :| =)? 0",
    )


def _not_followed() -> tuple[str, ...]:
    return (
        r"(?:non conducted|non - conducted|nonconducted|unconducted) p(?: waves?)?",
        rf"p(?: waves?)?(?: that are| which are)? (?:without|not followed by)(?: a| an)?(?: following)? {_QRS}",
        rf"(?:some|several|single|not all|not every|not each) p(?: waves?)?{_IS}(?: not)? "
        rf"(?:conduct(?:s|ed)?|followed by {_QRS})",
        r"(?:dropped|missing) (?:qrs(?: complex(?:es)?)?|beats?)",
        r"(?:number of )?p waves that no qrs follows(?: is| are| :| =)? [1-9]\d*",
    )


def _preceded() -> tuple[str, ...]:
    return (
        rf"{_EACH} {_QRS}{_IS} (?:always |regularly )?preceded by {_P}",
        rf"{_EACH} {_QRS} (?:has|have) {_P}",
        rf"{_P}{_IS}(?: present| seen| visible)? (?:before|precedes?|preceding|in front of) {_EACH} {_QRS}",
        rf"vor {_EACH} {_QRS}(?: steht| ist| findet sich)? {_P}",
        rf"{_P} vor {_EACH} {_QRS}",
    )


_PR_WORDS = r"(?:pr|pq|p r|p q)(?: - | )?(?:interval|intervals|time|duration|zeit|intervall)?"
_FIRST = (
    rf"(?:(?P<wa>[pqrst]){_WAVE}(?: amplitude| voltage)?(?: (?:in|of|at))? (?P<la>{_LEAD})"
    r"|(?P<ca>[qrst](?:v[1-6]|av[lrf])))"
)
_SECOND = rf"(?:(?P<wb>[pqrst]){_WAVE}(?: (?:in|of|at))? (?P<lb>{_LEAD})|(?P<cb>[qrst](?:v[1-6]|av[lrf])))"
_PLACE = (
    r"(?:r / s |r - s |r s |r wave |r |precordial |qrs )?(?:transition|umschlagszone|umschlag|uebergang|bergang)"
    r"(?: zone| point)?"
)
_MOST = "tallest|largest|highest|biggest|deepest"
_SIZE = r"(?: clearly| slightly| much| even| markedly)?"
_HOW = r"(?P<how>upright|positive|inverted|negative|positiv|negativ)"
_RATHER = " predominantly| mainly| mostly| strongly| clearly| entirely"
_SHAPE = r"(?P<form>qs|qr|rs|rsr)(?: ')?(?: complex(?:es)?| - komplexe?| komplexe?| pattern| morphology| type)?"
_OF = r"(?P<w>p|qrs)(?: waves?| complex(?:es)?)?"

# before "V1 is negative": the T wave in V1 is, not V1
_OF_A_WAVE = re.compile(rf"(?:^| )(?:in|of|for|at|from|bei)(?: the| leads?| ,| and| -| to| {_BARE_LEAD})* $")
_NEAR = 80  # characters

_PATTERNS: tuple[_Pattern, ...] = (
    _pattern(P_QRS, "p qrs beat beats", *_not_followed(), values=_said("not")),
    _pattern(P_QRS, "p conduction ueberleitung relationship relation", *_followed(), values=_said("")),
    _pattern(QRS_P, "p", *_preceded(), values=_said("")),
    _pattern(
        PR_CONSTANT,
        "constant fixed stable unchanging konstant gleichbleibend",
        rf"(?P<part>{_CONSTANT}) {_PR_WORDS}",
        rf"{_PR_WORDS}(?: is| are| remains| ist| of| =| :| ,| and| und| ms| msec| s| measures| about| \d[\d.]*){{0,9}} "
        rf"(?P<part>{_CONSTANT})",
        values=_said(""),
    ),
    _pattern(
        PR_CONSTANT,
        "pr pq p",
        rf"{_VARYING} {_PR_WORDS}",
        rf"{_PR_WORDS}(?: is| are| ist)? {_VARYING}(?: from beat to beat)?(?! (?:between|from|by|\d|zwischen))",
        values=_said("not"),
    ),
    _pattern(
        LARGER,
        "than > < als",
        rf"{_FIRST}{_IS}{_SIZE} {_MORE} (?:{_THAN})?{_SECOND}",
        rf"{_FIRST}{_IS}{_SIZE} {_MORE} {_THAN}(?:(?:in |of )?(?P<lb>{_LEAD})|(?P<wb>[qrs]){_WAVE})",
        rf"(?P<wa>[qrs]){_WAVE}{_IS}{_SIZE} {_MORE} (?:{_THAN})?(?P<wb>[qrs]){_WAVE} in (?P<lb>{_LEAD})",
        rf"(?P<wa>[pqrst]){_WAVE}{_IS}{_SIZE} {_MORE} in (?P<la>{_LEAD}) (?:than |als )(?:in )?(?P<lb>{_LEAD})",
        values=_sides,
    ),
    _pattern(LARGER, "dominant", rf"dominant (?P<w>[rs]){_WAVE} in (?P<l>{_LEAD})", values=_dominant),
    _pattern(
        LARGEST,
        _MOST.replace("|", " "),
        rf"(?:the )?(?:{_MOST}) (?P<w>[qrst]){_WAVE}(?: is| are| :| =| seen| found){{0,3}} in (?P<l>{_LEAD})",
        rf"(?P<w>[qrst]){_WAVE}{_IS} (?:{_MOST}) in (?P<l>{_LEAD})",
        values=_largest,
    ),
    _pattern(
        RATIO,
        "/",
        rf"r / s(?: ratio| quotient)?(?: (?:in |of )?(?P<l1>{_LEAD}))?(?: is| of| was| :| =){{0,3}}"
        rf"(?: (?P<rel>>|<|less than|greater than|more than|above|below|under|over))? (?P<n>\d+(?:\.\d+)?)"
        rf"(?: in (?P<l2>{_LEAD}))?",
        values=_ratio,
    ),
    _pattern(
        TRANSITION,
        "transition umschlagszone umschlag",
        rf"{_PLACE}(?: is| lies| occurs| seen| at| in| between| around| :| =| normal| normally| zwischen){{0,4}} "
        rf"{_LIST}",
        values=_said(""),
    ),
    _pattern(
        TRANSITION,
        "transition rotation uebergang umschlag umschlagszone bergang",  # the last as an umlaut is lost
        rf"{_PLACE}(?: in (?:the )?(?:v|chest|precordial)(?: leads?| - ableitungen| ableitungen)?)?"
        rf"(?: is| displaced| shifted| moved| nach| to| the| towards| ist){{1,4}} (?P<side>left|right|links|rechts)"
        r"(?: verschoben| verlagert)?",
        rf"(?P<side>early|late) {_PLACE}",
        r"(?P<side>clockwise|counterclockwise|counter clockwise|counter - clockwise) rotation",
        values=_displaced,
    ),
    _pattern(
        FORM,
        "qs qr rs rsr",
        rf"{_SHAPE} in {_LIST}",
        rf"{_LIST}(?: ,)?(?: the)?(?: qrs(?: complex(?:es)?)?)?(?: shows?| has| have| is| are| with)?"
        rf"(?: an?)? {_SHAPE}",
        values=lambda match: ("", match["form"]),
    ),
    _pattern(
        DIRECTION,
        "p qrs positive negative upright",
        rf"{_OF}{_IS}(?:{_RATHER}){{0,2}} {_HOW} in {_LIST}",
        rf"(?:predominantly |mainly |mostly )?{_HOW} {_OF} in {_LIST}",
        rf"{_OF} (?:in|of) {_LIST}{_IS}(?:{_RATHER}){{0,2}} {_HOW}",
        rf"{_LIST} (?:shows?|has|have)(?: an?)?(?:{_RATHER}){{0,2}} {_HOW} {_OF}",
        # "lead I is positive": of the QRS, as one speaks of leads
        rf"{_LIST} (?:is|are|shows?|has|have)(?: an?)?(?:{_RATHER}){{0,2}} (?P<how>positive|negative|upright)"
        r"(?: deflections?)?(?! (?:[pqrstu]|st|for|t-wave|finding)(?!\S))",
        # "is lead I positive?"
        rf"^(?:is|are|ist|sind)(?: the)? {_LIST}(?:{_RATHER}){{0,2}} (?P<how>positive|negative|upright|positiv|negativ)"
        r"(?: deflections?)?(?! (?:[pqrstu]|st|for|t-wave|finding)(?!\S))",
        values=_direction,
    ),
)
_NEEDED = frozenset().union(*(pattern.needs for pattern in _PATTERNS))
_ALSO = re.compile(rf"(?: ,| and| but| und){{1,2}} {_HOW} in {_LIST}(?!\S)")


def with_relations(sentence: Sentence, items: list[Phrase]) -> list[Phrase]:
    """The items of a sentence, those that make up a relation replaced by one.

    Args:
        sentence: its tokens.
        items: from ``items_of``.
    """
    words = frozenset(sentence.words)
    if _NEEDED.isdisjoint(words):
        return items
    text = " ".join(sentence.words)
    starts = [0, *accumulate(len(word) + 1 for word in sentence.words)]
    places = [item.first for item in items]
    taken = [False] * len(sentence.words)
    found: list[Phrase] = []
    for name, values, start, end in _matches(text, words):
        first, last = bisect_left(starts, start), bisect_right(starts, end - 1) - 1
        if any(taken[first : last + 1]):
            continue
        term = Term("relation", (name, *values))
        if name in _WITH_LEADS and not (name == TRANSITION and values[0]):
            inside = items[bisect_left(places, first) : bisect_right(places, last)]
            leads = [item.term for item in inside if item.term.kind == "lead"]
            if not leads:
                continue
            listed = dict.fromkeys(lead for one in leads for lead in one.values)
            term = Term("relation", (name, *values, *listed), region=any(one.region for one in leads))
        taken[first : last + 1] = [True] * (last + 1 - first)
        found.append(Phrase(term, first, last))
    kept = [item for item in items if not any(taken[item.first : item.last + 1])]
    return sorted([*kept, *found], key=lambda item: item.first)


def _matches(text: str, words: frozenset[str]) -> Iterator[tuple[str, tuple[str, ...], int, int]]:
    """Name, values and characters of every relation; "upright in II and inverted in aVR" has two."""
    for pattern in _PATTERNS:
        if pattern.needs.isdisjoint(words):
            continue
        for regex in pattern.regexes:
            for match in regex.finditer(text):
                values = pattern.values(match)
                if values is None:
                    continue
                yield pattern.name, values, *match.span("part" if "part" in regex.groupindex else 0)
                end = match.end()
                while pattern.name == DIRECTION and (more := _ALSO.match(text, end)):
                    yield DIRECTION, (_upwards(more), *values[1:]), more.start("how"), more.end()
                    end = more.end()


def read_relation(c: Context, number: int, item: Phrase) -> None:
    """Read a relation as one statement.

    Args:
        c: the sentence.
        number: of the item.
        item: the relation.
    """
    name, word, *rest = item.term.values
    scope = c.scope_for(item.first, item.last, number)
    size = None
    leads: Sequence[str] = ()
    subject = (name, *rest)
    if name == RATIO:
        lead, figure = rest
        size = Number(float(figure), float(figure), "", c.starts[item.first], c.ends[item.last], compare=word)
        subject, leads = (name,), (lead,)
        word = ""
    elif name == TRANSITION:
        subject, leads = (name,), rest
    elif name in (DIRECTION, FORM):
        subject, leads = (name, rest[0]), rest[1:]
    first, about = item.first, c.subjects[-1] if c.subjects else None
    if name == PR_CONSTANT and about is not None and about.name == "pr" and not about.numbers:
        first = min(first, about.first)  # "PR interval is constant"
    statement = c.add(
        "relation",
        subject,
        first,
        item.last,
        word="" if word == "not" else word,
        negated=scope.negated != (word == "not"),
        uncertain=scope.uncertain,
        exclusion=scope.exclusion,
        leads=tuple(leads),
        region=item.term.region,
        number=size,
    )
    c.head([statement], item.first, item.last)
    c.segment = None
