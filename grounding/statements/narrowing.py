"""Words beside the name of a finding that say which one it is: "BBB, left", "AV block (3rd degree)"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from .items import Phrase
from .lexicon import GROUPS, Lexicon, Subject, Term
from .tokens import Sentence

_DEGREES = GROUPS["av_block"][0]
_ORDINALS = {
    word: number
    for number, words in enumerate(("first 1st 1 i ersten", "second 2nd 2 ii zweiten", "third 3rd 3 iii dritten"))
    for word in words.split()
}
_ORDINAL = rf"(?:{'|'.join(sorted(_ORDINALS, key=len, reverse=True))})"
_DEGREE = r"(?: -)?(?: (?:degree|grade|grades|grad|grads|°))?"
# of a figure a degree must be said: "3° AVB", unlike "lead 3, AV block"
_SAID_DEGREE = (
    r"(?:(?:first|second|third|1st|2nd|3rd|ersten|zweiten|dritten)(?: -)?(?: degree| grade)?|"
    r"(?:[123]|i{1,3})(?: [-.])? (?:degree|°))"
)
_SIGN = r"(?: (?:,|/|\.|-|or|and|to|nor|und|oder|bis|bzw))"
_LIST = rf"{_ORDINAL}{_DEGREE}(?:{_SIGN}+ {_ORDINAL}{_DEGREE})*"
_BRACKETED = r"(?: \( \S+(?: \S+){0,2} \))?"
_BEFORE = re.compile(rf"(?<!\S)(?P<list>{_SAID_DEGREE}(?:{_SIGN}+ {_SAID_DEGREE})*){_BRACKETED}(?P<sign>{_SIGN}*) $")
_EXCEPT = "except(?: for)?|other than|apart from|besides|ausser"
_END = r"(?: \.)?(?: (?:grades|grads|degree|block))?(?: \))?(?= [^a-z0-9]| (?:and|or|with|but|is|in|mit|und) | $|$)"
_BEHIND = re.compile(
    rf"(?: [(,:])?(?: of| the| type| der| des)*(?: (?P<except>{_EXCEPT})|(?P<beyond> beyond| above| higher than|"
    rf" greater than| more than| hoeher als))?(?: the)? (?P<list>(?:grade |grad |degree )?{_LIST}){_END}"
)
_MORE = re.compile(rf"(?P<list>(?:{_SIGN}+ {_ORDINAL}{_DEGREE})+){_END}")
_RATIO = re.compile(r"(?<!\S)(?:[2-9] : 1|variable|varying|variabler|variablem|wechselnder)(?: -)? $")
_GLUE = frozenset({"-", "(", ")"})
_LINKS = frozenset({",", "(", ":", "-", "=", "to", "of", "the", "on", "type", "with", "auf", "nach", "mit"})
_ENDS_NAME = frozenset(
    {
        "",
        ",",
        ")",
        "(",
        ":",
        ";",
        ".",
        "/",
        "-",
        "|",
        "?",
        "and",
        "or",
        "with",
        "but",
        "is",
        "in",
        "seen",
        "present",
        "noted",
    }
    | {"pattern", "morphology", "type", "side", "und", "oder", "mit", "as", "at", "not", "cannot"}
)
_TYPE = frozenset({"type", "typ", "pattern"})
# kinds of items that are no more than words of the name
_PARTS = frozenset({"quality", "skip", "region", "number", "lead", "unmodelled", "past"})
_SIGHT = 12  # tokens beside a name that are looked at


def narrowed(sentence: Sentence, items: list[Phrase], lexicon: Lexicon) -> list[Phrase]:
    """The items of a sentence, in which a name of several findings stands for those that the words beside it leave.

    Args:
        sentence: its tokens.
        items: from ``items_of``.
        lexicon: with the words that narrow a name.
    """
    if not any(_may_be_narrowed(item, lexicon) for item in items):
        return items
    out = list(items)
    at = 0
    while at < len(out):
        if _may_be_narrowed(out[at], lexicon):
            out, at = _narrow(sentence.words, out, at, lexicon)
        at += 1
    return out


def _may_be_narrowed(item: Phrase, lexicon: Lexicon) -> bool:
    subject = item.term.subject
    return item.term.kind == "finding" and (subject in lexicon.narrower or _is_av_block(subject))


def _is_av_block(subject: Subject) -> bool:
    return len(subject) == 1 and set(subject[0]) <= set(_DEGREES)


def _narrow(words: Sequence[str], items: list[Phrase], at: int, lexicon: Lexicon) -> tuple[list[Phrase], int]:
    """Narrow one item by the words on both sides, and take them into it; also its new number."""
    item = items[at]
    if _is_av_block(item.term.subject):
        item = _degree(words, items, at)
    for _ in range(3):  # "BBB, left, incomplete"
        ways = lexicon.narrower.get(item.term.subject, {})
        found = _before(words, item, ways) or _behind(words, items, item, ways)
        if found is None:
            break
        subject, first, last = found
        item = Phrase(replace(item.term, subject=subject), first, last)
    if item is items[at]:
        return items, at
    before = [other for other in items[:at] if other.last < item.first]
    return [*before, item, *(other for other in items[at + 1 :] if other.first > item.last)], len(before)


def _before(
    words: Sequence[str], item: Phrase, ways: Mapping[tuple[str, ...], Subject]
) -> tuple[Subject, int, int] | None:
    end = item.first
    while end and words[end - 1] in _GLUE and words[end - 1] != "(":
        end -= 1
    for size in (4, 3, 2, 1):
        start = _start_of(words, end, size)
        if start is not None and (subject := ways.get(tuple(w for w in words[start:end] if w not in _GLUE))):
            return subject, start - (start > 0 and words[start - 1] == "(" and words[end : end + 1] == [")"]), item.last
    return None


def _start_of(words: Sequence[str], end: int, size: int) -> int | None:
    """The first of ``size`` words before a token, hyphens not counted; None where there are fewer."""
    start = end
    while size and start:
        start -= 1
        size -= words[start] != "-"
    return None if size else start


def _behind(
    words: Sequence[str], items: Sequence[Phrase], item: Phrase, ways: Mapping[tuple[str, ...], Subject]
) -> tuple[Subject, int, int] | None:
    start = item.last + 1
    while start < len(words) and words[start] in _LINKS and start - item.last <= 4:
        start += 1
    for size in (4, 3, 2, 1):
        end = start
        part = list[str]()
        while end < len(words) and len(part) < size:
            if words[end] != "-":
                part.append(words[end])
            end += 1
        subject = ways.get(tuple(part))
        if subject is None or (words[end] if end < len(words) else "") not in _ENDS_NAME:
            continue
        whole = [one for one in items if one.first < end and one.last >= start]
        parts = (one.term.kind in _PARTS or one.term.subject == subject for one in whole)
        if all(parts) and all(start <= one.first and one.last < end for one in whole):
            end += end < len(words) and words[end] in _TYPE
            closes = "(" in words[item.last + 1 : start] and end < len(words) and words[end] == ")"
            return subject, item.first, end - 1 + closes
    return None


def _degree(words: Sequence[str], items: Sequence[Phrase], at: int) -> Phrase:
    """An AV block with the degrees that are written beside it: "first, second or third degree AV block"."""
    item = items[at]
    low, high = max(0, item.first - _SIGHT), item.last + 1 + _SIGHT
    text = " ".join(words[low : item.first]) + " "
    places = [0, *accumulate(len(word) + 1 for word in words[low : item.first])]
    if item.term.subject == (_DEGREES,) and _RATIO.search(text):
        ratio = _RATIO.search(text)
        assert ratio is not None
        first = low + places.index(ratio.start())
        near = [
            name
            for one in items[:at]
            if item.first - one.last <= _SIGHT
            for group in one.term.subject
            for name in group
        ]
        if "atrial_flutter" in near:  # "atrial flutter with 2:1 AV block": no block of its own
            return Phrase(Term("unmodelled"), first, item.last)
        if ":" in ratio.group():
            return Phrase(replace(item.term, subject=((_DEGREES[1],),)), first, item.last)
    found = _BEFORE.search(text)
    named = item.term.subject != (_DEGREES,)
    if found and (named if found["sign"].strip(" -") else not named):
        numbers = _numbers(found["list"])
        if named:  # "first or second degree AV block"
            numbers |= {_DEGREES.index(name) for name in item.term.subject[0]}
        return Phrase(_of_degrees(item.term, numbers), low + places.index(found.start()), item.last)
    if item.term.subject != (_DEGREES,) and len(item.term.subject[0]) > 1:
        return item
    behind = " " + " ".join(words[item.last + 1 : high]) + " "
    found = (_MORE if named else _BEHIND).match(behind)
    if not found:
        return item
    numbers = _numbers(found["list"])
    if named:  # "AV block I, II or III"
        numbers |= {_DEGREES.index(item.term.subject[0][0])}
    elif found["except"]:
        numbers = {0, 1, 2} - numbers
    elif found["beyond"]:
        numbers = set(range(max(numbers) + 1, 3))
    if not numbers:
        return item
    if re.search(rf" (?:-|to|bis) {_ORDINAL} ", found["list"] + " "):
        numbers = set(range(min(numbers), max(numbers) + 1))
    return Phrase(_of_degrees(item.term, numbers), item.first, item.last + len(found.group().split()))


def _numbers(text: str) -> set[int]:
    return {_ORDINALS[word] for word in text.split() if word in _ORDINALS}


def _of_degrees(term: Term, numbers: set[int]) -> Term:
    return replace(term, subject=(tuple(_DEGREES[number] for number in sorted(numbers)),))
