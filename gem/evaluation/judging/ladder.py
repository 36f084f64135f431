"""Texts with known damage, and how a judge's marks fall with it: ``python -m gem.evaluation.judging.ladder``.

Each kind of damage is done to none, a quarter, half, three quarters and all of the places that it can be done to. The
made-up grade of a text is the share that is left as it was. A judge whose marks do not fall with it is no judge.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .agreement import icc, weighted_kappa

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?=\s*(?:bpm|ms|mV|degrees|mm)\b)")
_LEAD = re.compile(r"\b(?:lead )?(aVR|aVL|aVF|V[1-6]|III|II|I)\b")
_OPPOSITE = {"I": "aVR", "aVR": "I", "II": "aVL", "aVL": "II", "III": "V6", "V6": "III", "aVF": "V5", "V5": "aVF"}
_OPPOSITE |= {"V1": "V4", "V4": "V1", "V2": "aVR", "V3": "aVL"}
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def _chosen(n: int, share: float, seed: int) -> set[int]:
    """The first places of one order, so that more damage holds all of the lesser."""
    places = list(range(n))
    random.Random(seed).shuffle(places)
    return set(places[: round(share * n)])


def _replaced(pattern: re.Pattern[str], text: str, share: float, seed: int, change: Callable[[str], str]) -> str:
    found = list(pattern.finditer(text))
    hit = _chosen(len(found), share, seed)
    for place in reversed(range(len(found))):
        if place in hit:
            start, end = found[place].span()
            text = text[:start] + change(found[place][0]) + text[end:]
    return text


def numbers_changed(text: str, share: float, seed: int = 0) -> str:
    """Numbers of measured values doubled, and their sign turned.

    Args:
        text: an interpretation.
        share: of the numbers.
        seed: which ones come first.

    Example:
        >>> numbers_changed("PR interval 160 ms.", 1.0)
        'PR interval -320 ms.'
    """

    def change(number: str) -> str:
        decimals = len(number.partition(".")[2])
        return f"{-2 * float(number) or 1.0:.{decimals}f}"

    return _replaced(_NUMBER, text, share, seed, change)


def leads_swapped(text: str, share: float, seed: int = 0) -> str:
    """Names of leads replaced by those of leads that look another way.

    Args:
        text: an interpretation.
        share: of the names.
        seed: which ones come first.

    Example:
        >>> leads_swapped("The R wave in lead V1 is 0.10 mV.", 1.0)
        'The R wave in lead V4 is 0.10 mV.'
    """

    def change(name: str) -> str:
        lead = name.removeprefix("lead ")
        return name.removesuffix(lead) + _OPPOSITE[lead]

    return _replaced(_LEAD, text, share, seed, change)


def sentences_dropped(text: str, share: float, seed: int = 0) -> str:
    """Sentences left out; with all of them a text that says nothing is left.

    Args:
        text: an interpretation.
        share: of the sentences.
        seed: which ones come first.

    Example:
        >>> sentences_dropped("Sinus rhythm. Normal axis.", 1.0)
        'This is an ECG.'
    """
    parts = _SENTENCE.split(text)
    gone = _chosen(len(parts), share, seed)
    return " ".join(part for place, part in enumerate(parts) if place not in gone) or "This is an ECG."


def findings_invented(text: str, share: float, seed: int = 0) -> str:
    """Sentences replaced by findings that are made up.

    Args:
        text: an interpretation.
        share: of the sentences.
        seed: which ones come first.
    """
    invented = ("Ventricular fibrillation is present.", "There is ventricular pacing.", "The heart rate is 250 bpm.")
    parts = _SENTENCE.split(text)
    hit = _chosen(len(parts), share, seed)
    return " ".join(invented[place % len(invented)] if place in hit else part for place, part in enumerate(parts))


DAMAGE: Mapping[str, Callable[[str, float, int], str]] = {
    "numbers changed": numbers_changed,
    "leads swapped": leads_swapped,
    "sentences dropped": sentences_dropped,
    "findings invented": findings_invented,
}


def climb(judge: Callable[[str], float], text: str, seed: int = 0) -> dict[str, list[float]]:
    """A judge's mark on every step of every kind of damage.

    Args:
        judge: gives a text its mark.
        text: without damage.
        seed: which places come first.

    Returns:
        Kind of damage -> marks, in the order of ``SHARES``.
    """
    return {kind: [judge(damage(text, share, seed)) for share in SHARES] for kind, damage in DAMAGE.items()}


def agreement_with_grades(ladders: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    """How well marks agree with the made-up grades, by kind of damage and over all.

    Args:
        ladders: from ``climb``, one for each text.

    Returns:
        Kind -> ``marks`` (the mean of each step), ``falls`` (share of the steps between two marks that go down),
        ``spearman``, and ``kappa`` and ``icc`` of marks and grades that are both stretched to 0-1.
    """
    from scipy.stats import spearmanr

    grades = 1.0 - np.array(SHARES)
    out = {}
    kinds = list(ladders[0])
    for kind in [*kinds, "all"]:
        rows = np.array([ladder[one] for ladder in ladders for one in (kinds if kind == "all" else [kind])], float)
        low, high = rows.min(), rows.max()
        stretched = (rows - low) / (high - low) if high > low else np.zeros(rows.shape)
        given = np.broadcast_to(grades, rows.shape)
        out[kind] = {
            "marks": rows.mean(0).tolist(),
            "falls": float((np.diff(rows, axis=1) < 0).mean()),
            "spearman": float(spearmanr(rows.ravel(), given.ravel()).statistic) if high > low else float("nan"),
            "kappa": weighted_kappa(stretched.ravel(), given.ravel()),
            "icc": icc(np.stack([stretched.ravel(), given.ravel()], axis=1)),
        }
    return out


def main() -> None:
    """The ladder of the judge without a model, on the bundled items."""
    from ...terminal import print_lines
    from ..grounded import model_free_score
    from ..inputs import BUNDLED, Inputs
    from ..items import item_benchmarks, samples_of

    benchmark = item_benchmarks["grounded-ptbxl"]
    inputs, ladders = Inputs(BUNDLED), []
    for item in benchmark.load(samples_of(benchmark)):

        def mark(text: str, item: Any = item) -> float:
            return float(model_free_score(item, text, inputs).values["overall"])

        ladders.append(climb(mark, item.truth[0]))
    heads = "".join(f"{100 * share:7.0f} %" for share in SHARES)
    print_lines(f"{'damage':20s}{heads}    falls  spearman    kappa      icc")
    for kind, one in agreement_with_grades(ladders).items():
        marks = "".join(f"{100 * mark:9.1f}" for mark in one["marks"])
        print_lines(f"{kind:20s}{marks}{one['falls']:9.2f}{one['spearman']:10.2f}{one['kappa']:9.2f}{one['icc']:9.2f}")


if __name__ == "__main__":
    main()
