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

from .errors import GemConfigError, GemError, GemInputError
from .explanation import Explanation, Statement
from .forking import model_building_lock
from .grounded import ground
from .subjects import Subject, read_subject
from .writing import SMALL_MODEL, encode_records, one_thread

if TYPE_CHECKING:
    from grounding import Measurement
    from grounding.facts import ReportSentence

BATCH_SIZE = 16  # recordings whose texts are decoded together
FREE_BATCH_SIZE = 4  # of a large model, whose answers are long: 7 B and 3,900 tokens take 2 GB each in 16 bit
DEFAULT_PROMPT = "Interpret this ECG."
# fractions of the leads and of the window that the encoders were trained on; with fewer, they are not used
MIN_LEADS_FRACTION, MIN_WINDOW_FRACTION = 2 / 3, 0.5


@overload
def explain(
    record_or_path: list[Any], model: Any = ..., text: list[str] | None = ..., prompt: str | None = ..., **reading: Any
) -> list[Explanation]: ...
@overload
def explain(
    record_or_path: Any, model: Any = ..., text: str | None = ..., prompt: str | None = ..., **reading: Any
) -> Explanation: ...
def explain(
    record_or_path: Any,
    model: Any = "gem-nano",
    text: str | list[str] | None = None,
    prompt: str | None = None,
    **reading: Any,
) -> Explanation | list[Explanation]:
    """Measure a recording, let a model describe it, and check what the model wrote; or check a given text.

    gem-nano writes sentences that cite facts by tags; numbers come from the measurement, diagnoses from the encoders.
    A published model (GEM, PULSE, ECG-Chat, MEIT) is asked as its authors ask it, in its own conversation, and its free
    answer is held against the recording sentence by sentence, as a given text is.

    Args:
        record_or_path: a recording; a file that ``grounding.read_record`` reads; an array (leads, samples) with ``fs``
            and ``leads``; a PIL picture of an ECG; or a list of these, whose texts are decoded in batches, which is
            several times faster.
        model: a name (``"gem-nano"``), a folder, or a model from ``gem.load``. A name or folder is loaded once per
            process.
        text: somebody's text about the recording, in English or German, which is explained instead of a model's; no
            model is loaded. For a list of recordings, one for each.
        prompt: what a published model is asked; its family's own question when None.
        **reading: options of ``grounding.read_record``: ``fs`` (Hz), ``leads``, ``units``, ``age``, ``sex``,
            ``format``.

    Returns:
        An Explanation; for a list, a list of them.

    Raises:
        EcgError: a recording can't be read or used.
        GemError: the model can't be loaded, can't write, or wrote nothing; text or prompt is no str, or both are given.

    Example:
        >>> import gem, grounding
        >>> said = gem.explain(grounding.sample_path("ptbxl_286"), text="LBBB. No LBBB.")
        >>> [(claim.text, claim.verdict) for claim in said.claims]
        [('LBBB', 'supported'), ('LBBB', 'contradicted')]
    """
    several = isinstance(record_or_path, list | tuple)
    many = list(record_or_path) if several else [record_or_path]
    if prompt is not None and (text is not None or not isinstance(prompt, str)):
        raise GemInputError(
            "a prompt beside a text" if text is not None else f"the prompt is {type(prompt).__name__}",
            where="prompt",
            remedy="a given text is grounded, and no model is asked" if text is not None else "pass a str",
        )
    texts = None if text is None else _texts(text, len(many), several)
    subjects = [read_subject(item, reading) for item in many]
    if texts is not None:
        out = [ground(subject.record, one) for subject, one in zip(subjects, texts, strict=True)]
        return out if several else out[0]
    loaded = load_once(str(model)) if isinstance(model, str | Path) else model
    free = not writes_from_facts(loaded)
    if prompt is not None and not free:
        raise GemInputError(
            f"{model_name(model)} writes from facts and takes no prompt",
            where="prompt",
            remedy="gem.ask(record, question) asks it; a prompt is for published models",
        )
    if free:
        check_can_write(loaded)
    explanations: list[Explanation] = []
    size = FREE_BATCH_SIZE if free and is_large(loaded) else BATCH_SIZE
    for first in range(0, len(subjects), size):
        batch = subjects[first : first + size]
        records = [subject.record for subject in batch]
        measurements = [grounding.measure(record) for record in records]
        if free:
            explanations += _free_explanations(batch, measurements, loaded, prompt, model_name(model))
        else:
            explanations += _explanations(records, measurements, loaded, model_name(model))
    return explanations if several else explanations[0]


def _texts(text: Any, count: int, several: bool) -> list[str]:
    texts = text if several else [text]
    if not isinstance(texts, list | tuple) or len(texts) != count:
        raise GemInputError(
            f"{count} recordings and {len(texts) if isinstance(texts, list | tuple) else 1} texts",
            where="text",
            remedy="pass a list with a text for each recording",
        )
    for one in texts:
        if not isinstance(one, str):
            raise GemInputError(f"the text is {type(one).__name__}", where="text", remedy="pass a str")
    return list(texts)


