"""Does a language model read the ECG? Perplexity of a cardiologist's words, and its own, with true and other input.

If the words were the decoder's habit, another record's ECG would serve as well as the own.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.readings import (
    QUESTION,
    Readings,
    encode_all,
    impression_text,
    projected,
    stated_codes,
    superclasses_of,
)
from ..data.samples import Sample
from ..errors import GemInputError
from ..fusion.losses import answer_loss
from ..metrics.bootstrap import bootstrap
from .explanations import diagnosis_accuracy
from .registry import register_benchmark

CONDITIONS = ("own", "other", "none")  # whose ECG and picture the model gets
BATCH, MAX_NEW_TOKENS = 16, 220


def _table(result: dict[str, Any]) -> str:
    """The results of ``evaluate_impressions`` as text, a line per condition."""
    rows = [f"{'input':18s}{'perplexity':>12s}{'95 % interval':>18s}{'label set exact':>18s}{'95 % interval':>18s}"]
    for name, figures in result["conditions"].items():
        low, high = figures["exact_interval"]
        cells = f"{100 * figures['exact']:16.1f} %{f'{100 * low:.1f}-{100 * high:.1f} %':>18s}"
        wide = figures.get("perplexity_interval")
        shown = f"{figures['perplexity']:12.3f}{f'{wide[0]:.3f}-{wide[1]:.3f}':>18s}" if wide else " " * 30
        rows.append(f"{name:18s}{shown}{cells}")
    rows.append(f"{'commonest set':18s}{'':30s}{100 * result['majority_accuracy']:16.1f} %")
    low, high = result["own_below_other"]["interval"]
    rows.append(f"log perplexity, own minus other: {result['own_below_other']['mean']:.3f} ({low:.3f} to {high:.3f})")
    return "\n".join([*rows, f"{result['n']} records"])


@register_benchmark("impressions", _table)
def evaluate_impressions(
    model: Any, samples: Sequence[Sample], shift: int = 1, with_facts: bool = True
) -> dict[str, Any]:
    """Perplexity of the cardiologists' statements, and the label sets that the model's own text names.

    Args:
        model: one that was trained on impressions, such as gem-135m, with ``.processor``.
        samples: labelled PTB-XL records; at least two, so that inputs can be swapped.
        shift: distance of the other record in the list.
        with_facts: also write from the facts of the measurement.

    Returns:
        ``conditions``: for ``own``, ``other`` and ``none`` (and with the facts in the prompt, ``own_facts`` and
        ``none_facts``) the ``perplexity`` per token, the ``exact`` share of records whose superclasses in the text
        are exactly the labelled ones, and their 95 % intervals; ``own_below_other``: the mean difference of the log
        perplexities and its interval; ``majority_accuracy``; ``texts``: what was written from the own ECG; ``n``.

    Raises:
        GemInputError: fewer than two records, or a model without encoders and decoder.
    """
    if getattr(model.config, "fusion", "none") != "tokens" or model.ecg_encoder is None or model.vision_encoder is None:
        raise GemInputError("the model has no encoders in front of a decoder", remedy="use gem-135m, or one like it")
    if len(samples) < 2:
        raise GemInputError("fewer than two records", remedy="swapping inputs needs another record")
    data = encode_all(samples, model)
    labels = [superclasses_of(reading.codes) for reading in data.readings]
    losses = {name: np.array(_losses(model, data, name, shift)) for name in CONDITIONS}
    conditions: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    for name in (*CONDITIONS, *(("own_facts", "none_facts") if with_facts else ())):
        shown = name.partition("_")[0]
        texts[name] = written(model, data, shown, shift, name.endswith("_facts"))
        hits = np.array(
            [superclasses_of(stated_codes(text)) == label for text, label in zip(texts[name], labels, strict=True)],
            float,
        )
        conditions[name] = {
            "exact": float(hits.mean()),
            "exact_interval": _interval_of_mean(hits),
        }
        if name in losses:
            conditions[name] |= _perplexity(losses[name])
    commonest = Counter(labels).most_common(1)[0][0]
    difference = losses["own"][:, 0] / losses["own"][:, 1] - losses["other"][:, 0] / losses["other"][:, 1]
    return {
        "conditions": conditions,
        "own_below_other": {
            "mean": float(difference.mean()),
            "interval": _interval_of_mean(difference),
        },
        "majority_accuracy": diagnosis_accuracy([commonest] * len(labels), labels),
        "texts": dict(zip([reading.record_id for reading in data.readings], texts["own"], strict=True)),
        "n": len(labels),
    }


def _interval_of_mean(values: np.ndarray[Any, Any]) -> tuple[float, float]:
    return bootstrap(lambda rows: float(values[rows].mean()), len(values))


def _perplexity(losses: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Perplexity per token over all records, and its interval over records."""

    def of(rows: Any) -> float:
        return float(np.exp(losses[rows, 0].sum() / losses[rows, 1].sum()))

    return {"perplexity": of(np.arange(len(losses))), "perplexity_interval": bootstrap(of, len(losses))}


