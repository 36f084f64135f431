"""Grow the part of the classification head that takes measured values: gradient-boosted trees for each label.

    python -m gem.training.measured runs/gem-nano --data PTBXL --out runs/gem-nano-measured

Every record is there three times: as it was measured; with values missing at random (of single leads, of P waves, of T
waves, all amplitudes, or single values), since recordings lack them too; and as it is measured on a page of four
columns, which has 2.5 s of most leads. Needs LightGBM (``pip install "gem-ecg[train]"``).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grounding import ECGRecord
from grounding.paper import plan

from ..data.conversations import save_array
from ..data.corpus import labels_of
from ..data.labelled import usable
from ..data.samples import Sample
from ..errors import GemConfigError
from ..extras import how_to_install
from ..fusion.trees import TreesHead
from ..measured import LEADS, NAMES, needs_millivolts, values_of_record
from ..terminal import print_lines
from .start import save, with_other_encoders

log = logging.getLogger(__name__)
TREES, LEAVES = 200, 8
MISSING_GROUP, MISSING_VALUE = 0.1, 0.05  # probability of each, in a record's second copy
# for records that are there three times; chosen on folds 7-8 with folds 1-6 as training
SETTINGS = {
    "objective": "binary",
    "learning_rate": 0.05,
    "min_data_in_leaf": 45,
    "lambda_l2": 10.0,
    "feature_fraction_bynode": 0.1,
    "max_bin": 63,
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "verbose": -1,
}


def grow(
    model: Any,
    samples: Sequence[Sample],
    share: float = 0.5,
    trees: int = TREES,
    leaves: int = LEAVES,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    cache: Path | None = None,
) -> Any:
    """A model with new trees; the rest of it is not changed.

    Args:
        model: with a classification head and a processor.
        samples: labelled records to learn from.
        share: of the measured values in the vote of the signal, 0-1; the encoder has the rest.
        trees: of each label.
        leaves: of a tree, at most.
        seed: of what is missing and of the trees.
        settings: of LightGBM, before ``SETTINGS``.
        cache: folder for what was measured; None keeps nothing.

    Returns:
        The model, with ``config.measured`` and the vote.

    Raises:
        GemConfigError: LightGBM is not installed.
    """
    try:
        import lightgbm
    except ImportError:
        raise GemConfigError("trees are grown by LightGBM", remedy=how_to_install("lightgbm")) from None
    made = with_other_encoders(model, {"measured": {"names": list(NAMES), "trees": trees, "leaves": leaves}})
    head = made.class_head.heads["measured"]
    assert isinstance(head, TreesHead)  # for mypy
    whole, page = measured_twice(samples, cache)
    rows = np.concatenate([whole, with_missing(whole, np.random.default_rng(seed)), page])
    labels = [labels_of(sample) for sample in samples]
    chosen = {**SETTINGS, **(settings or {}), "num_leaves": leaves, "seed": seed}
    data = lightgbm.Dataset(rows, params=chosen, free_raw_data=False)
    for place, name in enumerate(made.config.class_names):
        truth = np.tile([float(name in there) for there in labels], 3)
        if 0 < truth.mean() < 1:
            data.set_label(truth)
            head.set_trees(place, lightgbm.train(chosen, data, trees).dump_model()["tree_info"])
        else:  # nothing to tell apart: the odds of a label of no or every record
            head.shift[place] = math.log((truth.sum() + 0.5) / (len(truth) - truth.sum() + 0.5))
    set_vote(made, share)
    return made


def measured_twice(
    samples: Sequence[Sample], cache: Path | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is measured in recordings, and in what a page of four columns shows of them.

    Args:
        samples: the recordings.
        cache: folder that has a file for each fold once it was measured; it may be deleted at any time.

    Returns:
        (records, ``NAMES``) each.
    """
    known: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    for fold in dict.fromkeys(sample.fold for sample in samples):
        some = [sample for sample in samples if sample.fold == fold]
        content = json.dumps([[sample.record_id for sample in some], NAMES])
        file = (cache or Path()) / f"values-{fold}-{hashlib.sha256(content.encode()).hexdigest()[:12]}.npy"
        if cache is not None and file.is_file():
            rows = np.load(file)
        else:
            log.info("measuring %d records of fold %s", len(some), fold)
            records = [sample.record for sample in some]
            rows = np.stack([[values_of_record(record), values_of_record(on_page(record))] for record in records])
            if cache is not None:
                save_array(file, rows)
        known |= {sample.record_id: (row[0], row[1]) for sample, row in zip(some, rows, strict=True)}
    both = np.array([known[sample.record_id] for sample in samples], np.float64)
    return both[:, 0], both[:, 1]


