"""ECGBench's reports of PTB-XL, scored by statements.

The authors' score is a language model's: Diagnosis, Waveform and Rhythm, 0 to 10 each. Here a report is read into
statements by ``grounding.statements``: what it says to be there against what the reference says.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from grounding import find

from ...metrics.texts import agreeing, stated_findings
from ..items import REFUSED, WRONG_FORMAT, WRONG_VALUE, Item, ItemBenchmark, Score, register_item_benchmark
from ..labels import refuses
from ..rubrics import REPORT
from .files import SOURCE, read_file

if TYPE_CHECKING:
    from ..inputs import Inputs

NAME = "ptb-test-report"


def load(path: Path) -> list[Item]:
    """The items of the report set.

    Args:
        path: see ``read_file``.
    """
    return [
        Item(entry.entry_id, "report", entry.question, entry.question, (entry.answer,), (), (entry.recording,))
        for entry in read_file(path, NAME)
    ]


def claim_score(item: Item, answer: str) -> Score:
    """Precision, recall and F1 of the findings against those of the reference report.

    Args:
        item: of the report set.
        answer: a report.
    """
    said, true = stated_findings(answer), stated_findings(item.truth[0])
    labels = tuple("|".join(group) for group in said)
    if not true:  # nothing in the reference that is known
        return Score({}, None, labels)
    recall = agreeing(true, said) / len(true)
    precision = agreeing(said, true) / len(said) if said else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    reason = None
    if f1 < 1:
        reason = REFUSED if not said and refuses(answer) else WRONG_VALUE if said else WRONG_FORMAT
    return Score({"f1": f1, "precision": precision, "recall": recall}, reason, labels)


def report_by_rules(item: Item, inputs: Inputs) -> str:
    """A report of what the knowledge base finds, without a model.

    Args:
        item: of the report set.
        inputs: the recordings.
    """
    from grounding.facts import compose, facts, resolve

    measurement = inputs.measurement(item.records[0])
    items = facts(measurement, find(measurement))
    return " ".join(sentence.text for sentence in resolve(compose(items), items))


register_item_benchmark(
    ItemBenchmark(
        "ecgbench-report",
        "ECGBench: reports of PTB-XL, by the findings that they state",
        load,
        {"strict": claim_score},
        report_by_rules,
        SOURCE,
        rubric=REPORT,
        samples="ptb-test-report.json",
    )
)
