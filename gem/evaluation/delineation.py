"""Delineation: the boundaries of P, QRS and T against cardiologists' marks, in LUDB (12 leads) and the QT Database.

An answer is a JSON object: boundary -> times in ms from the beginning. Only the marked stretch counts.

References:
    Kalyakulina et al., LUDB, IEEE Access 8 (2020). Laguna et al., A database for evaluation of algorithms for
    measurement of QT and other waveform intervals, Computers in Cardiology 24 (1997). Martinez et al., A wavelet-based
    ECG delineator, IEEE Trans. Biomed. Eng. 51 (2004): the window of 150 ms, and the mean of the records' deviations.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grounding import STANDARD_LEADS

from ..errors import GemInputError
from .items import (
    REFUSED,
    WRONG_FORMAT,
    WRONG_VALUE,
    Item,
    ItemBenchmark,
    Score,
    missing_file,
    register_item_benchmark,
)
from .labels import json_object, refuses

if TYPE_CHECKING:
    from .inputs import Inputs

LUDB_SOURCE = "https://physionet.org/content/ludb/1.0.1/"
QTDB_SOURCE = "https://physionet.org/content/qtdb/1.0.0/"
EDGES = ("p_onset", "p_offset", "qrs_onset", "qrs_offset", "t_onset", "t_offset")
STRICT_MS, WINDOW_MS = 40.0, 150.0
_WAVES = {"p": "p", "t": "t", **dict.fromkeys("NBAVQLR", "qrs")}
Times = dict[str, list[float]]


def edges_of(samples: Sequence[int], symbols: Sequence[str], fs: float) -> Times:
    """Boundaries of WFDB marks: the brackets beside each wave.

    Args:
        samples: of the marks.
        symbols: of the marks: ``(``, ``)`` and those of waves.
        fs: Hz.

    Returns:
        Boundary -> ms.

    Example:
        >>> edges_of([100, 110, 120], ["(", "N", ")"], 500.0)["qrs_offset"]
        [240.0]
    """
    out: Times = {edge: [] for edge in EDGES}
    for place, symbol in enumerate(symbols):
        wave = _WAVES.get(symbol)
        if wave is None:
            continue
        if place and symbols[place - 1] == "(":
            out[f"{wave}_onset"].append(round(1000 * samples[place - 1] / fs, 1))
        if place + 1 < len(symbols) and symbols[place + 1] == ")":
            out[f"{wave}_offset"].append(round(1000 * samples[place + 1] / fs, 1))
    return out


def _item(name: str, kind: str, record: str, lead: str, times: Times) -> Item:
    where = f"in lead {lead}" if lead else "over its leads"
    prompt = (
        f"Give the onsets and offsets of all P waves, QRS complexes and T waves {where}, in ms from the beginning, as "
        f"one JSON object with the keys {', '.join(EDGES)}, each a list of numbers. Write nothing else."
    )
    return Item(
        name, kind, lead, prompt, (json.dumps({edge: row for edge, row in times.items() if row}),), (), (record,)
    )


def load_ludb(path: Path) -> list[Item]:
    """An item for each record and lead.

    Args:
        path: folder of LUDB as published: ``N.hea``, ``N.dat``, ``N.i`` ... ``N.v6``.

    Raises:
        GemInputError: there is no marked record.
    """
    import wfdb

    items = []
    for header in sorted(path.rglob("*.hea"), key=lambda file: (len(file.stem), file.stem)):
        leads = [lead for lead in STANDARD_LEADS if header.with_suffix(f".{lead.lower()}").is_file()]
        fs = _rate(header) if leads else 0.0
        for lead in leads:
            marks = wfdb.rdann(str(header.with_suffix("")), lead.lower())
            times = edges_of(marks.sample.tolist(), marks.symbol, fs)
            if any(times.values()):
                record = header.relative_to(path).as_posix()
                items.append(_item(f"{header.stem}:{lead}", "LUDB", record, lead, times))
    if not items:
        raise missing_file("LUDB", path, LUDB_SOURCE)
    return items


def load_qtdb(path: Path) -> list[Item]:
    """An item for each record that has a cardiologist's marks.

    Args:
        path: folder of the QT Database as published (``selNNN.hea``, ``.dat``, ``.q1c``), or with the marks of all
            records in ``q1c.csv`` (``record,sample,symbol``).

    Raises:
        GemInputError: there is no marked record.
    """
    import wfdb

    table: dict[str, list[tuple[int, str]]] = defaultdict(list)
    if (path / "q1c.csv").is_file():
        with (path / "q1c.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                try:
                    table[row["record"]].append((int(row["sample"]), row["symbol"]))
                except (KeyError, TypeError, ValueError):
                    raise GemInputError(
                        "not a table of record, sample and symbol",
                        where=str(path / "q1c.csv"),
                        remedy="see its first line",
                    ) from None
    items = []
    for header in sorted(path.rglob("*.hea")):
        marks = table.get(header.stem, [])
        if header.with_suffix(".q1c").is_file():
            read = wfdb.rdann(str(header.with_suffix("")), "q1c")
            marks = list(zip(read.sample.tolist(), read.symbol, strict=True))
        if not marks:
            continue
        times = edges_of([at for at, _ in marks], [symbol for _, symbol in marks], _rate(header))
        if any(times.values()):
            items.append(_item(header.stem, "QTDB", header.relative_to(path).as_posix(), "", times))
    if not items:
        raise missing_file("the QT Database", path, QTDB_SOURCE)
    return items


def _rate(header: Path) -> float:
    import wfdb

    return float(wfdb.rdheader(str(header.with_suffix(""))).fs)


def boundaries_by_rules(item: Item, inputs: Inputs) -> str:
    """The boundaries that ``grounding.measure`` gives: in the item's lead, or those of the beats.

    Args:
        item: of one of the sets.
        inputs: the recordings.
    """
    record, measurement = inputs.record(item.records[0]), inputs.measurement(item.records[0])
    found: dict[str, list[float]] = {}
    for edge in EDGES:
        wave, side = edge.split("_")
        if item.question:
            waves = measurement.waves
            column = waves.loc[(waves["lead"] == item.question) & (waves["wave"] == wave.upper()), side]
        elif edge not in measurement.beats:
            continue
        else:
            column = measurement.beats[edge]
        values = 1000 * column.to_numpy(float) / record.fs
        found[edge] = [round(float(value), 1) for value in values[np.isfinite(values)]]
    return json.dumps(found)


def _read(answer: str) -> dict[str, list[float]]:
    """The boundaries in an answer; nothing where it has no JSON object of lists of numbers."""
    said, out = json_object(answer), {}
    if not said:
        return {}
    for edge in EDGES:
        row = said.get(edge)
        numbers = (
            [x for x in row if isinstance(x, int | float) and not isinstance(x, bool)] if isinstance(row, list) else []
        )
        out[edge] = sorted(float(x) for x in numbers if np.isfinite(x))
    return out


def _matches(said: Sequence[float], true: Sequence[float], window_ms: float) -> list[float]:
    """Signed differences, ms, of marks that are found; each boundary is used once, the nearest first."""
    pairs = sorted(
        (abs(a - b), i, j) for i, a in enumerate(said) for j, b in enumerate(true) if abs(a - b) <= window_ms
    )
    used_said, used_true, out = set(), set(), []
    for _, i, j in pairs:
        if i not in used_said and j not in used_true:
            used_said.add(i)
            used_true.add(j)
            out.append(said[i] - true[j])
    return out


def _within(item: Item, said: Mapping[str, list[float]], true: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """What is said inside the marked stretch, of the boundaries that are marked at all.

    In the QT Database not every wave of the stretch is marked: there, what is near no mark is neither right nor wrong.
    """
    if item.kind == "QTDB":
        return {
            edge: [at for at in said.get(edge, []) if any(abs(at - mark) <= WINDOW_MS for mark in row)]
            for edge, row in true.items()
        }
    every = [at for row in true.values() for at in row]
    low, high = min(every) - WINDOW_MS, max(every) + WINDOW_MS
    return {edge: [at for at in said.get(edge, []) if low <= at <= high] for edge in true}


def strict_score(item: Item, answer: str) -> Score:
    """Boundaries within 40 ms: F1 over all of them, recall and precision.

    Args:
        item: of one of the sets.
        answer: with a JSON object.
    """
    true, whole = json.loads(item.truth[0]), _read(answer)
    said = _within(item, whole, true)
    hits = sum(len(_matches(said[edge], true[edge], STRICT_MS)) for edge in true)
    n_said, n_true = sum(map(len, said.values())), sum(map(len, true.values()))
    recall, precision = hits / n_true, hits / n_said if n_said else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    reason = None
    if f1 < 1:
        reason = WRONG_VALUE if any(whole.values()) else REFUSED if refuses(answer) else WRONG_FORMAT
    return Score({"f1": f1, "recall": recall, "precision": precision}, reason)


def published_score(item: Item, answer: str) -> Score:
    """As Martinez et al.: marks found within 150 ms, mean difference and standard deviation of a record, ms.

    Args:
        item: of one of the sets.
        answer: with a JSON object.
    """
    true = json.loads(item.truth[0])
    said = _within(item, _read(answer), true)
    found = {edge: _matches(said[edge], true[edge], WINDOW_MS) for edge in true}
    n_said, hits = sum(map(len, said.values())), sum(map(len, found.values()))
    values = {
        "sensitivity": hits / sum(map(len, true.values())),
        "positive_predictivity": hits / n_said if n_said else 0.0,
    }
    for edge, errors in found.items():
        if errors:
            values[f"{edge}_mean_ms"] = float(np.mean(errors))
        if len(errors) > 1:
            values[f"{edge}_sd_ms"] = float(np.std(errors, ddof=1))
    reason = None if values["sensitivity"] == values["positive_predictivity"] == 1 else WRONG_VALUE
    return Score(values, reason if any(said.values()) or reason is None else WRONG_FORMAT)


for _name, _text, _load, _source in (
    ("ludb", "boundaries of waves in each lead against cardiologists' marks (LUDB)", load_ludb, LUDB_SOURCE),
    ("qtdb", "boundaries of waves against a cardiologist's marks (QT Database)", load_qtdb, QTDB_SOURCE),
):
    register_item_benchmark(
        ItemBenchmark(
            _name,
            _text,
            _load,
            {"strict": strict_score, "published": published_score},
            boundaries_by_rules,
            _source,
            samples=_name,
            own_recordings=True,
        )
    )