def writes_from_facts(model: Any) -> bool:
    """Whether a model cites facts by tags, as gem-nano does, and not a family's own free answers.

    Args:
        model: a model from ``gem.load``.
    """
    if not hasattr(model.processor, "tokenizer"):
        return True
    tokenizer = model.processor.tokenizer
    return tokenizer is not None and "<pr>" in tokenizer.get_vocab()


def check_can_write(model: Any) -> None:
    """Check that a model can be asked about a recording.

    Args:
        model: a model from ``gem.load``.

    Raises:
        GemConfigError: what it lacks: a language model, a tokenizer, or the encoder that its features come from.
    """
    config = model.config
    if getattr(config, "fusion", None) is None or config.fusion == "none":
        raise GemConfigError(
            "this model writes no answers",
            where=model_name(model),
            remedy="model.classify() gives probabilities, an ECG-CoCa's zero_shot() and caption() compare with texts",
        )
    if model.processor.tokenizer is None:
        raise GemConfigError(
            "the model came without a tokenizer",
            where=model_name(model),
            remedy="put the tokenizer's files of its language model into the folder, or set model.processor.tokenizer",
        )
    if (config.ecg_encoder or {}).get("name") == "ecg_features":
        width = (config.ecg_encoder.get("kwargs") or {}).get("width")
        raise GemConfigError(
            f"this MEIT folder holds no ECG encoder: its model takes {width} features of MEIT's ResNet for a recording",
            where=model_name(model),
            remedy="add the encoder's weights (ecg_encoder.*), or call model.generate(input_ids, ecg=features)",
        )


def is_large(model: Any) -> bool:
    """Whether a batch of ``BATCH_SIZE`` free answers may need more memory than there is.

    Args:
        model: a model from ``gem.load``.
    """
    return bool(sum(part.numel() for part in model.parameters()) > SMALL_MODEL)


def _free_explanations(
    subjects: Sequence[Subject], measurements: Sequence[Measurement], model: Any, prompt: str | None, name: str
) -> list[Explanation]:
    asked = prompt or (getattr(model.config, "asking", None) or {}).get("prompt") or DEFAULT_PROMPT
    records = [subject.record for subject in subjects]
    seen = [subject.picture for subject in subjects] if any(one.picture is not None for one in subjects) else None
    with one_thread(model):
        encoded = encode_records(model, records, measurements, seen)
        chances = encoded.probabilities()
        texts = encoded.answer([asked] * len(records))
    out = []
    for record, measurement, text, chance in zip(records, measurements, texts, chances, strict=True):
        if not text:
            raise GemError("the model wrote nothing", where=record.record_id, remedy="try another prompt or model")
        silence = reason_for_silence(model, measurement)
        grounded = ground(record, text, measurement, name)
        out.append(replace(grounded, probabilities={} if silence else chance, silence=silence))
    return out


def model_name(model: Any) -> str:
    """The name of a model, as explanations give it.

    Args:
        model: a name, a folder, or a model from ``gem.load``.
    """
    if isinstance(model, str | Path):
        return Path(model).name
    return Path(str(getattr(model, "name_or_path", "") or type(model).__name__)).name


def load_once(name: str) -> Any:
    """A model by name or folder, which is loaded once per process; gem-nano in a form that writes greedily only.

    Args:
        name: as for ``gem.load``.
    """
    with model_building_lock:  # a second thread waits here, and then finds the model in the cache
        return _loaded(name)


@lru_cache(maxsize=2)
def _loaded(name: str) -> Any:
    from .bundled import is_bundled, load_bundled

    if is_bundled(name):
        return load_bundled()
    from .checkpoints import load

    return load(name)


def explain_seen(record: ECGRecord, measurement: Measurement, model: Any, picture: Any) -> Explanation:
    """What a model that cites facts, as gem-nano does, writes when its encoder of pictures sees a given picture.

    Args:
        record: the recording.
        measurement: of it.
        model: a model from ``gem.load``.
        picture: PIL; None draws the recording on ECG paper.
    """
    seen = None if picture is None else [picture]
    return _explanations([record], [measurement], model, model_name(model), seen)[0]


def _explanations(
    records: Sequence[ECGRecord],
    measurements: Sequence[Measurement],
    model: Any,
    name: str,
    pictures: Sequence[Any] | None = None,
) -> list[Explanation]:
    from grounding.criteria import assess
    from grounding.facts import facts, report

    assessments = [assess(measurement) for measurement in measurements]
    silences = [reason_for_silence(model, measurement) for measurement in measurements]
    with_beats = [row for row, measurement in enumerate(measurements) if measurement.n_beats]
    with one_thread(model):
        encoded = None
        if with_beats:
            measured = [measurements[row] for row in with_beats]
            seen = None if pictures is None else [pictures[row] for row in with_beats]
            encoded = encode_records(model, [records[row] for row in with_beats], measured, seen)
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
    if not measurement.n_beats:
        return measurement.reasons.get("heart_rate", "nothing could be measured").rstrip(".")
    judged = zip(measurement.column("quality", "lead"), measurement.column("quality", "usable"), strict=True)
    usable = {lead for lead, good in judged if good} & set(contract.leads)
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
