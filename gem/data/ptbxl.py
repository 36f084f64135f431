"""PTB-XL from a folder: WFDB records, band-passed z-scored arrays, labels, patient-wise folds.

References:
    Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Scientific Data 2020 (CC BY 4.0).
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from grounding import STANDARD_LEADS, ECGRecord, read_record

from ..errors import GemInputError
from .samples import Sample

DATABASE, STATEMENTS = "ptbxl_database.csv", "scp_statements.csv"


def load_ptbxl(
    root: str | Path, folds: Iterable[int] = (8,), sources: Iterable[str] = ("raw", "filtered")
) -> list[Sample]:
    """The records of some folds, ordered by their numbers.

    Args:
        root: PTB-XL as it is downloaded (``ptbxl_database.csv``, ``scp_statements.csv``, ``records500/``), or a folder
            with ``ptbxl/labels.csv``, ``ptbxl/records500/`` and ``ptbxl_filtered/signals_125hz.npz``.
        folds: which folds.
        sources: ``"raw"``, ``"filtered"`` or both.

    Raises:
        GemInputError: there are no labels, or no record of these folds.
    """
    base = Path(root)
    table = ptbxl_rows(base)
    wanted, kinds = {int(fold) for fold in folds}, set(sources)
    raw = {int(path.stem.split("_")[0]): path for path in _raw_folder(base).rglob("*.hea")}
    file = base / "ptbxl_filtered" / "signals_125hz.npz"
    filtered = _filtered_index(file) if "filtered" in kinds else {}
    samples = []
    for row in table:
        number, fold = int(row["ecg_id"]), int(row["strat_fold"])
        if fold not in wanted:
            continue
        if "raw" in kinds and number in raw:
            samples.append(sample_of_row(row, "raw", partial(_read_raw, raw[number].with_suffix(""), _patient(row))))
        elif number in filtered:
            read = partial(_read_filtered, file, filtered[number], number, _patient(row))
            samples.append(sample_of_row(row, "filtered", read))
    if not samples:
        raise GemInputError(
            f"no record of fold {', '.join(map(str, sorted(wanted)))}",
            where=str(base),
            remedy="check --folds, and whether records500 was downloaded",
        )
    return sorted(samples, key=lambda sample: sample.ecg_id)


def ptbxl_rows(base: Path) -> list[dict[str, str]]:
    """The rows of the label table, with the columns ``super_class``, ``sub_class``, ``form`` and ``rhythm``."""
    if (base / DATABASE).is_file():
        return _downloaded_rows(base)
    table = base / "ptbxl" / "labels.csv"
    if not table.is_file():
        raise GemInputError(
            f"neither {DATABASE} nor ptbxl/labels.csv",
            where=str(base),
            remedy="point --records at PTB-XL as it is downloaded",
        )
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def is_ptbxl(root: str | Path) -> bool:
    """Whether a folder holds PTB-XL's labels, as downloaded or in this library's own layout."""
    base = Path(root)
    return (base / DATABASE).is_file() or (base / "ptbxl" / "labels.csv").is_file()


def _raw_folder(base: Path) -> Path:
    return base / "records500" if (base / DATABASE).is_file() else base / "ptbxl" / "records500"


def _downloaded_rows(base: Path) -> list[dict[str, str]]:
    """PTB-XL's own table, with its SCP statements in the columns of ours.

    A statement counts at any likelihood, as in PTB-XL's example code.
    """
    statements = base / STATEMENTS
    if not statements.is_file():
        raise GemInputError(f"no {STATEMENTS}", where=str(base), remedy="it is part of the download")
    with statements.open(newline="", encoding="utf-8") as file:
        kinds = {row[""]: row for row in csv.DictReader(file)}
    with (base / DATABASE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        for row in rows:
            named = {code: kinds[code] for code in ast.literal_eval(row["scp_codes"]) if code in kinds}
            diagnostic = [kind for kind in named.values() if kind["diagnostic"]]
            row["super_class"] = " ".join(dict.fromkeys(kind["diagnostic_class"] for kind in diagnostic))
            row["sub_class"] = " ".join(dict.fromkeys(kind["diagnostic_subclass"] for kind in diagnostic))
            for column in ("form", "rhythm"):
                row[column] = " ".join(code for code, kind in named.items() if kind[column])
    except (KeyError, ValueError, SyntaxError) as error:
        raise GemInputError(
            f"{DATABASE} is not PTB-XL's ({error!r})", where=str(base), remedy="download it again"
        ) from None
    return rows


def sample_of_row(row: dict[str, str], source: str, read: Callable[[], ECGRecord]) -> Sample:
    """The labelled record of a row of ``ptbxl_rows``.

    Args:
        row: of the table.
        source: ``"raw"`` or ``"filtered"``.
        read: reads the recording.
    """
    codes = ast.literal_eval(row["scp_codes"]) if row.get("scp_codes") else {}
    return Sample(
        record_id=row["ecg_id"],
        patient=row.get("patient_id", "").removesuffix(".0") or row["ecg_id"],
        fold=int(row["strat_fold"]),
        read=read,
        source=source,
        report=row.get("report", ""),
        superclasses=_words(row["super_class"]),
        subclasses=_words(row["sub_class"]),
        form=_words(row["form"]),
        rhythm=_words(row["rhythm"]),
        scp_codes={str(code): float(likelihood) for code, likelihood in codes.items()},
        **_patient(row),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(";", " ").replace("|", " ").replace(",", " ").split() if word)


def _patient(row: dict[str, str]) -> dict[str, Any]:
    """Age in years and sex; PTB-XL codes sex as 0 male, 1 female."""
    age = float(row["age"]) if row.get("age") else None
    return {"age": age, "sex": {"0": "male", "1": "female"}.get(row.get("sex", "").removesuffix(".0"))}


def _read_raw(path: Path, patient: dict[str, Any]) -> ECGRecord:
    record = read_record(path)
    return replace(record, meta={**record.meta, **patient})


def _read_filtered(file: Path, position: int, number: int, patient: dict[str, Any]) -> ECGRecord:
    signal = _filtered_signals(file)[position].astype(np.float32) / 1000.0
    name = f"{number:05d}_filtered"
    return ECGRecord.from_array(signal, 125.0, STANDARD_LEADS, units="zscore", record_id=name, meta=patient)


def _filtered_index(file: Path) -> dict[int, int]:
    if not file.is_file():
        return {}
    with np.load(file) as data:
        return {int(number): position for position, number in enumerate(data["ecg_id"])}


@lru_cache(maxsize=1)
def _filtered_signals(file: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    with np.load(file) as data:
        return np.asarray(data["signal"])
