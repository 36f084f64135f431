"""``gem.explain``: from a recording to a checked explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import grounding
from grounding import Claim, ECGRecord
from grounding.criteria.limits import ADULT_YEARS

from .errors import GemError, GemInputError
from .explanation import Explanation, Statement
from .forking import model_building_lock
from .grounded import ground
from .writing import encode_records, one_thread

if TYPE_CHECKING:
    from grounding import Measurement
    from grounding.facts import ReportSentence

BATCH_SIZE = 16  # recordings whose texts are decoded together
# fractions of the leads and of the window that the encoders were trained on; with fewer, they are not used
MIN_LEADS_FRACTION, MIN_WINDOW_FRACTION = 2 / 3, 0.5


@overload
def explain(record_or_path: ECGRecord | str | Path, model: Any = ..., text: str | None = ...) -> Explanation: ...
@overload
def explain(
    record_or_path: list[ECGRecord | str | Path], model: Any = ..., text: list[str] | str | None = ...
) -> list[Explanation]: ...
def explain(
    record_or_path: ECGRecord | str | Path | list[ECGRecord | str | Path],
    model: Any = "gem-nano",
    text: str | list[str] | None = None,
) -> Explanation | list[Explanation]:
    """Measure a recording, let a model describe it, and check what the model wrote; or check a given text.

    The model writes sentences that cite facts by tags; numbers come from the measurement, diagnoses from the encoders.

    Args:
        record_or_path: a recording, or a file that ``grounding.read_record`` reads; or a list of them, whose texts are
            decoded in batches, which is several times faster.
        model: a name (``"gem-nano"``), a folder, or a model from ``gem.load``. A name or folder is loaded once per
            process.
        text: somebody's text about the recording, in English or German, which is explained instead of a model's; no
            model is loaded. For a list of recordings, one for each.

    Returns:
        An Explanation; for a list, a list of them.

    Raises:
        EcgError: a recording can't be read or used.
        GemError: the model can't be loaded, or wrote nothing; or the text is not a str.

    Example:
        >>> import gem, grounding
        >>> said = gem.explain(grounding.sample_path("ptbxl_286"), text="LBBB, rate 75. No LBBB.")
        >>> [(claim.text, claim.verdict) for claim in said.claims]
        [('LBBB', 'supported'), ('rate 75', 'supported'), ('LBBB', 'contradicted')]
    """
    single = isinstance(record_or_path, ECGRecord | str | Path)
    many: list[Any] = [record_or_path] if single else list(record_or_path)  # type: ignore[arg-type]
    if text is not None:
        return _grounded(many, text, single)
    records = [item if isinstance(item, ECGRecord) else grounding.read_record(item) for item in many]
    loaded = load_once(str(model)) if isinstance(model, str | Path) else model
    out: list[Explanation] = []
    for first in range(0, len(records), BATCH_SIZE):
        batch = records[first : first + BATCH_SIZE]
        out += _explanations(batch, [grounding.measure(record) for record in batch], loaded, model_name(model))
    return out[0] if single else out


def _grounded(many: list[Any], text: Any, single: bool) -> Explanation | list[Explanation]:
    texts = [text] if single else text
    if not isinstance(texts, list | tuple) or len(texts) != len(many):
        raise GemInputError(
            f"{len(many)} recordings and {len(texts) if isinstance(texts, list | tuple) else 1} texts",
            where="text",
            remedy="pass a list with a text for each recording",
        )
    for one in texts:  # before anything is measured
        if not isinstance(one, str):
            raise GemInputError(f"the text is {type(one).__name__}", where="text", remedy="pass a str")
    records = [item if isinstance(item, ECGRecord) else grounding.read_record(item) for item in many]
    out = [ground(record, one) for record, one in zip(records, texts, strict=True)]
    return out[0] if single else out


def model_name(model: Any) -> str:
    """The name of a model, as explanations give it.

    Args:
        model: a name, a folder, or a model from ``gem.load``.
    """
    if isinstance(model, str | Path):
        return Path(model).name
    return Path(str(getattr(model, "name_or_path", "") or type(model).__name__)).name


def load_once(name: str) -> Any:
    """A model by name or folder, which is loaded once per process.

    Args:
        name: as for ``gem.load``.
    """
    with model_building_lock:  # a second thread waits here, and then finds the model in the cache
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
    silences = [reason_for_silence(model, measurement) for measurement in measurements]
    with_beats = [row for row, measurement in enumerate(measurements) if len(measurement.beats)]
    with one_thread(model):
        encoded = None
        if with_beats:
            measured = [measurements[row] for row in with_beats]
            encoded = encode_records(model, [records[row] for row in with_beats], measured)
        predicted = dict(zip(with_beats, encoded.probabilities(), strict=True)) if encoded is not None else {}
        items = [
            facts(measurement, tuple(assessment.findings.values()), {} if silence else predicted.get(row, {}))
            for row, (measurement, assessment, silence) in enumerate(
                zip(measurements, assessments, silences, strict=True)
            )
        ]
        texts: dict[int, str] = {}
        if encoded is not None:
            texts = dict(zip(with_beats, encoded.write([items[row] for row in with_beats]), strict=True))
    out = []
    for row, (record, measurement) in enumerate(zip(records, measurements, strict=True)):
        tagged, silence = texts.get(row, ""), silences[row]
        if row in texts and not tagged.strip():
            raise GemError(
                "the model wrote no sentence", where=record.record_id, remedy="try another model, or train it longer"
            )
        notes = () if silence else notes_on_encoder_input(model, record)
        sentences = report(tagged, items[row], assessments[row], silence if row in texts else None, notes)
        probabilities = {} if silence else predicted.get(row, {})
        findings = tuple(assessments[row].findings.values())
        out.append(
            Explanation(
                record.record_id,
                checked_statements(sentences, measurement),
                measurement,
                findings,
                probabilities,
                name,
                record,
                silence,
            )
        )
    return out


def checked_statements(
    sentences: Sequence[ReportSentence], measurement: Measurement, read_as: Sequence[str] | None = None
) -> tuple[Statement, ...]:
    """Check the sentences of a report.

    Args:
        sentences: in the order of the report.
        measurement: of the recording that they are about.
        read_as: what the checker reads in place of each sentence, of the same length: with spaces for what is quoted.

    Returns:
        Each sentence with its place in the whole text and the claims that the checker found in it.
    """
    texts = [sentence.text for sentence in sentences] if read_as is None else list(read_as)
    claims = grounding.check(" ".join(texts), measurement)
    statements, start = [], 0
    for sentence in sentences:
        end = start + len(sentence.text)
        within = tuple(_with_origin(claim, start, sentence.inserted) for claim in claims if start <= claim.start < end)
        statements.append(
            Statement(
                sentence.text,
                start,
                end,
                sentence.evidence,
                within,
                sentence.kind,
                sentence.tags,
                sentence.inserted,
            )
        )
        start = end + 1
    return tuple(statements)


def _with_origin(claim: Claim, start: int, inserted: tuple[tuple[int, int], ...]) -> Claim:
    """A claim in a statement that begins at ``start``; its origin is "inserted" if code inserted any of its words."""
    begin, end = claim.start - start, claim.end - start
    return replace(claim, origin="inserted") if any(a < end and begin < b for a, b in inserted) else claim


def reason_for_silence(model: Any, measurement: Measurement) -> str | None:
    """Why the encoders are not used on a recording.

    Args:
        model: a model from ``gem.load``.
        measurement: of the recording.

    Returns:
        In what the recording differs from those that the encoders were trained on; None if it does not.
    """
    contract = getattr(model.processor, "contract", None)
    if contract is None or not getattr(model.config, "class_names", None):
        return None
    if not len(measurement.beats):
        return measurement.reasons.get("heart_rate", "nothing could be measured").rstrip(".")
    table = measurement.quality
    usable = set(table.loc[table["usable"].astype(bool), "lead"]) & set(contract.leads)
    if len(usable) < MIN_LEADS_FRACTION * len(contract.leads):
        return f"they were trained on {len(contract.leads)} leads, of which {len(usable)} can be used here"
    window_s = contract.n_samples / contract.fs_hz
    if measurement.duration_s < MIN_WINDOW_FRACTION * window_s:
        return f"they were trained on {window_s:g} s, and the recording has {measurement.duration_s:.2g} s"
    if measurement.age is not None and measurement.age < ADULT_YEARS:
        return f"they were trained on adults, and the patient is {measurement.age:g} years old"
    return None


def notes_on_encoder_input(model: Any, record: ECGRecord) -> tuple[str, ...]:
    """What was changed in a recording for the encoders, one sentence per change.

    Args:
        model: a model from ``gem.load``.
        record: as it was read.

    Returns:
        The sentences; none for a model without a classification head.
    """
    contract = getattr(model.processor, "contract", None)
    if contract is None or not getattr(model.config, "class_names", None):
        return ()
    return tuple(f"For the encoders: {change}." for change in contract.changes(record))
