"""A page of an ECG: is it classified better by its pixels, or by the signal that is read from it?

    python benchmarks/pictures.py --data ROOT --out FOLDER [--folds 9] [--limit N] [--model gem-nano]
    python benchmarks/pictures.py --photos FOLDER [--model gem-nano]

Each record is drawn as ``grounding.render`` draws it. ``pixels``: the model's picture encoder sees the page. ``read``:
``grounding.read_record`` reads the page, and the model gets that signal (2.5 s of most leads) with what is measured in
it. ``signal``: the record itself, ten seconds of every lead. FOLDER keeps what was read, so that a run that was stopped
goes on; a page takes about 7 s of processor time. With ``--photos``, a folder with ``photos/NAME.jpg`` and the printed
signals ``truth/NAME``: how far what the model says of a photograph is from what it says of the record itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import with_interval
from tqdm import tqdm

import gem
import grounding
from gem.data.labelled import usable
from gem.data.samples import SUPERCLASSES, Sample
from gem.evaluation.classification import Array, class_logits, superclass_columns, targets
from gem.metrics.multilabel import macro_auc
from grounding import EcgError, ECGRecord


def read_back(record: ECGRecord, out: Path) -> ECGRecord | None:
    """The record as it is read from its page; None where the page is refused.

    Args:
        record: any.
        out: folder in which pages and what was read are kept.
    """
    kept = out / f"{record.record_id}.npz"
    if not kept.is_file():
        page = out / "page.png"
        grounding.render(record).save(page)
        try:
            read = grounding.read_record(page)
            np.savez(kept, signal=np.asarray(read.signal, np.float32), leads=read.leads, fs=read.fs)
        except EcgError as error:
            print(f"{record.record_id}: {error}")
            np.savez(kept, signal=np.zeros((0, 0)), leads=[], fs=0.0)
    with np.load(kept) as data:
        if not data["fs"]:
            return None
        leads = [str(lead) for lead in data["leads"]]
        return ECGRecord.from_array(data["signal"], float(data["fs"]), leads, record_id=record.record_id)


def _given(record: ECGRecord) -> ECGRecord:
    return record


def told(name: str, truth: Array, logits: Array) -> None:
    """Print the ROC-AUC of some logits, (records, superclasses)."""
    value, low, high = with_interval(lambda rows: macro_auc(truth[rows], logits[rows]), len(truth))
    each = " / ".join(f"{macro_auc(truth[:, [at]], logits[:, [at]]):.3f}" for at in range(truth.shape[1]))
    print(f"{name:8s} {value:.3f} [{low:.3f}-{high:.3f}]   {' / '.join(SUPERCLASSES)}  {each}")


def of_photographs(model: Any, folder: Path) -> None:
    """Print how the model's probabilities for photographs differ from those for the printed records.

    Args:
        model: with a processor and a classification head.
        folder: with ``photos`` and ``truth``.
    """
    said: dict[str, list[Array]] = {"record": [], "read": [], "pixels": []}
    for header in tqdm(sorted((folder / "truth").glob("*.hea")), unit="photo"):
        record = grounding.read_record(header.with_suffix(""))
        try:
            photo = grounding.read_record(folder / "photos" / f"{header.stem}.jpg")
        except EcgError as error:
            print(f"{header.stem}: {error}")
            continue
        for name, given in (("record", {"record": record, "picture": False}), ("read", {"record": photo})):
            said[name].append(_superclasses(model, **given))
        # the picture encoder's page is drawn from what was read
        said["pixels"].append(_superclasses(model, picture=grounding.render(photo)))
    own = np.concatenate(said.pop("record"))
    print(f"{len(own)} photographs against their records, {' / '.join(SUPERCLASSES)}")
    for name, rows in said.items():
        there = np.concatenate(rows)
        same = ((there >= 0.5) == (own >= 0.5)).all(1)
        alike = " / ".join(f"{np.corrcoef(there[:, at], own[:, at])[0, 1]:.2f}" for at in range(own.shape[1]))
        away = np.abs(there - own).mean()
        print(f"{name:8s} mean difference {away:.3f}, same set {same.mean():.2f}, correlation {alike}")


def _superclasses(model: Any, **given: Any) -> Array:
    inputs = model.processor(**given)
    with torch.inference_mode():
        return np.asarray(model.classify(**inputs).double().cpu())[:, superclass_columns(model)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read every page, classify it three ways, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--photos", type=Path, help="photographs with their printed signals, instead of drawn pages")
    parser.add_argument("--folds", type=int, nargs="+", default=[9])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--model", default="gem-nano")
    options = parser.parse_args(arguments)
    model = gem.load(options.model)
    if options.photos:
        of_photographs(model, options.photos)
        return
    if not (options.data and options.out):
        parser.error("give --data and --out, or --photos")
    options.out.mkdir(parents=True, exist_ok=True)
    samples, _ = usable(options.data, tuple(options.folds))
    samples = samples[: options.limit]
    pairs: list[tuple[Sample, Sample]] = []
    for sample in tqdm(samples, unit="page"):
        record = read_back(sample.record, options.out)
        if record is not None:
            pairs.append((sample, replace(sample, read=partial(_given, record))))
    own, read = [list(side) for side in zip(*pairs, strict=True)]
    columns, truth = superclass_columns(model), targets(own)
    print(f"{len(samples)} pages, {len(samples) - len(pairs)} refused; macro ROC-AUC of the superclasses")
    logits = {
        name: class_logits(model, records, inputs)[:, columns]
        for name, records, inputs in (("pixels", own, "pixels"), ("read", read, "signal"), ("signal", own, "signal"))
    }
    for name, values in logits.items():
        told(name, truth, values)
    _, low, high = with_interval(
        lambda rows: macro_auc(truth[rows], logits["read"][rows]) - macro_auc(truth[rows], logits["pixels"][rows]),
        len(truth),
    )
    print(f"read less pixels, on the same records: [{low:.3f} to {high:.3f}]")


if __name__ == "__main__":
    main()
