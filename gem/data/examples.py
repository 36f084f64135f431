"""Folders and tables of records as lists of ``Example``, one function per layout; signals are read when needed."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from grounding import ECGRecord, read_record

from ..errors import GemInputError
from .challenge import diagnoses

LAYOUTS = ("instructions", "wfdb", "ptbxl", "mimic", "challenge", "recordings")
_TURN = {"human": 0, "user": 0, "gpt": 1, "assistant": 1}
_SYSTEM = ("system",)
# MIMIC-IV-ECG: .../p1234/p12345678/s40000000/40000000
_SUBJECT = re.compile(r"(?:^|/)p(\d{8})(?:/|$)")


@dataclass(frozen=True)
class Example:
    """One training example.

    Attributes:
        id: its name.
        patient: the patient; a split keeps all examples of a patient together.
        turns: (question, answer) pairs; empty if the layout has no text.
        record: a function that reads the signal, or None.
        picture: file of the picture, or None.
        labels: label codes.
        fold: if the data set has folds.
    """

    id: str
    patient: str
    turns: tuple[tuple[str, str], ...] = ()
    record: Callable[[], ECGRecord] | None = field(default=None, repr=False)
    picture: str | None = None
    labels: frozenset[str] = frozenset()
    fold: int | None = None


def load_items(
    layout: str,
    path: str,
    ecg_root: str | None = None,
    image_root: str | None = None,
    prompt: str = "Report this ECG.",
    folds: Sequence[int] | None = None,
) -> list[Example]:
    """The examples of a data set.

    Args:
        layout: one of ``LAYOUTS``.
        path: its folder, or for instructions a JSON, JSONL or Parquet file or a folder of such files.
        ecg_root: folder that the ECG paths in instructions are relative to; the folder of ``path`` when None.
        image_root: the same for pictures.
        prompt: the question, for layouts that have reports but no questions.
        folds: of PTB-XL; 1-8 when None. The layout ``recordings`` takes every recording below the folder: PTB-XL's, if
            it is laid out as in ``gem.data.ptbxl``, and each WFDB header elsewhere.

    Raises:
        GemInputError: an unknown layout, or no example of this layout.
    """
    base = Path(path)
    if layout == "instructions":
        items = _instructions(base, ecg_root, image_root)
    elif layout == "wfdb":
        items = _wfdb(base, prompt)
    elif layout == "ptbxl":
        items = _ptbxl(base, prompt, folds or range(1, 9))
    elif layout == "mimic":
        items = _mimic(base, prompt)
    elif layout == "challenge":
        items = _challenge(base, prompt)
    elif layout == "recordings":
        items = _recordings(base, folds or range(1, 9))
    else:
        raise GemInputError(f"unknown layout {layout!r}", remedy=f"use one of {', '.join(LAYOUTS)}")
    if not items:
        raise GemInputError(f"no examples in the {layout} layout", where=path, remedy="check the path")
    return items


def split(items: Sequence[Example], val_share: float, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """Split examples by patient; a patient's side does not depend on the other examples.

    Args:
        items: the examples.
        val_share: fraction of the patients that validate, 0-1.
        seed: of the split.

    Returns:
        Training and validation part.
    """
    parts: tuple[list[Example], list[Example]] = ([], [])
    for item in items:
        digest = hashlib.sha256(f"{seed}/{item.patient}".encode()).digest()
        parts[int.from_bytes(digest[:4], "big") < val_share * 2**32].append(item)
    return parts


def _instructions(base: Path, ecg_root: str | None, image_root: str | None) -> list[Example]:
    files = (
        sorted(p for p in base.rglob("*") if p.suffix in (".json", ".jsonl", ".parquet")) if base.is_dir() else [base]
    )
    folder = base if base.is_dir() else base.parent
    ecgs, images = Path(ecg_root or folder), Path(image_root or folder)
    return [_instruction(row, file, ecgs, images) for file in files for row in _rows(file)]


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            from pyarrow import parquet

            rows = parquet.read_table(path).to_pylist()
        elif path.suffix == ".jsonl":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        else:
            rows = json.loads(path.read_text(encoding="utf-8"))
    except ImportError:
        raise GemInputError("Parquet needs pyarrow", where=str(path), remedy='pip install "gem-ecg[train]"') from None
    except (OSError, ValueError) as error:
        raise GemInputError(f"can't be read ({error})", where=str(path)) from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise GemInputError("not a list of objects", where=str(path), remedy="see docs/training.md for the layouts")
    return rows


def _instruction(row: dict[str, Any], file: Path, ecgs: Path, images: Path) -> Example:
    where = f"{file.name}: {row.get('id', '?')}"
    messages = row.get("conversations") or row.get("messages") or []
    if isinstance(messages, str):
        messages = json.loads(messages)
    turns = _turns([(m.get("from") or m.get("role"), m.get("value", m.get("content"))) for m in messages], where)
    ecg, image = row.get("ecg") or row.get("ecg_path"), row.get("image")
    if not ecg and not image:
        raise GemInputError("an example with neither ecg nor image", where=where)
    found = _SUBJECT.search(str(ecg or image))
    patient = row.get("patient_id") or row.get("subject_id") or (found[1] if found else ecg or image)
    return Example(
        id=str(row.get("id", ecg or image)),
        patient=str(patient),
        turns=turns,
        record=partial(read_record, ecgs / str(ecg)) if ecg else None,
        picture=str(images / str(image)) if image else None,
        labels=frozenset(row.get("labels") or ()),
    )


def _turns(messages: list[tuple[Any, Any]], where: str) -> tuple[tuple[str, str], ...]:
    """(role, text) pairs as (question, answer) pairs, without placeholders, which the processor adds."""
    messages = [(role, text) for role, text in messages if role not in _SYSTEM]
    ordered = all(_TURN.get(role) == i % 2 for i, (role, _) in enumerate(messages))
    if not messages or len(messages) % 2 or not ordered:
        raise GemInputError(
            "a conversation is question, answer, question, answer ...",
            where=where,
            remedy="roles are human and gpt, or user and assistant",
        )
    clean = [re.sub(r"<image>|<ecg>", "", str(text or "")).strip() for _, text in messages]
    return tuple(zip(clean[::2], clean[1::2], strict=True))


def _wfdb(base: Path, prompt: str) -> list[Example]:
    """Every header below a folder, with the texts of ``reports.csv`` (record, report, patient_id) if there is one."""
    reports = {row["record"]: row for row in _csv(base / "reports.csv")} if (base / "reports.csv").is_file() else {}
    out = []
    for path in sorted(base.rglob("*.hea")):
        name = path.relative_to(base).with_suffix("").as_posix()
        row = reports.get(name) or reports.get(path.stem) or {}
        report = (row.get("report") or "").strip()
        out.append(Example(name, row.get("patient_id") or name, ((prompt, report),) if report else (), _reader(path)))
    return out


def _ptbxl(base: Path, prompt: str, folds: Iterable[int]) -> list[Example]:
    from .corpus import labels_of
    from .ptbxl import load_ptbxl

    out = []
    for sample in load_ptbxl(base, folds):
        turns = ((prompt, sample.report),) if sample.report.strip() else ()
        out.append(
            Example(
                sample.record_id, sample.patient, turns, sample.read, None, frozenset(labels_of(sample)), sample.fold
            )
        )
    return out


def _mimic(base: Path, prompt: str) -> list[Example]:
    """``record_list.csv`` and ``machine_measurements.csv``, whose up to 18 report columns are joined into one text."""
    reports = {
        row["study_id"]: ". ".join(text for i in range(18) if (text := (row.get(f"report_{i}") or "").strip(" .")))
        for row in _csv(base / "machine_measurements.csv")
    }
    out = []
    for row in _csv(base / "record_list.csv"):
        report = reports.get(row["study_id"], "")
        out.append(
            Example(
                f"mimic-{row['study_id']}",
                row["subject_id"],
                ((prompt, report),) if report else (),
                _reader(base / row["path"]),
            )
        )
    return out


def _challenge(base: Path, prompt: str) -> list[Example]:
    """Headers whose comments name the diagnoses (``#Dx: ...``), as in the PhysioNet/CinC challenges."""
    out = []
    for path in sorted(base.rglob("*.hea")):
        labels = diagnoses(path)
        name = path.relative_to(base).with_suffix("").as_posix()
        turns = ((prompt, ", ".join(labels)),) if labels else ()
        out.append(Example(name, name, turns, _reader(path), labels=frozenset(labels)))
    return out


def _recordings(base: Path, folds: Iterable[int]) -> list[Example]:
    """PTB-XL's records of some folds, and every header in another folder; no text is read."""
    from .ptbxl import DATABASE, is_ptbxl

    known = _ptbxl(base, "", folds) if is_ptbxl(base) else []
    if (base / DATABASE).is_file():  # nothing else lies in PTB-XL as it is downloaded, but the same at 100 Hz
        return known
    others = [path for path in sorted(base.rglob("*.hea")) if "ptbxl" not in path.relative_to(base).parts]
    names = [path.relative_to(base).with_suffix("").as_posix() for path in others]
    return [*known, *(Example(name, name, record=_reader(path)) for name, path in zip(names, others, strict=True))]


def _reader(path: Path) -> Callable[[], ECGRecord]:
    return partial(read_record, path.with_suffix("") if path.suffix == ".hea" else path)


def _csv(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise GemInputError(f"no {path.name}", where=str(path.parent), remedy="see docs/training.md for the layouts")
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))
