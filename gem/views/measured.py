"""The measured values as a table for readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grounding import STANDARD_LEADS, EcgError, Evidence
from grounding.criteria.language import quantity_words
from grounding.measurement.edits import MOVED
from grounding.tables import NAMES

if TYPE_CHECKING:
    from grounding import ECGRecord, Measurement
    from grounding.measurement import Part

UNITS = {"deg": "\N{DEGREE SIGN}"}


def shown(evidence: Evidence) -> str:
    """A value with its unit, such as ``"182 ms"``; ``"not measured"`` where it is missing."""
    value = evidence.value
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if evidence.quantity.startswith("probability") or evidence.quantity.endswith(("_share", "_cv")):
        return f"{value:.0%}"
    whole = isinstance(value, int) or (not evidence.unit and value.is_integer())  # a count
    digits = 0 if evidence.unit in {"ms", "bpm", "deg", "%"} or whole else 2
    number = f"{value:.{digits}f}"
    number = number[1:] if number.startswith("-") and not float(number) else number
    unit = UNITS.get(evidence.unit, f" {evidence.unit}" if evidence.unit else "")
    spread = "" if evidence.uncertainty is None else f" +- {evidence.uncertainty:.{digits}f}"
    return f"{number}{spread}{unit}"


def name_of(quantity: str) -> str:
    """The name of a quantity for readers."""
    if quantity in NAMES:
        return NAMES[quantity]
    try:
        return quantity_words(quantity)
    except EcgError:  # a quantity that no criterion uses
        return quantity.replace("_", " ")


def place(evidence: Evidence) -> str:
    """Where evidence was measured, with "12 leads" for the list of all twelve."""
    return evidence.address().replace(", ".join(STANDARD_LEADS), "12 leads")


def source_line(evidence: Evidence) -> str:
    """Evidence in one line: quantity, value, and where it was measured or why it is missing."""
    if evidence.quantity.startswith("probability_"):
        return f"{name_of(evidence.quantity)}: {shown(evidence)} (from the encoders, not measured)"
    line = f"{name_of(evidence.quantity)} {shown(evidence)} [{place(evidence)}]"
    return f"{line}: {evidence.reason}" if evidence.value is None and evidence.reason else line


def rows(measurement: Measurement) -> list[tuple[str, str, str]]:
    """A row per global value: name, value, and where it was measured or why it is missing."""
    out = []
    for quantity, name in NAMES.items():
        try:
            evidence = measurement.evidence(quantity)
        except KeyError:
            continue
        where = place(evidence) if evidence.value is not None else evidence.reason or ""
        moved = evidence.method.partition("; before that ")[0] if evidence.method.startswith(MOVED) else ""
        out.append((name, shown(evidence), f"{where}; {moved}" if moved else where))
    return out


def part_line(part: Part) -> str:
    """A part of a long recording in one line: when, how many beats, rate and intervals."""
    measured = part.measurement.intervals
    values = [f"{name.upper()} {measured[name]:.0f} ms" for name in ("pr", "qrs", "qt") if measured[name] is not None]
    rate = part.measurement.heart_rate
    if rate is not None:
        values.insert(0, f"{rate:.0f} bpm")
    span = f"{_clock(part.start_s)} to {_clock(part.end_s)}"
    return f"{span}: {len(part.beats)} beats{''.join(f', {value}' for value in values)}"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def printed_lines(record: ECGRecord | None, measurement: Measurement) -> list[str]:
    """Quantities that are printed on a photograph against measured ones, one line each; none of other recordings."""
    values = None if record is None else record.meta.get("picture", {}).get("printed")
    if not values:
        return []
    from grounding.photographs import compare_printed  # photographs bring more of SciPy than all else here

    return [str(one) for one in compare_printed(values, measurement)]


def quality_lines(measurement: Measurement) -> list[str]:
    """Quality issues of the record and of its leads, one line each."""
    lines = [issue.replace("_", " ") for issue in measurement.issues]
    for row in measurement.rows("quality"):
        issues = ", ".join(str(issue).replace("_", " ") for issue in row["issues"])
        if issues or not row["usable"]:
            lines.append(f"{row['lead']}: {issues or 'not usable'}{'' if row['usable'] else ' (not used)'}")
    if not measurement.has_millivolts:
        lines.append("the amplitudes carry no voltage: no criterion in mV was evaluated")
    return lines
