"""Benchmarks of labelled recordings: the bundled ones, an item for each, and the superclasses that an answer names."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grounding

from ..data.corpus import labels_of
from ..data.labelled import usable
from ..data.ptbxl import is_ptbxl, sample_of_row
from ..data.samples import SUPERCLASSES, Sample
from .ecgbench.multilabel import substring_labels
from .items import SAMPLES, Item, Score, missing_file
from .labels import named_labels, set_score

if TYPE_CHECKING:
    from grounding import ECGRecord, Measurement

SOURCE = "https://physionet.org/content/ptb-xl/1.0.3/"
LABELS = "labels.csv"
MEANING = "NORM (normal ECG), MI (infarction), STTC (ST and T changes), CD (conduction disturbance), HYP (hypertrophy)"
# findings that support a superclass; NORM is the absence of all of them
FINDINGS = {
    "MI": (
        "pathological_q_waves",
        "inferior_myocardial_infarction",
        "anterior_myocardial_infarction",
        "lateral_myocardial_infarction",
        "poor_r_wave_progression",
    ),
    "STTC": (
        "st_elevation",
        "st_depression",
        "t_wave_inversion",
        "inferior_ischemia",
        "anterior_ischemia",
        "lateral_ischemia",
        "flat_t_wave",
        "prolonged_qtc",
    ),
    "CD": (
        "first_degree_av_block",
        "second_degree_av_block",
        "third_degree_av_block",
        "wide_qrs",
        "complete_left_bundle_branch_block",
        "complete_right_bundle_branch_block",
        "incomplete_right_bundle_branch_block",
        "incomplete_left_bundle_branch_block",
        "nonspecific_intraventricular_conduction_delay",
        "left_anterior_fascicular_block",
        "left_posterior_fascicular_block",
        "wolff_parkinson_white",
    ),
    "HYP": (
        "left_ventricular_hypertrophy",
        "right_ventricular_hypertrophy",
        "left_atrial_enlargement",
        "right_atrial_enlargement",
    ),
}


@dataclass(frozen=True)
class LabelledItem(Item):
    """An item about a labelled recording, whose true answer are its superclasses.

    Attributes:
        labels: all labels of the recording, see ``gem.data.corpus.labels_of``.
    """

    labels: tuple[str, ...] = ()


def labelled_item(sample: Sample, item_id: str, kind: str, prompt: str, **more: Any) -> LabelledItem:
    """An item about a labelled recording.

    Args:
        sample: the recording.
        item_id: of the item.
        kind: of the item.
        prompt: which is also the question.
        **more: other fields of the item.
    """
    return LabelledItem(
        item_id,
        kind,
        prompt,
        prompt,
        tuple(label for label in SUPERCLASSES if label in sample.superclasses),
        SUPERCLASSES,
        (sample.record_id,),
        True,
        labels=tuple(sorted(labels_of(sample))),
        **more,
    )


def bundled_samples() -> list[Sample]:
    """The bundled recordings of PTB-XL with their labels, for a try without data."""
    with (SAMPLES / LABELS).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [sample_of_row(row, "raw", partial(_bundled, f"ptbxl_{row['ecg_id']}")) for row in rows]


def _bundled(name: str) -> ECGRecord:
    return grounding.read_record(grounding.sample_path(name))


def labelled_samples(name: str, path: Path) -> list[Sample]:
    """The labelled recordings of a folder, of the default fold in PTB-XL.

    Args:
        name: of the benchmark.
        path: of a data set as it is downloaded, or the table of the bundled ones.

    Raises:
        GemInputError: there are none.
    """
    if path == SAMPLES / LABELS:
        return bundled_samples()
    if not is_ptbxl(path) and not any(path.rglob("*.hea")):
        raise missing_file(name, path, SOURCE)
    return usable(path)[0]


def superclasses_in(answer: str) -> tuple[str, ...]:
    """The superclasses that an answer names as whole words, after its last "Answer:" if it has one.

    Args:
        answer: any text.

    Example:
        >>> superclasses_in("It may be an old MI. Answer: CD, STTC")
        ('CD', 'STTC')
    """
    return named_labels(answer, SUPERCLASSES)


def superclasses_by_rules(measurement: Measurement) -> dict[str, int]:
    """How many findings of the knowledge base support each superclass; for NORM minus the number of all.

    An undecided finding counts as absent, such as voltage criteria in band-passed records, which have no millivolts.

    Args:
        measurement: of the recording.
    """
    found = {finding.name for finding in grounding.find(measurement) if finding.present}
    counts = {label: len(found.intersection(names)) for label, names in FINDINGS.items()}
    return {label: counts.get(label, -sum(counts.values())) for label in SUPERCLASSES}


def named_by_rules(measurement: Measurement) -> tuple[str, ...]:
    """The superclasses that some finding supports, or NORM; none where no beat is seen.

    Args:
        measurement: of the recording.
    """
    if not measurement.n_beats:
        return ()
    counts = superclasses_by_rules(measurement)
    return tuple(label for label in SUPERCLASSES if counts[label] > 0) or ("NORM",)


def label_score(item: Item, answer: str, labels: Sequence[str]) -> Score:
    """Whether labels are the true ones, as a set; they are kept in alphabetical order.

    Args:
        item: with the true ones.
        answer: in which they were read.
        labels: that were read.

    Returns:
        ``exact`` and ``jaccard``.
    """
    return set_score(item, answer, sorted(labels))


def published_score(item: Item, answer: str) -> Score:
    """The labels as ECGBench's script finds them, as substrings: "NORM" in "ABNORMAL".

    Args:
        item: of labelled recordings.
        answer: any text.
    """
    return label_score(item, answer, substring_labels("ptb-test", answer))
