"""ECG signs on one recording: a margin per lead (positive if present), yes or no for the recording."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from grounding.criteria.assessment import find
from grounding.measurement import measure
from grounding.measurement.shapes import AFTER_S, BEFORE_S, median_beats
from grounding.record import ECGRecord, fill_missing

from .questions import Sign
from .scale import estimate_millivolts

QRS_LONG_MS = 120.0
CORNELL_MV_S = 0.244
# our QRS is longer than the benchmark's by this much (median over its QRS stretches, development half): calibrated,
# not physiology
QRS_OVERHANG_MS = 5.0


class Signs:
    """The signs of one recording.

    Args:
        record: any leads; without a mV scale it is estimated (``estimate_millivolts``).
    """

    def __init__(self, record: ECGRecord) -> None:
        self.exact = record.has_millivolts
        self.record = estimate_millivolts(record)
        self.m = measure(self.record)
        self.rows: dict[str, Any] = {row["lead"]: row for row in self.m.lead_summary.to_dict("records")}
        self.beats: list[Any] = self.m.beats.to_dict("records")
        self.findings = {finding.name: finding.present for finding in find(self.m)}

    # -- signs of the recording --------------------------------------------------------------------------------------

    def holds(self, sign: Sign) -> bool:
        """Whether the recording shows a sign; one that can't be measured counts as absent.

        Args:
            sign: with its leads and limits.
        """
        of_recording: dict[str, Callable[[Sign], bool]] = {
            "qrs_long": self._is_qrs_long,
            "pr_long": self._is_pr_long,
            "lbbb": self._is_lbbb,
            "rbbb": self._is_rbbb,
            "axis_left": self._is_axis_left,
            "axis_right": self._is_axis_right,
            "axis_over": self._is_axis_over,
            "one_to_one": self._is_one_to_one,
            "blocked_p": self._is_blocked_p,
            "dissociation": self._is_dissociation,
            "atrial_fibrillation": self._is_atrial_fibrillation,
            "slow_rate": self._is_slow_rate,
            "rr_regular": self._is_rr_regular,
            "premature": self._is_premature,
            "dropped_beat": self._is_dropped_beat,
            "sokolow": self._is_sokolow,
            "cornell": self._is_cornell,
            "r_amplitude": self._is_r_amplitude,
        }
        if sign.name in of_recording:
            return bool(of_recording[sign.name](sign))
        scores = [self.margin(sign, lead) for lead in sign.leads]
        return sum(score > 0 for score in scores) >= sign.need

    def _is_qrs_long(self, sign: Sign) -> bool:
        return self.qrs_ms() > QRS_LONG_MS

    def _is_pr_long(self, sign: Sign) -> bool:
        return (self.m.intervals["pr"] or 0.0) > 200.0

    def _is_lbbb(self, sign: Sign) -> bool:
        return bool(
            self.findings.get("complete_left_bundle_branch_block")
            or self.findings.get("incomplete_left_bundle_branch_block")
        )

    def _is_rbbb(self, sign: Sign) -> bool:
        return bool(
            self.findings.get("complete_right_bundle_branch_block")
            or self.findings.get("incomplete_right_bundle_branch_block")
        )

    def qrs_ms(self) -> float:
        """QRS duration as the benchmark's pipeline would measure it, ms; 0 if it is not measurable."""
        qrs_ms = self.m.intervals["qrs"]
        return 0.0 if qrs_ms is None else qrs_ms - QRS_OVERHANG_MS

    def axis_deg(self) -> float | None:
        """Frontal axis from the net QRS amplitudes of I and aVF, degrees."""
        one, foot = (self.r_mv(lead) - max(self.s_mv(lead), abs(self.value(lead, "q_mv"))) for lead in ("I", "aVF"))
        if self.m.axis is None or math.hypot(one, foot) < 1e-6:
            return self.m.axis
        return math.degrees(math.atan2(foot * 2.0 / math.sqrt(3.0), one))

    def _axis(self, low: float, high: float) -> bool:
        axis = self.axis_deg()
        return axis is not None and low <= axis <= high

    def _is_axis_left(self, sign: Sign) -> bool:
        return self._axis(-90.0 if sign.low is None else sign.low, -30.0 if sign.high is None else sign.high)

    def _is_axis_right(self, sign: Sign) -> bool:
        return self._axis(90.0 if sign.low is None else sign.low, 180.0 if sign.high is None else sign.high)

    def _is_axis_over(self, sign: Sign) -> bool:
        return self._axis(60.0 if sign.low is None else sign.low, 180.0)

    def _is_one_to_one(self, sign: Sign) -> bool:
        return (
            not self._is_blocked_p(sign)
            and not self.findings.get("atrial_fibrillation")
            and not self.findings.get("third_degree_av_block")
        )

    def _is_blocked_p(self, sign: Sign) -> bool:
        return bool(self.findings.get("second_degree_av_block")) or (self.m.rhythm.get("dropped_beats") or 0) > 0

    def _is_dissociation(self, sign: Sign) -> bool:
        return bool(self.findings.get("third_degree_av_block"))

    def _is_atrial_fibrillation(self, sign: Sign) -> bool:
        return bool(self.findings.get("atrial_fibrillation"))

    def _is_slow_rate(self, sign: Sign) -> bool:
        return self.m.heart_rate is not None and self.m.heart_rate < 70.0

    def _is_rr_regular(self, sign: Sign) -> bool:
        return (self.m.rhythm.get("rr_cv") or 0.0) < 0.10

    def _is_premature(self, sign: Sign) -> bool:
        if any(str(beat["type"]).startswith("premature") for beat in self.beats):
            return True
        return min(self.pauses(), default=1.0) < 0.85 and not self.findings.get("atrial_fibrillation")

    def _is_dropped_beat(self, sign: Sign) -> bool:
        return max(self.pauses(), default=0.0) > 1.4

    def _is_sokolow(self, sign: Sign) -> bool:
        return self.s_mv("V1") + max(self.r_mv("V5"), self.r_mv("V6")) > sign.limit("", 3.5)

    def _is_cornell(self, sign: Sign) -> bool:
        return (self.r_mv("aVL") + self.s_mv("V3")) * (self.m.intervals["qrs"] or 0.0) / 1000.0 > CORNELL_MV_S

    def _is_r_amplitude(self, sign: Sign) -> bool:
        return any(self.r_mv(lead) > sign.limit("", 1.1 if lead == "aVL" else 1.5) for lead in sign.leads)

    def pauses(self) -> list[float]:
        """Every RR interval relative to the median of those before it (the first: of all)."""
        rr = [float(beat["rr_prev_ms"]) for beat in self.beats[1:]]
        return [value / float(np.median(rr[:i] or rr)) for i, value in enumerate(rr)]

    # -- signs in a lead ---------------------------------------------------------------------------------------------

    def value(self, lead: str, name: str) -> float:
        """A value of ``lead_summary``; 0 if it is missing.

        Args:
            lead: its name.
            name: of the column.
        """
        number = self.rows.get(lead, {}).get(name)
        return float(number) if isinstance(number, int | float) and math.isfinite(number) else 0.0

    def r_mv(self, lead: str) -> float:
        """Amplitude of the tallest R wave, mV."""
        return max(self.value(lead, "r_mv"), self.value(lead, "r2_mv"))

    def s_mv(self, lead: str) -> float:
        """Amplitude of the deepest S wave, or of the Q wave if there is no S, mV."""
        after = max(abs(self.value(lead, "s_mv")), abs(self.value(lead, "s2_mv")))
        return after or abs(self.value(lead, "q_mv"))

    def margin(self, sign: Sign, lead: str) -> float:
        """How clearly a lead shows a sign; positive if it does.

        Args:
            sign: with its limits.
            lead: its name.
        """
        r, s, q = self.r_mv(lead), self.s_mv(lead), abs(self.value(lead, "q_mv"))
        size = max(r, s, q, 1e-6)
        match sign.name:
            case "st_elevation":
                return self.value(lead, "j_mv") - sign.limit(lead, 0.1)
            case "st_depression":
                return -self.value(lead, "j_mv") - sign.limit(lead, 0.07)
            case "t_inversion":
                return -self.value(lead, "t_mv") - 0.05
            case "lv_strain":
                return min(-self.value(lead, "j_mv") - 0.05, -self.value(lead, "t_mv") - 0.1)
            case "dominant_s":
                return (s - r) / size
            case "dominant_r":
                return (r - s) / size
            case "q_wave":
                form = self.rows.get(lead, {}).get("qrs_form") or ""
                if form == "QS":
                    return 1.0
                deep = 0.075 if lead.startswith("V") else 0.2 * r
                classic = min((self.value(lead, "q_ms") - 30.0) / 30.0, (q - deep) / size)
                return max(classic, (0.08 * s - r) / size if s > q else -1.0)
            case "rsr":
                return (self.value(lead, "r2_mv") / size - 0.08) if self.value(lead, "r_mv") > 0 else -1.0
            case "broad_r_or_qr":
                return (r - max(s if self.value(lead, "s_mv") else 0.0, q)) / size
            case "slurred_s":
                if self.value(lead, "r_mv") <= 0 or self.value(lead, "s_mv") == 0:
                    return -1.0
                return max(self.value(lead, "s_ms") - self.value(lead, "r_ms"), self.value(lead, "s_ms") - 40.0) / 40.0
            case "monophasic_r":
                return min(0.12 - q / size, 0.35 - abs(self.value(lead, "s_mv")) / size, r / size - 0.5)
            case "broad_r":
                return min(
                    (self.value(lead, "r_peak_time_ms") - 55.0) / 55.0,
                    0.1 - q / size,
                    0.25 - abs(self.value(lead, "s_mv")) / size,
                )
            case "qr":
                return min(q / size - 0.03, (r - q) / size, (r - abs(self.value(lead, "s_mv"))) / size)
            case "rs":
                return min((abs(self.value(lead, "s_mv")) - r) / size, r / size - 0.02, 0.06 - q / size)
            case "notched_r":
                return self._notch(lead) - 0.04
            case "larger_r":
                return r
        return -1.0

    def _notch(self, lead: str) -> float:
        """Depth of the deepest notch in the upright part of the median QRS, as a fraction of its height."""
        onsets = np.asarray([beat["qrs_onset"] for beat in self.beats], float)
        if lead not in self.record.leads or self.m.intervals["qrs"] is None:
            return 0.0
        row = fill_missing(self.record.signal)[self.record.leads.index(lead)].astype(np.float64)
        beats = median_beats(row[None], onsets[np.isfinite(onsets)].round().astype(np.intp), self.record.fs)
        if beats is None:
            return 0.0
        beat = beats[0]
        start = int(BEFORE_S * self.record.fs)
        part = beat[
            start : start + min(int(self.m.intervals["qrs"] * self.record.fs / 1000.0), int(AFTER_S * self.record.fs))
        ]
        if len(part) < 5 or part.max() <= 0 or part.max() < -part.min():
            return 0.0
        # the depth of a notch is measured from the lower of its two sides
        left, right = np.maximum.accumulate(part), np.maximum.accumulate(part[::-1])[::-1]
        depth = np.where(part > 0.2 * part.max(), np.minimum(left, right) - part, 0.0)
        return float(depth.max() / part.max())

    # -- segments ----------------------------------------------------------------------------------------------------

    def spans(self, wave: str) -> list[tuple[int, float, float]]:
        """(beat, start, end) of every wave of a kind, in seconds, with the boundaries over all leads.

        Args:
            wave: ``P``, ``QRS`` or ``T``.
        """
        name, fs = wave.lower(), self.m.fs
        return [
            (index, float(beat[f"{name}_onset"]) / fs, float(beat[f"{name}_offset"]) / fs)
            for index, beat in enumerate(self.beats)
            if math.isfinite(beat[f"{name}_onset"]) and math.isfinite(beat[f"{name}_offset"])
        ]

    def match(self, span: tuple[float, float], wave: str) -> tuple[float, int | None]:
        """The wave that overlaps a segment best.

        Args:
            span: start and end, s.
            wave: ``P``, ``QRS`` or ``T``.

        Returns:
            Intersection over union, and the beat; 0 and None if none overlaps.
        """
        best: tuple[float, int | None] = (0.0, None)
        for index, start, end in self.spans(wave):
            common = min(end, span[1]) - max(start, span[0])
            if common > 0 and (share := common / (max(end, span[1]) - min(start, span[0]))) > best[0]:
                best = (share, index)
        return best
