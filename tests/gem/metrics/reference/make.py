"""Write values of the reference implementations for 200 pairs of texts: ``python make.py`` in this folder.

    pip install nltk rouge-score pycocoevalcap

METEOR is NLTK's with a WordNet that knows no synonyms: exact words, then Porter stems.
"""

from __future__ import annotations

import json
import random
from importlib.metadata import version
from pathlib import Path
from typing import Any

PHRASES = (
    "sinus rhythm", "atrial fibrillation with rapid ventricular response", "normal axis", "left axis deviation",
    "first degree av block", "complete left bundle branch block", "inverted t waves in leads v1 to v3",
    "the t wave is inverted in lead iii", "st segments are elevated", "st segment elevation", "non specific st changes",
    "left ventricular hypertrophy with strain", "premature ventricular complexes", "a premature ventricular complex",
    "prolonged qt interval", "old inferior infarction", "poor r wave progression", "low voltages in the limb leads",
    "otherwise normal ecg", "no significant changes", "pacing spikes are seen", "paced rhythm", "borderline ecg",
)  # fmt: skip


def pairs(n: int = 200, seed: int = 7) -> list[tuple[str, str]]:
    """Texts that share some of their phrases, in another order."""
    draw = random.Random(seed)
    out = []
    for _ in range(n):
        true = draw.sample(PHRASES, draw.randint(1, 5))
        said = draw.sample(true, draw.randint(0, len(true))) + draw.sample(PHRASES, draw.randint(1, 3))
        out.append((" . ".join(said), " . ".join(true)))
    return out


class _NoSynonyms:
    def synsets(self, word: str) -> list[Any]:
        return []


def main() -> None:
    from nltk.translate.meteor_score import single_meteor_score
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer
    from pycocoevalcap.cider.cider_scorer import CiderScorer
    from rouge_score.rouge_scorer import RougeScorer

    texts = pairs()
    cider, bleu = CiderScorer(), BleuScorer(n=4)
    for said, true in texts:
        cider.cook_append(said, [true])
        bleu += (said, [true])
    rouge = RougeScorer(["rouge1", "rouge2", "rougeL"])
    scores = [rouge.score(true, said) for said, true in texts]
    names = ("nltk", "rouge-score", "pycocoevalcap")
    out = {
        "made_with": {name: version(name) for name in names},
        "texts": texts,
        "meteor": [single_meteor_score(b.split(), a.split(), wordnet=_NoSynonyms()) for a, b in texts],
        "cider_d": [float(value) for value in cider.compute_score()[1]],
        **{name: [float(score[name].fmeasure) for score in scores] for name in ("rouge1", "rouge2", "rougeL")},
        "corpus_bleu": [float(value) for value in bleu.compute_score(option="closest")[0]],
    }
    Path(__file__).with_name("values.json").write_text(json.dumps(out, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
