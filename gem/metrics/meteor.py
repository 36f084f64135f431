"""METEOR with exact words and Porter stems; its stage of synonyms needs WordNet and is left out.

References:
    Lavie and Agarwal, METEOR: an automatic metric for MT evaluation with high levels of correlation with human
    judgments, WMT 2007. Its parameters: alpha 0.9, beta 3, gamma 0.5.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from .texts import TextPairs

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5


@lru_cache(1)
def _stemmer() -> Any:
    from nltk.stem import PorterStemmer

    return PorterStemmer()


@lru_cache(1 << 14)
def _stem(word: str) -> str:
    return str(_stemmer().stem(word))


def _matched(
    said: list[tuple[int, str]], true: list[tuple[int, str]], form: Callable[[str], str]
) -> list[tuple[int, int]]:
    """Pairs of places whose words have the same form, from the end to the beginning; they leave the lists."""
    pairs = []
    for one in reversed(said.copy()):
        found = next((other for other in reversed(true) if form(other[1]) == form(one[1])), None)
        if found is not None:
            pairs.append((one[0], found[0]))
            said.remove(one)
            true.remove(found)
    return pairs


def meteor(said: str, true: str) -> float:
    """METEOR of a text against its reference, 0-1: words, then Porter stems, lower case, split at white space.

    Equal to NLTK's ``single_meteor_score`` with a WordNet that knows no synonyms.

    Args:
        said: a text.
        true: its reference.

    Example:
        >>> round(meteor("the waves are inverted", "the wave is inverted"), 4)
        0.6389
    """
    one = list(enumerate(said.lower().split()))
    other = list(enumerate(true.lower().split()))
    n_said, n_true = len(one), len(other)
    pairs = _matched(one, other, str) + _matched(one, other, _stem)
    if not pairs:
        return 0.0
    pairs.sort()
    precision, recall = len(pairs) / n_said, len(pairs) / n_true
    mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    chunks = 1 + sum(b[0] != a[0] + 1 or b[1] != a[1] + 1 for a, b in itertools.pairwise(pairs))
    return float(mean * (1 - GAMMA * (chunks / len(pairs)) ** BETA))


class Meteor(TextPairs):
    """METEOR with exact words and Porter stems, the mean over all texts.

    Example:
        >>> metric = Meteor()
        >>> metric.update(["sinus rhythm"], ["sinus rhythm"])
        >>> round(float(metric.compute()), 4)
        0.9375
    """

    def compute(self) -> Tensor:
        """The mean, 0-1; NaN without texts."""
        return torch.tensor(_each(*self.texts()), dtype=torch.float64).mean()


def _each(said: Sequence[str], true: Sequence[str]) -> list[float]:
    return [meteor(one, other) for one, other in zip(said, true, strict=True)]
