"""Train the classifiers of beats and rhythms (``grounding/measurement/weights/rhythm.json``) on labelled recordings.

    python -m gem.training.rhythm ../shared/data UNPACKED --out grounding/measurement/weights/rhythm.json
    # without PTB-XL's folds 5-9 and half of the challenges' recordings
    python -m gem.training.rhythm ../shared/data UNPACKED --half --out OUT

UNPACKED is the output of ``../shared/data/ptbxl_more/unpack.py``. There are two classifiers:

* Beats. The label says that a recording has ventricular (supraventricular) extrasystoles, but not which beats they are,
  so the score of a recording is that of its highest-scoring beat (logistic regression on a smooth maximum over beats).
* Rhythm. Fibrillation, flutter or neither: a softmax of eight quantities. Recordings of flutter and fibrillation have
  larger weights, because they are rare.

Prints cross-validated results, in nine parts that share no patient. Labels are those of the data sets; in PTB-XL also
those in the report, which often names extrasystoles and fibrillation that the codes lack.
"""

from __future__ import annotations

import argparse
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from gem.data.ptbxl import load_ptbxl
from gem.data.samples import Sample
from grounding import EcgError, ECGRecord, read_record
from grounding.delineation.types import Array
from grounding.measurement.ectopy import SUPRAVENTRICULAR, VENTRICULAR, supraventricular_features
from grounding.measurement.measuring import Delineated, bounded, features_of_rhythm
from grounding.measurement.rhythm import ATRIAL, RhythmFeatures, Weights, atrial_probabilities, scores

PARTS, HALF = 9, 4
SHARPNESS = 5.0  # of the smooth maximum
DECAY = {"beats": 0.5, "rhythm": 3.0}
CLASS_WEIGHTS = np.array([1.0, 3.5, 10.0])  # of a recording with neither, fibrillation, flutter
# added to the scores, whose threshold is 0, so that 1 and 2 % of the recordings without the label exceed it
SHIFT = {"ventricular": 0.5, "supraventricular": 1.5}
# initial weights: a ventricular beat has another shape, is wide, early and followed by a pause; a supraventricular beat
# is early, and earlier than the next
START = {"ventricular": (-6.0, 1, 1, -0.5, 0.3, -0.3, -0.3), "supraventricular": (-6.0, -1, -0.5, -1, -0.5)}
CODES = {
    "ventricular": "PVC 427172004 17338001 164884008",
    "supraventricular": "PAC 284470004 63593006",
    "fibrillation": "AFIB AF 164889003",
    "flutter": "AFLT 164890007",
    "paced": "PACE 10370003",
}
REPORTED = {
    "ventricular": r"(?<!supra)ventri[ck]\S*( \S+)? extrasyst|premature ventricular"
    r"|ventricular (premature|extrasyst|ectop)|\bves\b",
    "supraventricular": r"supraventri?k?\S*( \S+)? extrasyst|premature atrial|atrial premature|\bsves\b|atrial ectop",
    "fibrillation": r"vorhofflimmern|atrial fibrillation|förmaksflimmer",
}


class RhythmExample(NamedTuple):
    """One recording.

    Attributes:
        features: of its beats and rhythm.
        labels: names in ``CODES``.
        part: 1-9, for cross-validation.
    """

    features: RhythmFeatures
    labels: frozenset[str]
    part: int


def labels_of(codes: Iterable[str], report: str = "") -> frozenset[str]:
    """The names in ``CODES`` that a recording's codes or report give.

    Args:
        codes: SCP or SNOMED codes.
        report: free text.

    Example:
        >>> sorted(labels_of(["SR"], "sinusrhythmus, ventrikulÄre extrasystole(n)"))
        ['ventricular']
    """
    given, text = set(codes), report.lower()
    found = {name for name, words in CODES.items() if given & set(words.split())}
    found |= {name for name, pattern in REPORTED.items() if re.search(pattern, text)}
    return frozenset(found - {"fibrillation"} if "flutter" in found else found)


