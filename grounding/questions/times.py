"""When waves and premature beats are seen: "When is the first P wave?", "In which segment is a QRS complex?"."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .._version import __version__
from ..evidence import Evidence
from .parsed import Link

if TYPE_CHECKING:
    from ..measurement.result import Measurement

Span = tuple[float, float]
_NUMBER = r"(\d+(?:[.,]\d+)?)"
_WHEN = re.compile(r"\b(?:when (?:does|do|did|is|are|was|were)|at (?:what|which) (?:times?|seconds?)|wann)\b", re.I)
_AT = re.compile(
    rf"\b(?:at|between|around|bei|zwischen)\s+\[?(?:t\s*=\s*)?{_NUMBER}\s*(?:s\s*)?"
    rf"(?:(?:and|und|to|bis|-)\s*{_NUMBER}\s*)?(?:s|secs?|seconds?|sekunden?)\b",
    re.I,
)
_SEGMENTS = re.compile(r"\b(?:in )?which (?:of (?:the|these)(?: following)? )?(?:time )?segments?\b", re.I)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_ERSTE = ("erste", "zweite", "dritte", "vierte", "fünfte", "sechste", "siebte", "achte", "neunte", "zehnte")
_ORDINAL = rf"(?:{'|'.join(_ORDINALS)}|(?:{'|'.join(_ERSTE)})[nrs]?|\d+(?:st|nd|rd|th)|last|letzte[nrs]?)"
_BEAT = r"(?:heart ?)?(?:beat|qrs complex|qrs|complex|schlag|herzschlag)"
ONE_BEAT = re.compile(rf"\bbeat (?:number |no\.? ?|# ?)?(\d+)\b|\b({_ORDINAL}) {_BEAT}\b", re.I)
_NTH_WAVE = re.compile(rf"\b({_ORDINAL}) (?:[prt][ -]?(?:waves?|wellen?|zacken?)|qrs|pvc|pac|premature)", re.I)
_GERMAN = re.compile(r"([pt])[- ]?(?:wellen?|zacken?)\b", re.I)  # they are findings without a criterion elsewhere
_NOT_AT_A_TIME = "values of single beats are not asked for here: Measurement.waves and .beats have them"
_NO_SUCH_TIME = "what is seen at one time is told for P waves, QRS complexes, T waves and premature beats alone"
NOUNS = {
    "P": "P wave",
    "QRS": "QRS complex",
    "T": "T wave",
    "premature": "premature beat",
    "ventricular": "premature ventricular beat",
    "supraventricular": "premature supraventricular beat",
    "normal": "normal beat",
    "paced": "paced beat",
    "abnormal": "beat that is not normal",
}
PLURALS = {name: f"{noun}{'es' if noun.endswith('x') else 's'}" for name, noun in NOUNS.items()}
PLURALS["abnormal"] = "beats that are not normal"
_OF_NAME = {"p": "P", "q": "QRS", "r": "QRS", "s": "QRS", "qrs": "QRS", "t": "T"}
_OF_FINDING = {
    "t_wave_inversion": "T",
    "flat_t_wave": "T",
    "tall_t_wave": "T",
    "pathological_q_waves": "QRS",
    "q_waves": "QRS",
    "wide_qrs": "QRS",
    "p_waves": "P",
    "premature_ventricular_complex": "ventricular",
    "premature_atrial_complex": "supraventricular",
}
TYPES = {
    "premature": ("premature_ventricular", "premature_supraventricular"),
    "ventricular": ("premature_ventricular",),
    "supraventricular": ("premature_supraventricular",),
    "normal": ("normal",),
    "paced": ("paced",),
    "abnormal": ("premature_ventricular", "premature_supraventricular", "paced", "wide"),
}
_LISTED = 15  # times in one answer
_OVERLAP = 0.5  # of the shorter of a wave and a segment


def asks_for_times(stem: str) -> bool:
    """Whether a question is about what is seen at some time.

    Args:
        stem: the question.
    """
    return any(pattern.search(stem) for pattern in (_WHEN, _AT, _SEGMENTS))


def timed(stem: str, links: Sequence[Link], wants: set[str]) -> list[Link]:
    """The links of a question about times: of a wave or premature beat the kind ``time``, others ``outside``.

    Args:
        stem: the question.
        links: what it names.
        wants: as in ``Question``.
    """
    segments = _SEGMENTS.search(stem)
    when = segments or _WHEN.search(stem)
    if not when and any(link.kind == "claim" and wave_of(link) is None for link in links):
        return list(links)  # "Is there ST elevation at 2.3 s?" is asked of the recording
    out = []
    for link in links:
        wave = wave_of(link)
        if link.kind == "claim" and wave is None:  # "when does the patient have AF?" is answered without times
            out += [] if segments else [link]
            continue
        if link.kind == "lead":
            continue
        if wave is None or (not when and "value" in wants):
            out.append(replace(link, kind="outside", reason=_NOT_AT_A_TIME if wave or not when else _NO_SUCH_TIME))
            continue
        at = _AT.search(stem)
        names: tuple[str, ...] = (wave, "all")
        if at and not when:
            start = float(at[1].replace(",", "."))
            names = (wave, "within", str(start), at[2].replace(",", ".") if at[2] else str(start))
        elif nth := nth_wave(stem):
            names = (wave, "nth", str(nth))
        out.append(replace(link, kind="time", names=names, statement=None))
    return out[-1:] if segments else out


def _ordinal(word: str) -> int:
    """The number of "third", "3rd" or "dritte"; -1 of "last"."""
    word = word.lower()
    if word.startswith(("last", "letzt")):
        return -1
    if word[0].isdigit():
        return int(re.sub(r"\D", "", word))
    stem = re.sub(r"(?<=e)[nrs]$", "", word)
    return (_ORDINALS.index(word) if word in _ORDINALS else _ERSTE.index(stem)) + 1


def place_of(match: re.Match[str]) -> int:
    """The number of the beat that ``ONE_BEAT`` found; -1 for the last.

    Args:
        match: of it.
    """
    return int(match[1]) if match[1] else _ordinal(match[2])


def nth_wave(stem: str) -> int | None:
    """The number of the wave whose time is asked for: "When is the 3rd QRS?"; -1 for the last, None if none is named.

    Args:
        stem: the question.
    """
    match = _NTH_WAVE.search(stem) or ONE_BEAT.search(stem)
    if match is None:
        return None
    return _ordinal(match[1]) if match.re is _NTH_WAVE else place_of(match)


def wave_of(link: Link) -> str | None:
    """The wave or kind of beat that a link names, as ``spans_of`` takes it; None if it names none.

    Args:
        link: of a question.
    """
    if link.kind == "outside" and (german := _GERMAN.match(link.words)):
        return german[1].upper()
    if link.kind in ("quantity", "amplitude"):
        return _OF_NAME.get(link.names[0])
    if link.statement is None or link.statement.kind != "finding":
        return None
    named = {_OF_FINDING[name] for group in link.statement.findings for name in group if name in _OF_FINDING}
    return "premature" if {"ventricular", "supraventricular"} <= named else min(named, default=None)


def spans_of(wave: str, leads: Sequence[str], measurement: Measurement) -> list[Span]:
    """Where a wave begins and ends in each beat that has it, in seconds.

    Args:
        wave: ``P``, ``QRS``, ``T``; or ``premature``, ``ventricular``, ``supraventricular`` (the QRS of such beats).
        leads: in which the wave is looked for; none for the whole recording.
        measurement: of the recording.
    """
    if not measurement.n_beats:
        return []
    beats = measurement.beats
    if leads and wave not in TYPES:
        waves = measurement.waves
        rows = waves[(waves["wave"] == wave) & waves["lead"].isin(leads)].groupby("beat")
        starts, ends = rows["onset"].min(), rows["offset"].max()
    else:
        beats = beats[beats["type"].isin(TYPES[wave])] if wave in TYPES else beats
        name = "qrs" if wave in TYPES else wave.lower()
        starts, ends = beats[f"{name}_onset"], beats[f"{name}_offset"]
    found = zip(starts.astype(float), ends.astype(float), strict=True)
    return [(a / measurement.fs, b / measurement.fs) for a, b in found if math.isfinite(a) and math.isfinite(b)]


def time_state(link: Link, measurement: Measurement) -> tuple[str, dict[str, str], tuple[Evidence, ...]]:
    """What is known of a link of kind ``time``: its state, texts of its tags by kind, and the evidence.

    Args:
        link: from ``timed``.
        measurement: of the recording.
    """
    wave, which, *at = link.names
    spans, place = spans_of(wave, link.leads, measurement), f" in {', '.join(link.leads)}" if link.leads else ""
    noun, plural = f"{NOUNS[wave]}{place}", f"{PLURALS[wave]}{place}"

    def proof(some: Sequence[Span]) -> tuple[Evidence, ...]:
        value = round(some[0][0], 3) if some else None
        return (
            Evidence(
                measurement.record_id, f"{wave.lower()}_time", value, "s", leads=link.leads, spans_s=tuple(some),
                method="delineation", version=__version__, reason=None if some else f"no {noun} was found",
            ),
        )  # fmt: skip

    if which == "within":
        start, end = float(at[0]), float(at[1])
        there = [span for span in spans if span[0] <= end and span[1] >= start]
        if there:
            return "true", {"q": noun, "e": f"{noun} from {_shown(there[0])}"}, proof(there)
        near = min(spans, key=lambda span: max(span[0] - end, start - span[1]), default=None)
        said = f"no {noun} is seen then" + (f", the nearest from {_shown(near)}" if near else "")
        return "false", {"q": noun, "e": said}, proof([near] if near else [])
    if not spans:
        return "missing", {"q": f"time of a {noun}", "r": f"no {noun} was found"}, proof([])
    if which == "nth":
        nth = int(at[0])
        if nth > len(spans):
            return "missing", {"q": f"{noun} {nth}", "r": f"{len(spans)} {plural} were found"}, proof([])
        one = spans[nth - 1 if nth > 0 else -1]
        title = (
            f"{_ORDINALS[nth - 1]} {noun}"
            if 0 < nth <= len(_ORDINALS)
            else f"{noun} {nth}"
            if nth > 0
            else f"last {noun}"
        )
        return "measured", {"q": title, "v": f"seen from {_shown(one)}"}, proof([one])
    more = f" and {len(spans) - _LISTED} times more" if len(spans) > _LISTED else ""
    text = ", ".join(f"{start:.2f}" for start, _ in spans[:_LISTED])
    return "measured", {"q": f"onset of the {plural}", "v": f"at {text} s{more}"}, proof(spans)


def _shown(span: Span) -> str:
    return f"{span[0]:.2f} to {span[1]:.2f} s"


def evidence_of_all(link: Link, measurement: Measurement) -> tuple[Evidence, ...]:
    """Every place of a wave, whichever of them a question names.

    Args:
        link: of kind ``time``.
        measurement: of the recording.
    """
    return time_state(replace(link, names=(link.names[0], "all")), measurement)[2]


def best_segment(segments: Sequence[Span], link: Link, measurement: Measurement) -> int | None:
    """The place of the segment of time that shows a wave most; None if none does.

    Args:
        segments: seconds; at least one.
        link: of kind ``time``.
        measurement: of the recording.
    """
    spans = spans_of(link.names[0], link.leads, measurement)

    def share(segment: Span) -> float:
        both = [
            (min(end, segment[1]) - max(start, segment[0])) / max(min(end - start, segment[1] - segment[0]), 1e-3)
            for start, end in spans
        ]
        return max(both, default=0.0)

    shares = [share(segment) for segment in segments]
    best = max(range(len(segments)), key=lambda at: shares[at])
    return best if shares[best] >= _OVERLAP else None
