"""Are answers right? Questions in wordings that were not trained on, against what the composer knows to be true."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grounding
from grounding import Measurement
from grounding.facts import resolve
from grounding.questions import Plan, declines, plan, read_question

from ..asking import EncoderView, encoder_view, put_together, wants_model, written
from ..data.samples import Sample
from ..errors import GemInputError
from .exam import TASKS, ExamItem, clinicians_exam, compose_exam
from .registry import register_benchmark

if TYPE_CHECKING:
    from grounding import ECGRecord

    from ..answer import Answer

QUESTIONS, BY_HAND_RECORDS, BATCH = 200, 20, 16
_LEADS = ("aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6", "III", "II", "I")
# figures that name a lead, a formula's delay or a letter, and are no measured values
_NOT_VALUES = re.compile(r"\bV[1-6]\b|\b12-lead\b|\b(?:20|30|40|60|80) ms after\b|\bQTc?\b|\b[A-H]\)")


@dataclass(frozen=True)
class _Given:
    """An answer as it is judged."""

    text: str
    declined: bool


def _table(result: dict[str, Any]) -> str:
    rows = [f"{'task':16s}{'form':8s}{'n':>6s}{'right':>10s}{'decoder alone':>16s}{'by rule':>10s}"]
    rows += [
        f"{part['task']:16s}{part['form']:8s}{part['n']:6d}{_percent(part['right']):>10s}"
        f"{_percent(part['decoder']):>16s}{_percent(part['rule']):>10s}"
        for part in result["by_task"]
    ]
    for name in ("numeric", "presence", "where", "choice", "report", "declined"):
        if name in result["by_kind"]:
            part = result["by_kind"][name]
            rows.append(
                f"{name + ' questions':24s}{part['n']:6d}{_percent(part['right']):>10s}{_percent(part['decoder']):>16s}"
            )
    rows.append(f"answered questions that were declined: {result['wrongly_declined']}")
    rows.append(f"numbers without evidence: {result['numbers_without_evidence']}")
    rows.append("claims in the answers: " + ", ".join(f"{n} {name}" for name, n in sorted(result["verdicts"].items())))
    rows.append("faults of the model's answers: " + (_counted(result["faults"]) or "none"))
    return "\n".join(rows)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({n})" for name, n in list(counts.items())[:6])


@register_benchmark("answers", _table)
def evaluate_answers(
    model: Any, samples: Sequence[Sample], questions: int = QUESTIONS, seed: int = 0, by_hand: int = BY_HAND_RECORDS
) -> dict[str, Any]:
    """Ask composed and hand-written questions about every record, and judge the answers by what was measured.

    Args:
        model: a model with ``.processor``.
        samples: labelled records.
        questions: of each task, spread over the records.
        seed: of the questions.
        by_hand: records about which the hand-written questions are asked.

    Returns:
        ``by_task``: share (0-1) of right answers by task and form, of the whole (``right``), of the decoder without
        any check (``decoder``), and how many came from the rule; ``by_kind``; ``numbers_without_evidence``;
        ``wrongly_declined``; ``verdicts`` of the checker; ``faults`` of the decoder's answers; ``wrong``: examples.

    Raises:
        GemInputError: no records.
    """
    if not samples:
        raise GemInputError("no records", remedy="name folds that have some")
    sheet = _Sheet()
    per_record = -(-questions // len(samples))
    for position, sample in enumerate(samples):
        measurement = grounding.measure(sample.record)
        items = [
            compose_exam(task, measurement, seed + 1000 * number)
            for task in TASKS
            for number in range(per_record)
            if number * len(samples) + position < questions
        ]
        items += clinicians_exam(measurement) if position < by_hand else []
        _Exam(model, sample.record, measurement).take(items, sheet)
    return sheet.figures()


class _Exam:
    """The questions about one recording."""

    def __init__(self, model: Any, record: ECGRecord, measurement: Measurement) -> None:
        self.model, self.record, self.measurement = model, record, measurement
        self.view: EncoderView = encoder_view(model, record, measurement)

    def take(self, items: Sequence[ExamItem], sheet: _Sheet) -> None:
        plans = [plan(read_question(item.question, item.history), self.measurement) for item in items]
        for first in range(0, len(items), BATCH):
            batch = slice(first, first + BATCH)
            tagged = written(self.model, plans[batch])
            for item, made, text in zip(items[batch], plans[batch], tagged, strict=True):
                asked = text if wants_model(made, self.measurement) else None
                answer = put_together(item.question, made, self.measurement, self.view, asked, "")
                sheet.add(item, answer, _alone(text or "", made))


def _alone(tagged: str, made: Plan) -> _Given:
    """What the decoder says, with facts in place of tags and nothing checked or left out."""
    sentences = resolve(tagged, made.base if made.is_report else made.items)
    return _Given(" ".join(sentence.text for sentence in sentences), declines(tagged))


class _Sheet:
    """Right and wrong answers."""

    def __init__(self) -> None:
        self.rows: list[tuple[ExamItem, bool, bool, str]] = []
        self.verdicts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.without_evidence, self.wrongly_declined = 0, 0
        self.wrong: list[dict[str, Any]] = []

    def add(self, item: ExamItem, answer: Answer, alone: _Given) -> None:
        """Judge one answer and the decoder's own."""
        right = is_right(item, answer.text, answer.declined)
        self.rows.append((item, right, is_right(item, alone.text, alone.declined), answer.source))
        self.verdicts.update(claim.verdict for claim in answer.claims)
        self.faults.update(re.sub(r"<(\w)\d>", r"<\1>", fault) for fault in answer.faults[:1])
        # notes say what the encoders were given ("resampled from 500 to 125 Hz"), nothing of the ECG
        said = [one for one in answer.statements if one.kind != "note"]
        self.without_evidence += sum(has_bare_number(one.text, bool(one.evidence)) for one in said)
        could = item.kind in ("number", "where", "choice", "report") or item.truth[:1] in (("yes",), ("no",))
        self.wrongly_declined += could and answer.declined and item.truth[:1] != ("unknown",)
        if not right and len(self.wrong) < 60:
            self.wrong.append(
                {
                    "task": item.task,
                    "question": item.question,
                    "truth": [item.kind, *item.truth],
                    "answer": answer.text,
                    "record": answer.record_id,
                }
            )

    def figures(self) -> dict[str, Any]:
        """The results as a dictionary that JSON holds."""
        by_task: dict[tuple[str, str], list[tuple[bool, bool, str]]] = defaultdict(list)
        by_kind: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
        for item, right, alone, source in self.rows:
            by_task[item.task, item.form].append((right, alone, source))
            if not item.task.startswith("clinicians"):
                by_kind["numeric" if item.kind in ("number", "missing") else item.kind].append((right, alone))
        return {
            "by_task": [
                {
                    "task": task,
                    "form": form,
                    "n": len(rows),
                    "right": _mean([right for right, _, _ in rows]),
                    "decoder": _mean([alone for _, alone, _ in rows]),
                    "rule": _mean([source == "rule" for _, _, source in rows]),
                }
                for (task, form), rows in by_task.items()
            ],
            "by_kind": {
                kind: {"n": len(rows), "right": _mean([a for a, _ in rows]), "decoder": _mean([b for _, b in rows])}
                for kind, rows in by_kind.items()
            },
            "numbers_without_evidence": self.without_evidence,
            "wrongly_declined": self.wrongly_declined,
            "verdicts": dict(self.verdicts),
            "faults": dict(self.faults.most_common()),
            "wrong": self.wrong,
            "n": len(self.rows),
        }


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values)


