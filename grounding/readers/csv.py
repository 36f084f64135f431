"""CSV and other delimited text: a row per sample, a column per lead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import EcgFormatError
from .arrays import from_array, from_table
from .channels import Channels
from .registry import register_reader

_NUMBER = re.compile(r"\s*([-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?|nan|)\s*", re.IGNORECASE)


@register_reader((".csv", ".tsv", ".txt"))
def csv(path: Path, leads: Sequence[str] | None = None, units: str | None = None) -> Channels:
    """Delimited text (comma, semicolon, tab or blanks), a row per sample; lines that start with # are skipped.

    A header row names the leads (``I, II, V1 (uV)``); a column ``time`` (s) or ``time_ms`` gives the sampling rate.

    Args:
        path: the file.
        leads: names of the columns where there is no header row; with one, the columns to take.
        units: unit of the columns whose name gives none; mV by default.
    """
    import pandas as pd

    where = str(path)
    first = ""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                first = line.rstrip("\r\n")
                break
    if not first:
        raise EcgFormatError("there is no row of numbers", where=where, remedy="check the file")
    delimiter = next((mark for mark in ";\t," if mark in first), None)
    words = [word.strip().strip('"') for word in (first.split(delimiter) if delimiter else first.split())]
    named = not all(_NUMBER.fullmatch(word) for word in words)
    table = pd.read_csv(
        path, sep=delimiter or r"\s+", header=0 if named else None, comment="#", encoding="utf-8-sig", encoding_errors="replace",
        decimal="," if delimiter == ";" and "," in _second(path) else ".", skipinitialspace=True, low_memory=False,
    )  # fmt: skip
    numbers = table.apply(pd.to_numeric, errors="coerce")
    strange = numbers.isna() & table.notna()
    if strange.to_numpy().any():
        row, column = np.argwhere(strange.to_numpy())[0]
        raise EcgFormatError(
            f"row {row + 1} holds {str(table.iat[row, column])[:30]!r}, not a number",
            where=where,
            remedy="keep numbers only",
        )
    values = numbers.to_numpy(np.float64)
    if named:
        return from_table(words if len(words) == values.shape[1] else list(table.columns), values, where, units)
    return from_array(values, where, leads, units)


def _second(path: Path) -> str:
    """The second row, where a decimal comma shows."""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        rows = (line for line in lines if line.strip() and not line.startswith("#"))
        next(rows, "")
        return next(rows, "")
