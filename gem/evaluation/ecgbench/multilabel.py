"""ECGBench's multi-label sets: PTB-XL superclasses, CODE-15 and CPSC2018.

The published "AUC" is the area under the curve of hard 0/1 predictions, which is the balanced accuracy. Labels are
found as case-sensitive substrings: "ST" in "STD", "NORM" in "ABNORMAL", "AF" in any word with these letters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..items import REFUSED, WRONG_FORMAT, WRONG_VALUE, Item, ItemBenchmark, Score, register_item_benchmark
from ..labels import jaccard, named_labels, refuses
from .files import SOURCE, read_file

LABELS = {
    "ptb-test": ("NORM", "MI", "STTC", "CD", "HYP"),
    "code15-test": ("NORM", "ABNORMAL", "1dAVb", "RBBB", "LBBB", "SB", "ST", "AF"),
    "cpsc-test": ("NORM", "AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE"),
}


def substring_labels(name: str, text: str, is_gold: bool = False) -> tuple[str, ...]:
    """Labels as the authors' script finds them.

    Args:
        name: of the set.
        text: an answer, or the true one.
        is_gold: it is the true one.

    Example:
        >>> substring_labels("ptb-test", "An ABNORMAL ECG with STTC")
        ('NORM', 'STTC')
    """
    labels = LABELS[name]
    if name != "code15-test":
        return tuple(label for label in labels if label in text)
    if is_gold and text in ("NORM", "ABNORMAL"):
        return (text,)
    if not is_gold:
        text = text.split("Answer:")[-1]
    whole = () if is_gold else ("ABNORMAL",) if "ABNORMAL" in text else ("NORM",) if "NORM" in text else ()
    return (*whole, *(label for label in labels[2:] if label in text))


def load(name: str, path: Path) -> list[Item]:
    """The items of a set.

    Args:
        name: of the set.
        path: see ``read_file``.
    """
    return [
        Item(
            entry.entry_id,
            name,
            entry.question,
            entry.question,
            named_labels(entry.answer, LABELS[name]) or substring_labels(name, entry.answer, True),
            LABELS[name],
            (entry.recording,),
            True,
        )
        for entry in read_file(path, name)
    ]


def score(name: str, strict: bool, item: Item, answer: str) -> Score:
    """The labels of an answer, and whether they are the true ones.

    Args:
        name: of the set.
        strict: by whole words instead of substrings.
        item: of the set.
        answer: any text.
    """
    labels = named_labels(answer, LABELS[name]) if strict else substring_labels(name, answer)
    right = set(labels) == set(item.truth)
    wrong = REFUSED if not labels and refuses(answer) else WRONG_VALUE if labels else WRONG_FORMAT
    values = {"exact": float(right), "jaccard": jaccard(labels, item.truth)}
    return Score(values, None if right else wrong, tuple(sorted(labels)))


def statistics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Macro F1, "AUC" of hard predictions and Hamming loss over the labels that the true answers have.

    Args:
        rows: scores with ``labels`` and ``truth``.

    Example:
        >>> rows = [{"truth": ["MI"], "labels": ["MI"]}, {"truth": ["CD"], "labels": ["MI"]}]
        >>> statistics(rows)["auc_of_hard_labels"], statistics(rows)["hamming_loss"]
        (0.5, 0.5)
    """
    classes = sorted({label for row in rows for label in row["truth"]})
    truth = np.array([[label in row["truth"] for label in classes] for row in rows], bool)
    said = np.array([[label in row["labels"] for label in classes] for row in rows], bool)
    both = (truth & said).sum(0)
    total = truth.sum(0) + said.sum(0)
    f1 = np.divide(2 * both, total, out=np.zeros(len(classes)), where=total > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, specificity = both / truth.sum(0), (~truth & ~said).sum(0) / (~truth).sum(0)
    return {
        "f1": float(f1.mean()),
        "auc_of_hard_labels": float(((sensitivity + specificity) / 2).mean()),  # NaN where a class lacks one side
        "hamming_loss": float((truth != said).mean()),
    }


def _register(name: str, text: str) -> None:
    scorers: dict[str, Callable[[Item, str], Score]] = {
        "strict": partial(score, name, True),
        "published": partial(score, name, False),
    }
    register_item_benchmark(
        ItemBenchmark(
            f"ecgbench-{name.removesuffix('-test')}",
            text,
            partial(load, name),
            scorers,
            None,
            SOURCE,
            {"strict": statistics, "published": statistics},
            samples=f"{name}.json",
        )
    )


_register("ptb-test", "ECGBench: superclasses of PTB-XL, several labels")
_register("code15-test", "ECGBench: six abnormalities of CODE-15%, several labels")
_register("cpsc-test", "ECGBench: nine classes of CPSC2018, several labels")
