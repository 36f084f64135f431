"""Output files: Parquet shards with a row per lesson, and a JSON file in GEM's layout of those to train on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from grounding.errors import EcgError, EcgFormatError

PLACEHOLDER = "<image>\n"
# fields of the JSON in addition to GEM's (id, image, ecg, conversations, report, machine_measurements)
_EXTRA_FIELDS = (
    "record_id",
    "task",
    "form",
    "status",
    "reason",
    "teacher",
    "warnings",
    "report_language",
    "report_checkable",
    "agreement",
    "conflict",
    "not_measurable",
    "claims",
)


def schema() -> Any:
    """The Parquet schema; a row per record and task."""
    pa = _pyarrow()
    statements = pa.list_(pa.struct([("text", pa.string()), ("verdict", pa.string()), ("reason", pa.string())]))
    turns = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))
    claim = pa.struct(
        [
            ("turn", pa.int32()),
            ("start", pa.int32()),
            ("end", pa.int32()),
            ("kind", pa.string()),
            ("verdict", pa.string()),
            ("text", pa.string()),
            ("reason", pa.string()),
        ]
    )
    fact = pa.struct([("tag", pa.string()), ("text", pa.string()), ("kind", pa.string()), ("label", pa.string())])
    return pa.schema(
        [
            *(
                (name, pa.string())
                for name in ("id", "record_id", "ecg", "image", "task", "form", "status", "reason", "teacher")
            ),
            ("warnings", pa.list_(pa.string())),
            ("conversations", turns),
            ("written", pa.list_(pa.string())),
            ("facts", pa.list_(fact)),
            ("claims", pa.list_(claim)),
            ("evidence", pa.string()),
            ("report", pa.string()),
            ("report_language", pa.string()),
            ("report_checkable", pa.string()),
            ("agreement", statements),
            ("conflict", statements),
            ("not_measurable", statements),
            ("machine_measurements", pa.string()),
        ]
    )


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a killed process leaves the whole file or none of it.

    Args:
        path: its folder is created if it does not exist.
        data: its content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def write_shard(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as one Parquet file, atomically.

    Args:
        path: of the file.
        rows: with the columns of ``schema``.
    """
    pa = _pyarrow()
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema()), sink, compression="zstd")
    write_atomic(path, sink.getvalue().to_pybytes())


def read_shard(path: Path, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Read the rows of a shard.

    Args:
        path: of the file.
        columns: which columns; all when None.

    Raises:
        EcgFormatError: the file is not a shard.
    """
    _pyarrow()
    import pyarrow.parquet as pq

    remedy = "delete it and run again"
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(schema()):
                raise EcgFormatError("not a shard of ours: it has other columns", where=str(path), remedy=remedy)
            rows: list[dict[str, Any]] = file.read(columns=list(columns) if columns else None).to_pylist()
    except (OSError, ValueError) as error:
        raise EcgFormatError(f"not a shard of ours ({error})", where=str(path), remedy=remedy) from error
    return rows


def gem_item(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row in GEM's layout: ``id``, ``image``, ``ecg``, ``conversations``, and further fields.

    Args:
        row: of a shard.
    """
    out: dict[str, Any] = {"id": row["id"]}
    if row["image"]:
        out["image"] = row["image"]
    out |= {"ecg": row["ecg"], "conversations": row["conversations"]}
    if row["report"]:
        out["report"] = row["report"]
    if row["machine_measurements"]:
        out["machine_measurements"] = json.loads(row["machine_measurements"])
    return out | {name: row[name] for name in _EXTRA_FIELDS}


def write_gem_json(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write the rows that were kept or mended as one JSON list in GEM's layout, atomically.

    Args:
        path: of the file.
        rows: of shards.

    Returns:
        Number of items.
    """
    part, count = path.with_name(f".{path.name}.{os.getpid()}.tmp"), 0
    with part.open("w", encoding="utf-8") as file:
        file.write("[")
        for row in rows:
            if row["status"] in ("kept", "mended"):
                file.write(",\n" if count else "\n")
                file.write(json.dumps(gem_item(row), ensure_ascii=False, allow_nan=False))
                count += 1
        file.write("\n]\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return count


def read_gem_json(path: str | Path) -> list[dict[str, Any]]:
    """Read and check a file in GEM's layout: ours, GEM's or PULSE's.

    Args:
        path: of the file.

    Raises:
        EcgFormatError: an item lacks ``id``, a recording or picture, or turns of human and gpt.
    """
    where = str(path)
    try:
        items = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EcgFormatError(f"can't be read as JSON ({error})", where=where, remedy="name a JSON file") from error
    if not isinstance(items, list):
        raise EcgFormatError("GEM's layout is a list of items", where=where, remedy="wrap the items in [ ]")
    for number, item in enumerate(items):
        fault = _item_fault(item)
        if fault:
            raise EcgFormatError(
                f"item {number}: {fault}", where=where, remedy="see docs/instructions.md for the layout"
            )
    return items


def _item_fault(item: Any) -> str:
    if not isinstance(item, dict) or "id" not in item:
        return "it has no id"
    if "ecg" not in item and "image" not in item:
        return "it has neither ecg nor image"
    turns = item.get("conversations")
    if not isinstance(turns, list) or len(turns) < 2 or len(turns) % 2:
        return "conversations must be pairs of turns"
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict) or turn.get("from") != ("gpt" if number % 2 else "human"):
            return f"turn {number} is not from {'gpt' if number % 2 else 'human'}"
        if not isinstance(turn.get("value"), str) or not turn["value"].strip():
            return f"turn {number} is empty"
    if sum(turn["value"].count("<image>") for turn in turns) != 1 or "<image>" not in turns[0]["value"]:
        return "there must be one <image> placeholder, in the first turn"
    return ""


def all_rows(folder: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of all shards, in order.

    Args:
        folder: of the run.
        columns: which columns; all when None.
    """
    for path in sorted((folder / "shards").glob("*.parquet")):
        yield from read_shard(path, columns)


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise EcgError(
            "Parquet needs the package pyarrow", remedy="install it with: pip install 'gem-ecg[formats]'"
        ) from error
    return pyarrow
