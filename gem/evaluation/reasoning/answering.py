"""Answer a chain of questions; each answer uses only the question's text and the answers before it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any

from grounding.record import ECGRecord

from .questions import Sign, read_leads, read_ordinals, read_range, read_sign, read_span
from .signs import CORNELL_MV_S, QRS_LONG_MS, QRS_OVERHANG_MS, Signs

Answer = str | list[str]
# signs that a protocol requires in at least two leads
_IN_TWO_LEADS = (
    *("st_elevation", "st_depression", "t_inversion", "q_wave"),
    *("slurred_s", "monophasic_r", "dominant_s"),
)


@dataclass(frozen=True)
class Step:
    """A question: its kind, its text, its options, and (in the history) its answer."""

    kind: str
    question: str
    options: tuple[str, ...]
    answer: Answer | None = None


def _shares_scale(lead: str, others: Sequence[str]) -> bool:
    """Whether a voltage in ``others`` shows the scale of this lead: the same lead, or both limb leads."""
    limb = {"I", "II", "III", "aVR", "aVL", "aVF"}
    return lead in others or (lead in limb and any(other in limb for other in others))


@lru_cache(maxsize=1)
def load_protocols() -> tuple[Mapping[str, Any], ...]:
    """The diagnostic protocols, as data."""
    import yaml

    text = (files(__package__) / "protocols.yaml").read_text(encoding="utf-8")
    return tuple(yaml.safe_load(text))


def protocol_for(text: str) -> Mapping[str, Any] | None:
    """The protocol of the diagnosis that a question names; None if there is none.

    Args:
        text: of the question.
    """
    low = text.lower().replace("-", " ").replace("complexes", "complex").replace("(es)", "")
    found = [(len(name), entry) for entry in load_protocols() for name in entry["names"] if name in low]
    return max(found, key=lambda pair: pair[0])[1] if found else None


class Reasoner:
    """Answers questions about one recording.

    Args:
        record: the recording; voltages are estimated if it has no mV scale.

    Example:
        >>> from grounding import read_record, sample_path
        >>> reasoner = Reasoner(read_record(sample_path()))
        >>> question = "Which range does the measured heart rate fall into?"
        >>> step = Step("measurement_grounding", question, ("Below 30 bpm", "Above 30 bpm"))
        >>> reasoner.answer(step, [])
        'Above 30 bpm'
    """

    def __init__(self, record: ECGRecord) -> None:
        self.signs = Signs(record)

    def answer(self, step: Step, history: Sequence[Step]) -> Answer:
        """The answer to one question.

        Args:
            step: the question; its ``answer`` is not read.
            history: the questions before it with their answers.

        Returns:
            One of ``step.options``, or a list of them for ``lead_grounding``.
        """
        step = replace(step, answer=None)
        match step.kind:
            case "initial_diagnostic_question":
                return self._word(step, self._diagnose(step.question))
            case "criterion_selection":
                return self._criterion(step, history)
            case "finding_identification":
                return self._word(step, self._finding(step, history))
            case "lead_grounding":
                return self._leads(step, history)
            case "wave_grounding":
                return self._wave(step, history)
            case "measurement_grounding":
                return self._range(step, history)
            case "diagnostic_decision":
                return self._decision(step, history)
        return step.options[0]

    @staticmethod
    def _word(step: Step, holds: bool) -> str:
        wanted = "yes" if holds else "no"
        return next((option for option in step.options if option.strip().lower().startswith(wanted)), step.options[-1])

    # -- the protocol ------------------------------------------------------------------------------------------------

    @staticmethod
    def _walk(protocol: Mapping[str, Any], met: Sequence[bool]) -> str | int:
        """The state of a protocol after these results: the number of the next step, or ``present`` or ``absent``."""
        steps, at = protocol["steps"], 0
        for number, is_met in enumerate(met):
            step = steps[at]
            target = step.get("met" if is_met else "unmet", "next")
            if "count" in step:
                counted = sum(met[: number + 1])
                target = step["count"][min(counted, max(step["count"]))]
            if target in ("present", "absent"):
                return str(target)
            at = at + 1 if target == "next" else next(i for i, one in enumerate(steps) if one["sign"] == target)
            if at >= len(steps):
                return "absent"
        return at

    @staticmethod
    def _met(history: Sequence[Step]) -> list[bool]:
        return [str(one.answer).lower().startswith("yes") for one in history if one.kind == "finding_identification"]

    def _diagnose(self, question: str) -> bool:
        protocol = protocol_for(question)
        if protocol is None:
            return False
        met: list[bool] = []
        while isinstance(at := self._walk(protocol, met), int):
            met.append(self._sign(self._sign_of(protocol["steps"][at])))
        return at == "present"

    @staticmethod
    def _sign_of(step: Mapping[str, Any]) -> Sign:
        leads = read_leads(step.get("leads", ""))
        return Sign(step["sign"], leads, 2 if step["sign"] in _IN_TWO_LEADS else 1)

    def _criterion(self, step: Step, history: Sequence[Step]) -> str:
        protocol = protocol_for(step.question)
        at = self._walk(protocol, self._met(history)) if protocol else "absent"
        wanted = self._sign_of(protocol["steps"][at]) if protocol and isinstance(at, int) else Sign("")
        asked = {read_sign(str(one.answer)).name for one in history if one.kind == "criterion_selection"}

        def score(option: str) -> float:
            sign = read_sign(option)
            if not wanted.name:
                return float(bool(sign.name) and not sign.name.endswith("other") and sign.name not in asked)
            both, union = set(sign.leads) & set(wanted.leads), set(sign.leads) | set(wanted.leads)
            return 2.0 * (sign.name == wanted.name) + (len(both) / len(union) if union else 0.0)

        return max(step.options, key=score)

    def _decision(self, step: Step, history: Sequence[Step]) -> str:
        protocol = protocol_for(step.question)
        at = self._walk(protocol, self._met(history)) if protocol else "absent"
        if isinstance(at, int):
            return next(
                (option for option in step.options if re.search(r"further|more|additional", option.lower())),
                step.options[-1],
            )
        return self._word(step, at == "present")

    # -- findings ----------------------------------------------------------------------------------------------------

    def _finding(self, step: Step, history: Sequence[Step]) -> bool:
        sign = read_sign(step.question)
        if sign.name.startswith("premature_"):
            return self._early_wide(history)
        return self._sign(sign)

    def _sign(self, sign: Sign) -> bool:
        if sign.name.startswith("premature_"):
            return self._early_wide(())
        return self.signs.holds(sign)

    def _early_wide(self, history: Sequence[Step]) -> bool:
        """Whether the early beat's QRS is wide: the selected one, else the earliest."""
        span = self._selected(history, "QRS")
        beats = self.signs.beats
        early = [beat for beat in beats if str(beat["type"]).startswith("premature")]
        index = self.signs.match(span, "QRS")[1] if span else None
        beat = (
            beats[index]
            if index is not None
            else min(early, key=lambda one: float(one["rr_prev_ms"]))
            if early
            else None
        )
        median_ms = self.signs.m.intervals["qrs"] or 100.0
        qrs_ms = float(beat["qrs_ms"]) if beat is not None and math.isfinite(beat["qrs_ms"]) else median_ms
        if span is not None:  # both ends of the segment are rounded to 10 ms
            qrs_ms = min(max(qrs_ms, (span[1] - span[0]) * 1000.0 - 9.0), (span[1] - span[0]) * 1000.0 + 9.0)
        return qrs_ms > QRS_LONG_MS and qrs_ms > median_ms + 5.0

    @staticmethod
    def _subject(step: Step, history: Sequence[Step]) -> Sign:
        """The sign that a grounding question is about: that of the last finding."""
        last = next((one for one in reversed(history) if one.kind == "finding_identification"), None)
        return read_sign(last.question) if last else read_sign(step.question)

    def _leads(self, step: Step, history: Sequence[Step]) -> list[str]:
        sign = self._subject(step, history)
        larger = re.search(r"\b(?:larger|largest|greater|higher)\b", step.question.lower())
        if larger:
            sign = Sign("larger_r")
        options = {option: (read_leads(option) or ("",))[0] for option in step.options}
        pool = {o: lead for o, lead in options.items() if not sign.leads or lead in sign.leads} or options
        ranked = sorted(pool, key=lambda option: -self.signs.margin(sign, pool[option]))
        if larger:
            return ranked[:1]
        shown = [option for option in ranked if self.signs.margin(sign, pool[option]) > 0]
        least = min(max(sign.need, 1), len(ranked))
        return [option for option in step.options if option in (shown if len(shown) >= least else ranked[:least])]

    # -- segments and values -----------------------------------------------------------------------------------------

    @staticmethod
    def _wanted_wave(question: str) -> str:
        asked = question.split("?")[0]
        found = [
            (match.start(), wave)
            for wave, pattern in (("P", r"\bP wave"), ("T", r"\bT wave"), ("QRS", r"\bQRS|\bR wave|premature beat"))
            if (match := re.search(pattern, asked.split("segments")[-1]))
        ]
        return min(found)[1] if found else "QRS"

    def _selected(self, history: Sequence[Step], wave: str | None = None) -> tuple[float, float] | None:
        for one in reversed(history):
            if (
                one.kind == "wave_grounding"
                and (span := read_span(str(one.answer)))
                and wave in (None, self._wanted_wave(one.question))
            ):
                return span
        return None

    def _wave(self, step: Step, history: Sequence[Step]) -> str:
        ordinals = {option: pair for option in step.options if (pair := read_ordinals(option))}
        if ordinals:
            return self._pause(step, ordinals)
        wave = self._wanted_wave(step.question)
        early = "premature" in step.question.split("?")[0].lower()

        def score(option: str) -> float:
            span = read_span(option)
            if span is None:
                return -2.0
            overlap, beat = self.signs.match(span, wave)
            total = overlap - max(self.signs.match(span, other)[0] for other in ("P", "QRS", "T") if other != wave)
            if early and beat is not None:
                rr, median_rr = float(self.signs.beats[beat]["rr_prev_ms"]), self.signs.m.intervals["rr"] or 1000.0
                total += 2.0 * (1.0 - rr / median_rr) if math.isfinite(rr) else 0.0
            return total

        return max(step.options, key=score)

    def _pause(self, step: Step, ordinals: Mapping[str, tuple[int, int]]) -> str:
        """The longest interval among those named; the question says where the first complex lies."""
        first = read_span(step.question)
        times = [float(beat["r_s"]) for beat in self.signs.beats]
        start = 0 if first is None else next((i for i, time in enumerate(times) if time >= first[0] - 0.02), 0)

        def length(option: str) -> float:
            a, b = (start + number - 1 for number in ordinals[option])
            return times[b] - times[a] if 0 <= a < b < len(times) else 0.0

        return max(ordinals, key=length)

    def _range(self, step: Step, history: Sequence[Step]) -> str:
        value = self._value(step, history)
        ranges = {option: read_range(option) for option in step.options}

        def distance(option: str) -> float:
            limits = ranges[option]
            if limits is None or value is None:
                return math.inf
            return max(limits[0] - value, value - limits[1], 0.0)

        return min(step.options, key=distance)

    def _value(self, step: Step, history: Sequence[Step]) -> float | None:
        text, signs = step.question.lower(), self.signs
        if "heart rate" in text:
            return signs.m.heart_rate
        if "axis" in text:
            return signs.axis_deg()
        if "pr interval" in text:
            return self._pr(history)
        if "qrs duration" in text:
            qrs_ms, span = signs.m.intervals["qrs"], self._selected(history, "QRS")
            if span is None:
                return qrs_ms
            length = (span[1] - span[0]) * 1000.0
            index = signs.match(span, "QRS")[1]
            beat = float(signs.beats[index]["qrs_ms"]) if index is not None else math.nan
            qrs_ms = beat if math.isfinite(beat) else qrs_ms
            # both ends of the segment are rounded, so that its length is the value to within about 5 ms
            return length if qrs_ms is None else min(max(qrs_ms - QRS_OVERHANG_MS, length - 5.0), length + 5.0)
        if match := re.search(r"\b([rs]) (?:wave )?amplitude", text):
            lead = self._lead_of(history)
            return self._amplitude(lead, match[1], history) if lead else None
        return None

    def _amplitude(self, lead: str, wave: str, history: Sequence[Step]) -> float:
        """R or S, mV. An estimated scale is corrected by the earlier answers about voltages."""
        amplitude = self.signs.r_mv(lead) if wave == "r" else self.signs.s_mv(lead)
        if self.signs.exact:
            return amplitude
        factor = 1.0
        for number, one in enumerate(history):
            before = history[:number]
            if one.kind == "finding_identification":
                total, limit, leads = self._voltage(read_sign(one.question))
                yes = str(one.answer).lower().startswith("yes")
                if total and _shares_scale(lead, leads) and yes != (total * factor > limit):
                    factor = limit / total * (1.1 if yes else 0.9)
            elif one.kind == "measurement_grounding" and (
                match := re.search(r"\b([rs]) (?:wave )?amplitude", one.question.lower())
            ):
                of, limits = self._lead_of(before), read_range(str(one.answer))
                size = (self.signs.r_mv(of) if match[1] == "r" else self.signs.s_mv(of)) if of else 0.0
                if of and size and limits and _shares_scale(lead, (of,)):
                    factor = min(max(size * factor, limits[0]), limits[1]) / size
        return amplitude * factor

    def _voltage(self, sign: Sign) -> tuple[float, float, tuple[str, ...]]:
        """(value, limit, leads) of a voltage criterion on the estimated scale; zeros for other signs."""
        signs = self.signs
        if sign.name == "sokolow":
            return signs.s_mv("V1") + max(signs.r_mv("V5"), signs.r_mv("V6")), sign.limit("", 3.5), ("V1", "V5", "V6")
        if sign.name == "cornell":
            seconds = (signs.m.intervals["qrs"] or 100.0) / 1000.0
            return signs.r_mv("aVL") + signs.s_mv("V3"), CORNELL_MV_S / seconds, ("V3",)
        if sign.name == "r_amplitude" and sign.leads:
            return signs.r_mv(sign.leads[0]), sign.limit("", 1.1), sign.leads[:1]
        return 0.0, 0.0, ()

    def _pr(self, history: Sequence[Step]) -> float | None:
        span = self._selected(history, "P")
        if span is None:
            return self.signs.m.intervals["pr"]
        after = [start for _, start, _ in self.signs.spans("QRS") if start > span[0] + 0.05]
        return (min(after) - span[0]) * 1000.0 if after else self.signs.m.intervals["pr"]

    @staticmethod
    def _lead_of(history: Sequence[Step]) -> str | None:
        """The lead of the requested value: named by the last wave question, or chosen before it."""
        for one in reversed(history):
            if one.kind == "wave_grounding" and (leads := read_leads(one.question.split("?")[0])):
                return leads[0]
            if one.kind == "lead_grounding" and one.answer:
                return (read_leads(one.answer[0]) or (None,))[0]
        return None
