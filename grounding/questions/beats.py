"""Single beats, and how many there are: "What is the PR of beat 2?", "Are there more than 3 PVCs?"."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .._version import __version__
from ..criteria import shown
from ..evidence import Evidence
from ..facts import listed
from .parsed import Link
from .times import NOUNS, ONE_BEAT, PLURALS, TYPES, place_of, spans_of, wave_of

if TYPE_CHECKING:
    import pandas as pd

    from ..measurement.result import Measurement

State = tuple[str, dict[str, str], tuple[Evidence, ...]]
_TWO = re.compile(
    r"\b(?:between|from) beats? (\d+) (?:and|to) (?:beat )?(\d+)\b|\bbeats? (\d+) ?(?:and|-|to) ?(\d+)\b", re.I
)
_WHICH = re.compile(
    r"\b(?:which|what) (?:of the )?beats?\b|\bwelche[rsn]? schl(?:a|ä)ge?\b|\bwhat (?:type|kind) of beat\b", re.I
)
_COUNT = re.compile(r"\b(?:how many|number of|count|wie viele|anzahl)\b", re.I)
_SHARE = re.compile(r"\b(?:percentage|percent|share|proportion|burden|fraction|anteil)\b", re.I)
_EVERY = re.compile(
    r"\b(?:all|every|each|alle|jeder)(?: of the| the| single)? (?:heart ?)?(?:beats?|qrs|complexes|schläge|schlag)\b",
    re.I,
)
_RUN = re.compile(
    r"\b(?:(couplets?|pairs?|in pairs)|(triplets?)|(runs?|salvos?|salven?|in a row|consecutive|sustained|nsvt))\b", re.I
)
_NUMBER = r"(\d+|one|two|three|four|five|six|seven|eight|nine|ten)"
_LIMIT = re.compile(
    rf"\b(?:(?P<over>more than|over|above)|(?P<least>at least|no fewer than)|"
    r"(?P<under>fewer than|less than|under|below)|"
    rf"(?P<most>at most|no more than|up to)|(?P<exact>exactly|only|just|are there|there are))\s+"
    rf"{_NUMBER}\b(?! ?(?:s|sec|seconds?|ms)\b)",
    re.I,
)
_OR_MORE = re.compile(rf"\b{_NUMBER} or (more|fewer|less)\b", re.I)
_SPELLED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_WINDOW = re.compile(
    r"\b(?P<edge>first|last|initial|final|ersten|letzten) (?P<length>\d+(?:\.\d+)?) ?(?:s|secs?|seconds?|sekunden)\b"
    r"|\bbetween (?P<from>\d+(?:\.\d+)?) ?(?:s|secs?|seconds?)? and (?P<to>\d+(?:\.\d+)?) ?(?:s|secs?|seconds?)\b",
    re.I,
)
_ASKS_VALUE = re.compile(r"\b(?:what|how|mean|average|give|wie|was)\b", re.I)
_BEATS = re.compile(r"\bbeats?\b|\bschl[aä]ge?\b", re.I)
_WHEN = re.compile(r"\bwhen\b|\bwann\b|\bat (?:what|which) (?:time|second)", re.I)
_ADJECTIVES = {
    "supraventricular": re.compile(r"\b(?:supraventricular|atrial)\b", re.I),
    "ventricular": re.compile(r"\bventricular\b", re.I),
    "premature": re.compile(r"\b(?:premature|ectopic|early|vorzeitig\w*)\b", re.I),
    "paced": re.compile(r"\bpaced\b", re.I),
    "abnormal": re.compile(r"\babnormal\b", re.I),
    "normal": re.compile(r"\bnormal\b", re.I),
}
_KIND = re.compile(r"\b(?:what (?:type|kind)|how is|describe|what is|what's|what about)\b", re.I)
# a quantity -> its column, and what it is called; others are not measured beat by beat
_COLUMNS = {
    "pr": ("pr_ms", "PR interval"),
    "p": ("p_ms", "P-wave duration"),
    "qrs": ("qrs_ms", "QRS duration"),
    "qt": ("qt_ms", "QT interval"),
    "rr": ("rr_prev_ms", "RR interval before"),
    "heart_rate": ("rr_prev_ms", "heart rate before"),
}
_NOT_BY_BEAT = "it is measured on the median beat, and of single beats only the intervals are known"
_LISTED = 12


def _figure(word: str) -> int:
    return int(word) if word.isdigit() else _SPELLED.index(word.lower())


def with_beats(stem: str, links: Sequence[Link]) -> list[Link]:
    """The links of a question; what it asks of single beats, and of how many there are, is of kind ``beats``.

    Args:
        stem: the question.
        links: what it names.
    """
    one, two, window = ONE_BEAT.search(stem), _TWO.search(stem), _window(stem)
    is_when = _WHEN.search(stem) is not None
    if _BEATS.search(stem) and not any(wave_of(link) in TYPES for link in links) and not is_when:
        kind = next((name for name, pattern in _ADJECTIVES.items() if pattern.search(stem)), "")
        names = _of_kind(stem, kind, one, window) if kind else None
        if names is not None:
            at = one or _BEATS.search(stem)
            assert at is not None
            return [Link(*at.span(), "beats", at.group(), names)]
    out: list[Link] = []
    for link in links:
        names = None if is_when else _names(stem, link, one, two, window)
        out.append(link if names is None else replace(link, kind="beats", names=names, statement=None))
    if any(link.kind == "beats" for link in out):
        return [link for link in out if link.kind in ("beats", "lead")]
    if not links and one and (is_when or _KIND.search(stem)):
        return [Link(*one.span(), "beats", one.group(), ("when" if is_when else "describe", str(place_of(one))))]
    return out


def _window(stem: str) -> tuple[str, ...]:
    """The stretch of the recording that a question is about: its end and seconds, or from and to; or nothing."""
    match = _WINDOW.search(stem)
    if match is None:
        return ()
    if match["edge"]:
        return ("first" if match["edge"].lower() in ("first", "initial", "ersten") else "last", match["length"])
    return (match["from"], match["to"])


def _names(
    stem: str, link: Link, one: re.Match[str] | None, two: re.Match[str] | None, window: tuple[str, ...]
) -> tuple[str, ...] | None:
    """What a link asks of beats; None if nothing."""
    wave = wave_of(link)
    is_ectopic = wave in TYPES and link.kind == "claim" and link.statement is not None
    quantity = link.names[0] if link.names else ""
    if link.kind == "amplitude" and quantity == "number of beats" and window:
        return ("count", "QRS", *window)
    if link.kind in ("quantity", "amplitude") or (link.kind == "claim" and not is_ectopic and wave != "P"):
        asks_value = link.kind != "claim" or (
            link.statement is not None and link.statement.kind in ("category", "number")
        )
        if not asks_value or not quantity:
            return None
        if two:
            first, second = (part for part in two.groups() if part)
            return ("value", quantity, first, second)
        if window and not one and quantity in _COLUMNS and _ASKS_VALUE.search(stem):
            return ("within", quantity, *window)
        return ("value", quantity, str(place_of(one))) if one else None
    if link.kind == "claim" and _COUNT.search(stem) and wave == "P" and link.statement is not None:
        return ("count", "P", *window) if link.statement.findings == (("p_waves",),) else None
    if not is_ectopic or link.statement is None or (link.statement.negated and not _limit(stem)):
        return None
    assert wave is not None
    return _of_kind(stem, wave, one, window)


def _of_kind(stem: str, wave: str, one: re.Match[str] | None, window: tuple[str, ...]) -> tuple[str, ...] | None:
    """What is asked of the beats of a kind; None if only whether there are any."""
    limit, run = _limit(stem), _RUN.search(stem)
    if one:
        return ("is", wave, str(place_of(one)))
    if _SHARE.search(stem):
        return ("share", wave, *window)
    if run:
        return ("run", wave, "2" if run[1] else "3")
    if _COUNT.search(stem):
        return ("count", wave, *window)
    if _EVERY.search(stem):
        return ("every", wave)
    if limit:
        return ("compare", wave, *limit, *window)
    if _WHICH.search(stem):
        return ("which", wave)
    return ("compare", wave, ">=", "1", *window) if window else None


def _limit(stem: str) -> tuple[str, str] | None:
    match, more = _LIMIT.search(stem), _OR_MORE.search(stem)
    if more:
        return (">=" if more[2].lower() == "more" else "<=", str(_figure(more[1])))
    if match is None:
        return None
    signs = {"over": ">", "least": ">=", "under": "<", "most": "<=", "exact": "=="}
    sign = next(sign for name, sign in signs.items() if match[name])
    return (sign, str(_figure(match[match.re.groups])))


def beat_state(link: Link, measurement: Measurement) -> State:
    """What is known of a link of kind ``beats``: its state, texts of its tags by kind, and the evidence.

    Args:
        link: from ``with_beats``.
        measurement: of the recording.
    """
    what, about, *rest = link.names
    if not measurement.n_beats:
        return "missing", {"q": link.words, "r": "no beat was found"}, ()
    if what == "within":
        low, high = _stretch(rest, measurement)
        inside = [at for at, time in enumerate(measurement.beats["r_s"]) if low <= time <= high]
        if len(inside) < 2:
            return "missing", {"q": link.words, "r": f"there are fewer than two beats from {low:g} to {high:g} s"}, ()
        return _between(about, [inside[0] + 1, inside[-1] + 1], measurement)
    if what in ("value", "describe", "when", "is"):
        places = [measurement.n_beats if one in ("-1",) else int(one) for one in (rest or [about])]
        if any(not 1 <= place <= measurement.n_beats for place in places):
            return "missing", {"q": link.words, "r": f"the recording has {measurement.n_beats} beats"}, ()
        return _of_beats(what, about, places, measurement)
    return _of_kinds(what, about, rest, measurement)


def _proof(
    measurement: Measurement, quantity: str, value: float | str | None, unit: str, beats: Sequence[int]
) -> tuple[Evidence, ...]:
    table = measurement.beats
    spans = [
        (table["qrs_onset"].iloc[at] / measurement.fs, table["qrs_offset"].iloc[at] / measurement.fs) for at in beats
    ]
    known = tuple((float(a), float(b)) for a, b in spans if math.isfinite(a) and math.isfinite(b))
    return (
        Evidence(
            measurement.record_id, quantity, value, unit, beats=tuple(beats), spans_s=known, method="single beats",
            version=__version__, reason="it is not known in this beat" if value is None else None,
        ),
    )  # fmt: skip


def _named(measurement: Measurement, at: int) -> str:
    return f"beat {at + 1} (R at {measurement.beats['r_s'].iloc[at]:.2f} s)"


def _of_beats(what: str, about: str, places: Sequence[int], measurement: Measurement) -> State:
    """A value of a beat, or between two beats; its kind."""
    at, table = places[0] - 1, measurement.beats
    kind = str(table["type"].iloc[at]).replace("_", " ")
    name = _named(measurement, at)
    if what == "is":
        there = str(table["type"].iloc[at]) in TYPES[about]
        return _truth(there), {"q": name, "e": f"{name} is {kind}"}, _proof(measurement, "type", kind, "", [at])
    if what == "when":
        time = float(table["r_s"].iloc[at])
        texts = {"q": f"R peak of beat {places[0]}", "v": f"at {time:.2f} s"}
        return "measured", texts, _proof(measurement, "r_s", round(time, 3), "s", [at])
    if what == "describe":
        parts = [
            f"{title.split()[0]} {value:.0f} ms"
            for column, title in list(_COLUMNS.values())[:5]
            if math.isfinite(value := float(table[column].iloc[at]))
        ]
        return "seen", {"q": name, "v": f"{kind}; {', '.join(parts)}"}, _proof(measurement, "type", kind, "", [at])
    if about not in _COLUMNS:
        return "outside", {"q": f"the value of {name}", "r": _NOT_BY_BEAT}, ()
    column, title = _COLUMNS[about]
    if len(places) == 2:
        return _between(about, places, measurement)
    value, unit = float(table[column].iloc[at]), "ms"
    if about == "heart_rate":
        value, unit = 60000.0 / value, "bpm"
    if not math.isfinite(value):
        why = "it has no beat before it" if at == 0 and column == "rr_prev_ms" else "it is not known in this beat"
        return "missing", {"q": f"{title} of {name}", "r": why}, _proof(measurement, column, None, unit, [at])
    joined = f"{title} {name}" if title.endswith("before") else f"{title} of {name}"
    return "measured", {"q": joined, "v": shown(value, unit)}, _proof(measurement, column, round(value, 1), unit, [at])


def _between(about: str, places: Sequence[int], measurement: Measurement) -> State:
    """RR interval or rate between two beats; the mean of another interval over them."""
    first, last = min(places) - 1, max(places) - 1
    table, name = measurement.beats, f"beats {min(places)} to {max(places)}"
    column, title = _COLUMNS[about]
    if about in ("rr", "heart_rate"):
        values = table["rr_prev_ms"].iloc[first + 1 : last + 1]
        title = title.removesuffix(" before")
    else:
        values = table[column].iloc[first : last + 1]
    known = [float(value) for value in values if math.isfinite(value)]
    beats = range(first, last + 1)
    if not known:
        return "missing", {"q": f"{title} of {name}", "r": "it is not known in these beats"}, ()
    mean, unit = sum(known) / len(known), "ms"
    if about == "heart_rate":
        mean, unit = 60000.0 / mean, "bpm"
    kind = "mean " if len(known) > 1 else ""
    texts = {"q": f"{kind}{title} from beat {first + 1} to {last + 1}", "v": shown(mean, unit)}
    return "measured", texts, _proof(measurement, column, round(mean, 1), unit, beats)


def _of_kinds(what: str, wave: str, rest: Sequence[str], measurement: Measurement) -> State:
    """How many beats of a kind there are, which, in a row, and whether that is more than so many."""
    table = measurement.beats
    sign, limit, window = (rest[0], int(rest[1]), rest[2:]) if what == "compare" else ("", 0, rest)
    low, high = _stretch(window, measurement) if what != "run" and window else (0.0, measurement.duration_s)
    place = f" from {low:g} to {high:g} s" if window and what != "run" else ""
    inside = [at for at, time in enumerate(table["r_s"]) if low <= time <= high]
    beats = [at for at in inside if wave not in TYPES or str(table["type"].iloc[at]) in TYPES[wave]]
    if wave in ("P", "T"):
        spans = [span for span in spans_of(wave, (), measurement) if low <= span[0] <= high]
        beats = list(range(len(spans)))
    noun, plural = ("beat", "beats") if wave == "QRS" else (NOUNS[wave], PLURALS[wave])
    times = ", ".join(f"{table['r_s'].iloc[at]:.2f}" for at in beats[:_LISTED])
    seen = f", at {times} s" if beats and wave in TYPES else ""
    more = f" and {len(beats) - _LISTED} more" if seen and len(beats) > _LISTED else ""
    proof = _proof(measurement, f"{noun} count", len(beats), "", beats if wave in TYPES or wave == "QRS" else ())
    said = f"number of {plural}{place}: {len(beats)}{seen}{more}"
    if what == "count":
        return "measured", {"q": f"number of {plural}{place}", "v": f"{len(beats)}{seen}{more}"}, proof
    if what == "share":
        share = f"{100 * len(beats) / max(len(inside), 1):.0f} % ({len(beats)} of {len(inside)} beats)"
        return "measured", {"q": f"share of {plural}{place}", "v": share}, proof
    if what == "which":
        named = listed([_named(measurement, at) for at in beats[:_LISTED]]) + more
        return "seen", {"q": plural, "v": named or "none"}, proof
    if what == "every":
        return _truth(len(beats) == len(inside)), {"q": plural, "e": f"{said}, of {len(inside)} beats"}, proof
    if what == "run":
        longest = _longest_run(table, wave)
        least = int(rest[0])
        text = f"{said}; the most in a row: {longest}"
        return _truth(longest >= least), {"q": plural, "e": text}, proof
    count = len(beats)
    holds = {">": count > limit, ">=": count >= limit, "<": count < limit, "<=": count <= limit, "==": count == limit}
    return _truth(holds[sign]), {"q": plural, "e": said}, proof


def _stretch(window: Sequence[str], measurement: Measurement) -> tuple[float, float]:
    if window[0] == "first":
        return 0.0, float(window[1])
    if window[0] == "last":
        return max(0.0, round(measurement.duration_s - float(window[1]), 3)), measurement.duration_s
    return float(window[0]), float(window[1])


def _longest_run(table: pd.DataFrame, wave: str) -> int:
    longest = now = 0
    for kind in table["type"]:
        now = now + 1 if kind in TYPES[wave] else 0
        longest = max(longest, now)
    return longest


def _truth(holds: bool) -> str:
    return "true" if holds else "false"
