"""Agreement with a device: the intervals of GE's 12SL program on PTB-XL, as published with PTB-XL+.

References:
    Strodthoff et al., PTB-XL+, a comprehensive electrocardiographic feature dataset, Scientific Data 10, 279 (2023).
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GemInputError
from .items import REFUSED, WRONG_FORMAT, WRONG_VALUE, Item, ItemBenchmark, Score, missing_file, register_item_benchmark
from .labels import refuses

if TYPE_CHECKING:
    from .inputs import Inputs

SOURCE = "https://physionet.org/content/ptb-xl-plus/1.0.1/ (features/12sl_features.csv)"
WITHIN_MS = 20.0
# name in ``Measurement.intervals`` -> columns that hold it; those of PTB-XL+ are from memory
COLUMNS = {
    "pr": ("pr_ms", "PR_Int_Global"),
    "qrs": ("qrs_ms", "QRS_Dur_Global"),
    "qt": ("qt_ms", "QT_Int_Global"),
    "qtc_bazett": ("qtc_bazett_ms", "QT_IntBazett_Global"),
    "rr": ("rr_ms", "RR_Mean_Global"),
}
PROMPT = (
    "Give the PR, QRS and QT intervals, QTc (Bazett) and the mean RR interval of this ECG in ms as one JSON object "
    f"with the keys {', '.join(COLUMNS)}; null where there is none. Write nothing else."
)


def load(path: Path) -> list[Item]:
    """An item for each recording that the device measured.

    Args:
        path: the table, or a folder with one whose name has ``12sl`` in it.

    Raises:
        GemInputError: there is no such table, or it has other columns.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*.csv") if "12sl" in file.stem.lower())
    if not files:
        raise missing_file("12SL's intervals", path, SOURCE)
    items = []
    with files[0].open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            values = {name: _value(row, names) for name, names in COLUMNS.items()}
            known = {name: value for name, value in values.items() if value is not None}
            if known and row.get("ecg_id"):
                number = str(int(float(row["ecg_id"])))
                items.append(Item(number, "12SL", "intervals", PROMPT, (json.dumps(known),), (), (number,)))
    if not items:
        raise GemInputError(
            "no column ecg_id, or none of the intervals", where=str(files[0]), remedy=f"it is offered at {SOURCE}"
        )
    return items


def _value(row: dict[str, str], names: tuple[str, ...]) -> float | None:
    text = next((row[name] for name in names if row.get(name)), "")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def intervals_by_rules(item: Item, inputs: Inputs) -> str:
    """The intervals that ``grounding.measure`` gives.

    Args:
        item: of the set.
        inputs: the recordings.
    """
    intervals = inputs.measurement(item.records[0]).intervals
    values = {name: intervals.get(name) for name in COLUMNS}
    return json.dumps({name: None if value is None else round(value, 1) for name, value in values.items()})


def _differences(item: Item, answer: str) -> tuple[dict[str, float], int]:
    """Said less true, ms, of each interval that is given; and how many the device gives."""
    true = json.loads(item.truth[0])
    start = answer.find("{")
    try:
        said: Any = json.JSONDecoder().raw_decode(answer[start:])[0] if start >= 0 else {}
    except ValueError:
        said = {}
    given = {
        name: float(said[name]) - value
        for name, value in true.items()
        if isinstance(said.get(name), int | float) and not isinstance(said[name], bool) and math.isfinite(said[name])
    }
    return given, len(true)


def strict_score(item: Item, answer: str) -> Score:
    """Share of the device's intervals that are met within 20 ms (``within_20``), and of those that are given.

    Args:
        item: of the set.
        answer: with a JSON object.
    """
    given, n = _differences(item, answer)
    within = sum(abs(one) <= WITHIN_MS for one in given.values()) / n
    wrong = WRONG_VALUE if given else REFUSED if refuses(answer) else WRONG_FORMAT
    return Score({"within_20": within, "given": len(given) / n}, None if within == 1 else wrong)


def published_score(item: Item, answer: str) -> Score:
    """Differences and their sizes, ms, by interval, as agreement with devices is usually reported.

    Args:
        item: of the set.
        answer: with a JSON object.
    """
    given, n = _differences(item, answer)
    values = {"given": len(given) / n}
    for name, difference in given.items():
        values[f"{name}_difference_ms"], values[f"{name}_size_ms"] = difference, abs(difference)
    wrong = WRONG_VALUE if given else WRONG_FORMAT
    return Score(values, None if len(given) == n and not any(given.values()) else wrong)


register_item_benchmark(
    ItemBenchmark(
        "device-12sl",
        "intervals against GE's 12SL program on PTB-XL (PTB-XL+)",
        load,
        {"strict": strict_score, "published": published_score},
        intervals_by_rules,
        SOURCE,
        samples="12sl_features.csv",
    )
)
