"""Physicians' reports of PTB-XL held against their own recording, and against another patient's.

    python benchmarks/check_reports.py --data PTBXL --folds 9

A good check contradicts few statements of the first kind and many of the second: it can't know who is right, but most
statements of a report are true of the recording that was read, and many are not of another. A line for each verdict,
then the topics that are contradicted most. Both need the reports of ``labels.csv`` or ``ptbxl_database.csv``.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from tqdm import tqdm

import grounding
from gem.data.ptbxl import load_ptbxl

VERDICTS = ("supported", "unsupported", "contradicted", "not_checkable")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="PTB-XL as it is downloaded, or with a labels.csv")
    parser.add_argument("--folds", type=int, nargs="+", default=[9])
    parser.add_argument("--every", type=int, default=1, help="only every Nth record")
    parser.add_argument("--topics", type=int, default=12, help="how many topics are listed")
    args = parser.parse_args()
    samples = [sample for sample in load_ptbxl(args.data, folds=args.folds)[:: args.every] if sample.report]
    own: Counter[str] = Counter()
    other: Counter[str] = Counter()
    topics: Counter[str] = Counter()
    said: Counter[str] = Counter()
    for sample, neighbour in zip(tqdm(samples), [*samples[1:], samples[0]], strict=True):
        measurement = grounding.measure(sample.record)
        for claim in grounding.check(sample.report, measurement):
            own[claim.verdict] += 1
            said[claim.topic] += 1
            topics[claim.topic] += claim.verdict == "contradicted"
        other.update(claim.verdict for claim in grounding.check(neighbour.report, measurement))
    print(f"{len(samples)} reports, {own.total()} statements\n")
    print(f"{'verdict':16s}{'own recording':>16s}{'another':>16s}")
    for verdict in VERDICTS:
        shares = [100 * counts[verdict] / max(1, counts.total()) for counts in (own, other)]
        print(f"{verdict:16s}{shares[0]:>14.1f} %{shares[1]:>14.1f} %")
    print("\ncontradicted on the own recording, of all that say it:")
    for topic, count in topics.most_common(args.topics):
        print(f"{count:5d} of {said[topic]:4d}  {topic}")


if __name__ == "__main__":
    main()
