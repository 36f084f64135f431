"""How often the findings agree with the labels of PTB-XL (folds 1-9) and of the PhysioNet/CinC challenges.

    python benchmarks/findings.py --data ../shared/data --raw UNPACKED --out benchmarks/findings.csv

ROOT holds ``ptbxl/``, ``ptbxl_filtered/`` and ``challenge/``; UNPACKED the raw records that
``../shared/data/ptbxl_more/unpack.py`` writes. A row per source and finding: counts, sensitivity, specificity, PPV, and
how often the finding was undecided (those records are left out of the other figures).
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterable
from pathlib import Path

import joblib

import grounding
from gem.data.ptbxl import load_ptbxl
from gem.data.samples import Sample
from grounding import EcgError

PTBXL = {
    "sinus_rhythm": "SR",
    "sinus_bradycardia": "SBRAD",
    "sinus_tachycardia": "STACH",
    "sinus_arrhythmia": "SARRH",
    "atrial_fibrillation": "AFIB",
    "atrial_flutter": "AFLT",
    "paced_rhythm": "PACE",
    "premature_atrial_complex": "PAC",
    "premature_ventricular_complex": "PVC",
    "bigeminy": "BIGU",
    "trigeminy": "TRIGU",
    "first_degree_av_block": "1AVB",
    "second_degree_av_block": "2AVB",
    "third_degree_av_block": "3AVB",
    "wolff_parkinson_white": "WPW",
    "complete_left_bundle_branch_block": "CLBBB",
    "complete_right_bundle_branch_block": "CRBBB",
    "incomplete_right_bundle_branch_block": "IRBBB",
    "incomplete_left_bundle_branch_block": "ILBBB",
    "nonspecific_intraventricular_conduction_delay": "IVCD",
    "left_anterior_fascicular_block": "LAFB",
    "left_posterior_fascicular_block": "LPFB",
    "left_ventricular_hypertrophy": "LVH",
    "right_ventricular_hypertrophy": "RVH",
    "left_atrial_enlargement": "LAO/LAE",
    "right_atrial_enlargement": "RAO/RAE",
    "low_qrs_voltage": "LVOLT",
    "prolonged_qtc": "LNGQT",
    "pathological_q_waves": "QWAVE",
    "inferior_myocardial_infarction": "IMI ILMI IPMI IPLMI",
    "anterior_myocardial_infarction": "AMI ASMI ALMI",
    "lateral_myocardial_infarction": "LMI ALMI ILMI IPLMI",
    "t_wave_inversion": "INVT",
    "st_elevation": "STE_",
    "st_depression": "STD_",
    "inferior_ischemia": "ISCIN ISCIL",
    "anterior_ischemia": "ISCAN ISCAS",
    "lateral_ischemia": "ISCLA ISCAL ISCIL",
}
# SNOMED CT codes and names of the challenge headers
CHALLENGE = {
    "sinus_rhythm": "426783006 Normal",
    "sinus_bradycardia": "426177001",
    "sinus_tachycardia": "427084000",
    "sinus_arrhythmia": "427393009",
    "atrial_fibrillation": "164889003 AF",
    "atrial_flutter": "164890007",
    "first_degree_av_block": "270492004 I-AVB",
    "paced_rhythm": "10370003",
    "complete_left_bundle_branch_block": "164909002 733534002 LBBB",
    "complete_right_bundle_branch_block": "59118001 713427006 RBBB",
    "incomplete_right_bundle_branch_block": "713426002",
    "nonspecific_intraventricular_conduction_delay": "698252002",
    "left_anterior_fascicular_block": "445118002",
    "left_axis_deviation": "39732003",
    "right_axis_deviation": "47665007",
    "premature_atrial_complex": "284470004 63593006 PAC",
    "premature_ventricular_complex": "427172004 17338001 164884008 PVC",
    "left_ventricular_hypertrophy": "164873001 55827005",
    "low_qrs_voltage": "251146004",
    "prolonged_qtc": "111975006",
    "t_wave_inversion": "59931005",
    "st_elevation": "164931005 STE",
    "st_depression": "429622005 STD",
    "pathological_q_waves": "164917005",
}
AXES = {"left_axis_deviation": "LAD ALAD", "right_axis_deviation": "RAD ARAD", "normal_axis": "MID"}
COLUMNS = (
    "source",
    "finding",
    "records",
    "labelled",
    "true_positive",
    "false_positive",
    "false_negative",
    "not_told",
    "sensitivity",
    "specificity",
    "ppv",
)

Answers = dict[str, bool | None]
Case = tuple[set[str], Answers]


def answers(record: grounding.ECGRecord) -> Answers | None:
    """The findings of a record; None where it can't be measured at all."""
    try:
        return {finding.name: finding.present for finding in grounding.find(grounding.measure(record))}
    except EcgError:
        return None


