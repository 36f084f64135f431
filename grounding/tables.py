"""What Jupyter shows of a recording, a measurement and findings: small tables, readable in light and dark themes.

Everything that comes from a file is escaped; colours are those of the page around.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .evidence import Evidence, Finding
from .paper.layout import Recording

# no colour of its own: text, lines and trace take the page's, and signs stand beside what a colour would say
STYLE = (
    "<style>.ecg-table{font:14px/1.45 system-ui,-apple-system,'Segoe UI',sans-serif;max-width:60rem;overflow-x:auto}"
    ".ecg-table table{border-collapse:collapse;margin:.3rem 0;color:inherit;background:none}"
    ".ecg-table tr,.ecg-table tbody tr:nth-child(n){background:none;color:inherit}"
    ".ecg-table th,.ecg-table td{text-align:left!important;vertical-align:top;padding:.15rem .8rem .15rem 0;"
    "color:inherit;background:none;border:0;border-bottom:1px solid rgba(128,128,128,.35);max-width:none}"
    ".ecg-table .number{text-align:right!important;white-space:nowrap;font-variant-numeric:tabular-nums;"
    "font-weight:600}.ecg-table p{margin:.2rem 0}.ecg-table small{opacity:.8}"
    ".ecg-table svg{display:block;width:100%;max-width:60rem;height:auto;color:inherit}</style>"
)
STRIP_S, STRIP_POINTS = 10.0, 900
STRIP_WIDTH, STRIP_HEIGHT = 1000.0, 130.0
SIGNS = {True: "\u2713 present", False: "\u2013 absent", None: "? not decided"}
NAMES = {
    "heart_rate": "Heart rate",
    "rr": "RR interval",
    "p": "P wave",
    "pr": "PR interval",
    "qrs": "QRS duration",
    "qt": "QT interval",
    "qtc_fridericia": "QTc (Fridericia)",
    "qtc_bazett": "QTc (Bazett)",
    "qtc_framingham": "QTc (Framingham)",
    "qtc_hodges": "QTc (Hodges)",
    "axis": "QRS axis",
}
UNITS = {"deg": "\N{DEGREE SIGN}", "ms": " ms", "bpm": " bpm"}


class Recorded(Recording, Protocol):
    """A ``grounding.ECGRecord``, which shows itself by this and so is not imported here."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """What its file has besides the samples."""


class MeasuredValues(Protocol):
    """A ``grounding.Measurement``, likewise."""

    @property
    def record_id(self) -> str:
        """The recording."""

    @property
    def beats(self) -> Any:
        """The table of beats."""

    @property
    def quality(self) -> Any:
        """The table of leads."""

    @property
    def issues(self) -> tuple[str, ...]:
        """Of the record as a whole."""

    @property
    def edits(self) -> Sequence[object]:
        """Boundaries moved by hand."""

    def evidence(self, quantity: str) -> Evidence:
        """Of a global value."""


def record_table(record: Recorded) -> str:
    """A recording in a few lines, with a strip of one lead.

    Args:
        record: the recording.
    """
    age, sex, units = record.meta.get("age"), record.meta.get("sex"), record.meta.get("units", "mV")
    facts = {
        "Leads": " ".join(record.leads),
        "Length": f"{record.duration_s:g} s at {record.fs:g} Hz",
        "Amplitudes": "mV" if record.has_millivolts else f"{units}: no voltages",
        "Patient": ", ".join(filter(None, (f"{age:g} years" if isinstance(age, int | float) else "", sex or ""))),
        "Format": str(record.meta.get("format", "")),
        "Warnings": "; ".join(map(str, record.meta.get("warnings", ()))),
    }
    rows = [(name, escape(value)) for name, value in facts.items() if value]
    return _framed(record.record_id, _table(rows), _strip(record))


def measurement_table(measurement: MeasuredValues) -> str:
    """The global values of a measurement, each with the reason where it is missing.

    Args:
        measurement: of one recording.
    """
    rows = []
    for quantity, name in NAMES.items():
        evidence = measurement.evidence(quantity)
        if evidence.value is None:
            value, note = "not measured", evidence.reason or ""
        else:
            spread = "" if evidence.uncertainty is None else f" \u00b1 {evidence.uncertainty:.0f}"
            number = f"{float(evidence.value):.0f}"
            value = f"{'0' if number == '-0' else number}{spread}{UNITS.get(evidence.unit, '')}"
            note = evidence.method.partition("; before that ")[0] if "moved by hand" in evidence.method else ""
        rows.append((name, f'<td class="number">{escape(value)}</td><td><small>{escape(note)}</small></td>'))
    quality = measurement.quality
    poor = [
        f"{lead}: {', '.join(words).replace('_', ' ') or 'not usable'}{'' if usable else ' (not used)'}"
        for lead, words, usable in zip(quality["lead"], quality["issues"], quality["usable"], strict=True)
        if len(words) or not usable
    ]
    about = [f"{len(measurement.beats)} beats", *(issue.replace("_", " ") for issue in measurement.issues), *poor]
    body = "".join(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>' for name, cells in rows)
    below = f"<p><small>{escape('; '.join(about))}</small></p>"
    return _framed(measurement.record_id, f"<table><tbody>{body}</tbody></table>", below)


def findings_table(findings: Iterable[Finding]) -> str:
    """Findings, the present ones first; absent ones are counted, undecided ones have their reasons.

    Args:
        findings: of one recording.
    """
    every = list(findings)
    shown = [one for one in every if one.present] + [one for one in every if one.present is None]
    absent = sum(one.present is False for one in every)
    if len(every) == 1:
        shown, absent = every, 0
    body = "".join(
        f'<tr><td>{SIGNS[one.present]}</td><th scope="row">{escape(one.label or one.name.replace("_", " "))}</th>'
        f"<td>{escape(one.reason or one.criterion if one.present is None else one.criterion)}"
        f"{f' <small>({escape(one.doubt)})</small>' if one.doubt else ''}</td>"
        f"<td><small>{escape(one.source)}</small></td></tr>"
        for one in shown
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("", "Finding", "Criterion, or why undecided", "Source"))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if shown else ""
    counted = f"<p><small>{absent} others are absent.</small></p>" if absent else ""
    return _framed("", table, counted or ("" if shown else "<p>No findings.</p>"))


def _framed(title: str, *parts: str) -> str:
    heading = f"<p><strong>{escape(title)}</strong></p>" if title else ""
    # lone surrogates, from file names that are not UTF-8, can't be encoded
    return f'{STYLE}<div class="ecg-table">{heading}{"".join(parts)}</div>'.encode(errors="replace").decode()


def _table(rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in rows)
    return f"<table><tbody>{body}</tbody></table>"


def _strip(record: Recorded) -> str:
    """The first seconds of lead II, or of the first lead that has samples, as a line; least and most of each column."""
    n_samples = round(STRIP_S * record.fs)
    recorded = [lead for lead in record.leads if np.isfinite(record.lead(lead)[:n_samples]).any()]
    if not recorded:
        return ""
    lead = "II" if "II" in recorded else recorded[0]
    values = record.lead(lead)[:n_samples].astype(np.float64)
    seconds = min(STRIP_S, record.duration_s)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    x = np.arange(len(values)) / (STRIP_S * record.fs) * STRIP_WIDTH
    y = 8 + (high - values) / max(high - low, 1e-9) * (STRIP_HEIGHT - 16)
    words = escape(f"lead {lead}, {seconds:g} s, {low:.2f} to {high:.2f}{' mV' if record.has_millivolts else ''}")
    return (
        f'<svg viewBox="0 0 {STRIP_WIDTH:g} {STRIP_HEIGHT:g}" role="img" aria-label="{words}">'
        f'<path d="{_path(x, y)}" fill="none" stroke="currentColor" stroke-width="1.2" stroke-linejoin="round"/></svg>'
        f"<p><small>{words}</small></p>"
    )


def _path(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    step = max(1, len(x) // STRIP_POINTS)
    parts, lifted = [], True
    for start in range(0, len(x), step):
        piece = y[start : start + step]
        if not np.isfinite(piece).any():
            lifted = True
            continue
        ends = sorted({int(np.nanargmin(piece)), int(np.nanargmax(piece))})
        for at in ends:
            parts.append(f"{'M' if lifted else 'L'}{x[start + at]:.1f} {piece[at]:.1f}")
            lifted = False
    return "".join(parts)
