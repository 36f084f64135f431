"""A scene: all that the view in the browser draws, as one JSON-ready dictionary."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import asdict
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import grounding
from grounding import ECGRecord, EcgSignalError, Evidence, Measurement
from grounding._version import __version__
from grounding.tables import NAMES

from .measured import name_of, place, printed_lines, quality_lines, rows, shown
from .subject import KINDS

if TYPE_CHECKING:
    from .subject import Shown, ShownStatement

MISSING = -32768  # a sample that was not recorded, in int16
STEP_MV = 0.001  # a step of the samples, where their range allows it
MAX_SAMPLES = 24_000_000  # of all leads; a day of one lead at 250 Hz has 21.6 million
MAX_WAVES = 30_000  # beyond, the waves of a beat are those over all leads
MAX_SPANS = 5_000  # of one piece of evidence
WAVES = (("P", "p"), ("QRS", "qrs"), ("T", "t"))
NO_WAVES: dict[str, list[Any]] = {"beat": [], "wave": [], "onset_s": [], "offset_s": []}
NO_BEATS: dict[str, list[Any]] = {"r_s": [], "type": []}


def scene(subject: Shown | ECGRecord | Measurement) -> dict[str, Any]:
    """What the view draws: samples, waves, statements with their evidence, measured values, findings.

    Args:
        subject: an explanation, a recording (nothing is measured or said), or a measurement (nothing is drawn or said).

    Returns:
        A JSON-ready dictionary; ``docs/explorer.md`` describes it.

    Example:
        >>> from grounding import read_record, sample_path
        >>> made = scene(read_record(sample_path()))
        >>> made["record"]["leads"][:3], made["record"]["duration_s"], made["statements"]
        (['I', 'II', 'III'], 10.0, [])
    """
    if isinstance(subject, ECGRecord):
        return _assembled(subject, None, None)
    if isinstance(subject, Measurement):
        return _assembled(None, subject, None)
    return _assembled(subject.record, subject.measurement, subject)


def _assembled(record: ECGRecord | None, measurement: Measurement | None, said: Shown | None) -> dict[str, Any]:
    return {
        "version": 1,
        "made_by": f"gem-ecg {__version__}",
        "record": _record(record, measurement),
        "picture": None if record is None else _picture(record),
        "model": "" if said is None else said.model,
        "statements": [] if said is None else [_statement(k, part) for k, part in enumerate(said.statements, 1)],
        "counts": {} if said is None else dict(said.verdict),
        "findings": [] if said is None else [_finding(finding) for finding in said.findings],
        "probabilities": [] if said is None else _probabilities(said.probabilities),
        "measured": [] if measurement is None else _measured(measurement),
        "intervals": {} if measurement is None else dict(measurement.intervals),
        "waves": NO_WAVES if measurement is None else _waves(measurement),
        "beats": NO_BEATS if measurement is None else _beats(measurement),
        "quality": [] if measurement is None else _quality(measurement),
        "notes": _notes(record, measurement),
        "median": None if record is None or measurement is None else _median(record, measurement),
        "edits": [] if measurement is None else [asdict(edit) for edit in measurement.edits],
    }


def _record(record: ECGRecord | None, measurement: Measurement | None) -> dict[str, Any]:
    about = measurement if measurement is not None else record
    assert about is not None
    out: dict[str, Any] = {
        "id": about.record_id,
        "fs": about.fs,
        "duration_s": about.duration_s,
        "leads": list(about.leads),
        "unit": "mV" if about.has_millivolts else "",
        "age": measurement.age if measurement is not None else record.meta.get("age") if record is not None else None,
        "sex": measurement.sex if measurement is not None else record.meta.get("sex") if record is not None else None,
        "samples": [],
        "every": 1,
        "scale": 1.0,
        "offsets": [],
        "mv_per_unit": 1.0,
    }
    if record is not None:
        out |= encoded(record.signal, has_millivolts=record.has_millivolts)
    return out


def encoded(signal: NDArray[np.floating[Any]], has_millivolts: bool = True) -> dict[str, Any]:
    """Samples as base64 of little-endian int16.

    Args:
        signal: (leads, samples), mV; NaN where a sample is missing.
        has_millivolts: False where the values are no voltages.

    Returns:
        ``samples`` (a text per lead), ``scale`` (mV per step), ``offsets`` (mV, per lead), ``mv_per_unit`` (drawn
        millivolts per unit), ``every``: 1, or where there are more than ``MAX_SAMPLES``, the number of samples of which
        each pair that is left has the lowest and the highest.
    """
    every = 2 * math.ceil(signal.size / MAX_SAMPLES) if signal.size > MAX_SAMPLES else 1
    values = np.asarray(signal if every == 1 else _extremes(signal, every), np.float32)
    with np.errstate(all="ignore"):
        low, high = (
            np.nan_to_num(f(values, axis=1, initial=start, where=np.isfinite(values)), posinf=0, neginf=0)
            for f, start in ((np.min, np.inf), (np.max, -np.inf))
        )
    reach = float(np.maximum(np.abs(low), np.abs(high)).max(initial=0.0))
    offsets = np.zeros(len(values)) if reach <= STEP_MV * 32_000 else (low.astype(np.float64) + high) / 2
    half = float(np.maximum(np.abs(low - offsets), np.abs(high - offsets)).max(initial=0.0))
    scale = STEP_MV if has_millivolts and half <= STEP_MV * 32_000 else (half / 32_000 or 1.0)
    texts = []
    for row, offset in zip(values, offsets, strict=True):
        steps = np.where(np.isfinite(row), np.round((row - offset) / scale), MISSING).astype("<i2")
        texts.append(base64.b64encode(steps.tobytes()).decode("ascii"))
    large = 1.0
    if not has_millivolts:
        centred = np.abs(values - np.nanmedian(values, axis=1, keepdims=True))
        large = 1.0 / (float(np.nanpercentile(centred, 99.5)) or 1.0)
    return {"samples": texts, "every": every, "scale": scale, "offsets": offsets.tolist(), "mv_per_unit": large}


def _extremes(signal: NDArray[np.floating[Any]], every: int) -> NDArray[np.floating[Any]]:
    """The lowest and the highest of each ``every`` samples, (leads, 2 * ceil(samples / every))."""
    leads, n = signal.shape
    blocks = math.ceil(n / every)
    padded = np.full((leads, blocks * every), np.nan, np.float32)
    padded[:, :n] = signal
    cut = padded.reshape(leads, blocks, every)
    known = np.isfinite(cut)
    low = np.where(known, cut, np.inf).min(axis=2)
    high = np.where(known, cut, -np.inf).max(axis=2)
    pairs = np.stack([low, high], axis=2).reshape(leads, -1)
    return np.where(np.isfinite(pairs), pairs, np.nan)


def _picture(record: ECGRecord) -> dict[str, Any] | None:
    """The picture that the recording was read from, without its bends, and the places of leads and seconds on it."""
    picture = record.meta.get("picture")
    if picture is None:
        return None
    page = picture["places"].page()
    buffer = io.BytesIO()
    page.image.save(buffer, "JPEG", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    plan = page.layout.to_dict()
    keys = ("lead", "start_s", "end_s", "x_mm", "y_mm", "width_mm", "height_mm", "zero", "rhythm")
    return {
        "href": f"data:image/jpeg;base64,{data}",
        "width": page.image.width,
        "height": page.image.height,
        "px_per_mm": page.layout.px_per_mm,
        "mm_per_mv": 10.0 * page.layout.mv_per_unit,
        "panels": [{key: panel[key] for key in keys} for panel in plan["panels"] if not panel["missing"]],
    }


def _statement(index: int, statement: ShownStatement) -> dict[str, Any]:
    start = getattr(statement, "start", 0)
    return {
        "index": index,
        "text": statement.text,
        "verdict": statement.verdict,
        "kind": statement.kind,
        "kind_words": KINDS.get(statement.kind, ""),
        "evidence": [_evidence(part) for part in dict.fromkeys(statement.evidence)],
        "claims": [
            {
                "start": claim.start - start,
                "end": claim.end - start,
                "text": claim.text,
                "verdict": claim.verdict,
                "reason": claim.reason,
                "quantities": sorted({part.quantity for part in claim.evidence}),
            }
            for claim in statement.claims
        ],
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "leads": list(evidence.leads),
        "beats": list(evidence.beats[:MAX_SPANS]),
        "spans_s": [list(span) for span in evidence.spans_s[:MAX_SPANS]],
        "more": max(0, len(evidence.spans_s) - MAX_SPANS),
        "quantity": evidence.quantity,
        "name": name_of(evidence.quantity),
        "value": _plain(evidence.value),
        "shown": shown(evidence),
        "unit": evidence.unit,
        "place": place(evidence) if evidence.leads or evidence.spans_s else "",
        "source": evidence.method,
        "reason": evidence.reason or "",
    }


def _finding(finding: Any) -> dict[str, Any]:
    return {
        "name": finding.name,
        "label": finding.label or finding.name.replace("_", " "),
        "group": finding.group,
        "present": finding.present,
        "criterion": finding.criterion,
        "source": finding.source,
        "reason": finding.reason or "",
        "doubt": finding.doubt or "",
        # evidence of what is absent would be most of the page
        "evidence": [_evidence(part) for part in dict.fromkeys(finding.evidence)] if finding.present else [],
    }


def _probabilities(probabilities: Mapping[str, float]) -> list[dict[str, Any]]:
    top = sorted(probabilities.items(), key=lambda item: -item[1])[:8]
    return [{"name": name, "value": float(value)} for name, value in top]


def _measured(measurement: Measurement) -> list[dict[str, Any]]:
    names = {name: quantity for quantity, name in NAMES.items()}
    out = []
    for name, value, where in rows(measurement):
        evidence = _evidence(measurement.evidence(names[name]))
        out.append({**evidence, "name": name, "shown": value, "where": where})
    return out


def _waves(measurement: Measurement) -> dict[str, list[Any]]:
    """Columns, with the boundaries in seconds; waves without any are left out."""
    if measurement.n_rows("waves") > MAX_WAVES:
        return _waves_of_beats(measurement)
    edges = np.array([measurement.column("waves", name) for name in ("onset", "offset")], float).T / measurement.fs
    kept = np.asarray(np.isfinite(edges).all(axis=1))
    columns = {name: list(compress(measurement.column("waves", name), kept)) for name in ("lead", "beat", "wave")}
    return columns | _seconds(edges[kept])


def _waves_of_beats(measurement: Measurement) -> dict[str, list[Any]]:
    """As ``_waves``, over all leads: ``lead`` is left out."""
    beats = measurement.beats
    edges = np.concatenate([beats[[f"{key}_onset", f"{key}_offset"]].to_numpy(float) for _, key in WAVES])
    edges /= measurement.fs
    kept = np.flatnonzero(np.isfinite(edges).all(axis=1))
    kept = kept[np.argsort(edges[kept, 0], kind="stable")]
    words = np.repeat([wave for wave, _ in WAVES], len(beats))[kept].tolist()
    return {"beat": np.tile(beats["beat"].to_numpy(), len(WAVES))[kept].tolist(), "wave": words} | _seconds(edges[kept])


def _seconds(edges: NDArray[np.float64]) -> dict[str, list[float]]:
    onset, offset = np.round(edges, 4).T
    return {"onset_s": onset.tolist(), "offset_s": offset.tolist()}


def _beats(measurement: Measurement) -> dict[str, list[Any]]:
    """Columns: the place of each R, and the type."""
    r_s = np.round(np.array(measurement.column("beats", "r_s"), float), 4).tolist()
    return {"r_s": r_s, "type": list(map(str, measurement.column("beats", "type")))}


def _quality(measurement: Measurement) -> list[dict[str, Any]]:
    return [
        {
            "lead": row["lead"],
            "usable": bool(row["usable"]),
            "issues": [str(issue).replace("_", " ") for issue in row["issues"]],
            "unusable_spans_s": [[float(a), float(b)] for a, b in row["unusable_spans_s"]],
        }
        for row in measurement.rows("quality")
    ]


def _notes(record: ECGRecord | None, measurement: Measurement | None) -> list[str]:
    lines = [] if measurement is None else quality_lines(measurement) + printed_lines(record, measurement)
    return lines + ([] if record is None else [str(line) for line in record.meta.get("warnings", ())])


def _median(record: ECGRecord, measurement: Measurement) -> dict[str, Any] | None:
    """The median beat with the boundaries that a reader may move; ``None`` where there is none."""
    boundaries = measurement.boundaries
    if all(value is None for value in boundaries.values()):
        return None
    try:
        beat = grounding.median_beat(record, measurement)
    except EcgSignalError:  # no beat lies completely inside the recording: there is nothing to move boundaries on
        return None
    signal = encoded(beat.signal, record.has_millivolts)
    return {
        "fs": beat.fs,
        "leads": list(beat.leads),
        "samples": signal["samples"],
        "scale": signal["scale"],
        "offsets": signal["offsets"],
        "r_s": beat.r_sample / beat.fs,
        "boundaries": {name: None if value is None else round(value, 2) for name, value in boundaries.items()},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
