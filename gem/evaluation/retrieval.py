"""Retrieval: which of ten reports is this recording's? For models that compare with texts, and for any other.

The reports are PTB-XL's statements in words, each text once, so that no two candidates are the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import grounding

from ..data.readings import impression_text, stated_codes, superclasses_of
from ..data.samples import Sample
from ..errors import GemInputError
from .classification import batch_logits, sigmoid
from .items import (
    REFUSED,
    WRONG_FORMAT,
    WRONG_VALUE,
    Answers,
    Item,
    ItemBenchmark,
    Score,
    register_item_benchmark,
)
from .labelled import LABELS, SOURCE, labelled_samples
from .labels import refuses

if TYPE_CHECKING:
    from .inputs import Inputs

CANDIDATES = 10
QUESTION = "Which of these reports is of this ECG?"
FORM = "Copy the one that fits best, and nothing else; or all of them, each in a line of its own, the best one first."


def items_of(samples: Sequence[Sample]) -> list[Item]:
    """An item for each labelled recording that has statements: its own text among nine of others.

    Args:
        samples: the recordings.

    Raises:
        GemInputError: all have the same text, or none.
    """
    own = {sample.record_id: _text(sample) for sample in samples if sample.scp_codes}
    texts = sorted(set(own.values()))
    if len(texts) < 2:
        raise GemInputError("no two different reports", remedy="name more records of PTB-XL, or raise --limit")
    items = []
    for name, text in own.items():
        draw = random.Random(f"retrieval {name}")
        others = [one for one in texts if one != text]
        options = [text, *draw.sample(others, min(CANDIDATES - 1, len(others)))]
        draw.shuffle(options)
        prompt = "\n".join([QUESTION, *(f"- {option}" for option in options), FORM])
        items.append(Item(name, "reports", QUESTION, prompt, (text,), tuple(options), (name,)))
    return items


def _text(sample: Sample) -> str:
    return impression_text(sample.scp_codes).removeprefix("Impression: ").removesuffix(".")


def ranked(item: Item, answer: str) -> tuple[str, ...]:
    """The candidates that an answer names, in its order; one that is part of a longer one counts where it stands alone.

    Args:
        item: with candidates.
        answer: any text.
    """
    text, places = answer.lower(), dict[int, str]()
    for option in sorted(item.options, key=len, reverse=True):
        at = text.find(option.lower())
        if at >= 0:
            places[at] = option
            text = text[:at] + " " * len(option) + text[at + len(option) :]
    return tuple(places[at] for at in sorted(places))


def strict_score(item: Item, answer: str) -> Score:
    """Where the true report stands.

    Args:
        item: with candidates.
        answer: one or more of them.

    Returns:
        ``recall_1``, ``recall_5`` and ``reciprocal_rank``.
    """
    said = ranked(item, answer)
    rank = said.index(item.truth[0]) + 1 if item.truth[0] in said else None
    wrong = WRONG_VALUE if said else REFUSED if refuses(answer) else WRONG_FORMAT
    values = {
        "recall_1": float(rank == 1),
        "recall_5": float(rank is not None and rank <= 5),
        "reciprocal_rank": 1 / rank if rank else 0.0,
    }
    return Score(values, None if rank == 1 else wrong, said)


def published_score(item: Item, answer: str) -> Score:
    """Recall at 1 and 5 as ECG-Chat reports them, of lines that are candidates letter for letter.

    Args:
        item: with candidates.
        answer: candidates, each in a line.
    """
    lines = [line.strip() for line in answer.splitlines()]
    said = tuple(line for line in lines if line in item.options)
    values = {"recall_1": float(said[:1] == item.truth), "recall_5": float(item.truth[0] in said[:5])}
    return Score(values, None if values["recall_1"] else WRONG_VALUE if said else WRONG_FORMAT, said)


def _in_order(item: Item, scores: Sequence[float]) -> str:
    order = sorted(range(len(item.options)), key=lambda place: -scores[place])
    return "\n".join(item.options[place] for place in order)


def answer_by_rules(item: Item, inputs: Inputs) -> str:
    """The candidates by the share of their claims that the recording supports, less those that it contradicts.

    Args:
        item: with candidates.
        inputs: the recordings.
    """
    measurement = inputs.measurement(item.seen[0])
    scores = []
    for option in item.options:
        verdicts = [claim.verdict for claim in grounding.check(f"{option}.", measurement)]
        scores.append((verdicts.count("supported") - verdicts.count("contradicted")) / max(len(verdicts), 1))
    return _in_order(item, scores)


def answers_by_scores(model: Any) -> Answers | None:
    """How a model ranks: by the cosine with each text (ECG-CoCa), or how likely its head finds what a text states.

    Args:
        model: from ``gem.load``.
    """
    by: Callable[[Item, Inputs], Sequence[float]]
    if hasattr(model, "zero_shot"):
        by = _by_cosine(model)
    elif getattr(model.config, "class_names", None):
        by = _by_head(model)
    else:
        return None
    return lambda items, inputs: [_in_order(item, by(item, inputs)) for item in items]


def _by_cosine(model: Any) -> Callable[[Item, Inputs], Sequence[float]]:
    def scores(item: Item, inputs: Inputs) -> Sequence[float]:
        texts = model.processor.texts([option.lower() for option in item.options])
        with torch.inference_mode():
            found: list[float] = model.zero_shot(model.processor(inputs.record(item.seen[0]))["ecg"], **texts)[
                0
            ].tolist()
        return found

    return scores


def _by_head(model: Any) -> Callable[[Item, Inputs], Sequence[float]]:
    """The log likelihood of the classes that a text names and leaves out."""
    names = list(model.config.class_names)

    def scores(item: Item, inputs: Inputs) -> Sequence[float]:
        name = item.seen[0]
        pages = [inputs.page(name)] if model.config.vision_encoder is not None else None
        logits = batch_logits(model, [inputs.record(name)], ["both"], pages)["both"][0]
        chance = np.clip(sigmoid(logits), 1e-6, 1 - 1e-6)
        out = []
        for option in item.options:
            codes = stated_codes(f"Impression: {option}.")
            stated = np.isin(names, [*codes, *superclasses_of(codes)])
            out.append(float(np.log(np.where(stated, chance, 1 - chance)).sum()))
        return out

    return scores


register_item_benchmark(
    ItemBenchmark(
        "retrieval",
        "which of ten reports, in PTB-XL's statements, is of the recording",
        lambda path: items_of(labelled_samples("retrieval", path)),
        {"strict": strict_score, "published": published_score},
        answer_by_rules,
        SOURCE,
        samples=LABELS,
        labelled=items_of,
        by_model=answers_by_scores,
    )
)
