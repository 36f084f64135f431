"""A model's classification away from home: other hospitals, wrong gains, noise, lost leads and short pieces.

    python benchmarks/elsewhere.py --challenge FOLDER --ludb FOLDER --data PTBXL [--folds 9] [--model NAME] --out FOLDER

``hospitals.csv``: ROC-AUC of each label that a source and the head share and five or more of its records have; nothing
is fitted there. ``changed.csv``: the records of the folds with their signal changed, superclasses; ``asserted`` is the
mean number of superclasses with a probability of one half or more.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gem
from gem.data.challenge import load_challenge
from gem.data.labelled import usable
from gem.data.samples import SUPERCLASSES, Sample
from gem.evaluation.classification import Array, class_logits, superclass_columns, targets
from gem.metrics.bootstrap import bootstrap
from gem.metrics.multilabel import calibration_error, macro_auc
from grounding import ECGRecord, read_record

LEAST = 5  # records with a label, and without
# first letters of the challenge's record names (George B. Moody Challenge 2021, data description)
SOURCES = {"A": "CPSC 2018", "Q": "CPSC extra", "E": "Georgia", "JS": "Chapman/Ningbo"}
# LUDB's diagnoses (the comments of its headers) that mean what a statement of PTB-XL means; "overload" and
# "hypertrophy" of an atrium are one statement there
LUDB = {
    "Rhythm: Sinus rhythm": "SR",
    "Rhythm: Sinus bradycardia": "SBRAD",
    "Rhythm: Sinus tachycardia": "STACH",
    "Rhythm: Sinus arrhythmia": "SARRH",
    "Rhythm: Atrial fibrillation": "AFIB",
    "Left ventricular hypertrophy": "LVH",
    "Left atrial hypertrophy": "LAO/LAE",
    "Left atrial overload": "LAO/LAE",
    "Incomplete right bundle branch block": "IRBBB",
    "Complete right bundle branch block": "CRBBB",
    "Complete left bundle branch block": "CLBBB",
    "Left anterior hemiblock": "LAFB",
    "I degree AV block": "1AVB",
    "Non-specific intravintricular conduction delay": "IVCD",
}
# labels and the classes that speak for them, where these have other names
CLASSES = {**dict.fromkeys(("1AVB", "2AVB", "3AVB"), ("AVB",)), "RBBB": ("CRBBB", "IRBBB")}
Change = Callable[[ECGRecord], ECGRecord]


def ludb(root: Path) -> list[Sample]:
    """LUDB's records with the statements of ``LUDB``."""
    out = []
    for header in sorted(root.glob("*.hea"), key=lambda path: int(path.stem)):
        lines = [line[1:].strip().rstrip(". ") for line in header.read_text().splitlines() if line.startswith("#")]
        codes = {LUDB[line]: 100.0 for line in lines if line in LUDB}
        blank: dict[str, Any] = {"superclasses": (), "subclasses": (), "form": (), "rhythm": (), "report": ""}
        who: dict[str, Any] = {"patient": header.stem, "fold": None, "age": None, "sex": None, "source": "raw"}
        read = partial(read_record, header.with_suffix(""))
        out.append(Sample(record_id=header.stem, scp_codes=codes, read=read, **blank, **who))
    return out


def of_hospitals(model: Any, samples: Sequence[Sample], source: str) -> list[dict[str, Any]]:
    """A row for each label that the source and the head share.

    Args:
        model: with a processor and a classification head.
        samples: of one source.
        source: its name.
    """
    names = list(model.config.class_names)
    logits = class_logits(model, samples, "signal")
    held: dict[tuple[str, ...], set[int]] = {}
    for place, sample in enumerate(samples):
        for label in {*sample.scp_codes, *sample.superclasses}:
            held.setdefault(CLASSES.get(label, (label.strip("_"),)), set()).add(place)
    rows = []
    for classes, places in sorted(held.items()):
        if not LEAST <= len(places) <= len(samples) - LEAST or not set(classes) <= set(names):
            continue
        there = np.array([[place in places] for place in range(len(samples))], np.float64)
        score = logits[:, [names.index(name) for name in classes]].max(1, keepdims=True)
        low, high = bootstrap(lambda at, t=there, s=score: macro_auc(t[at], s[at]), len(samples), 500)
        said = float((score[there > 0] >= 0).mean())
        rows.append(
            {
                "source": source,
                "label": " or ".join(classes),
                "records": len(samples),
                "with it": int(there.sum()),
                "ROC-AUC": f"{macro_auc(there, score):.3f}",
                "95 %": f"{low:.3f}-{high:.3f}",
                "found at p >= 0.5": f"{said:.2f}",
                "said without it": f"{float((score[there == 0] >= 0).mean()):.2f}",
            }
        )
    return rows


