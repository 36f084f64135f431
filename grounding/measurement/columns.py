"""The names of a measurement's intervals, and the columns of its tables."""

from __future__ import annotations

INTERVALS = ("rr", "pr", "qrs", "qt", "qtc_bazett", "qtc_fridericia", "qtc_framingham", "qtc_hodges", "p")
# what the beats tell of the rhythm, beside what the atria do
RHYTHM = (
    "rr_min_ms",
    "rr_max_ms",
    "rr_sd_ms",
    "rr_cv",
    "rmssd_ms",
    "p_share",
    "pr_sd_ms",
    "af_probability",
    "flutter_probability",
)

# the columns of each table; every table has all of them, NaN or None where a value could not be measured
WAVE_COLUMNS = ("lead", "beat", "wave", "onset", "peak", "offset")
EDGES = ("p_onset", "p_offset", "qrs_onset", "qrs_offset", "t_onset", "t_offset")
# names of the same boundaries over the leads: first onset, last offset
EXTENT_COLUMNS = {edge: edge.replace("_on", "_first_on").replace("_off", "_last_off") for edge in EDGES}
BEAT_COLUMNS = (
    "beat",
    "r_sample",
    "r_s",
    "rr_prev_ms",
    "rr_next_ms",
    "type",
    "p_present",
    "p_known",
    "pr_ms",
    "p_ms",
    "qrs_ms",
    "qt_ms",
    *EDGES,
    *EXTENT_COLUMNS.values(),
)
LEAD_FEATURE_COLUMNS = (
    "lead",
    "beat",
    "heart_rate_bpm",
    "rr_prev_ms",
    "rr_next_ms",
    "p_amplitude_mv",
    "p_duration_ms",
    "pr_interval_ms",
    "qrs_amplitude_mv",
    "qrs_duration_ms",
    "t_amplitude_mv",
    "t_duration_ms",
    "st_duration_ms",
    "st_form",
    "qt_interval_ms",
    "qtc_interval_ms",
)
LEAD_SUMMARY_COLUMNS = (
    "lead",
    "p_mv",
    "q_mv",
    "r_mv",
    "s_mv",
    "r2_mv",
    "s2_mv",
    "j_mv",
    "st0_mv",
    "st40_mv",
    "st60_mv",
    "st80_mv",
    "t_mv",
    "q_ms",
    "r_ms",
    "s_ms",
    "r_peak_time_ms",
    "qrs_ms",
    "p_ms",
    "qrs_form",
    "st_form",
    "t_form",
    "p_form",
)
