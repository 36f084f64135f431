"""Values held against each other, leads in which something holds, extremes, and values in another unit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..criteria import shown
from ..criteria.language import RECORD_WORDS
from ..evidence import Evidence
from ..facts import listed
from ..record import STANDARD_LEADS
from ..statements.parsed import ParsedStatement
from ..statements.relations import DIRECTION, P_QRS
from ..statements.truth import holds
from .parsed import Link

if TYPE_CHECKING:
    from ..criteria.quantities import Quantities
    from ..measurement.result import Measurement

State = tuple[str, dict[str, str], tuple[Evidence, ...]]
_LONGER = r"longer|larger|greater|bigger|wider|broader|higher|faster|more|taller|deeper"
_SHORTER = r"shorter|smaller|narrower|lower|slower|less"
_THAN = re.compile(
    rf"^\W*(?:interval |duration )?(?:is |are )?(?:(?P<more>{_LONGER})|{_SHORTER}) than (?P<half>half|twice)?", re.I
)
_WHICH_OF = re.compile(rf"\bwhich (?:one )?(?:is|are|has) (?:the )?(?:(?P<more>{_LONGER})|{_SHORTER})\b", re.I)
_WHICH_LEADS = re.compile(
    r"\b(?:in )?(?P<ask>which|what|how many|welche[nr]?|wie viele[n]?) (?:of the )?"
    r"(?P<which>chest |precordial |limb |inferior |lateral |anterior )?(?:ecg )?(?:leads?|ableitung(?:en)?)\b",
    re.I,
)
_SIGN = re.compile(
    r"\b(?P<how>negative|positive|upright) (?P<wave>qrs|p|t)\b|\b(?P<wave2>qrs|p|t)(?: waves?| complex(?:es)?)?"
    r"(?: is| are)? (?P<how2>negative|positive|upright)\b",
    re.I,
)
_IN_HOW_MANY = re.compile(
    r"\bhow many (?:of the )?leads (?:is|are|do|show|have|has)\b.{0,12}\bt(?:[- ]?waves?)? (?:is |are )?"
    r"(?P<how>inverted|negative|upright|positive)",
    re.I,
)
_HOW_MANY_T = re.compile(
    r"\b(?:how many|number of|wie viele) t[- ]?(?:waves?|wellen) (?:are |is |sind )?"
    r"(?P<how>inverted|negative|upright|positive)",
    re.I,
)
_SMALLEST = re.compile(
    r"\b(?:smallest|lowest|shortest|shallowest|least|flattest|kleinste[nr]?|niedrigste[nr]?)\b", re.I
)
_LARGEST = re.compile(
    r"\b(?:tallest|largest|highest|biggest|deepest|greatest|größte[nr]?|höchste[nr]?|tiefste[nr]?)\b", re.I
)
_EVERY_LEAD = re.compile(r"\b(?:all|each|every|the|allen|jeder) (?:(?:12|twelve) )?(?:leads?|ableitung(?:en)?)\b", re.I)
_LISTS = re.compile(r"\b(?:list|rank|give|show|tabulate|amplitudes?|nenne|what are)\b", re.I)
# unit of a value -> (what asks for another, how many of it one is, its name)
_UNITS = {
    "ms": (
        (re.compile(r"\bin (?:s|secs?|seconds?|sekunden)\b", re.I), 0.001, "s", 3),
        (re.compile(r"\bsmall (?:squares?|boxes)\b|\bin mm\b", re.I), 1 / 40, "small squares at 25 mm/s", 1),
        (re.compile(r"\b(?:large|big) (?:squares?|boxes)\b", re.I), 1 / 200, "large squares at 25 mm/s", 1),
    ),
    "mV": (
        (
            re.compile(r"\bin (?:mm|millimet(?:er|re)s?)\b|\bsmall (?:squares?|boxes)\b", re.I),
            10.0,
            "mm at 10 mm/mV",
            1,
        ),
        (re.compile(r"\bin (?:µv|uv|microvolts?|mikrovolt)\b", re.I), 1000.0, "µV", 0),
    ),
    "bpm": ((re.compile(r"\bin (?:hz|hertz)\b|\bper second\b", re.I), 1 / 60, "Hz", 2),),
}


def converted(value: float, unit: str, question: str) -> str:
    """A value in the unit that a question asks for, as a text behind the value; ``""`` where it asks for none.

    Args:
        value: in ``unit``.
        unit: as it is measured.
        question: its text.

    Example:
        >>> converted(245.0, "ms", "What is the PR interval in seconds?")
        ', that is 0.245 s'
    """
    for pattern, factor, name, digits in _UNITS.get(unit, ()):
        if pattern.search(question):
            return f", that is {value * factor:.{digits}f} {name}"
    return ""


def with_comparisons(stem: str, links: Sequence[Link]) -> list[Link]:
    """The links of a question; two values held against each other are one, as are leads that are asked for.

    Args:
        stem: the question.
        links: what it names, in order.
    """
    values = [link for link in links if link.kind == "quantity" and len(link.names) == 1]
    which = _WHICH_OF.search(stem)
    if len(values) == 2 == len(links):
        one, other = values
        than = _THAN.match(stem[one.end : other.start])
        if than or which:
            more = (than or which)["more"]  # type: ignore[index]
            factor = {"half": "0.5", "twice": "2"}.get((than["half"] or "").lower() if than else "", "1")
            names = ("which" if which else "than", ">" if more else "<", one.names[0], other.names[0], factor)
            return [Link(one.start, other.end, "versus", stem[one.start : other.end], names)]
    waves = [link for link in links if link.kind == "amplitude" and link.names[:1] != ("",)]
    if which and waves and len({link.names for link in waves}) == 1:
        leads = tuple(
            dict.fromkeys(lead for link in links if link.kind in ("amplitude", "lead") for lead in link.leads)
        )
        if len(leads) > 1:
            extreme = "largest" if which["more"] else "smallest"
            return [replace(waves[0], names=(waves[0].names[0], extreme), leads=leads)]
    return _leads_asked(stem, links)


def _leads_asked(stem: str, links: Sequence[Link]) -> list[Link]:
    asks, many_t = _WHICH_LEADS.search(stem), _HOW_MANY_T.search(stem) or _IN_HOW_MANY.search(stem)
    if many_t:
        return [_of_sign(many_t.span(), f"{many_t['how']} T waves", "t", many_t["how"], "count")]
    sign = _SIGN.search(stem)
    if asks and sign:
        wave, how = sign["wave"] or sign["wave2"], sign["how"] or sign["how2"]
        return [_of_sign(sign.span(), sign.group(), wave.lower(), how, "count" if _counts(asks) else "list")]
    out = []
    for link in links:
        said = link.statement
        if (
            link.kind == "claim"
            and said is not None
            and said.subject[:1] == (P_QRS,)
            and re.search(r"\bhow many\b", stem, re.I)
        ):
            link = replace(link, kind="quantity", names=("dropped_beats",), statement=None)
        elif link.kind == "claim" and said is not None and asks and not link.leads:
            of_leads = said.kind == "amplitude" or (said.kind == "finding" and (said.negated or _counts(asks)))
            if of_leads and not (said.kind == "amplitude" and len(said.subject) > 1):
                link = replace(link, kind="leads", names=("count" if _counts(asks) else "list",))
        elif link.kind == "amplitude" and _SMALLEST.search(stem):
            link = replace(link, names=(link.names[0], "smallest"))
        elif link.kind == "amplitude" and len(link.leads) > 1 and asks and _LARGEST.search(stem):
            link = replace(link, names=(link.names[0], "largest"))
        elif link.kind == "amplitude" and not link.leads and _EVERY_LEAD.search(stem) and _LISTS.search(stem):
            link = replace(link, leads=STANDARD_LEADS)
        out.append(link)
    return out


def _counts(asks: re.Match[str]) -> bool:
    return asks["ask"].lower() in ("how many", "wie viele", "wie vielen")


def _of_sign(span: tuple[int, int], words: str, wave: str, how: str, what: str) -> Link:
    up = how.lower() in ("upright", "positive")
    said = ParsedStatement("relation", (DIRECTION, wave), *span, word="up" if up else "down")
    return Link(*span, "leads", words, (what,), (), said)


def versus_state(link: Link, quantities: Quantities) -> State:
    """Two values held against each other: state, texts by kind of tag, and evidence.

    Args:
        link: of kind ``versus``.
        quantities: of the measurement.
    """
    how, sign, *names, factor = link.names
    names = ["qtc_fridericia" if name == "qtc" else name for name in names]
    proofs = tuple(quantities.evidence(None, name) for name in names)
    words = [RECORD_WORDS.get(name, name) for name in names]
    for proof, title in zip(proofs, words, strict=True):
        if not isinstance(proof.value, int | float):
            return (
                "unknown" if how == "than" else "missing",
                {"q": title, "r": proof.reason or "it was not measured"},
                proofs,
            )
    if proofs[0].unit != proofs[1].unit:
        return "outside", {"q": link.words, "r": "the two have different units"}, proofs
    first, second = (float(proof.value or 0) for proof in proofs)
    said = " and ".join(
        f"the {title} is {shown(value, proofs[0].unit)}" for title, value in zip(words, (first, second), strict=True)
    )
    if how == "than":
        second *= float(factor)
        return (
            ("true" if (first > second) == (sign == ">") and first != second else "false"),
            {"q": link.words, "e": said},
            proofs,
        )
    best = words[0] if (first >= second) == (sign == ">") else words[1]
    return "seen", {"q": f"{'larger' if sign == '>' else 'smaller'} of the two", "v": f"the {best} ({said})"}, proofs


def leads_state(link: Link, measurement: Measurement) -> State:
    """The leads in which something holds, one by one: state, texts by kind of tag, and evidence.

    Args:
        link: of kind ``leads``.
        measurement: of the recording.
    """
    assert link.statement is not None
    found, unknown, evidence = [], [], list[Evidence]()
    for lead in (lead for lead in STANDARD_LEADS if lead in measurement.leads):
        truth, _, proofs = holds(replace(link.statement, leads=(lead,), region=False, negated=False), measurement)
        truth = truth if truth is None else truth != link.statement.negated
        if truth:
            found.append(lead)
            evidence += [part for part in proofs if part.leads == (lead,)]
        elif truth is None:
            unknown.append(lead)
    words = re.sub(r"^(?:is|are|have|has|with|no|without)\s+", "", link.words, flags=re.I)
    denied = link.statement.negated and not link.statement.word
    title = f"leads {'without' if denied else 'with'} {words}"
    if not found and unknown:
        return "missing", {"q": f"set of {title}", "r": f"it can't be told in {listed(unknown)}"}, ()
    text = listed(found) or "none"
    if link.names[0] == "count":
        title, text = f"number of {title}", f"{len(found)} ({text})" if found else "0"
    return "seen", {"q": title, "v": text + (f"; not known in {listed(unknown)}" if unknown else "")}, tuple(evidence)