def challenge_codes(header: Path) -> set[str]:
    """The diagnoses in a WFDB header of the PhysioNet/CinC challenges.

    Args:
        header: of the file.
    """
    line = re.search(r"^#\s*Dx:\s*(.*)$", header.read_text(), re.MULTILINE)
    return {word.strip() for word in line.group(1).split(",")} if line else set()


def _challenge_example(header: Path, weights: Weights) -> RhythmExample | None:
    try:
        record = read_record(header.with_suffix(""))
    except EcgError:
        return None
    return _example(record, labels_of(challenge_codes(header)), zlib.crc32(header.stem.encode()) % PARTS + 1, weights)


def _ptbxl_example(sample: Sample, weights: Weights) -> RhythmExample | None:
    return _example(sample.read(), labels_of(sample.scp_codes, sample.report), sample.fold or 0, weights)


def _example(record: ECGRecord, labels: frozenset[str], part: int, weights: Weights) -> RhythmExample | None:
    reading = bounded(record)
    if not isinstance(reading, Delineated) or len(reading.found.beats) < 3:
        return None
    return RhythmExample(features_of_rhythm(reading, weights), labels, part)


def examples(shared: Path, unpacked: Path, weights: Weights, jobs: int = 1) -> list[RhythmExample]:
    """Every recording of PTB-XL's folds 1-9 and of the challenges that can be measured.

    Args:
        shared: folder with ptbxl/, ptbxl_filtered/ and challenge/.
        unpacked: folder with the raw PTB-XL records.
        weights: of the classifier of ventricular beats, which the other features need.
        jobs: worker processes.
    """
    run = joblib.Parallel(n_jobs=jobs)
    samples = load_ptbxl(unpacked, range(1, 10), ("raw",)) + load_ptbxl(shared, range(1, 10), ("filtered",))
    found = run(joblib.delayed(_ptbxl_example)(sample, weights) for sample in samples)
    headers = sorted((shared / "challenge").glob("*.hea"))
    found += run(joblib.delayed(_challenge_example)(header, weights) for header in headers)
    return [example for example in found if example is not None]


class BeatScore:
    """Logistic regression of recordings on their highest-scoring beat.

    Args:
        beats: features of the beats of each recording, (beats, features).
        labelled: (recordings,) whether they have the label.
        start: initial weights, the constant first.
    """

    def __init__(self, beats: Sequence[Array], labelled: NDArray[np.bool_], start: Sequence[float]) -> None:
        every = np.concatenate(beats)
        self.mean, self.spread = every.mean(axis=0), every.std(axis=0) + 1e-9
        self.x = np.column_stack([np.ones(len(every)), (every - self.mean) / self.spread])
        counts = [len(part) for part in beats]
        self.first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self.owner = np.repeat(np.arange(len(beats)), counts)
        self.y, self.start = labelled.astype(np.float64), np.asarray(start, np.float64)

    def fit(self, used: NDArray[np.bool_]) -> Array:
        """Train on some of the recordings.

        Args:
            used: (recordings,) True for these.

        Returns:
            Weights (1 + features,) of features that are not standardised, the constant first.
        """

        def loss(w: Array) -> tuple[float, Array]:
            z = self.x @ w
            top = np.maximum.reduceat(z, self.first)
            share = np.exp(SHARPNESS * (z - top[self.owner]))
            total = np.add.reduceat(share, self.first)
            record = top + np.log(total) / SHARPNESS
            off = (1 / (1 + np.exp(-record)) - self.y) * used
            gradient = self.x.T @ (off[self.owner] * share / total[self.owner])
            gradient[1:] += DECAY["beats"] * w[1:]
            value = ((np.logaddexp(0, record) - self.y * record) * used).sum() + DECAY["beats"] / 2 * (w[1:] ** 2).sum()
            return float(value), gradient

        w: Array = minimize(loss, self.start, jac=True, method="L-BFGS-B").x
        return np.asarray(_for_raw_features(w[:, None], self.mean, self.spread)[:, 0])


