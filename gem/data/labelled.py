"""Labelled recordings of a data set as it is downloaded: PTB-XL, or a folder of the PhysioNet/CinC challenges."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from grounding import EcgError

from ..errors import GemInputError
from .challenge import load_challenge
from .ptbxl import is_ptbxl, load_ptbxl, ptbxl_rows
from .samples import Sample

DEFAULT_FOLDS = (8,)


def load_labelled(root: str | Path, folds: Iterable[int] = DEFAULT_FOLDS) -> list[Sample]:
    """The labelled records of a folder.

    Args:
        root: PTB-XL (see ``load_ptbxl``), or a folder of the PhysioNet/CinC challenges (see ``load_challenge``).
        folds: of PTB-XL; the challenges have none, and all their records are used.

    Raises:
        GemInputError: another data set, or no labels.
    """
    base = Path(root)
    if is_ptbxl(base):
        return load_ptbxl(base, folds)
    if (base / "record_list.csv").is_file():
        raise GemInputError(
            "MIMIC-IV-ECG has machine reports and no labels",
            where=str(base),
            remedy="use it with gem instruct, or to train on reports",
        )
    samples = load_challenge(base) if base.is_dir() else []
    if not samples:
        raise GemInputError(
            "neither PTB-XL (ptbxl_database.csv) nor recordings whose headers name a diagnosis (#Dx)",
            where=str(base),
            remedy="point --records at PTB-XL or at a folder of the PhysioNet challenges, as downloaded",
        )
    return samples


def usable(
    root: str | Path, folds: Iterable[int] = DEFAULT_FOLDS, limit: int | None = None
) -> tuple[list[Sample], dict[str, str]]:
    """The records of some folds that can be read, and why the others can't.

    Args:
        root: see ``load_labelled``.
        folds: see ``load_labelled``.
        limit: use only the first ``limit`` records.

    Returns:
        The samples, and ``record_id`` -> reason for each labelled record whose file is missing or can't be read.

    Raises:
        GemInputError: there are no labels, or no record can be read.
    """
    wanted = {int(fold) for fold in folds}
    samples = load_labelled(root, wanted)[:limit]
    there, skipped = [], dict[str, str]()
    for sample in samples:
        try:
            sample.read()
        except (EcgError, OSError) as error:
            skipped[sample.record_id] = str(error)
        else:
            there.append(sample)
    if limit is None and is_ptbxl(root):
        known = {sample.record_id for sample in samples}
        for row in ptbxl_rows(Path(root)):
            if int(row["strat_fold"]) in wanted and row["ecg_id"] not in known:
                skipped[row["ecg_id"]] = "neither a raw recording nor one in ptbxl_filtered"
    if not there:
        raise GemInputError(
            f"none of {len(skipped)} records can be read", where=str(root), remedy=next(iter(skipped.values()))
        )
    return there, skipped
