"""ECGBench's reports of PTB-XL, scored by statements.

The authors' score is a language model's: Diagnosis, Waveform and Rhythm, 0 to 10 each. Here a report is read into
statements by ``grounding.statements``: what it says to be there against what the reference says, and against the
recording itself.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...metrics.texts import (
    against_recording,
    agreeing,
    lead_agreement,
    own_report,
    stated_findings,
    stated_numbers,
)
from ...metrics.times import TimeAgreement, stated_times
from ..items import REFUSED, WRONG_FORMAT, WRONG_VALUE, Item, ItemBenchmark, Score, register_item_benchmark
from ..labels import refuses
from ..rubrics import REPORT
from .files import SOURCE, read_file

if TYPE_CHECKING:
    from ..inputs import Inputs

NAME = "ptb-test-report"
# quantities whose differences are told, with the unit at the end of the metric's name
ERROR_UNITS = {"heart_rate": "_bpm", "pr": "_ms", "qrs": "_ms", "qt": "_ms", "qtc": "_ms", "axis": "_deg"}


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


def report_score(item: Item, answer: str, inputs: Inputs) -> Score:
    """``claim_score``, and how a report agrees with the recording and with the reference's numbers and leads.

    Args:
        item: of a set of reports.
        answer: a report.
        inputs: the recordings.

    Returns:
        Also ``supported``: the share of the claims that can be checked and that the recording supports; ``found``: that
        of the recording's findings, as the knowledge base reports them, which are stated; ``leads``: the Jaccard index
        of the leads that both texts name for a finding; ``times``: that of the stretches of time, where the reference
        names some; ``pr_ms``, ...: sizes of the differences of numbers that both give. What does not apply to an item
        is left out, and everything where the reference has no known finding.
    """
    score = claim_score(item, answer)
    if not score.values:
        return score
    verdicts, stated, there = against_recording(answer, inputs.measurement(item.records[0]))
    checked = verdicts.total() - verdicts["not_checkable"]
    more: dict[str, float] = {}
    if checked:
        more["supported"] = verdicts["supported"] / checked
    if there:
        more["found"] = stated / there
    if leads := lead_agreement(answer, item.truth[0]):
        more["leads"] = sum(leads) / len(leads)
    if stated_times(item.truth[0]):
        times = TimeAgreement()
        times.update([answer], [item.truth[0]])
        more["times"] = float(times.compute()["iou"])
    said, true = stated_numbers(answer), stated_numbers(item.truth[0])
    for name, unit in ERROR_UNITS.items():
        if name in said and name in true:
            more[f"{name}{unit}"] = abs(said[name] - true[name])
    return replace(score, values={**score.values, **more})


def report_by_rules(item: Item, inputs: Inputs) -> str:
    """A report of what the knowledge base finds, without a model.

    Args:
        item: of the report set.
        inputs: the recordings.
    """
    return own_report(inputs.measurement(item.records[0]))


register_item_benchmark(
    ItemBenchmark(
        "ecgbench-report",
        "ECGBench: reports of PTB-XL, by the findings that they state",
        load,
        {},
        report_by_rules,
        SOURCE,
        grounded={"strict": report_score},
        rubric=REPORT,
        samples="ptb-test-report.json",
    )
)
