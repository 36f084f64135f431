"""``gem.ask``: from a question about a recording to a checked answer.

Code reads the question and looks up what it names; the model puts the answer together from tags; code checks the tagged
answer, puts in names and numbers, and checks the text. An answer with a fault is replaced by the rule's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grounding
from grounding import EcgError, ECGRecord
from grounding.criteria import assess
from grounding.facts import Fact, ReportSentence, facts, report, resolve
from grounding.questions import (
    ANSWER_TAGS,
    Plan,
    compose_answer,
    encoder_opinion,
    faults,
    plan,
    question_prompt,
    read_question,
)
from grounding.questions.opinions import asks_encoders

from .answer import Answer
from .errors import GemInputError
from .explaining import checked_statements, load_once, model_name, notes_on_encoder_input, reason_for_silence
from .writing import encode_records, one_thread, write_answers

if TYPE_CHECKING:
    from grounding import Measurement

    from .explanation import Statement

UNTELLABLE, NOT_HERE = "That can't be told from an ECG recording", "That can't be answered here"
NOT_UNDERSTOOD = "the question names nothing that is measured, or not in words that are known"
UNTRAINED = "the model has not learned to answer questions"
MORE = "The question names more things than are answered at once: ask for the others on their own."
_UNTOLD = frozenset({"outside", "missing", "unknown"})
_QUOTED = frozenset(
    {"criterion", "measured", "missing"}
)  # what these facts say is not prose, and is not read by the checker


@dataclass(frozen=True)
class EncoderView:
    """What the encoders say about a recording.

    Attributes:
        probabilities: class -> probability, 0-1.
        silence: why they were not used, or ``None``.
        notes: what was changed in the recording for them.
    """

    probabilities: Mapping[str, float]
    silence: str | None = None
    notes: tuple[str, ...] = ()


def ask(
    record_or_path: ECGRecord | str | Path,
    question: str,
    model: Any = "gem-nano",
    measurement: Measurement | None = None,
    history: Sequence[tuple[str, str]] = (),
    picture: Any = None,
) -> Answer:
    """Answer a question about a recording.

    Every number and finding comes from the measurement. What the encoders say of a diagnosis is a sentence of its own.

    Args:
        record_or_path: a recording, or a file that ``grounding.read_record`` reads.
        question: in English; German questions with a known finding or value are read too. Options to choose from begin
            with ``A.``, ``B.``, ...
        model: a name (``"gem-nano"``), a folder, or a model from ``gem.load``.
        measurement: of the recording, if it is known already.
        history: earlier (question, answer) pairs, for follow-ups such as "and in V2?" or "why?".
        picture: what an encoder of pictures sees (PIL); None draws the recording on ECG paper.

    Returns:
        An Answer, which may be that the question can't be answered from the recording.

    Raises:
        GemInputError: the question is empty, too long or not a str, ``history`` holds no pairs, or ``measurement`` is
            of another recording.
        EcgError: the recording can't be read or used.
        GemError: the model can't be loaded.

    Example:
        >>> import gem, grounding
        >>> answer = gem.ask(grounding.sample_path("ptbxl_424"), "Is there bundle branch block?")
        >>> answer.text.split(",")[0], "complete right bundle branch block" in answer.text, answer.declined
        ('Yes', True, False)
    """
    asked = _read(question, history)
    record = record_or_path if isinstance(record_or_path, ECGRecord) else grounding.read_record(record_or_path)
    measured = measurement_of(record, measurement)
    loaded = load_once(str(model)) if isinstance(model, str | Path) else model
    made = plan(asked, measured)
    with one_thread(loaded):
        view = encoder_view(loaded, record, measured, picture) if _needs_encoders(made) else EncoderView({})
        tagged = written(loaded, [made])[0] if wants_model(made, measured) else None
    return put_together(question, made, measured, view, tagged, model_name(model))


def measurement_of(record: ECGRecord, measurement: Measurement | None) -> Measurement:
    """The measurement of a recording: the one that is given, if it is of this recording.

    Args:
        record: the recording.
        measurement: of it, if it is known already.

    Raises:
        GemInputError: it is of another recording.
        EcgError: the recording can't be measured.
    """
    if measurement is None:
        return grounding.measure(record)
    same = (
        measurement.record_id == record.record_id
        and set(measurement.leads) == set(record.leads)
        and abs(measurement.duration_s - record.duration_s) < 1 / record.fs
    )
    if not same:
        raise GemInputError(
            f"the measurement is of another recording ({measurement.record_id})",
            where="measurement",
            remedy=f"give grounding.measure of {record.record_id}, or none",
        )
    return measurement


def _read(question: str, history: Sequence[tuple[str, str]]) -> Any:
    try:
        if any(isinstance(pair, str) for pair in history):  # "PR" would be a pair of letters
            raise TypeError
        pairs = [(str(earlier), str(answer)) for earlier, answer in history]
    except (TypeError, ValueError):
        raise GemInputError(
            "the history is not a list of pairs", where="history", remedy="give (question, answer) pairs of text"
        ) from None
    try:
        return read_question(question, pairs)
    except EcgError as error:
        raise GemInputError(error.what, where="question", remedy=error.remedy) from None


def _needs_encoders(made: Plan) -> bool:
    return made.is_report or (bool(made.asked) and any(asks_encoders(link) for link in made.question.links))


def wants_model(made: Plan, measurement: Measurement) -> bool:
    """Whether there is something to answer, and a beat to answer it from.

    Args:
        made: what is known.
        measurement: of the recording.
    """
    return bool(measurement.n_beats) and (bool(made.asked or made.options) or made.is_report)


def encoder_view(model: Any, record: ECGRecord, measurement: Measurement, picture: Any = None) -> EncoderView:
    """What a model's encoders say about a recording.

    Args:
        model: a model from ``gem.load``.
        record: the recording.
        measurement: of it.
        picture: what an encoder of pictures sees (PIL); None draws the recording on ECG paper.
    """
    if not getattr(model.config, "class_names", None):
        return EncoderView({})
    silence = reason_for_silence(model, measurement)
    if silence:
        return EncoderView({}, silence)
    seen = None if picture is None else [picture]
    predicted = encode_records(model, [record], [measurement], seen).probabilities()[0]
    return EncoderView(predicted, None, notes_on_encoder_input(model, record))


def can_answer(model: Any) -> bool:
    """Whether the tags of answers are tokens of a model.

    Args:
        model: a model from ``gem.load``.
    """
    tokenizer = getattr(model.processor, "tokenizer", None)
    return tokenizer is not None and set(ANSWER_TAGS) <= set(tokenizer.get_vocab())


def written(model: Any, plans: Sequence[Plan]) -> list[str | None]:
    """The model's answers in tags; None for a model that has not learned to answer.

    Args:
        model: a model from ``gem.load``.
        plans: what is known for each question.
    """
    if not can_answer(model):
        return [None] * len(plans)
    return [*write_answers(model, [question_prompt(made) for made in plans])]


def put_together(
    question: str, made: Plan, measurement: Measurement, view: EncoderView, tagged: str | None, model: str
) -> Answer:
    """Check an answer in tags, put in names and numbers, and check the text.

    Args:
        question: as it was asked.
        made: what is known.
        measurement: of the recording.
        view: what the encoders say.
        tagged: the model's answer; None gives the rule's.
        model: its name.
    """
    nothing_asked = not made.asked and not made.options and not made.is_report
    reason = _reason(made) if nothing_asked or _untold(made) else None
    found: list[str] = []
    statements: tuple[Statement, ...] | None = None
    if tagged is not None and not nothing_asked:
        found = faults(tagged, made)
        if not found:
            statements = _statements(tagged, made, measurement, view)
            found = [
                f"contradicted: {claim.text}"
                for one in statements
                for claim in one.claims
                if claim.verdict == "contradicted" and one.kind != "diagnosis"
                # a report has sentences of code, too, whose measured values may be read amiss
                if claim.origin == "asserted" or not made.is_report
            ]
    elif wants_model(made, measurement):
        found = [UNTRAINED]
    source = "model" if statements is not None and not found else "rule"
    if source == "rule":
        rule = f"{NOT_HERE if reason == NOT_UNDERSTOOD else UNTELLABLE}: {reason}." if nothing_asked else ""
        rule = rule or compose_answer(made)
        statements = _statements(rule, made, measurement, view)
    assert statements is not None  # for mypy
    return Answer(
        measurement.record_id,
        question,
        _kind(made),
        statements,
        reason is not None,
        reason,
        source,
        tuple(found),
        model,
        dict(view.probabilities),
    )


def _untold(made: Plan) -> bool:
    if made.options:
        return "true" not in made.options.values() and "unknown" in made.options.values()
    return bool(made.asked) and all(one.state in _UNTOLD for one in made.asked)


def _reason(made: Plan) -> str:
    """Why nothing that was asked for can be told."""
    if made.question.topic:
        return made.question.topic
    known = {fact.tag: fact.text for fact in made.items}
    reasons = [known[one.tag("r")] for one in made.asked if one.tag("r") in known]
    return "; ".join(dict.fromkeys(reasons)) or NOT_UNDERSTOOD


def _kind(made: Plan) -> str:
    if made.options:
        return "choice"
    if not made.asked:
        return "report" if made.is_report else "declined"
    if len(made.asked) > 1:
        return "several"
    kind = made.question.links[0].kind
    if kind in ("quality", "beats", "versus", "time") and made.asked[0].state in ("true", "false"):
        return "presence"
    return {"claim": "presence", "rhythm": "rhythm", "lead": "lead", "outside": "declined"}.get(kind, "value")


def _statements(tagged: str, made: Plan, measurement: Measurement, view: EncoderView) -> tuple[Statement, ...]:
    if made.is_report:
        findings = tuple(assess(measurement).findings.values())
        items = facts(measurement, findings, view.probabilities)
        sentences = report(tagged, items, assess(measurement), view.silence, view.notes)
        return checked_statements(sentences, measurement)
    known = {fact.tag: fact for fact in made.items}
    said = [_of_kind(sentence, known) for sentence in resolve(tagged, made.items)]
    said += [ReportSentence(MORE, kind="note", inserted=((0, len(MORE)),))] if made.question.more else []
    said += encoder_opinion(made, measurement, view.probabilities, view.silence)
    return checked_statements(said, measurement, [_readable(sentence, known) for sentence in said])


def _of_kind(sentence: ReportSentence, known: Mapping[str, Fact]) -> ReportSentence:
    """A sentence with the kind of its facts: a quoted criterion is a note, what was measured for it a number."""
    kinds = {known[tag].kind for tag in sentence.tags}
    if sentence.kind != "uncited" or not kinds:
        return sentence
    return replace(sentence, kind="note" if kinds == {"criterion"} else "number")


def _readable(sentence: ReportSentence, known: Mapping[str, Fact]) -> str:
    """A sentence for the checker, with spaces for criteria, measured values and reasons that are quoted."""
    quoted = {known[tag].text.lower() for tag in sentence.tags if tag in known and known[tag].kind in _QUOTED}
    text = sentence.text
    for start, end in sentence.inserted:
        if text[start:end].lower() in quoted:
            text = text[:start] + " " * (end - start) + text[end:]
    return text