def fit_rhythm(x: Array, kind: NDArray[np.intp]) -> Array:
    """Train the classifier of fibrillation and flutter.

    Args:
        x: (recordings, features).
        kind: (recordings,) 0 for neither, 1 for fibrillation, 2 for flutter.

    Returns:
        Weights (1 + features, 2) of features that are not standardised, against neither.
    """
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    z = np.column_stack([np.ones(len(x)), (x - mean) / spread])
    wanted, weight = np.eye(3)[kind], CLASS_WEIGHTS[kind]

    def loss(flat: Array) -> tuple[float, Array]:
        w = np.column_stack([np.zeros(z.shape[1]), flat.reshape(-1, 2)])
        logits = z @ w
        top = logits.max(axis=1, keepdims=True)
        odds = np.exp(logits - top)
        total = odds.sum(axis=1, keepdims=True)
        value = weight @ (np.log(total) + top - (logits * wanted).sum(axis=1, keepdims=True))[:, 0]
        gradient = (z.T @ ((odds / total - wanted) * weight[:, None]))[:, 1:]
        gradient[1:] += DECAY["rhythm"] * w[1:, 1:]
        return float(value + DECAY["rhythm"] / 2 * (w[1:] ** 2).sum()), gradient.ravel()

    w: Array = minimize(loss, np.zeros(2 * z.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 2000}).x
    return _for_raw_features(w.reshape(-1, 2), mean, spread)


def _for_raw_features(w: Array, mean: Array, spread: Array) -> Array:
    """Convert weights of standardised features to those of raw features."""
    slope = w[1:] / spread[:, None]
    return np.vstack([w[:1] - mean @ slope, slope])


def _named(w: Array, names: Sequence[str]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(("constant", *names), w, strict=True)}


def _beats(example: RhythmExample, kind: str) -> Array:
    """Features of those beats of a recording that can be of a kind."""
    found = example.features
    if kind == "ventricular":
        return found.ventricular
    after = np.append(False, found.is_ventricular[:-1])
    features = supraventricular_features(found.beats, found.is_ventricular)
    return np.asarray(features[~(found.is_ventricular | after)])


def fit_beats(
    kind: str, recordings: Sequence[RhythmExample], parts: Iterable[int]
) -> tuple[dict[str, float], NDArray[np.bool_], NDArray[np.bool_]]:
    """Train the classifier of one kind of beat, with cross-validation.

    Args:
        kind: ``"ventricular"`` or ``"supraventricular"``.
        recordings: with at least one beat that can be of this kind.
        parts: of the examples, for cross-validation.

    Returns:
        The weights; (recordings,) labels; (recordings,) predictions of weights that were trained without the
        recording's part.
    """
    labelled = np.array([kind in example.labels for example in recordings])
    part = np.array([example.part for example in recordings])
    names = {"ventricular": VENTRICULAR, "supraventricular": SUPRAVENTRICULAR}[kind]
    beats = [_beats(example, kind) for example in recordings]
    model = BeatScore(beats, labelled, START[kind])

    def weights(used: NDArray[np.bool_]) -> dict[str, float]:
        w = model.fit(used)
        w[0] += SHIFT[kind]
        return _named(w, names)

    predicted = np.zeros(len(recordings), bool)
    for one in parts:
        trained = {kind: weights(part != one)}
        for k in np.flatnonzero(part == one):
            predicted[k] = bool((scores(kind, beats[k], trained) > 0).any())
    return weights(np.ones(len(recordings), bool)), labelled, predicted


def _kind(example: RhythmExample) -> int:
    return 2 if "flutter" in example.labels else int("fibrillation" in example.labels)