def is_right(item: ExamItem, text: str, declined: bool) -> bool:
    """Whether an answer says what is true.

    Args:
        item: the question and its truth.
        text: of the answer.
        declined: the answer says that nothing can be told.

    Example:
        >>> item = ExamItem("feature", "open", "PR?", "number", ("162 ms",))
        >>> is_right(item, "The PR interval is 162 ms (normal).", False), is_right(item, "PR 262 ms.", False)
        (True, False)
    """
    if item.kind == "declined":
        return declined
    if item.kind == "missing":
        return declined or "can't be measured" in text or "not measurable" in text
    if item.kind == "number":
        return not declined and _contains(text, item.truth[0])
    if item.kind == "presence":
        return _says(text, declined) == item.truth[0]
    if item.kind == "where":
        state, *leads = item.truth
        if state != "yes":
            return _says(text, declined) == state
        return not declined and (
            _first_lead(text) in leads if leads else "best" in text or "no single lead" in text.lower()
        )
    if item.kind == "choice":
        return re.findall(r"\b([A-H])\)", text) == [item.truth[0]]
    return not declined and all(_contains(text, part) for part in item.truth)


def _contains(text: str, part: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(part)}(?!\w)", text, re.I) is not None


def _says(text: str, declined: bool) -> str:
    """``yes``, ``no`` or ``unknown``."""
    first = re.split(r"\W", text, maxsplit=1)[0].lower()
    return first if first in ("yes", "no") else "unknown" if declined or "can't be" in text else ""


def _first_lead(text: str) -> str:
    """The first lead named after the words that it shows the finding best."""
    found = re.search(r"(?:best in|shows it best:) (" + "|".join(_LEADS) + r")\b", text)
    return found[1] if found else ""


def has_bare_number(text: str, has_evidence: bool) -> bool:
    """Whether a sentence has a number and no evidence.

    Args:
        text: of the sentence.
        has_evidence: it has some.
    """
    return not has_evidence and re.search(r"\d", _NOT_VALUES.sub(" ", text)) is not None
