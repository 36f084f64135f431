"""What a question says of a finding beside its name: "new", "frequent", "incomplete", "more than 2 mm"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ..statements.items import items_of
from ..statements.lexicon import lexicon
from ..statements.naming import AMPLITUDE_OF, DIRECTIONS
from ..statements.parsed import ParsedStatement
from ..statements.relations import LARGER
from ..statements.tokens import sentences
from .parsed import Link

_EXTENT = re.compile(r"\b(incomplete|complete|inkomplett\w*|komplett\w*|partial)\b", re.I)
_LEAD = r"(?:in |of )?(?:the )?(?:lead )?(iii|ii|i|av[rlf]|v[1-6])\b"
_DEVIATION = r"(?:(?P<st>st)[- ]?(?:segment )?(?P<side>depression|elevation)s?|t[- ]?(?:waves? )?inversions?)"
_COMPARED = re.compile(
    rf"\b{_DEVIATION}(?: (?:is|are))?(?: {_LEAD})?(?: (?:is|are))? "
    r"(?P<rel>more (?:marked|pronounced)|less (?:marked|pronounced)|deeper|larger|greater|bigger|higher|stronger|more|"
    rf"smaller|shallower|lower|weaker|less)(?: {_LEAD})? than (?:that |those )?{_LEAD}",
    re.I,
)
_LESS = ("less", "smaller", "shallower", "lower", "weaker")


def compared(stem: str) -> Link | None:
    """A deviation of one lead held against that of another: "Is the ST depression deeper in V6 than in V5?".

    Args:
        stem: the question.
    """
    match = _COMPARED.search(stem)
    if match is None:
        return None
    leads = _leads_of(match)
    if leads is None:
        return None
    finding = f"st_{match['side'].lower()}" if match["st"] else "t_wave_inversion"
    sides = tuple(f"{finding}:{one}" for one in leads)
    word = "<" if match["rel"].lower().startswith(_LESS) else ">"
    statement = ParsedStatement("relation", (LARGER, *sides), *match.span(), word=word)
    return Link(*match.span(), "claim", match.group(), (LARGER, *sides), (), statement)


def _leads_of(match: re.Match[str]) -> tuple[str, str] | None:
    leads = [one for one in match.groups() if one and re.fullmatch(r"iii|ii|i|av[rlf]|v[1-6]", one, re.I)]
    names = [one.upper() if one[0] not in "aA" else f"aV{one[2:].upper()}" for one in leads]
    return (names[0], names[1]) if len(names) == 2 else None


def with_amounts(stem: str, links: Sequence[Link]) -> list[Link]:
    """The links of a question; of a finding and the limit of its size ("ST depression of more than 2 mm") the size.

    Args:
        stem: the question.
        links: what it names, in order.
    """
    out: list[Link] = []
    for link in links:
        before, said = (out[-1] if out else None), link.statement
        about = before.statement if before is not None else None
        if (
            said is not None
            and said.kind == "amplitude"
            and said.number is not None
            and said.number.compare
            and about is not None
            and about.kind == "finding"
            and AMPLITUDE_OF.get(about.findings[0][0]) == said.subject[0]
        ):
            assert before is not None
            finding, leads = about.findings[0][0], said.leads or about.leads
            # "deep", "elevated": what the size is of
            whole = replace(said, leads=leads, word=finding if finding in DIRECTIONS else "", negated=False)
            start, end = min(before.start, link.start), max(before.end, link.end)
            out[-1] = replace(link, start=start, end=end, words=stem[start:end], leads=leads, statement=whole)
        else:
            out.append(link)
    return out


def qualified(
    stem: str, links: Sequence[Link], patterns: Sequence[tuple[re.Pattern[str], str, bool]], alone: bool = True
) -> list[Link]:
    """The links of a question; a finding of which it says what a recording doesn't tell has the reason.

    Args:
        stem: the question.
        links: what it names.
        patterns: words, why they can't be told, and whether they count within the name of a finding too.
        alone: no other word of the question may qualify more than the finding.
    """
    claims = [link for link in links if link.kind == "claim" and link.statement is not None and link.statement.findings]
    if len(claims) != 1 or not alone:
        return [_extent(stem, link, links) for link in links]
    named = _named(stem)
    assert claims[0].statement is not None
    of_infarction = any(name.endswith("infarction") for name in claims[0].statement.findings[0])
    for pattern, reason, inside in patterns:
        for match in pattern.finditer(stem):
            of_a_name = any(start < match.end() and match.start() < end for start, end in named)
            if of_infarction and match.group().lower().startswith(("old", "alt")):
                continue  # the Q waves of an infarction are those of an old one
            if inside or not of_a_name:
                one = replace(claims[0], reason=f"{match.group()}\n{reason}")
                return [one if link is claims[0] else link for link in links]
    return [_extent(stem, link, links) for link in links]


def _named(stem: str) -> list[tuple[int, int]]:
    """Where findings are named, without the words around them."""
    words = lexicon()
    return [
        (sentence.starts[item.first], sentence.ends[item.last])
        for sentence in sentences(stem, words.abbreviations)
        for item in items_of(sentence, words)
        if item.term.kind in ("finding", "regional", "unmodelled")
    ]


def _extent(stem: str, link: Link, links: Sequence[Link]) -> Link:
    """A bundle branch block that is called complete or incomplete behind its name: "Is the RBBB incomplete?"."""
    statement = link.statement
    if link.kind != "claim" or statement is None or not statement.findings or len(links) != 1:
        return link
    match = _EXTENT.search(stem)
    if match is None or any(start < match.end() and match.start() < end for start, end in _named(stem)):
        return link
    partial = match.group().lower().startswith(("in", "partial"))
    names = tuple(
        ("in" * partial) + name.removeprefix("in")
        for name in statement.findings[0]
        if name.removeprefix("in").startswith("complete_")
    )
    if not names:
        return link
    return replace(link, statement=replace(statement, findings=(tuple(dict.fromkeys(names)), *statement.findings[1:])))
