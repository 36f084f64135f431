"""A language model behind encoders: what it writes of whole recordings, and of what a page of an ECG shows of them.

    python benchmarks/impressions_of_pages.py --data RAW --models gem-135m OTHER [--folds 9] [--limit N]

A page of four columns shows 2.5 s of each lead and lead II as rhythm strip. Scored: exactly the labelled superclasses
in the model's own text, with 95 % intervals over resampled records, and how much the first model is ahead of each other
one on the same records.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from figures import with_interval

import gem
from gem.data.ptbxl import load_ptbxl
from gem.data.readings import encode_all, stated_codes, superclasses_of
from gem.evaluation.classification import Array
from gem.evaluation.impressions import written
from gem.training.measured import on_page


def told(name: str, hits: Array) -> None:
    """Print a mean over records, or a mean difference, in percent."""
    value, low, high = (100 * part for part in with_interval(lambda rows: float(hits[rows].mean()), len(hits)))
    print(f"{name:60s} {value:6.1f} % [{low:.1f} to {high:.1f}] of {len(hits)} records", flush=True)


def main() -> None:
    """Write, score, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=["gem-135m"])
    parser.add_argument("--folds", type=int, nargs="+", default=[9])
    parser.add_argument("--limit", type=int, help="only the first N records")
    chosen = parser.parse_args()
    whole = load_ptbxl(chosen.data, chosen.folds, ("raw",))[: chosen.limit]
    pages = [replace(sample, read=lambda sample=sample: on_page(sample.read())) for sample in whole]
    for what, samples in (("a page", pages), ("whole recordings", whole)):
        hits: list[Array] = []
        for name in chosen.models:
            model = gem.load(name)
            data = encode_all(samples, model)
            texts = written(model, data)
            right = [
                superclasses_of(stated_codes(text)) == superclasses_of(reading.codes)
                for text, reading in zip(texts, data.readings, strict=True)
            ]
            hits.append(np.array(right, np.float64))
            told(f"{name}, {what}", hits[-1])
        for name, other in zip(chosen.models[1:], hits[1:], strict=True):
            if len(other) == len(hits[0]):
                told(f"{chosen.models[0]} less {name}, {what}", hits[0] - other)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
