"""How far simple figures of the signal tell ECG-QA's marks of noise: the table on the page of benchmarks.

python docs/ecg_qa_noise.py QUESTIONS PTBXL

For each kind of question: the majority's answer, ``rules``, the one figure and limit that are best with all answers in
view (no reader of a single figure can be better on these questions), and a figure and limit that are chosen on one half
of the patients and counted on the other, mean over 20 ways to halve. The figures are levels of noise in seven bands, in
the lead, on the page, and in the lead against the page, also between the QRS complexes alone, and of the baseline.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter, uniform_filter1d
from scipy.signal import butter, sosfiltfilt

from gem.evaluation.ecg_qa.items import load_items
from gem.evaluation.ecg_qa.noise import has_noise, noise_figures
from gem.evaluation.ecg_qa.reading import read
from gem.evaluation.inputs import Inputs
from grounding.delineation.detection import detect_beats

Array = NDArray[np.float64]
BANDS_HZ = ((15, 45), (20, None), (35, None), (45, 55), (60, None), (100, None), (1, 15))
PERCENTILES, HALVES = (10, 25, 50, 75, 90, 100), 20


def figures(record: Any) -> Array:
    """(figures, leads), in uV."""
    signal, fs = np.nan_to_num(np.asarray(record.signal, np.float64)) * 1000.0, record.fs
    between = np.ones(signal.shape[1], bool)
    for beat in detect_beats(signal[:, :: round(fs / 250)]) * round(fs / 250):
        between[max(0, beat - round(0.08 * fs)) : beat + round(0.1 * fs)] = False
    out: list[Array] = []
    for low, high in BANDS_HZ:
        limits, kind = (low, "highpass") if high is None else ((low, high), "bandpass")
        power = sosfiltfilt(butter(3, limits, kind, fs=fs, output="sos"), signal) ** 2
        for inside in (np.ones_like(between), between):
            share = uniform_filter1d(inside.astype(np.float64), round(0.1 * fs))
            level = np.sqrt(np.maximum(uniform_filter1d(power * inside, round(0.1 * fs), axis=1), 0))
            seen = level[:, share > 0.6] / np.sqrt(share[share > 0.6]) if (share > 0.6).any() else level
            seen = seen[:, :: round(0.02 * fs)]
            out += [np.percentile(seen, percent, axis=1) for percent in PERCENTILES]
            out += [out[-1] / np.maximum(out[-len(PERCENTILES) + 1], 1.0), 100 * (seen > 10).mean(1)]
    baseline = median_filter(signal[:, :: round(0.05 * fs)], size=(1, 13))  # 0.65 s
    out += [np.ptp(baseline, axis=1), baseline.std(1), np.abs(baseline[:, 10:] - baseline[:, :-10]).max(1)]
    return np.array(out)


def best_limit(values: Array, truth: NDArray[np.bool_]) -> tuple[float, float]:
    """The limit above which most answers are yes, and the share that is right with it."""
    order = np.argsort(values, kind="stable")
    yes = truth[order]
    right = np.r_[0, np.cumsum(~yes)] + yes.sum() - np.r_[0, np.cumsum(yes)]
    place = int(np.argmax(right))
    there = np.r_[-np.inf, values[order]]
    return float(there[place]), float(right[place] / len(yes))


def held_out(values: Array, truth: NDArray[np.bool_], patients: NDArray[np.intp]) -> float:
    """A figure and its limit from one half of the patients, counted on the other."""
    right: list[float] = []
    for seed in range(HALVES):
        half = np.random.default_rng(seed).permutation(patients.max() + 1)[patients] % 2 == 0
        for one in (half, ~half):
            tried = [best_limit(column[one], truth[one]) for column in values]
            chosen = int(np.argmax([share for _, share in tried]))
            right.append(float(((values[chosen][~one] > tried[chosen][0]) == truth[~one]).mean()))
    return float(np.mean(right))


def questions(data: Path, inputs: Inputs) -> Iterator[tuple[str, str, str | None, bool]]:
    """Kind of noise, recording, lead and answer of each question about noise in one ECG whose recording is there."""
    for item in load_items(data):
        asked = read(item.question)
        if item.kind == "single-verify" and asked.about == "noise" and inputs.problem(item.records) is None:
            yield (asked.noises or ("any",))[0], item.records[0], asked.lead, item.truth == ("yes",)


def main(data: Path, records: Path) -> None:
    """Print the table."""
    inputs = Inputs(records)
    known: dict[str, tuple[Any, Array, list[str]]] = {}
    groups: dict[str, list[tuple[bool, bool, Array, str]]] = {}
    for kind, name, lead, truth in questions(data, inputs):
        if name not in known:
            record = inputs.record(name)
            known[name] = noise_figures(record), figures(record), list(record.leads)
        noise, found, leads = known[name]
        here = found.max(1) if lead is None else found[:, leads.index(lead)]
        page = np.median(found, axis=1)
        row = np.concatenate([here, page, found.max(1), here / np.maximum(page, 0.1)])
        group = f"{kind}, {'anywhere' if lead is None else 'in a lead'}"
        groups.setdefault(group, []).append((truth, has_noise(noise, kind, lead), row, inputs.patient(name)))
    total = np.zeros(4)
    for group, rows in [*groups.items()]:
        truth, ruled = (np.array([row[place] for row in rows]) for place in (0, 1))
        values = np.array([row[2] for row in rows]).T
        patients = np.unique([row[3] for row in rows], return_inverse=True)[1]
        hindsight = max(best_limit(column, truth)[1] for column in values)
        shares = np.array([max(truth.mean(), 1 - truth.mean()), (ruled == truth).mean(), hindsight, 0.0])
        shares[3] = held_out(values, truth, patients)
        total += len(rows) * shares
        print(f"| {group} | {len(rows)} | " + " | ".join(f"{100 * share:.1f}" for share in shares) + " |", flush=True)
    n = sum(map(len, groups.values()))
    print(f"| all | {n} | " + " | ".join(f"{100 * share / n:.1f}" for share in total) + " |")
    print(f"{values.shape[0]} figures, {len(known)} recordings")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