def _prompt(model: Any, text: str, shown: str) -> list[int]:
    """Token ids of a prompt; without the place of the encoders' tokens where nothing is shown."""
    if shown != "none":
        return list(model.processor.encode_prompt(text))
    conversation = model.processor.conversation or "{prompt}"
    return list(model.processor.encode_text(conversation.replace("{prompt}", text)))


def _blocks(model: Any, data: Readings, places: Sequence[int], shown: str, shift: int) -> list[Any]:
    """What the model gets of some records: own or another's encoder tokens, or nothing."""
    import torch

    if shown == "none":
        return [None] * len(places)
    index = [(place + (shift if shown == "other" else 0)) % len(data) for place in places]
    with torch.inference_mode():
        return list(torch.cat(list(projected(model, data[index]["tokens"]).values()), 1))


def _losses(model: Any, data: Readings, shown: str, shift: int) -> list[tuple[float, int]]:
    """Summed loss and number of tokens of each record's impression."""
    import torch

    out = []
    tokenizer = model.processor.tokenizer
    for place, reading in enumerate(data.readings):
        prompt = _prompt(model, QUESTION, shown)
        answer = [*tokenizer(impression_text(reading.codes))["input_ids"], tokenizer.eos_token_id]
        with torch.inference_mode():
            loss = answer_loss(model, [[*prompt, *answer]], [len(prompt)], _blocks(model, data, [place], shown, shift))
        out.append((float(loss) * len(answer), len(answer)))
    return out


def written(model: Any, data: Readings, shown: str = "own", shift: int = 1, with_facts: bool = False) -> list[str]:
    """What a model writes of each record, greedily.

    Args:
        model: as for ``evaluate_impressions``.
        data: the records, encoded by it.
        shown: of ``CONDITIONS``: the record's own ECG, another's, or none.
        shift: distance of the other record in the list.
        with_facts: also show the facts of the measurement.
    """
    import torch

    from ..encoded import Encoded

    out = []
    for first in range(0, len(data), BATCH):
        places = list(range(first, min(first + BATCH, len(data))))
        prompts = [data.readings[place].example(random.Random(0), float(with_facts))[0] for place in places]
        inputs = model.processor.padded([_prompt(model, prompt, shown) for prompt in prompts])
        with torch.inference_mode():
            blocks = _blocks(model, data, places, shown, shift)
            ids = model.generate(
                **{name: value.to(model.device) for name, value in inputs.items()},
                encoded=Encoded() if shown == "none" else Encoded(ecg=blocks),
                do_sample=False,
                max_length=None,
                max_new_tokens=MAX_NEW_TOKENS if with_facts else MAX_NEW_TOKENS // 2,
            )
        out += [str(model.processor.decode(row[inputs["input_ids"].shape[1] :])) for row in ids]
    return out
