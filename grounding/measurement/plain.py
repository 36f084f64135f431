"""Tables and values as JSON can represent them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as JSON-ready dictionaries, in which NaN is ``None``; column by column, as that is faster.

    Args:
        table: with columns of different names.
    """
    names = [str(name) for name in table.columns]
    columns = [_plain_values(part) for _, part in table.items()]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain_values(column: pd.Series[Any]) -> list[Any]:
    values: list[Any] = column.tolist()
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else ""
    if kind == "f":
        for row in np.flatnonzero(~np.isfinite(column.to_numpy())).tolist():
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
