"""Digitisation: the signal on a photograph or scan against the signal that was printed.

An answer is a JSON object: lead -> microvolts at 100 Hz from the beginning of the page, null where nothing is printed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import grounding
from grounding import ECGRecord

from .items import REFUSED, WRONG_FORMAT, WRONG_VALUE, Item, ItemBenchmark, Score, missing_file, register_item_benchmark
from .labels import json_object, refuses

if TYPE_CHECKING:
    from .inputs import Inputs

SOURCE = (
    "the authors of Paper2Pulse (KDD 2026): a folder photos with pictures, and a folder truth with a WFDB record of "
    "the same name for each"
)
RATE_HZ, SHIFT_S, BEST_DB = 100, 0.3, 60.0
PICTURES = (".jpg", ".jpeg", ".png")
PROMPT = (
    "Read the signal of every lead on this picture. Give one JSON object: lead name -> list of microvolts at 100 Hz, "
    "from the beginning of the page (a column of a 3x4 page follows the other in time), null where nothing is printed."
)


def load(path: Path) -> list[Item]:
    """An item for each picture whose printed signal is there.

    Args:
        path: folder with ``photos`` and ``truth``.

    Raises:
        GemInputError: there is no such picture.
    """
    items = []
    for picture in sorted(path.rglob("photos/*")):
        header = picture.parent.parent / "truth" / f"{picture.stem}.hea"
        if picture.suffix.lower() in PICTURES and header.is_file():
            truth = as_json(grounding.read_record(header))
            name = picture.relative_to(path).as_posix()
            items.append(Item(picture.stem, "photograph", "signal", PROMPT, (truth,), (), (name,)))
    if not items:
        raise missing_file("photographs with their signals", path, SOURCE)
    return items


def as_json(record: ECGRecord) -> str:
    """A recording as an answer.

    Args:
        record: any.
    """
    n = round(record.signal.shape[1] / record.fs * RATE_HZ)
    at = np.arange(n) / RATE_HZ
    out: dict[str, list[int | None]] = {}
    for lead, row in zip(record.leads, np.asarray(record.signal, np.float64), strict=True):
        times, known = np.arange(row.size) / record.fs, np.isfinite(row)
        if not known.any():
            continue
        values = np.interp(at, times[known], row[known])
        there = np.interp(at, times, known.astype(float)) >= 0.5
        out[lead] = [round(1000 * float(value)) if here else None for value, here in zip(values, there, strict=True)]
    return json.dumps(out, separators=(",", ":"))


def signal_by_rules(item: Item, inputs: Inputs) -> str:
    """What ``grounding.read_record`` reads from the picture.

    Args:
        item: of the set.
        inputs: the recordings, pictures here.
    """
    try:
        return as_json(inputs.record(item.records[0]))
    except grounding.EcgError as error:  # a picture that is refused is a failure of the reader, not of the input
        return f"I can't analyse this picture: {' '.join(str(error).split())}"


def _read(answer: str) -> dict[str, NDArray[np.float64]]:
    out = {}
    for lead, row in json_object(answer).items():
        if isinstance(row, list) and row:
            numbers = [x if isinstance(x, int | float) and not isinstance(x, bool) else np.nan for x in row]
            out[str(lead)] = np.array(numbers, np.float64)
    return out


def _errors(said: dict[str, NDArray[np.float64]], true: dict[str, NDArray[np.float64]]) -> tuple[float, float]:
    """Power of the signal and of the error after the best common shift of the page, offsets of leads removed."""
    most = round(SHIFT_S * RATE_HZ)
    best = (1.0, np.inf)
    for shift in range(-most, most + 1):
        power = error = 0.0
        for lead, row in true.items():
            known = np.isfinite(row)
            wanted = row - row[known].mean() if known.any() else row
            got = np.full(row.size, np.nan)
            if lead in said:
                n = min(row.size, said[lead].size)
                got[:n] = said[lead][:n]
                got = _moved(got, shift)
            both = known & np.isfinite(got)
            read = np.zeros(row.size)
            if both.any():
                read[both] = got[both] - got[both].mean() + wanted[both].mean()
            power += float((wanted[known] ** 2).sum())
            error += float(((wanted - read)[known] ** 2).sum())
        best = min(best, (power, error), key=lambda one: one[1])
    return best


def _moved(row: NDArray[np.float64], shift: int) -> NDArray[np.float64]:
    out = np.full(row.size, np.nan)
    if shift >= 0:
        out[shift:] = row[: row.size - shift]
    else:
        out[:shift] = row[-shift:]
    return out


def signal_score(strict: bool, item: Item, answer: str) -> Score:
    """How much of the printed signal is read back.

    Args:
        strict: ``explained`` (1 less the error's share of the power, at least 0) and ``leads``, the share of the leads
            that are there; else ``snr_db``, the ratio as it is usually given, at most 60 dB.
        item: of the set.
        answer: with a JSON object.
    """
    true, said = _read(item.truth[0]), _read(answer)
    power, error = _errors(said, true)
    left = error / power if power else 0.0
    reason = None
    if left > 0:
        reason = WRONG_VALUE if said else REFUSED if refuses(answer) else WRONG_FORMAT
    if not strict:
        return Score({"snr_db": min(BEST_DB, float(-10 * np.log10(max(left, 1e-9))))}, reason)
    return Score({"explained": max(0.0, 1.0 - left), "leads": len(true.keys() & said.keys()) / len(true)}, reason)


def _strict(item: Item, answer: str) -> Score:
    return signal_score(True, item, answer)


def _published(item: Item, answer: str) -> Score:
    return signal_score(False, item, answer)


register_item_benchmark(
    ItemBenchmark(
        "digitisation",
        "the signal on photographs of printed ECGs against the printed signal",
        load,
        {"strict": _strict, "published": _published},
        signal_by_rules,
        SOURCE,
        samples="digitisation",
        own_recordings=True,
    )
)