def on_page(record: ECGRecord) -> ECGRecord:
    """What a page of four columns with lead II as rhythm strip shows of a recording; NaN elsewhere.

    Args:
        record: the recording.
    """
    signal = np.full_like(record.signal, np.nan)
    for panel in plan(record).panels:
        if not panel.missing:
            row = record.leads.index(panel.lead)
            first, last = (round(end_s * record.fs) for end_s in (panel.start_s, panel.end_s))
            signal[row, first:last] = record.signal[row, first:last]
    units = "mV" if record.has_millivolts else record.meta.get("units", "adu")
    return ECGRecord.from_array(signal, record.fs, record.leads, units, record_id=record.record_id)


def set_vote(model: Any, share: float) -> None:
    """Set the weight of the measured values against the signal encoder.

    Args:
        model: changed in place.
        share: of the measured values, 0-1.
    """
    encoders = [name for name in model.class_head.heads if name != "measured"]
    votes = dict.fromkeys(encoders, 1.0) | (model.config.class_votes or {})
    signal = votes.get("ecg", 1.0) + votes.pop("measured", 0.0)
    votes["measured"] = share * signal
    if "ecg" in votes:
        votes["ecg"] = (1 - share) * signal
    model.config.class_votes, model.class_head.votes = votes, dict(votes)


def with_missing(values: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Records with some of their values missing.

    Args:
        values: (records, ``NAMES``).
        random: what is missing is drawn from it.

    Returns:
        The same, with more NaN.
    """
    groups = missing_together(NAMES)
    gone = (random.random((len(values), len(groups))) < MISSING_GROUP).astype(np.float32) @ groups > 0
    return np.where(gone | (random.random(values.shape) < MISSING_VALUE), np.nan, values)


def missing_together(names: Sequence[str]) -> NDArray[np.float32]:
    """Values that go missing together in recordings.

    Args:
        names: of the values.

    Returns:
        (groups, names), 1 where a value belongs to a group: the leads, the P wave, the T wave, and what needs
        millivolts.
    """
    last = [name.split()[-1] for name in names]  # without the lead
    rows = [[name.startswith(f"{lead} ") for name in names] for lead in LEADS]
    rows.append([name.startswith(("p_", "pr_")) for name in last])
    rows.append([name.startswith(("t_", "qt", "qrs_t_")) for name in last])
    rows.append([needs_millivolts(name) for name in names])
    return np.array(rows, np.float32)


def main(arguments: Sequence[str] | None = None) -> None:
    """Grow a saved model's trees and save it again.

    Args:
        arguments: of the command line, see ``--help``; those of the process when None.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="name or folder of the model")
    parser.add_argument("--data", type=Path, required=True, help="folder with PTB-XL")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(1, 9)), help="PTB-XL folds (default: 1-8)")
    parser.add_argument("--share", type=float, default=0.5, help="of the measured values in the signal's vote")
    parser.add_argument("--cache", type=Path, help="folder for what was measured")
    parser.add_argument("--out", type=Path, required=True, help="folder that the model is written to")
    options = parser.parse_args(arguments)
    from ..checkpoints import load

    samples, unread = usable(options.data, options.folds)
    raw = [sample for sample in samples if sample.source == "raw"]  # others have no millivolts
    save(grow(load(options.model), raw, options.share, cache=options.cache), options.out)
    print_lines(f"{options.out}: trees from {len(raw)} records, {len(unread)} could not be read")


if __name__ == "__main__":
    main()
