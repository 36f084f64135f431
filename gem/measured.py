"""What was measured in a recording as one vector of named numbers: an input of the classification head.

The names and their order are part of a model's config, so a name never changes its meaning: a quantity that is worked
out in another way gets a new name. NaN stands for what was not measured.

References:
    Kors et al., Reconstruction of the Frank vectorcardiogram from standard electrocardiographic leads, European Heart
    Journal 1990 (the QRS and T vectors).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from grounding import STANDARD_LEADS, EcgError, measure

if TYPE_CHECKING:
    from grounding import ECGRecord, Measurement

Array = NDArray[np.float64]

LEADS = tuple(STANDARD_LEADS)
LIMB, CHEST = LEADS[:6], LEADS[6:]
QRS_WAVES = ("q", "r", "s", "r2", "s2")

# one value per lead; the name in the vector is "V1 r_mv"
AMPLITUDES = ("p_mv", *(f"{wave}_mv" for wave in QRS_WAVES), "j_mv", "st40_mv", "st60_mv", "st80_mv", "t_mv")
WIDTHS = ("q_ms", "r_ms", "s_ms", "r_peak_time_ms", "p_ms")
RATIOS = tuple(f"{part}_to_qrs" for part in ("p", "q", "r", "s", "st60", "t", "qrs_net"))  # to the largest QRS wave
SHAPES = ("st_slope_sign", "t_sign", "p_sign", "t_is_flat", "t_is_biphasic", "p_is_biphasic")
BEAT_MEDIANS = ("t_duration_ms", "st_duration_ms", "pr_interval_ms", "qrs_duration_ms", "qt_interval_ms")
PER_LEAD = (*AMPLITUDES, "qrs_net_mv", "qrs_peak_to_peak_mv", *WIDTHS, *RATIOS, *SHAPES, *BEAT_MEDIANS)

# one value per recording
INTERVALS = ("rr", "p", "pr", "qrs", "qt", "qtc_bazett", "qtc_fridericia")
EXTENTS = ("p", "qrs", "qt")
AXES = ("qrs", "p", "t")
RHYTHM = (
    *("rr_min_ms", "rr_max_ms", "rr_sd_ms", "rr_cv", "rmssd_ms", "p_share", "pr_sd_ms", "af_probability"),
    *("flutter_probability", "atrial_rate_bpm", "p_per_qrs", "dropped_beats", "pr_trend_ms"),
)
BEAT_TYPES = ("premature_supraventricular", "premature_ventricular", "paced", "wide", "escape")
ISSUES = ("lead_algebra_broken", "limb_leads_swapped", "pacing_spikes")
GLOBAL = (
    "heart_rate_bpm",
    *(f"{name}_ms" for name in INTERVALS),
    *(f"{name}_extent_ms" for name in EXTENTS),
    *(f"{wave}_axis_{unit}" for wave in AXES for unit in ("deg", "cos", "sin")),
    *RHYTHM,
    *(f"{name}_share" for name in BEAT_TYPES),
    *("qrs_sd_ms", "unusable_leads"),
    *ISSUES,
    "has_millivolts",
)

# worked out over several leads
DERIVED = (
    *("sokolow_lyon_mv", "cornell_mv", "cornell_product_mv_ms", "lewis_mv", "gubner_mv", "peguero_mv"),
    *("sokolow_lyon_right_mv", "total_qrs_mv", "total_qrs_product_mv_ms", "limb_qrs_max_mv", "limb_qrs_mean_mv"),
    *("chest_qrs_max_mv", "chest_s_max_mv", "r_share_v1", "r_growth_v1_v4_mv", "r_growth_min_v1_v4_mv"),
    *("transition_lead", "r_peak_time_v5_v6_ms", "st60_min_mv", "st60_max_mv", "st60_inferior_minus_lateral_mv"),
    *("strain_v5_v6_mv", "strain_i_avl_mv", "t_min_v2_v6_mv", "t_v1_minus_v6_mv", "t_inverted_share", "t_flat_share"),
    *("q_deep_share", "q_wide_share", "qs_share", "q_inferior_ms", "q_lateral_ms", "q_anterior_ms", "p_max_mv"),
    *("p_max_ms", *(f"{wave}_{axis}_mv" for wave in ("qrs", "t") for axis in "xyz"), "qrs_vector_mv", "t_vector_mv"),
    *("qrs_t_angle_cos", "qrs_t_frontal_deg"),
)
NAMES = (*GLOBAL, *DERIVED, *(f"{lead} {name}" for lead in LEADS for name in PER_LEAD))

# Kors' regression of x, y, z (rows) on I, II, V1 ... V6
VECTOR_LEADS = ("I", "II", *CHEST)
VECTOR_WEIGHTS = np.array(
    [
        [0.38, -0.07, -0.13, 0.05, -0.01, 0.14, 0.06, 0.54],
        [-0.07, 0.93, 0.06, -0.02, -0.05, 0.06, -0.17, 0.13],
        [0.11, -0.23, -0.43, -0.06, -0.14, -0.20, -0.11, 0.31],
    ]
)
SIGNS = {"positive": 1.0, "negative": -1.0, "biphasic": 0.0, "flat": 0.0}
FORMS = ("st_form", "t_form", "p_form")
SLOPES = {"upsloping": 1.0, "horizontal": 0.0, "downsloping": -1.0}
WIDE_Q_MS, DEEP_Q, QS = 30.0, 0.25, 0.95  # depths as fractions of the largest QRS wave


def measured_values(measurement: Measurement, names: Sequence[str] = NAMES) -> NDArray[np.float32]:
    """The named values of a measurement.

    Amplitudes, and what is worked out from them over several leads, are NaN where the record is not in millivolts, and
    everything is NaN where no beat was found.

    Args:
        measurement: of the recording.
        names: which values, each one of ``NAMES``.

    Returns:
        (len(names),) float32, in the units that the names end in; NaN where something was not measured.

    Example:
        >>> import grounding
        >>> measurement = grounding.measure(grounding.read_record(grounding.sample_path("ptbxl_424")))
        >>> [round(float(value)) for value in measured_values(measurement, ["heart_rate_bpm", "qrs_ms", "V1 s_ms"])]
        [72, 145, 26]
    """
    if not measurement.n_beats:
        return np.full(len(names), math.nan, np.float32)
    values = _global_values(measurement)
    leads = _lead_values(measurement)
    values |= _derived_values(leads, values)
    values |= {f"{lead} {name}": found[i] for name, found in leads.items() for i, lead in enumerate(LEADS)}
    if not measurement.has_millivolts:
        values = {name: value for name, value in values.items() if not needs_millivolts(name)}
    return np.array([values.get(name, math.nan) for name in names], np.float32)


def values_of_record(record: ECGRecord, names: Sequence[str] = NAMES) -> NDArray[np.float32]:
    """Measure a recording and take the named values.

    Args:
        record: the recording.
        names: as in ``measured_values``.

    Returns:
        (len(names),) float32; all NaN for a recording in which nothing can be measured.
    """
    try:
        return measured_values(measure(record), names)
    except EcgError:
        return np.full(len(names), math.nan, np.float32)


def needs_millivolts(name: str) -> bool:
    """Whether a value is known only where the record is in millivolts."""
    return name.endswith(("_mv", "_mv_ms")) or name == "qrs_t_angle_cos"


def _number(value: Any) -> float:
    """NaN for None and for what is not finite."""
    return float(value) if value is not None and math.isfinite(value) else math.nan


def _global_values(measurement: Measurement) -> dict[str, float]:
    values = {"heart_rate_bpm": _number(measurement.heart_rate), "has_millivolts": float(measurement.has_millivolts)}
    values |= {f"{name}_ms": _number(measurement.intervals.get(name)) for name in INTERVALS}
    values |= {f"{name}_extent_ms": _number(measurement.extents.get(name)) for name in EXTENTS}
    for wave in AXES:
        degrees = _number(measurement.axes.get(wave))
        values[f"{wave}_axis_deg"] = (degrees + 90) % 360 - 90  # the jump is put where axes are rare
        values[f"{wave}_axis_cos"] = math.cos(math.radians(degrees))
        values[f"{wave}_axis_sin"] = math.sin(math.radians(degrees))
    values |= {name: _number(measurement.rhythm.get(name)) for name in RHYTHM}
    types = measurement.column("beats", "type")
    values |= {f"{name}_share": types.count(name) / len(types) for name in BEAT_TYPES}
    values["qrs_sd_ms"] = _deviation(np.array(measurement.column("beats", "qrs_ms"), float))
    values["unusable_leads"] = float(len(LEADS) - len(_usable_leads(measurement)))
    return values | {name: float(name in measurement.issues) for name in ISSUES}


def _deviation(values: Array) -> float:
    """The standard deviation of the known values, with n - 1; NaN for fewer than two."""
    known = ~np.isnan(values)
    n = int(known.sum())
    if n < 2:
        return math.nan
    # summed with zeros in the gaps, as pandas does
    mean = np.where(known, values, 0.0).sum() / n
    return math.sqrt((np.where(known, mean - values, 0.0) ** 2).sum() / (n - 1))


def _usable_leads(measurement: Measurement) -> list[str]:
    usable: set[str] = set()
    if measurement.n_rows("quality"):
        judged = zip(measurement.column("quality", "lead"), measurement.column("quality", "usable"), strict=True)
        usable = {lead for lead, good in judged if good}
    return [lead for lead in LEADS if lead in usable]


def _lead_values(measurement: Measurement) -> dict[str, Array]:
    """Name of ``PER_LEAD`` -> (12,) values in the order of ``LEADS``, NaN for leads that are missing or unusable."""
    usable = set(_usable_leads(measurement))
    place = {lead: i for i, lead in enumerate(LEADS) if lead in usable}
    rows = [(row, place[lead]) for row, lead in enumerate(measurement.column("lead_summary", "lead")) if lead in place]
    words = {}
    for name in FORMS:
        column, words[name] = measurement.column("lead_summary", name), [""] * len(LEADS)
        for row, i in rows:
            words[name][i] = str(column[row])
    out = {name: np.full(len(LEADS), math.nan) for name in (*AMPLITUDES, *WIDTHS, *BEAT_MEDIANS)}
    for name in (*AMPLITUDES, *WIDTHS):
        column = measurement.column("lead_summary", name)
        for row, i in rows:
            out[name][i] = _number(column[row])
    leads = np.array(measurement.column("lead_features", "lead"))
    of_lead = {i: np.flatnonzero(leads == lead) for lead, i in place.items()}
    for name in BEAT_MEDIANS:
        values = np.array(measurement.column("lead_features", name), float)
        for i, beats in of_lead.items():
            known = values[beats][~np.isnan(values[beats])]
            out[name][i] = _number(np.median(known)) if len(known) else math.nan
    waves = np.stack([out[f"{wave}_mv"] for wave in QRS_WAVES])
    has_qrs = np.isfinite(waves).any(0)
    for name in (*(f"{wave}_mv" for wave in QRS_WAVES), "q_ms", "r_ms", "s_ms"):
        out[name][has_qrs & np.isnan(out[name])] = 0.0  # a QRS complex without this wave
    waves = np.stack([out[f"{wave}_mv"] for wave in QRS_WAVES])
    out["qrs_net_mv"] = waves.max(0) + waves.min(0)
    out["qrs_peak_to_peak_mv"] = waves.max(0).clip(min=0) - waves.min(0).clip(max=0)
    largest = np.abs(waves).max(0)
    largest[largest == 0] = np.nan
    out |= {name: out[name.replace("_to_qrs", "_mv")] / largest for name in RATIOS}
    out["st_slope_sign"] = np.array([SLOPES.get(word, math.nan) for word in words["st_form"]])
    for wave in ("t", "p"):
        shapes = words[f"{wave}_form"]
        out[f"{wave}_sign"] = np.array([SIGNS.get(word, math.nan) for word in shapes])
        for shape in ("flat", "biphasic"):
            out[f"{wave}_is_{shape}"] = np.array(
                [float(word == shape) if word in SIGNS else math.nan for word in shapes]
            )
    return {name: out[name] for name in PER_LEAD}


def _largest(values: Array, at_least: int = 1) -> float:
    """Maximum of the known values, NaN where fewer than ``at_least`` are known."""
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) >= at_least else math.nan


def _mean(values: Array, at_least: int = 1) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) >= at_least else math.nan


def _places(leads: Iterable[str]) -> list[int]:
    return [LEADS.index(lead) for lead in leads]


def _derived_values(leads: dict[str, Array], known: dict[str, float]) -> dict[str, float]:
    """Criteria and summaries over several leads.

    Args:
        leads: what ``_lead_values`` gives.
        known: global values: the QRS duration and the axes.
    """
    r = dict(zip(LEADS, leads["r_mv"].tolist(), strict=True))
    depth = -np.minimum(leads["s_mv"], leads["q_mv"])  # of the S wave, or of the Q wave in a QS complex
    s = dict(zip(LEADS, depth.tolist(), strict=True))
    chest, limb, v5_v6 = _places(CHEST), _places(LIMB), _places(("V5", "V6"))
    without_avr = _places(lead for lead in LEADS if lead != "aVR")
    size, st, t = leads["qrs_peak_to_peak_mv"], leads["st60_mv"], leads["t_mv"]
    at = {name: leads[name][without_avr] for name in ("q_to_qrs", "q_ms")}
    has_q = np.isfinite(at["q_to_qrs"]) & np.isfinite(at["q_ms"])
    t_sign = leads["t_sign"][_places(lead for lead in LEADS if lead not in ("aVR", "V1"))]
    signs = t_sign[np.isfinite(t_sign)]
    growth = np.diff(leads["r_mv"][_places(("V1", "V2", "V3", "V4"))])
    strain = np.minimum(st, 0) + np.minimum(t, 0)
    out = {
        "sokolow_lyon_mv": s["V1"] + _largest(leads["r_mv"][v5_v6]),
        "sokolow_lyon_right_mv": r["V1"] + _largest(depth[v5_v6]),
        "cornell_mv": r["aVL"] + s["V3"],
        "lewis_mv": r["I"] + s["III"] - r["III"] - s["I"],
        "gubner_mv": r["I"] + s["III"],
        "peguero_mv": _largest(depth, at_least=9) + s["V4"],
        "total_qrs_mv": float(size.sum()),
        "limb_qrs_max_mv": _largest(size[limb], at_least=4),
        "limb_qrs_mean_mv": _mean(size[limb], at_least=4),
        "chest_qrs_max_mv": _largest(size[chest], at_least=4),
        "chest_s_max_mv": _largest(depth[chest], at_least=4),
        "r_share_v1": r["V1"] / (r["V1"] + s["V1"]) if r["V1"] + s["V1"] > 0 else math.nan,
        "r_growth_v1_v4_mv": r["V4"] - r["V1"],
        "r_growth_min_v1_v4_mv": float(growth.min()),
        "r_peak_time_v5_v6_ms": _largest(leads["r_peak_time_ms"][v5_v6]),
        "st60_min_mv": -_largest(-st[without_avr], at_least=7),
        "st60_max_mv": _largest(st[without_avr], at_least=7),
        "st60_inferior_minus_lateral_mv": float(
            st[_places(("II", "III", "aVF"))].mean() - st[_places(("I", "aVL"))].mean()
        ),
        "strain_v5_v6_mv": -_largest(-strain[v5_v6]),
        "strain_i_avl_mv": -_largest(-strain[_places(("I", "aVL"))]),
        "t_min_v2_v6_mv": -_largest(-t[_places(CHEST[1:])], at_least=4),
        "t_v1_minus_v6_mv": float(t[LEADS.index("V1")] - t[LEADS.index("V6")]),
        "q_inferior_ms": _mean(leads["q_ms"][_places(("II", "III", "aVF"))], at_least=2),
        "q_lateral_ms": _mean(leads["q_ms"][_places(("I", "aVL", "V5", "V6"))], at_least=2),
        "q_anterior_ms": _mean(leads["q_ms"][_places(("V1", "V2", "V3", "V4"))], at_least=2),
        "p_max_mv": _largest(np.abs(leads["p_mv"])),
        "p_max_ms": _largest(leads["p_ms"]),
    }
    out["cornell_product_mv_ms"] = out["cornell_mv"] * known["qrs_ms"]
    out["total_qrs_product_mv_ms"] = out["total_qrs_mv"] * known["qrs_ms"]
    if len(signs) >= 7:
        out["t_inverted_share"] = float((signs < 0).mean())
        out["t_flat_share"] = _mean(leads["t_is_flat"])
    if has_q.sum() >= 7:
        depths, widths = -at["q_to_qrs"][has_q], at["q_ms"][has_q]
        out["q_deep_share"] = float((depths > DEEP_Q).mean())
        out["qs_share"] = float((depths > QS).mean())
        out["q_wide_share"] = float((widths >= WIDE_Q_MS).mean())
    if np.isfinite(depth[chest]).all():
        ahead = leads["r_mv"][chest] > depth[chest]
        out["transition_lead"] = float(ahead.argmax() + 1 if ahead.any() else 7)  # V1 = 1; 7: behind V6
    qrs_mv, t_mv = (VECTOR_WEIGHTS @ leads[name][_places(VECTOR_LEADS)] for name in ("qrs_net_mv", "t_mv"))
    for wave, vector in (("qrs", qrs_mv), ("t", t_mv)):
        out |= {f"{wave}_{axis}_mv": float(value) for axis, value in zip("xyz", vector, strict=True)}
        out[f"{wave}_vector_mv"] = float(np.linalg.norm(vector))
    product = out["qrs_vector_mv"] * out["t_vector_mv"]
    out["qrs_t_angle_cos"] = float(qrs_mv @ t_mv) / product if product > 0 else math.nan
    apart = known["qrs_axis_deg"] - known["t_axis_deg"]
    out["qrs_t_frontal_deg"] = abs((apart + 180) % 360 - 180)
    return out