def fit_atrial(
    recordings: Sequence[RhythmExample], parts: Iterable[int]
) -> tuple[dict[str, dict[str, float]], NDArray[np.intp], Array]:
    """Train the classifier of fibrillation and flutter, with cross-validation.

    Args:
        recordings: the examples.
        parts: of the examples, for cross-validation.

    Returns:
        The weights; (recordings,) 0 for neither, 1 for fibrillation, 2 for flutter; (recordings, 2) probabilities of
        weights that were trained without the recording's part.
    """
    x = np.array([example.features.atrial for example in recordings])
    kind = np.array([_kind(example) for example in recordings])
    part = np.array([example.part for example in recordings])

    def weights(used: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
        w = fit_rhythm(x[used], kind[used])
        return {"fibrillation": _named(w[:, 0], ATRIAL), "flutter": _named(w[:, 1], ATRIAL)}

    probability = np.zeros((len(recordings), 2))
    for one in parts:
        probability[part == one] = atrial_probabilities(x[part == one], weights(part != one))
    return weights(np.ones(len(recordings), bool)), kind, probability


def main(arguments: list[str] | None = None) -> None:
    """Train both classifiers, print cross-validated results, and write the weights.

    Args:
        arguments: of the command line, see ``--help``; those of the process when None.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with ptbxl/, ptbxl_filtered/ and challenge/")
    parser.add_argument("unpacked", type=Path, help="folder with the raw PTB-XL records, from ptbxl_more/unpack.py")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--half", action="store_true", help=f"learn from parts 1 to {HALF} only")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args(arguments)
    parts = range(1, HALF + 1 if options.half else PARTS + 1)
    weights: dict[str, Any] = {"ventricular": dict.fromkeys(("constant", *VENTRICULAR), 0.0)}
    first = [
        example
        for example in examples(options.shared, options.unpacked, weights, options.jobs)
        if example.part in parts
    ]
    plain = [example for example in first if "paced" not in example.labels and not example.features.is_paced.any()]
    weights["ventricular"], labelled, predicted = fit_beats("ventricular", plain, parts)
    _report("ventricular extrasystoles", labelled, predicted)
    # the other features depend on which beats are ventricular
    second = examples(options.shared, options.unpacked, weights, options.jobs)
    plain = [e for e in second if e.part in parts and "paced" not in e.labels and not e.features.is_paced.any()]
    with_atrial = [example for example in plain if example.features.atrial is not None]
    atrial, kind, probability = fit_atrial(with_atrial, parts)
    weights |= atrial
    for number, name in enumerate(("fibrillation", "flutter")):
        _report(name, kind == number + 1, probability[:, number] >= 0.5)
    others = [e for e, p in zip(with_atrial, probability, strict=True) if p.max() < 0.5 and _kind(e) == 0]
    others = [example for example in others if len(_beats(example, "supraventricular"))]
    weights["supraventricular"], labelled, predicted = fit_beats("supraventricular", others, parts)
    _report("supraventricular extrasystoles", labelled, predicted)
    about = {
        "learned_from": f"PTB-XL, folds {parts[0]}-{parts[-1]}, raw and band-passed, and the PhysioNet/CinC challenges "
        f"2020/21: {len(plain)} recordings without pacing",
        "by": "python -m gem.training.rhythm",
        "licence": "CC BY 4.0",
        "labelled": {name: sum(name in example.labels for example in plain) for name in CODES if name != "paced"},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"about": about, "weights": weights}, indent=1) + "\n", encoding="utf-8")


def _report(name: str, labelled: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> None:
    hits, false_alarms = predicted[labelled], predicted[~labelled]
    print(
        f"{name}: found in {hits.sum()} of {hits.size} recordings with the label ({hits.mean():.1%}), "
        f"and in {false_alarms.sum()} of {false_alarms.size} others ({false_alarms.mean():.2%}), cross-validated",
        flush=True,
    )


if __name__ == "__main__":
    main()