def ptbxl_case(sample: Sample, axis: str) -> Case | None:
    found = answers(sample.record)
    return None if found is None else (set(sample.scp_codes) | ({f"axis {axis}"} if axis else set()), found)


def challenge_case(header: Path) -> Case | None:
    words = re.search(r"^#\s*Dx:\s*(.*)$", header.read_text(), re.MULTILINE)
    try:
        found = answers(grounding.read_record(header.with_suffix("")))
    except EcgError:
        return None
    return None if found is None else ({word.strip() for word in words.group(1).split(",")} if words else set(), found)


def rows(source: str, cases: Iterable[Case], labels: dict[str, str]) -> list[dict[str, object]]:
    """A row per finding; with ``axis `` labels only the records that carry one count."""
    cases = list(cases)
    out = []
    for finding, words in labels.items():
        wanted = set(words.split()) if not words.startswith("axis") else {f"axis {word}" for word in words.split()[1:]}
        pool = [
            case for case in cases if not words.startswith("axis") or any(label.startswith("axis") for label in case[0])
        ]
        told = [(bool(case[0] & wanted), case[1][finding]) for case in pool if case[1][finding] is not None]
        tp = sum(label and bool(said) for label, said in told)
        fp = sum(not label and bool(said) for label, said in told)
        fn = sum(label and not said for label, said in told)
        tn = len(told) - tp - fp - fn
        out.append(
            {
                "source": source,
                "finding": finding,
                "records": len(pool),
                "labelled": sum(bool(case[0] & wanted) for case in pool),
                "true_positive": tp,
                "false_positive": fp,
                "false_negative": fn,
                "not_told": len(pool) - len(told),
                "sensitivity": ratio(tp, tp + fn),
                "specificity": ratio(tn, tn + fp),
                "ppv": ratio(tp, tp + fp),
            }
        )
    return out


def ratio(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--raw", type=Path, help="another folder for the raw records and their labels")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--filtered", type=int, default=1420, help="how many of the band-passed records")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    raw = options.raw or options.data
    with (raw / "ptbxl" / "labels.csv").open(newline="", encoding="utf-8") as file:
        axes = {int(row["ecg_id"]): row.get("heart_axis", "").strip() for row in csv.DictReader(file)}
    ptbxl_labels = PTBXL | {finding: f"axis {words}" for finding, words in AXES.items()}
    run = joblib.Parallel(n_jobs=options.jobs)
    table: list[dict[str, object]] = []
    for source, root, most in (("raw", raw, None), ("filtered", options.data, options.filtered)):
        chosen = [sample for sample in load_ptbxl(root, range(1, 10), (source,)) if sample.source == source][:most]
        cases = [
            case
            for case in run(joblib.delayed(ptbxl_case)(sample, axes.get(sample.ecg_id, "")) for sample in chosen)
            if case
        ]
        table += rows(f"ptbxl_{source}", cases, ptbxl_labels)
    headers = sorted((options.data / "challenge").glob("*.hea"))
    cases = [case for case in run(joblib.delayed(challenge_case)(header) for header in headers) if case]
    table += rows("challenge", cases, CHALLENGE)
    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    for row in table:
        if row["labelled"]:
            print(" ".join(f"{row[name]!s:>14}" if name != "finding" else f"{row[name]:46}" for name in COLUMNS))


if __name__ == "__main__":
    main()
