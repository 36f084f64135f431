"""Parquet: a row per sample, a column per lead, through pyarrow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import EcgFormatError
from .arrays import from_table
from .channels import Channels
from .registry import MAX_SAMPLES, register_reader


@register_reader((".parquet", ".pq"), sniff=lambda head: head[:4] == b"PAR1")
def parquet(path: Path, units: str | None = None) -> Channels:
    """Parquet table, a row per sample and a column per lead; a ``time`` column gives the sampling rate.

    Args:
        path: the file.
        units: unit of the columns whose name gives none; mV by default.
    """
    import pyarrow.parquet as library

    with library.ParquetFile(path) as file:
        rows, columns = file.metadata.num_rows, file.metadata.num_columns
        if rows * columns > MAX_SAMPLES or columns > 1000:
            raise EcgFormatError(f"the table has {rows} x {columns} cells", where=str(path), remedy="cut it")
        table = file.read()
    values = np.stack([column.to_numpy().astype(np.float64) for column in table.columns], axis=1)
    return from_table(table.column_names, values, str(path), units)
