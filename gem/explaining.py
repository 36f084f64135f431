"""gem.explain: the whole way from a recording to a checked explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import grounding
from grounding import Claim, ECGRecord
from grounding.criteria.limits import ADULT_YEARS

from .errors import GemError
from .explanation import Explanation, Statement
from .forking import building
from .writing import look, one_thread

if TYPE_CHECKING:
    from grounding import Measurement
    from grounding.facts import ReportSentence

AT_ONCE = 16  # recordings whose texts are decoded together
LEAST_LEADS, LEAST_WINDOW = 2 / 3, 0.5  # shares of what the encoders were trained on, without which they are not asked


@overload
def explain(record_or_path: ECGRecord | str | Path, model: Any = ...) -> Explanation: ...
@overload
def explain(record_or_path: list[ECGRecord | str | Path], model: Any = ...) -> list[Explanation]: ...
def explain(
    record_or_path: ECGRecord | str | Path | list[ECGRecord | str | Path], model: Any = "gem-nano"
) -> Explanation | list[Explanation]:
    """Measure a recording, let a model say what is on it, and check what was said.

    The model writes sentences that cite facts by tags; numbers come from the measurement, diagnoses from the encoders.

    Args:
        record_or_path: a recording, or a file that ``grounding.read_record`` reads; or a list of such, which are
            written together: several times faster.
        model: a name (``"gem-nano"``), a folder, or a model from ``gem.load``. A name or folder is loaded once per
            process.

    Returns:
        Explanation; a list of them for a list.

    Raises:
        EcgError: a recording can't be read or used.
        GemError: the model can't be loaded, or wrote nothing.
    """
    many = [record_or_path] if isinstance(record_or_path, ECGRecord | str | Path) else list(record_or_path)
    name = (
        str(model) if isinstance(model, str | Path) else str(getattr(model, "name_or_path", "") or type(model).__name__)
    )
    records = [item if isinstance(item, ECGRecord) else grounding.read_record(item) for item in many]
    loaded = _load(str(model)) if isinstance(model, str | Path) else model
    out: list[Explanation] = []
    for first in range(0, len(records), AT_ONCE):
        part = records[first : first + AT_ONCE]
        out += _explanations(part, [grounding.measure(record) for record in part], loaded, Path(name).name)
    return out[0] if isinstance(record_or_path, ECGRecord | str | Path) else out


def _load(name: str) -> Any:
    with building:  # who comes second waits, and finds the model
        return _loaded(name)


@lru_cache(maxsize=2)
def _loaded(name: str) -> Any:
    from .checkpoints import load

    return load(name)


def _explanations(
    records: Sequence[ECGRecord], measurements: Sequence[Measurement], model: Any, name: str
) -> list[Explanation]:
    from grounding.criteria import assess
    from grounding.facts import facts, report

    assessments = [assess(measurement) for measurement in measurements]
    silences = [why_silent(model, measurement) for measurement in measurements]
    known = [row for row, measurement in enumerate(measurements) if len(measurement.beats)]
    with one_thread(model):
        seen = look(model, [records[row] for row in known]) if known else None
        chances = dict(zip(known, seen.probabilities(), strict=True)) if seen is not None else {}
        items = [
            facts(measurement, tuple(assessment.findings.values()), {} if silence else chances.get(row, {}))
            for row, (measurement, assessment, silence) in enumerate(
                zip(measurements, assessments, silences, strict=True)
            )
        ]
        texts = dict(zip(known, seen.write([items[row] for row in known]), strict=True)) if seen is not None else {}
    out = []
    for row, (record, measurement) in enumerate(zip(records, measurements, strict=True)):
        tagged, silence = texts.get(row, ""), silences[row]
        if row in texts and not tagged.strip():
            raise GemError(
                "the model wrote no sentence", where=record.record_id, remedy="try another model, or train it longer"
            )
        notes = () if silence else changed_for_the_encoders(model, record)
        said = report(tagged, items[row], assessments[row], silence if row in texts else None, notes)
        probabilities = {} if silence else chances.get(row, {})
        findings = tuple(assessments[row].findings.values())
        out.append(
            Explanation(
                record.record_id,
                checked(said, measurement),
                measurement,
                findings,
                probabilities,
                name,
                record,
                silence,
            )
        )
    return out


def checked(parts: Sequence[ReportSentence], measurement: Measurement) -> tuple[Statement, ...]:
    """What is said, each part with its place in the whole text and the claims that the checker reads in it."""
    claims = grounding.check(" ".join(part.text for part in parts), measurement)
    statements, start = [], 0
    for part in parts:
        end = start + len(part.text)
        within = tuple(_with_origin(claim, start, part.inserted) for claim in claims if start <= claim.start < end)
        statements.append(Statement(part.text, start, end, part.evidence, within, part.kind, part.tags, part.inserted))
        start = end + 1
    return tuple(statements)


def _with_origin(claim: Claim, start: int, inserted: tuple[tuple[int, int], ...]) -> Claim:
    """A claim of a statement that begins at ``start``: inserted where code put any of its words there."""
    begin, end = claim.start - start, claim.end - start
    return replace(claim, origin="inserted") if any(a < end and begin < b for a, b in inserted) else claim


def why_silent(model: Any, measurement: Measurement) -> str | None:
    """Why the encoders are not asked about a recording: it is not of the kind that they were trained on. ``None`` where it is."""
    contract = getattr(model.processor, "contract", None)
    if contract is None or not getattr(model.config, "class_names", None):
        return None
    if not len(measurement.beats):
        return measurement.reasons.get("heart_rate", "nothing could be measured").rstrip(".")
    table = measurement.quality
    usable = set(table.loc[table["usable"].astype(bool), "lead"]) & set(contract.leads)
    if len(usable) < LEAST_LEADS * len(contract.leads):
        return f"they were trained on {len(contract.leads)} leads, of which {len(usable)} can be used here"
    window_s = contract.n_samples / contract.fs_hz
    if measurement.duration_s < LEAST_WINDOW * window_s:
        return f"they were trained on {window_s:g} s, and the recording has {measurement.duration_s:.2g} s"
    if measurement.age is not None and measurement.age < ADULT_YEARS:
        return f"they were trained on adults, and the patient is {measurement.age:g} years old"
    return None


def changed_for_the_encoders(model: Any, record: ECGRecord) -> tuple[str, ...]:
    """What the encoders saw otherwise than it was recorded, a sentence each."""
    contract = getattr(model.processor, "contract", None)
    if contract is None or not getattr(model.config, "class_names", None):
        return ()
    return tuple(f"For the encoders: {change}." for change in contract.changes(record))
