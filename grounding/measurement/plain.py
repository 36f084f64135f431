"""Tables and values as JSON can represent them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..deferred import DeferredTable, Table


def rows_of(table: Table) -> list[dict[str, Any]]:
    """The rows of a table as JSON-ready dictionaries, in which NaN is ``None``; column by column, as that is faster.

    Args:
        table: a DataFrame or a ``DeferredTable``, with columns of different names.
    """
    names = [str(name) for name in table.columns]
    parts = table.columns.values() if isinstance(table, DeferredTable) else (part for _, part in table.items())
    columns = [_plain_values(part) for part in parts]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain_values(column: Any) -> list[Any]:
    """The values of an array, a list or a Series."""
    if isinstance(column, list):
        return [value if type(value) is str else plain(value) for value in column]
    values: list[Any] = column.tolist()
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else ""
    if kind == "f":
        for row in np.flatnonzero(~np.isfinite(np.asarray(column))).tolist():
            values[row] = None
        return values
    if kind in ("i", "u", "b"):
        return values
    return [value if type(value) is str else plain(value) for value in values]


def plain(value: Any) -> Any:
    """A value as JSON can represent it: NaN is ``None``.

    Args:
        value: a number, text, list or dictionary, of Python or NumPy.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
