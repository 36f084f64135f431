"""The figures of docs/readers.md on signal quality: ``python benchmarks/quality.py ../shared/data``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from grounding import ECGRecord, measure, read_record
from grounding.signal.quality import assess, quality_score

PACED = {
    "ludb/45",
    "ludb/93",
    "ludb/95",
    "ludb/111",
    "ptbxl/records500/00385_hr",
}  # labelled as paced, and with spikes in the samples


def with_arms_swapped(record: ECGRecord) -> ECGRecord:
    """The recording that exchanged right and left arm cables would give."""
    signal = record.standard().signal.copy()
    signal[[0, 1, 2, 3, 4]] = -signal[0], signal[2], signal[1], signal[4], signal[3]
    return ECGRecord.from_array(signal, record.fs, record.standard().leads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with cinc2011/, ptbxl/, ludb/ and challenge/")
    data = parser.parse_args().data

    labels = pd.read_csv(data / "cinc2011" / "quality.csv")
    records = [read_record(data / "cinc2011" / f"{name}.hea") for name in labels["record"]]
    acceptable = (labels["quality"] == "acceptable").to_numpy()
    scores = np.array([quality_score(record) for record in records])
    refused = np.array([not assess(record)[0]["usable"].all() for record in records])
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(scores), size=len(scores)) for _ in range(2000)]
    spread = np.quantile([roc_auc_score(acceptable[draw], scores[draw]) for draw in draws], (0.025, 0.975))
    print(f"CinC 2011: {acceptable.sum()} acceptable, {(~acceptable).sum()} unacceptable")
    print(
        f"  AUC of quality_score {roc_auc_score(acceptable, scores):.3f} (95 % bootstrap {spread[0]:.3f}"
        f"-{spread[1]:.3f})"
    )
    print(f"  with an unusable lead: {refused[acceptable].sum()} acceptable, {refused[~acceptable].sum()} unacceptable")
    found = [measure(record) for record in records]
    for word, group in (("acceptable", acceptable), ("unacceptable", ~acceptable)):
        chosen = [m for m, wanted in zip(found, group, strict=True) if wanted]
        given = {name: sum(m.intervals[name] is not None for m in chosen) for name in ("rr", "pr", "qrs", "qt")}
        told = sum(any(m.quality["issues"].map(len)) or bool(m.issues) for m in chosen)
        silent = sum(not m.reasons.get(name) for m in chosen for name, value in m.intervals.items() if value is None)
        print(
            f"  {word}: an issue is named in {told}; intervals given: {given}; missing ones without a reason: {silent}"
        )

    swapped = claimed = count = 0
    spikes: dict[str, bool] = {}
    times = []
    for folder in ("ptbxl/records500", "challenge", "ludb"):
        for header in sorted((data / folder).glob("*.hea")):
            record = read_record(header)
            start = time.process_time()
            issues = assess(record)[1]
            times.append(time.process_time() - start)
            spikes[f"{folder}/{header.stem}"] = "pacing_spikes" in issues
            if folder != "ludb":
                count += 1
                claimed += "limb_leads_swapped" in issues
                swapped += "limb_leads_swapped" in assess(with_arms_swapped(record))[1]
    print(
        f"arm swap: found in {swapped} of {count} recordings swapped by computation, claimed in {claimed} of {count} "
        "as they are"
    )
    print(f"pacing spikes: found in {sum(spikes[name] for name in PACED)} of {len(PACED)}, claimed in ", end="")
    print(f"{sum(found for name, found in spikes.items() if name not in PACED)} of {len(spikes) - len(PACED)} others")
    print(f"assess: median {1000 * np.median(times):.2f} ms of processor time per 12-lead recording")


if __name__ == "__main__":
    main()
