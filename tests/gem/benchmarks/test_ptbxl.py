"""Folds, labels and both kinds of signal are read as they lie on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gem
import grounding
from gem.benchmarks.ptbxl import load_ptbxl


def test_raw_and_filtered_records(ptbxl_like: Path) -> None:
    samples = load_ptbxl(ptbxl_like, folds=(8,))
    assert [(s.ecg_id, s.fold, s.source) for s in samples] == [
        (13, 8, "raw"), (424, 8, "raw"), (10013, 8, "filtered"), (10424, 8, "filtered"),
    ]  # fmt: skip
    raw, filtered = samples[0].record, samples[2].record
    assert raw.has_millivolts
    assert (raw.fs, raw.n_leads) == (500, 12)
    np.testing.assert_array_equal(raw.signal, grounding.read_record(grounding.sample_path("ptbxl_13")).signal)
    assert not filtered.has_millivolts
    assert (filtered.fs, filtered.signal.shape) == (125, (12, 1250))
    assert [s.sex for s in samples[:2]] == ["female", "male"]
    assert (samples[1].superclasses, samples[1].scp_codes["CRBBB"]) == (("CD",), 100.0)
    assert {s.source for s in load_ptbxl(ptbxl_like, (8,), sources=["raw"])} == {"raw"}


def test_folds_share_no_record(ptbxl_like: Path) -> None:
    train = {sample.ecg_id for sample in load_ptbxl(ptbxl_like, folds=range(1, 8))}
    held_out = {sample.ecg_id for sample in load_ptbxl(ptbxl_like, folds=(8,))}
    assert (len(train), len(held_out)) == (14, 4)
    assert not train & held_out


def test_fold_8_of_the_large_set(shared: Path) -> None:
    samples = load_ptbxl(shared / "data", folds=(8,))
    assert len(samples) == 202
    assert {sample.source for sample in samples} == {"raw", "filtered"}


def test_a_folder_without_labels_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(gem.GemInputError, match=r"labels\.csv"):
        load_ptbxl(tmp_path)


def test_a_fold_without_records_is_a_clear_error(ptbxl_like: Path) -> None:
    with pytest.raises(gem.GemInputError, match="fold"):
        load_ptbxl(ptbxl_like, folds=(99,))
