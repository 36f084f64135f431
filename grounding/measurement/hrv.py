"""Heart rate variability: NeuroKit2's indices of the intervals between normal beats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .result import Measurement

# Shortest recording for each index, s: 10 s for RMSSD (Munoz 2015, PLoS One 10:e0138921), a minute for SDNN and pNN50,
# which depend on slower fluctuations, and two minutes for the LF band (Task Force of the ESC and NASPE 1996,
# Circulation 93:1043).
MIN_DURATION_S = {"rmssd_ms": 10.0, "sdnn_ms": 60.0, "pnn50_percent": 60.0, "lf_hf": 120.0}
TOLERANCE_S = 0.1  # a recording one sample short of ten seconds counts as ten seconds
MIN_DIFFERENCES = 4
MIN_COVERED = 0.8  # least share of the recording that normal-to-normal intervals must cover for a spectrum
FIBRILLATION = 0.5  # from this probability on, the RR intervals are not taken for sinus rhythm
NEUROKIT_NAMES = {"rmssd_ms": "HRV_RMSSD", "sdnn_ms": "HRV_SDNN", "pnn50_percent": "HRV_pNN50", "lf_hf": "HRV_LFHF"}


def hrv(measurement: Measurement) -> dict[str, Any]:
    """Heart rate variability of a recording, from the intervals between two normal beats that follow each other.

    Intervals that begin or end with a premature, paced or wide beat, or that contain a gap in the recording, are left
    out, and so are the differences to their neighbours.

    Args:
        measurement: of one recording, with its table of beats.

    Returns:
        ``rmssd_ms``, ``sdnn_ms``, ``pnn50_percent`` (of the intervals) and ``lf_hf`` (0.04-0.15 Hz over 0.15-0.4 Hz,
        Welch), each ``None`` where it can't be computed; ``reasons``, name -> why; ``n_intervals``, how many were used.

    Example:
        >>> from grounding import measure, read_record, sample_path
        >>> variability = hrv(measure(read_record(sample_path())))
        >>> variability["rmssd_ms"] > 0, variability["lf_hf"], variability["reasons"]["lf_hf"]
        (True, None, 'it takes a recording of 120 s, and this one is 10 s long')
    """
    out: dict[str, Any] = dict.fromkeys(MIN_DURATION_S)
    beats: Any = measurement.beats
    normal = (beats["type"] == "normal").to_numpy(bool)
    rr = beats["rr_prev_ms"].to_numpy(float)
    between_normal = np.isfinite(rr) & normal & np.concatenate([[False], normal[:-1]]) if len(beats) else normal
    nn_ms, at_s = rr[between_normal], beats["r_s"].to_numpy(float)[between_normal]
    differences = int((between_normal[1:] & between_normal[:-1]).sum())
    reasons: dict[str, str] = {}
    fibrillation = measurement.rhythm.get("af_probability")
    for name, min_s in MIN_DURATION_S.items():
        if measurement.duration_s < min_s - TOLERANCE_S:
            reasons[name] = f"it takes a recording of {min_s:g} s, and this one is {measurement.duration_s:g} s long"
        elif differences < MIN_DIFFERENCES:
            reasons[name] = (
                f"there are {differences} pairs of intervals between normal beats, and it takes {MIN_DIFFERENCES}"
            )
        elif fibrillation is not None and fibrillation >= FIBRILLATION:
            reasons[name] = "the atria seem to fibrillate: the intervals are not those of a sinus node"
        elif name == "lf_hf" and nn_ms.sum() / 1000.0 < MIN_COVERED * measurement.duration_s:
            reasons[name] = f"intervals between normal beats make up less than {MIN_COVERED:.0%} of the recording"
    wanted = [name for name in MIN_DURATION_S if name not in reasons]
    if wanted:
        out |= _indices(nn_ms, at_s, wanted)
        reasons |= {name: "NeuroKit2 gives no value" for name in wanted if out[name] is None}
    return {**out, "reasons": reasons, "n_intervals": len(nn_ms)}


def _indices(nn_ms: Any, at_s: Any, wanted: list[str]) -> dict[str, float | None]:
    import warnings

    import neurokit2

    intervals = {"RRI": nn_ms, "RRI_Time": at_s}  # NeuroKit2 sees by the times which intervals are successive
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NeuroKit2 warns about indices that are not requested here
        indices = neurokit2.hrv_time(intervals).iloc[0].to_dict()
        if "lf_hf" in wanted:
            indices |= neurokit2.hrv_frequency(intervals).iloc[0].to_dict()
    values = {name: float(indices[NEUROKIT_NAMES[name]]) for name in wanted}
    return {name: value if np.isfinite(value) else None for name, value in values.items()}
