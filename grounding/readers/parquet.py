"""Parquet: a row per sample, a column per lead, through pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from .channels import Channels
from .columns import Column, from_table
from .registry import MAX_SAMPLES, check_expansion, register_reader

_MAX_COLUMNS = 1000
_THRIFT_LIMIT = 16 << 20  # bytes of text, and entries of a list, in the file's description of itself


@register_reader((".parquet", ".pq"), sniff=lambda head: head[:4] == b"PAR1")
def parquet(path: Path, fs: float | None = None, units: str | None = None) -> Channels:
    """Parquet table, a row per sample and a column per lead; a ``time`` column gives the sampling rate.

    Only columns of numbers are read, and of these only what is needed.

    Args:
        path: the file.
        fs: sampling rate, Hz, where no time column gives it.
        units: unit of the columns whose name gives none; mV by default.
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
            partial(_read, path, schema.names, k),
            is_time=_is_stamp(field.type),
            is_text=not (_is_number(field.type) or _is_stamp(field.type)),
        )
        for k, field in enumerate(schema)
    ]
    return from_table(columns, where, fs, units)


def _read(path: Path, names: Sequence[str], k: int) -> NDArray[Any]:
    """One column as float64, time stamps in seconds."""
    import pyarrow as pa
    import pyarrow.parquet as library

    with library.ParquetFile(
        path, thrift_string_size_limit=_THRIFT_LIMIT, thrift_container_size_limit=_THRIFT_LIMIT
    ) as file:
        table = file.read(columns=[names[k]], use_threads=False)
    values = table.columns[list(names[:k]).count(names[k])]
    if _is_stamp(values.type):
        ticks = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[values.type.unit]
        bits = pa.int32() if values.type.bit_width == 32 else pa.int64()
        return np.asarray(values.cast(bits).to_numpy(), dtype=np.float64) / ticks
    if pa.types.is_decimal(values.type) or pa.types.is_boolean(values.type):
        values = values.cast(pa.float64(), safe=False) if pa.types.is_decimal(values.type) else values.cast(pa.int8())
    return np.asarray(values.to_numpy(), dtype=np.float64)


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind))


def _is_stamp(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_timestamp(kind) or types.is_time(kind) or types.is_duration(kind))