def gain(by: float, record: ECGRecord) -> ECGRecord:
    """The record with every sample times a factor, as a wrong gain makes it."""
    return replace(record, signal=record.signal * np.float32(by))


def noisy(mv: float, record: ECGRecord) -> ECGRecord:
    """The record with white noise of this standard deviation, mV, drawn from its length."""
    drawn = np.random.default_rng(record.n_samples).normal(0, mv, record.signal.shape)
    return replace(record, signal=(record.signal + drawn).astype(np.float32))


def alone(mv: float, record: ECGRecord) -> ECGRecord:
    """Noise and nothing else; a flat line for 0 mV."""
    return noisy(mv, replace(record, signal=np.zeros_like(record.signal)))


def leads(names: Sequence[str], record: ECGRecord) -> ECGRecord:
    """Some leads alone."""
    return record.select(names)


def piece(seconds: float, record: ECGRecord) -> ECGRecord:
    """The first seconds."""
    return record.crop(0, seconds)


CHANGES: dict[str, Change | None] = {
    "as recorded": None,
    "gain half": partial(gain, 0.5),
    "gain twice": partial(gain, 2.0),
    "gain a tenth": partial(gain, 0.1),
    "noise of 0.1 mV on top": partial(noisy, 0.1),
    "six limb leads": partial(leads, ("I", "II", "III", "aVR", "aVL", "aVF")),
    "I, II, V1, V5": partial(leads, ("I", "II", "V1", "V5")),
    "lead II alone": partial(leads, ("II",)),
    "the first 2.5 s": partial(piece, 2.5),
    "noise of 0.2 mV and no ECG": partial(alone, 0.2),
    "flat": partial(alone, 0.0),
}


def read_changed(sample: Sample, change: Change) -> ECGRecord:
    """The sample's record, changed."""
    return change(sample.record)


def of_changes(model: Any, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """A row for each of ``CHANGES``."""
    truth, columns, rows = targets(samples), superclass_columns(model), []
    for name, change in CHANGES.items():
        given = samples
        if change is not None:
            given = [replace(sample, read=partial(read_changed, sample, change)) for sample in samples]
        score = 1 / (1 + np.exp(-class_logits(model, given, "signal")[:, columns]))
        rows.append({"signal": name, "records": len(given), **_figures(truth, score)})
        print(rows[-1], flush=True)
    return rows


def _figures(truth: Array, score: Array) -> dict[str, str]:
    low, high = bootstrap(lambda at: macro_auc(truth[at], score[at]), len(truth), 500)
    classes = [macro_auc(truth[:, [place]], score[:, [place]]) for place in range(len(SUPERCLASSES))]
    errors = [calibration_error(truth[:, place], score[:, place]) for place in range(len(SUPERCLASSES))]
    return {
        "macro ROC-AUC": f"{macro_auc(truth, score):.3f}",
        "95 %": f"{low:.3f}-{high:.3f}",
        " / ".join(SUPERCLASSES): " / ".join(f"{value:.2f}" for value in classes),
        "mean calibration error": f"{np.mean(errors):.3f}",
        "asserted": f"{(score >= 0.5).sum(1).mean():.2f}",
        "most often asserted": SUPERCLASSES[int((score >= 0.5).sum(0).argmax())],
    }


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """A table as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--challenge", type=Path, help="folder of the PhysioNet/CinC challenges")
    parser.add_argument("--ludb", type=Path, help="folder of LUDB's records")
    parser.add_argument("--data", type=Path, help="PTB-XL")
    parser.add_argument("--folds", type=int, nargs="+", default=[9])
    parser.add_argument("--model", default="gem-nano")
    parser.add_argument("--limit", type=int, help="only the first N records of each part, to try it out")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    model = gem.load(chosen.model)
    hospitals: list[dict[str, Any]] = []
    if chosen.challenge:
        samples = load_challenge(chosen.challenge)
        for letters, source in SOURCES.items():
            own = [one for one in samples if re.sub(r"\d.*", "", Path(one.record_id).name) == letters][: chosen.limit]
            hospitals += of_hospitals(model, own, source)
    if chosen.ludb:
        hospitals += of_hospitals(model, ludb(chosen.ludb)[: chosen.limit], "LUDB")
    if hospitals:
        write(chosen.out / "hospitals.csv", hospitals)
        for line in hospitals:
            print(line)
    if chosen.data:
        there, _ = usable(chosen.data, chosen.folds)
        write(chosen.out / "changed.csv", of_changes(model, there[: chosen.limit]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
