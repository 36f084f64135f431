"""PTB-XL, the way it lies in a data folder: raw WFDB records, band-passed z-scored arrays, labels, patient-wise folds.

References:
    Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Scientific Data 2020 (CC BY 4.0).
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from grounding import STANDARD_LEADS, EcgError, ECGRecord

from ..errors import GemInputError

DATABASE, STATEMENTS = "ptbxl_database.csv", "scp_statements.csv"
SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")


@dataclass(frozen=True)
class Sample:
    """One labelled record. ``record`` reads the signal when it is asked for.

    Attributes:
        ecg_id: number of the record in PTB-XL.
        fold: 1-10; a patient is in one fold only.
        age: years, or None (PTB-XL writes 300 for "over 89"; kept as it is).
        sex: ``"male"``, ``"female"`` or None.
        superclasses, subclasses, form, rhythm: label codes; empty where there are none.
        scp_codes: SCP statement -> likelihood in percent (0 = stated without one).
        report: the clinician's words, German or English.
        source: ``"raw"`` (millivolts, 500 Hz) or ``"filtered"`` (0.5-40 Hz, z-scored per lead, 125 Hz).
    """

    ecg_id: int
    fold: int
    age: float | None
    sex: str | None
    superclasses: tuple[str, ...]
    subclasses: tuple[str, ...]
    form: tuple[str, ...]
    rhythm: tuple[str, ...]
    scp_codes: dict[str, float]
    report: str
    source: str
    read: Callable[[], ECGRecord] = field(repr=False)

    @property
    def record(self) -> ECGRecord:
        """The recording, read anew at each call."""
        return self.read()


def load_ptbxl(
    root: str | Path, folds: Iterable[int] = (8,), sources: Iterable[str] = ("raw", "filtered")
) -> list[Sample]:
    """The records of some folds, in the order of their numbers.

    Args:
        root: PTB-XL as it is downloaded (``ptbxl_database.csv``, ``scp_statements.csv``, ``records500/``), or a folder with ``ptbxl/labels.csv``,
            ``ptbxl/records500/`` and ``ptbxl_filtered/signals_125hz.npz``.
        folds: which folds.
        sources: ``"raw"``, ``"filtered"`` or both.

    Raises:
        GemInputError: there are no labels, or no record of these folds.
    """
    base = Path(root)
    table = _rows(base)
    wanted, kinds = {int(fold) for fold in folds}, set(sources)
    raw = {int(path.stem.split("_")[0]): path for path in _raw_folder(base).rglob("*.hea")}
    filtered = _filtered_index(str(base)) if "filtered" in kinds else {}
    samples = []
    for row in table:
        number, fold = int(row["ecg_id"]), int(row["strat_fold"])
        if fold not in wanted:
            continue
        if "raw" in kinds and number in raw:
            samples.append(_sample(row, "raw", _raw_reader(raw[number], row)))
        elif number in filtered:
            samples.append(_sample(row, "filtered", _filtered_reader(str(base), filtered[number], row)))
    if not samples:
        raise GemInputError(
            f"no record of fold {', '.join(map(str, sorted(wanted)))}",
            where=str(base),
            remedy="check --folds, and whether records500 was downloaded",
        )
    return sorted(samples, key=lambda sample: sample.ecg_id)


def usable(
    root: str | Path, folds: Iterable[int] = (8,), limit: int | None = None
) -> tuple[list[Sample], dict[str, str]]:
    """The records of some folds that can be read, and why the others can't.

    Args:
        root, folds: see ``load_ptbxl``.
        limit: only the first so many records.

    Returns:
        samples; ``ecg_id`` -> reason for each labelled record that has no file, or one that can't be read.

    Raises:
        GemInputError: no labels, or not one record that can be read.
    """
    wanted = {int(fold) for fold in folds}
    samples = load_ptbxl(root, wanted)[:limit]
    there, skipped = [], dict[str, str]()
    for sample in samples:
        try:
            sample.read()
        except (EcgError, OSError) as error:
            skipped[str(sample.ecg_id)] = str(error)
        else:
            there.append(sample)
    if limit is None:
        known = {sample.ecg_id for sample in samples}
        for row in _rows(Path(root)):
            if int(row["strat_fold"]) in wanted and int(row["ecg_id"]) not in known:
                skipped[row["ecg_id"]] = "neither a raw recording nor one in ptbxl_filtered"
    if not there:
        raise GemInputError(
            f"none of {len(skipped)} records can be read", where=str(root), remedy=next(iter(skipped.values()))
        )
    return there, skipped


def _rows(base: Path) -> list[dict[str, str]]:
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


def _raw_folder(base: Path) -> Path:
    return base / "records500" if (base / DATABASE).is_file() else base / "ptbxl" / "records500"


def _downloaded_rows(base: Path) -> list[dict[str, str]]:
    """PTB-XL's own table, its SCP statements sorted into the columns that ours has; a statement counts at any likelihood, as in PTB-XL's example code."""
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


def _sample(row: dict[str, str], source: str, read: Callable[[], ECGRecord]) -> Sample:
    codes = ast.literal_eval(row["scp_codes"]) if row.get("scp_codes") else {}
    return Sample(
        ecg_id=int(row["ecg_id"]),
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


def _raw_reader(path: Path, row: dict[str, str]) -> Callable[[], ECGRecord]:
    def read() -> ECGRecord:
        from dataclasses import replace

        from grounding import read_record

        record = read_record(path.with_suffix(""))
        return replace(record, meta={**record.meta, **_patient(row)})

    return read


def _filtered_reader(root: str, position: int, row: dict[str, str]) -> Callable[[], ECGRecord]:
    def read() -> ECGRecord:
        signal = _filtered_signals(root)[position].astype(np.float32) / 1000.0
        name = f"{int(row['ecg_id']):05d}_filtered"
        return ECGRecord.from_array(signal, 125.0, STANDARD_LEADS, units="zscore", record_id=name, meta=_patient(row))

    return read


def _filtered_index(root: str) -> dict[int, int]:
    path = Path(root) / "ptbxl_filtered" / "signals_125hz.npz"
    if not path.is_file():
        return {}
    with np.load(path) as data:
        return {int(number): position for position, number in enumerate(data["ecg_id"])}


@lru_cache(maxsize=1)
def _filtered_signals(root: str) -> np.ndarray[Any, np.dtype[np.int16]]:
    with np.load(Path(root) / "ptbxl_filtered" / "signals_125hz.npz") as data:
        return np.asarray(data["signal"])
