"""Explanations of recordings in which little can be measured, as a table in Markdown.

python benchmarks/odd_recordings.py
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import gem
import grounding
from grounding import STANDARD_LEADS, ECGRecord


def patient(record: ECGRecord, age: float | None, sex: str | None) -> ECGRecord:
    meta = {"age": age, "sex": sex}
    return ECGRecord.from_array(
        record.signal, record.fs, record.leads, meta={key: value for key, value in meta.items() if value is not None}
    )


def recordings() -> Iterator[tuple[str, ECGRecord]]:
    """Name and recording, made from a bundled one and from the generator."""
    sample = grounding.read_record(grounding.sample_path())
    fs, signal = sample.fs, sample.signal
    rng = np.random.default_rng(0)
    yield "flat lines", ECGRecord.from_array(np.zeros_like(signal), fs, STANDARD_LEADS)
    yield "white noise, 0.3 mV", ECGRecord.from_array(rng.normal(0, 0.3, signal.shape), fs, STANDARD_LEADS)
    yield "lead II alone", sample.select(("II",))
    yield "limb leads alone", sample.select(STANDARD_LEADS[:6])
    yield "two seconds", ECGRecord.from_array(signal[:, : int(2 * fs)], fs, STANDARD_LEADS)
    yield "sixty seconds", ECGRecord.from_array(np.tile(signal, (1, 6)), fs, STANDARD_LEADS)
    more = np.concatenate([signal, signal[[6, 11, 11]] * 0.7])
    yield "fifteen leads", ECGRecord.from_array(more, fs, (*STANDARD_LEADS, "V3R", "V8", "V9"))
    child, _ = grounding.synthesize(125, pr_ms=110, qrs_ms=65, qt_ms=270, axis_deg=100, noise_snr_db=25, seed=3)
    yield "a child of 3 years, 125 bpm", patient(child, 3.0, "female")
    yield "the same recording, an adult", patient(child, 30.0, "female")
    yield "sex and age unknown", patient(sample, None, None)


def main() -> None:
    print("| recording | summary | values not given | encoders' opinions | notes |\n| --- | --- | --- | --- | --- |")
    for name, record in recordings():
        told = gem.explain(record)
        parts: dict[str, list[str]] = {}
        for statement in told.statements:
            parts.setdefault(statement.kind, []).append(statement.text)
        first = parts.get("summary", parts.get("missing", [""]))[0]
        missing = "" if "summary" not in parts else " ".join(parts.get("missing", []))
        cells = (name, first, missing, str(len(parts.get("diagnosis", []))), " ".join(parts.get("note", [])))
        print("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")


if __name__ == "__main__":
    main()
