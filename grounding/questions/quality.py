"""What questions about the quality of the signal ask, and the answer of ``Measurement.quality``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .._version import __version__
from ..evidence import Evidence
from ..facts import listed

if TYPE_CHECKING:
    from ..measurement.result import Measurement

_CONTACT = ("missing", "gaps", "flat", "lead_off")
_ALL = (
    *_CONTACT,
    "clipped",
    "saturated",
    "noise",
    "heavy_noise",
    "mains",
    "baseline",
    "implausible_amplitude",
    "low_amplitude",
)
# what is asked about (a section of words.yaml) -> issues of Measurement.quality that it means, and its noun
ABOUT: Mapping[str, tuple[tuple[str, ...], str]] = {
    "noise": (("noise", "heavy_noise", "mains"), "noise"),
    "mains": (("mains",), "mains interference"),
    "baseline": (("baseline",), "baseline wander"),
    "flatline": (("flat", "missing"), "flat line"),
    "contact": (_CONTACT, "lost contact of an electrode"),
    "clipping": (("clipped", "saturated"), "clipped peaks"),
    "artefact": (tuple(issue for issue in _ALL if issue != "low_amplitude"), "artefact"),
    "steady": (("baseline",), "baseline wander"),
    "good": (_ALL, "fault of the signal"),
    "poor": (_ALL, "fault of the signal"),
    "quality": (_ALL, "fault of the signal"),
}
ISSUE_WORDS = {
    "missing": "samples missing",
    "gaps": "gaps",
    "flat": "no signal",
    "lead_off": "lost contact of an electrode",
    "clipped": "clipped peaks",
    "saturated": "stretches at the amplifier's limit",
    "noise": "muscle or converter noise",
    "heavy_noise": "heavy noise",
    "mains": "mains interference",
    "baseline": "baseline wander",
    "implausible_amplitude": "an implausible amplitude",
    "low_amplitude": "hardly any amplitude",
    "no_ecg": "a signal that is no ECG",
}
_DENIED = re.compile(r"\b(?:no|not|without|isn't|aren't|kein\w*|ohne|nicht)\s+(?:\w+\s+)?$", re.I)
# "interference from baseline drift": what is named behind it is asked for
_CAUSED = re.compile(r"\s+(?:is\s+)?(?:from|by|caused by|due to|because of)\b", re.I)
_OTHER_LEAD = re.compile(r"\bV(?:[7-9]|[1-9]R)\b", re.I)
_LISTS = re.compile(r"\b(?:which|what|where|how|list|name|describe|welche\w*|wie|wo)\b", re.I)
_GOOD = re.compile(r"\b(?:good|acceptable|sufficient|adequate|ok|okay|fine|high|gut|ausreichend)\b", re.I)
_POOR = re.compile(r"\b(?:poor|bad|low|insufficient|inadequate|limited|schlecht|unzureichend)\b", re.I)
_GOOD_IF_NONE = frozenset({"good", "steady"})
_UNTOLD = {
    "bursts": "each lead is judged over the whole recording, which tells neither short bursts nor movement",
    "placement": "where the electrodes lie is not measured: only an exchange of the arm electrodes is looked for",
}
_SWAPPED, _NOT_SWAPPED = (
    "lead I is the mirror image of V6, as with exchanged arm electrodes",
    "lead I is not the mirror image of V6, as it is with exchanged arm electrodes; other exchanges are not tested",
)
_SIGNAL = "the signal"
_NAMED = 5  # so many leads are named one by one, where all are meant
State = tuple[str, dict[str, str], tuple[Evidence, ...]]


def named_quality(stem: str, patterns: Mapping[str, re.Pattern[str]]) -> list[tuple[int, int, str]]:
    """The places in a question that are about the quality of the signal: (start, end, key of ``ABOUT``), in order.

    Args:
        stem: the question without its options.
        patterns: the phrases of each key.
    """
    found = sorted(
        ((match.start(), match.end(), name) for name, pattern in patterns.items() for match in pattern.finditer(stem)),
        key=lambda one: (one[0], -one[1]),
    )
    out: list[tuple[int, int, str]] = []
    for start, end, name in found:
        if name == "quality" and not _LISTS.search(stem):
            name = "poor" if _POOR.search(stem) else "good" if _GOOD.search(stem) else name
        if (not out or start >= out[-1][1]) and not (name == "noise" and _CAUSED.match(stem, end)):
            out.append((start, end, name))
    return out


def other_leads(stem: str) -> list[str]:
    """The leads in a question that are none of the twelve: "V7", "V4R".

    Args:
        stem: the question without its options.
    """
    return [match.upper() for match in _OTHER_LEAD.findall(stem)]


def is_denied(before: str) -> bool:
    """Whether a phrase about the quality is denied: "is there no noise".

    Args:
        before: what the question says before the phrase.
    """
    return bool(_DENIED.search(before))


def asks_for_a_list(stem: str) -> bool:
    """Whether a question about the quality wants to know which leads, rather than yes or no.

    Args:
        stem: the question without its options.
    """
    return bool(_LISTS.search(stem))


def quality_state(measurement: Measurement, names: Sequence[str], words: str, leads: Sequence[str]) -> State:
    """The answer to a question about the quality of the signal: state, texts by kind of tag, and evidence.

    Args:
        measurement: of the recording.
        names: of a link of kind ``quality``: what is asked, perhaps ``list`` or ``not``.
        words: of the question.
        leads: asked about; empty for all.
    """
    about, as_list, denied = names[0], "list" in names, "not" in names
    if about in _UNTOLD:
        return "outside", {"q": words, "r": _UNTOLD[about]}, ()
    columns = (measurement.column("quality", name) for name in ("lead", "usable", "issues", "unusable_spans_s"))
    table = {lead: (bool(usable), tuple(issues), spans) for lead, usable, issues, spans in zip(*columns, strict=True)}
    if about == "swapped":
        return _swapped(measurement, words, denied, [lead for lead, (usable, _, _) in table.items() if usable])
    absent = [lead for lead in leads if lead not in table]
    if absent or not table:
        return "missing", {"q": words, "r": f"{listed(absent) or 'the lead'} was not recorded"}, ()
    asked = list(leads) or list(table)
    proofs = {
        lead: Evidence(
            measurement.record_id,
            "signal_quality",
            ", ".join(table[lead][1]) or "no issue",
            leads=(lead,),
            spans_s=tuple((float(a), float(b)) for a, b in table[lead][2]),
            method="signal quality",
            version=__version__,
        )
        for lead in asked
    }
    place = listed(asked) if len(asked) <= _NAMED else f"any of the {len(asked)} leads"
    if about in ("usable", "unusable"):
        named = [lead for lead in asked if table[lead][0] == (about == "usable")]
        text = f"{about} leads: {listed(named) or 'none'}"
        if as_list:
            return "seen", {"q": _SIGNAL, "v": text}, tuple(proofs.values())
        if about == "usable" and not leads and "every" not in names:  # of the recording: most of its leads
            others = [lead for lead in asked if lead not in named]
            text += f"; not usable: {listed(others)}" if named and others else ""
            return _truth((2 * len(named) >= len(asked)) != denied), {"q": words, "e": text}, tuple(proofs.values())
        truth = len(named) == len(asked) if about == "usable" else bool(named)
        return _truth(truth != denied), {"q": words, "e": text}, tuple(proofs.values())
    wanted, noun = ABOUT[about]
    found = {issue: [lead for lead in asked if issue in table[lead][1]] for issue in wanted}
    every = f"all {len(asked)} leads" if len(asked) > _NAMED else ""
    there = "; ".join(
        f"{ISSUE_WORDS[issue]} in {(where == asked and every) or listed(where)}"
        for issue, where in found.items()
        if where
    )
    hit = [lead for lead in asked if set(table[lead][1]) & set(wanted)]
    evidence = tuple(proofs[lead] for lead in hit or asked)
    text = there or f"no {noun} in {place}"
    if as_list or about == "quality":
        return "seen", {"q": _SIGNAL, "v": text}, evidence
    truth = (not hit) == (about in _GOOD_IF_NONE)
    return _truth(truth != denied), {"q": words, "e": text}, evidence


def _truth(holds: bool) -> str:
    return "true" if holds else "false"


def _swapped(measurement: Measurement, words: str, denied: bool, usable: Sequence[str]) -> State:
    if not {"I", "V6"} <= set(usable):
        return (
            "unknown",
            {
                "q": "an exchange of the arm electrodes",
                "r": "leads I and V6 are compared for it, and are not both usable",
            },
            (),
        )
    there = "limb_leads_swapped" in measurement.issues
    proof = Evidence(
        measurement.record_id,
        "limb_leads_swapped",
        there,
        leads=("I", "V6"),
        method="signal quality",
        version=__version__,
    )
    return _truth(there != denied), {"q": words, "e": _SWAPPED if there else _NOT_SWAPPED}, (proof,)
