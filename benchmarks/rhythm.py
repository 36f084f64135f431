"""Agreement of rhythm, beats and conduction with the labels of several hospitals.

    python benchmarks/rhythm.py ../shared/data UNPACKED --out benchmarks/rhythm.csv
    python benchmarks/rhythm.py ../shared/data UNPACKED --weights OUT --held-out --out HELD

UNPACKED is what ``../shared/data/ptbxl_more/unpack.py`` writes. The second command takes the weights of
`gem.training.rhythm --half` and the other half of the recordings. A row per data set and class: labelled recordings and
how many of them are found; other recordings and how many of them are false alarms; and how many are undecided. "wide
QRS" is counted among PTB-XL's normal recordings, "dropped beats" among those in sinus rhythm; both can only be false
alarms. In PTB-XL fibrillation, flutter and extrasystoles also count as labelled if the report names them, as in
training (``gem.training.rhythm``); with ``--codes`` only the codes count.
"""

from __future__ import annotations

import argparse
import csv
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import joblib

import grounding
from gem.data.ptbxl import load_ptbxl
from gem.data.samples import Sample
from gem.training.rhythm import HALF, PARTS, challenge_codes, labels_of
from grounding import EcgError
from grounding.measurement import rhythm

CLASSES = {
    "atrial_fibrillation": "fibrillation",
    "atrial_flutter": "flutter",
    "premature_ventricular_complex": "ventricular",
    "premature_atrial_complex": "supraventricular",
    "paced_rhythm": "paced",
    "sinus_rhythm": "SR 426783006 Normal|Sinus rhythm",
    "sinus_bradycardia": "SBRAD 426177001|Sinus bradycardia",
    "sinus_tachycardia": "STACH 427084000|Sinus tachycardia",
    "first_degree_av_block": "1AVB 270492004 I-AVB|I degree av block",
    "complete_left_bundle_branch_block": "CLBBB 164909002 733534002 LBBB|Complete left bundle branch block",
    "complete_right_bundle_branch_block": "CRBBB 59118001 713427006 RBBB|Complete right bundle branch block",
}
NO_LABEL = {"wide_qrs": "NORM", "dropped_beats": "SR"}  # finding or count -> recordings that should not have it
HOSPITALS = {"A": "cpsc", "Q": "cpsc_extra", "E": "georgia", "J": "chapman"}
LUDB_COLUMNS = ("Rhythms", "Conduction abnormalities", "Extrasystolies", "Cardiac pacing")
LUDB = {
    "fibrillation": "Atrial fibrillation",
    "flutter": "Atrial flutter",
    "ventricular": "Ventricular extrasystole",
    "supraventricular": "Atrial extrasystole",
    "paced": "acing",
}
COLUMNS = ("set", "class", "labelled", "told", "told_share", "undecided", "others", "called", "called_share")


class Case(NamedTuple):
    """One recording: its set, part of the data (1-9), labels, and what is found in it (None: not decided)."""

    name: str
    part: int
    labels: frozenset[str]
    found: dict[str, bool | None]


def found_in(record: grounding.ECGRecord) -> dict[str, bool | None]:
    m = grounding.measure(record)
    out = {finding.name: finding.present for finding in grounding.find(m)}
    dropped = m.rhythm["dropped_beats"]
    return {**out, "dropped_beats": None if dropped is None else dropped > 0}


def ptbxl_case(sample: Sample, codes_only: bool) -> Case:
    labels = labels_of(sample.scp_codes, "" if codes_only else sample.report)
    return Case(f"ptbxl_{sample.source}", sample.fold, labels | set(sample.scp_codes), found_in(sample.read()))


def challenge_case(header: Path) -> Case | None:
    codes = challenge_codes(header)
    try:
        record = grounding.read_record(header.with_suffix(""))
    except EcgError:
        return None
    part = zlib.crc32(header.stem.encode()) % PARTS + 1
    return Case(HOSPITALS[header.stem[0]], part, labels_of(codes) | codes, found_in(record))


def ludb_case(header: Path, words: list[str]) -> Case:
    labels = {name for name, part in LUDB.items() if any(part in word for word in words)} | set(words)
    return Case("ludb", PARTS, frozenset(labels), found_in(grounding.read_record(header.with_suffix(""))))


def ludb_files(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    headers = {path.stem: path for path in folder.rglob("*.hea")}
    with (folder / "ludb.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            words = [
                word.strip() for column in LUDB_COLUMNS for word in (row[column] or "").split("\n") if word.strip()
            ]
            if row["ID"].strip() in headers:
                yield headers[row["ID"].strip()], words


def rows(cases: list[Case]) -> Iterator[dict[str, object]]:
    for name in dict.fromkeys(case.name for case in cases):
        of_set = [case for case in cases if case.name == name]
        for finding, words in CLASSES.items():
            wanted = set(words.split("|")[0].split()) | set(words.split("|")[1:])
            has = [case.found[finding] for case in of_set if case.labels & wanted]
            others = [case.found[finding] for case in of_set if not case.labels & wanted]
            yield row(name, finding, has, others)
        for other in ("fibrillation", "flutter"):
            finding = {"fibrillation": "atrial_flutter", "flutter": "atrial_fibrillation"}[other]
            yield row(
                name,
                f"{other} called {finding.split('_')[1]}",
                [],
                [case.found[finding] for case in of_set if other in case.labels],
            )
        for finding, label in NO_LABEL.items():
            yield row(name, finding, [], [case.found[finding] for case in of_set if label in case.labels])


def row(name: str, finding: str, has: list[bool | None], others: list[bool | None]) -> dict[str, object]:
    told, called = has.count(True), others.count(True)
    return {
        "set": name,
        "class": finding,
        "labelled": len(has),
        "told": told,
        "told_share": share(told, len(has)),
        "undecided": (has + others).count(None),
        "others": len(others),
        "called": called,
        "called_share": share(called, len(others)),
    }


def share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with ptbxl/, ptbxl_filtered/, challenge/ and ludb/")
    parser.add_argument("unpacked", type=Path, help="folder with the raw PTB-XL records, from ptbxl_more/unpack.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="of beats and rhythms, other than the shipped ones")
    parser.add_argument("--held-out", action="store_true", help=f"only parts {HALF + 1} to {PARTS}, and LUDB")
    parser.add_argument("--codes", action="store_true", help="labels from PTB-XL's codes alone, not from its reports")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    if options.weights is not None:
        rhythm.MODEL = options.weights
    parts = range(HALF + 1 if options.held_out else 1, PARTS + 1)
    run = joblib.Parallel(n_jobs=1 if options.weights else options.jobs)  # weights are set in this process
    cases = []
    for root, source in ((options.unpacked, "raw"), (options.shared, "filtered")):
        samples = load_ptbxl(root, parts, (source,))
        cases += run(joblib.delayed(ptbxl_case)(sample, options.codes) for sample in samples)
    headers = sorted((options.shared / "challenge").glob("*.hea"))
    cases += [case for case in run(joblib.delayed(challenge_case)(header) for header in headers) if case]
    cases += run(joblib.delayed(ludb_case)(header, words) for header, words in ludb_files(options.shared / "ludb"))
    table = list(rows([case for case in cases if case.part in parts]))
    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    for line in table:
        if line["labelled"] or line["others"]:
            print(
                " ".join(
                    f"{line[name]!s:>10}" if name not in ("set", "class") else f"{line[name]:36}" for name in COLUMNS
                )
            )


if __name__ == "__main__":
    main()
