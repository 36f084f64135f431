"""ECG Arena, ECGBench's ninth set: two questions of one conversation about a picture, answered freely.

The authors' score is a judge's: accuracy, completeness and adherence to the instruction, 0 to 10 each for both turns
together. ``strict`` compares the findings that are stated over both turns with those of the references.
"""

from __future__ import annotations

from pathlib import Path

from ..items import Item, ItemBenchmark, Score, register_item_benchmark
from ..rubrics import ARENA
from .files import SOURCE, read_file
from .report import claim_score, report_by_rules

NAME = "arena"


def load(path: Path) -> list[Item]:
    """The items of the set.

    Args:
        path: see ``read_file``.
    """
    items = []
    for entry in read_file(path, NAME):
        first, *later = (question for question, _ in entry.turns)
        truth = tuple(answer for _, answer in entry.turns)
        items.append(Item(entry.entry_id, "arena", first, first, truth, (), (entry.recording,), turns=tuple(later)))
    return items


def findings_score(item: Item, answer: str) -> Score:
    """Precision, recall and F1 of the findings of all turns.

    Args:
        item: of ECG Arena.
        answer: to all turns.
    """
    whole = Item(item.item_id, item.kind, item.question, item.prompt, (" ".join(item.truth),))
    return claim_score(whole, answer)


register_item_benchmark(
    ItemBenchmark(
        "ecgbench-arena",
        "ECGBench: ECG Arena, two open questions about a picture (judged)",
        load,
        {"strict": findings_score},
        report_by_rules,
        SOURCE,
        rubric=ARENA,
        samples="arena.json",
    )
)
