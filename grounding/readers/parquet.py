"""Parquet: a row per sample, a column per lead, through pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from ..leads import MAX_NAME
from .bounds import MAX_SAMPLES, check_expansion
from .channels import Channels
from .columns import Column, from_table, is_time
from .registry import register_reader

_MAX_COLUMNS = 1000
_ROWS_AT_ONCE = 1 << 18
_MAX_LEADS = 64  # different texts of a column that may name leads
_THRIFT_LIMIT = 16 << 20  # bytes of a text, and entries of a list, in the file's metadata


@register_reader((".parquet", ".pq"), sniff=lambda head: head[:4] == b"PAR1")
def parquet(path: Path, fs: float | None = None, units: str | None = None) -> Channels:
    """Parquet table, a row per sample and a column per lead; a ``time`` column gives the sampling rate.

    Only columns of numbers are read, and only those that are needed; of text, what may name the lead of each row.

    Args:
        path: the file.
        fs: sampling rate, Hz, if there is no time column.
        units: unit of the columns without a unit in their name; mV by default.
    """
    import pyarrow.parquet as library

    where = str(path)
    with library.ParquetFile(
        path, thrift_string_size_limit=_THRIFT_LIMIT, thrift_container_size_limit=_THRIFT_LIMIT
    ) as file:
        table, schema = file.metadata, file.schema_arrow
        rows, width = table.num_rows, table.num_columns
        if rows * width > MAX_SAMPLES or width > _MAX_COLUMNS or width != len(schema.names):
            raise EcgFormatError(
                f"the table has {rows} x {width} cells, {len(schema.names)} columns", where=where, remedy="cut it"
            )
        check_expansion(8 * rows * max(1, sum(_is_number(field.type) for field in schema)), path)
        for group in range(table.num_row_groups):
            part = table.row_group(group)
            if part.num_rows > rows or any(part.column(k).num_values > part.num_rows for k in range(width)):
                raise EcgFormatError("its rows are more than it says", where=where, remedy="write it again")
            for k in range(width):
                if _is_number(schema.field(k).type) or _is_stamp(schema.field(k).type):
                    check_expansion(part.column(k).total_uncompressed_size, path)
    columns = [
        Column(
            field.name,
            partial(_read, path, schema.names, k, rows),
            is_time=_is_stamp(field.type),
            is_text=not (_is_number(field.type) or _is_stamp(field.type)),
            labels=partial(_labels, path, field.name) if _is_short_text(field, table, k) else None,
        )
        for k, field in enumerate(schema)
    ]
    return from_table(columns, where, fs, units)


def _labels(path: Path, name: str) -> NDArray[Any] | None:
    """A column of text; None where it has more, or longer, texts than the names of leads."""
    import pyarrow.parquet as library

    parts = []
    with library.ParquetFile(
        path,
        thrift_string_size_limit=_THRIFT_LIMIT,
        thrift_container_size_limit=_THRIFT_LIMIT,
        read_dictionary=[name],  # each text is unpacked once
    ) as file:
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[name], use_threads=False):
            texts = batch.columns[0].dictionary.to_pylist()
            if len(texts) > _MAX_LEADS or any(len(text or "") > MAX_NAME for text in texts):
                return None
            parts.append(np.asarray(batch.columns[0].cast("string").fill_null("").to_numpy(zero_copy_only=False), str))
    return np.concatenate(parts) if parts else None


def _read(path: Path, names: Sequence[str], k: int, rows: int) -> NDArray[Any]:
    """One column, read in parts: float64 seconds of a time, else float32."""
    import pyarrow.parquet as library

    out = np.full(rows, np.nan, np.float64 if is_time(names[k]) else np.float32)
    with library.ParquetFile(
        path, thrift_string_size_limit=_THRIFT_LIMIT, thrift_container_size_limit=_THRIFT_LIMIT
    ) as file:
        out = out.astype(np.float64) if _is_stamp(file.schema_arrow.field(k).type) else out
        at = 0
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[names[k]], use_threads=False):
            part = batch.columns[list(names[:k]).count(names[k])]
            with np.errstate(over="ignore"):
                out[at : at + len(part)] = _numbers(part)
            at += len(part)
    return out


def _numbers(part: Any) -> NDArray[Any]:
    """Part of a column as numbers, time stamps in seconds, NaN where a cell is empty."""
    import pyarrow as pa

    if _is_stamp(part.type):
        ticks = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[part.type.unit]
        bits = pa.int32() if part.type.bit_width == 32 else pa.int64()
        return np.asarray(part.cast(bits).to_numpy(zero_copy_only=False), dtype=np.float64) / ticks
    if pa.types.is_decimal(part.type):
        part = part.cast(pa.float64(), safe=False)
    elif pa.types.is_boolean(part.type):
        part = part.cast(pa.int8())
    return np.asarray(part.to_numpy(zero_copy_only=False))


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind))


def _is_short_text(field: Any, table: Any, k: int) -> bool:
    """Whether a column of text has few bytes for its rows, so that it may be read; no lead's name is longer."""
    from pyarrow import types

    kind = field.type.value_type if types.is_dictionary(field.type) else field.type
    size = sum(table.row_group(group).column(k).total_uncompressed_size for group in range(table.num_row_groups))
    return bool(types.is_string(kind) or types.is_large_string(kind)) and size <= (table.num_rows + 1000) * MAX_NAME


def _is_stamp(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_timestamp(kind) or types.is_time(kind) or types.is_duration(kind))
