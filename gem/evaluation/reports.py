"""The report sets of MEIT and ECG-Chat: a recording, and the report that a clinician or a machine wrote about it.

``published``: the metrics that both papers give, on plain words. ``strict``: the findings that are stated, numbers,
leads, and the recording itself. MEIT averages over batches, in each of which BLEU is that of a corpus; neither paper's
files give their size. Here it is an option, and each item is a batch without it; CIDEr-D's document frequencies are
those of all references, as MEIT's are.

References:
    Wan et al., MEIT: multi-modal electrocardiogram instruction tuning on large language models, ACL 2025 Findings.
    Zhao et al., ECG-Chat: a large ECG-language model for cardiac disease diagnosis, arXiv 2408.08849.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics.meteor import meteor
from ..metrics.texts import cider_d_against, document_frequency
from .ecgbench.files import read_file
from .ecgbench.report import report_by_rules, report_score
from .items import (
    WRONG_FORMAT,
    WRONG_VALUE,
    GroundedScorer,
    Item,
    ItemBenchmark,
    Score,
    Scorer,
    means,
    register_item_benchmark,
)

if TYPE_CHECKING:
    from ..metrics.bert import BertScorer
    from .inputs import Inputs

MEIT_SOURCE = "https://github.com/AIoT-MLSys-Lab/MEIT (its data sets are on the Google Drive named there)"
ECG_CHAT_SOURCE = "https://github.com/YubaoZhao/ECG-Chat (its data sets are named there)"
MAX_ORDER = 4  # of BLEU
# MEIT's files hold an empty question, and ECG-Chat's test texts none; the wording is ours
PROMPT = "Write the report of this ECG."
_FULL_STOP = re.compile(r"([.,;:])(?=\s|$)")


def words(text: str) -> str:
    """Lower case, with stops apart from the words, as MEIT prepares texts for its metrics.

    Args:
        text: a report.

    Example:
        >>> words("Sinus rhythm. Normal ECG.")
        'sinus rhythm . normal ecg .'
    """
    return " ".join(_FULL_STOP.sub(r" \1", text.lower()).split())


def load(name: str, source: str, path: Path) -> list[Item]:
    """The items of a set.

    Args:
        name: how its file's name begins.
        source: where its authors offer it.
        path: the file, or a folder that holds it.
    """
    return [
        Item(
            entry.entry_id,
            "report",
            entry.question or PROMPT,
            entry.question or PROMPT,
            (entry.answer,),
            (),
            (entry.recording,),
        )
        for entry in read_file(path, name, source)
    ]


def published_scorer(items: Sequence[Item]) -> Scorer:
    """BLEU-1 to BLEU-4, ROUGE-L, METEOR (exact words and stems) and CIDEr-D of an item.

    Args:
        items: all of the set, whose references are the corpus of CIDEr-D.
    """
    frequency, n = document_frequency([words(item.truth[0]) for item in items])

    def score(item: Item, answer: str) -> Score:
        from torchmetrics.functional.text import bleu_score, rouge_score

        said, true = words(answer), words(item.truth[0])
        values = {"rouge_l": float(rouge_score(said, true, rouge_keys="rougeL")["rougeL_fmeasure"])}
        for order in range(1, MAX_ORDER + 1):
            values[f"bleu_{order}"] = float(bleu_score([said], [[true]], n_gram=order)) if said else 0.0
        values["meteor"] = meteor(said, true)
        values["cider_d_points"] = cider_d_against(said, true, frequency, n)
        reason = None if said == true else WRONG_VALUE if said else WRONG_FORMAT
        return Score(values, reason)

    return score


def mean_of_batches(size: int, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The mean over batches, as MEIT reports its metrics: BLEU of all texts of a batch, other metrics by their mean.

    Args:
        size: items of a batch, in the order of ``rows``; the last may have fewer.
        rows: scores as stored, with ``values``, ``truth`` and ``answer``.

    Example:
        >>> row = {"values": {"bleu_1": 1.0}, "truth": ["Normal ECG."], "answer": "normal ecg."}
        >>> mean_of_batches(2, [row, row, {**row, "answer": "LVH"}])
        {'bleu_1': 0.5}
    """
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    found = [means(batch) | _corpus_bleu(batch) for batch in batches]
    return means([{"values": values} for values in found])


def _corpus_bleu(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """BLEU of several texts: the n-grams of all are counted together."""
    wanted = [order for order in range(1, MAX_ORDER + 1) if any(f"bleu_{order}" in row["values"] for row in rows)]
    counts = np.array([_bleu_counts(row["answer"], row["truth"][0]) for row in rows]).sum(0)
    (said, true), (hits, there) = counts[0, :2], counts[1:]
    out = {}
    for order in wanted:
        shares = hits[:order] / np.maximum(there[:order], 1)
        brief = min(0.0, 1 - true / said) if said else 0.0
        out[f"bleu_{order}"] = float(np.exp(brief + np.log(shares).mean())) if shares.all() else 0.0
    return out


@lru_cache(1 << 17)
def _bleu_counts(answer: str, truth: str) -> tuple[tuple[int, ...], ...]:
    """Lengths in words (said, true, padded); n-grams said that are true; n-grams said."""
    said, true = words(answer).split(), words(truth).split()
    hits, there = [], []
    for order in range(1, MAX_ORDER + 1):
        ours, theirs = (
            Counter(tuple(text[start : start + order]) for start in range(len(text) - order + 1))
            for text in (said, true)
        )
        hits.append((ours & theirs).total())
        there.append(ours.total())
    return (len(said), len(true), 0, 0), tuple(hits), tuple(there)


def with_bertscore(scorer: GroundedScorer, bert: BertScorer) -> GroundedScorer:
    """A scorer of words that gives BERTScore, too.

    Args:
        scorer: see ``published_scorer``.
        bert: the model; of the same prepared words.
    """

    def score(item: Item, answer: str, inputs: Inputs) -> Score:
        found = scorer(item, answer, inputs)
        values = bert(words(answer), words(item.truth[0]))
        return replace(found, values={**found.values, **{f"bertscore_{name}": one for name, one in values.items()}})

    return score


for _name, _text, _file, _source in (
    ("meit-ptbxl", "reports of PTB-XL as MEIT's files have them", "ptbxl", MEIT_SOURCE),
    ("meit-mimic", "reports of MIMIC-IV-ECG as MEIT's files have them", "mimic", MEIT_SOURCE),
    ("ecg-chat", "reports as ECG-Chat's files have them", "ecg_chat", ECG_CHAT_SOURCE),
):
    register_item_benchmark(
        ItemBenchmark(
            _name,
            _text,
            partial(load, _file, _source),
            {},
            report_by_rules,
            _source,
            grounded={"strict": report_score},
            corpus={"published": published_scorer},
            samples=f"{_file}_test.jsonl" if _file != "ecg_chat" else "ecg_chat_test.json",
            wording=True,
        )
    )
