"""Folds, labels and both kinds of signal are read as they lie on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

import gem
from gem.benchmarks.ptbxl import load_ptbxl


def test_fold_8_has_raw_and_filtered_records(shared: Path) -> None:
    samples = load_ptbxl(shared / "data", folds=(8,))
    assert len(samples) == 202
    assert {sample.fold for sample in samples} == {8}
    raw = next(sample for sample in samples if sample.source == "raw").record
    filtered = next(sample for sample in samples if sample.source == "filtered").record
    assert raw.has_millivolts
    assert (raw.fs, raw.n_leads) == (500, 12)
    assert not filtered.has_millivolts
    assert (filtered.fs, filtered.signal.shape) == (125, (12, 1250))
    assert {sample.sex for sample in samples} >= {"male", "female"}


def test_no_patient_is_in_two_folds(shared: Path) -> None:
    train = {sample.ecg_id for sample in load_ptbxl(shared / "data", folds=range(1, 8))}
    held_out = {sample.ecg_id for sample in load_ptbxl(shared / "data", folds=(8,))}
    assert not train & held_out


def test_a_folder_without_labels_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(gem.GemInputError, match=r"labels\.csv"):
        load_ptbxl(tmp_path)


def test_a_fold_without_records_is_a_clear_error(shared: Path) -> None:
    with pytest.raises(gem.GemInputError, match="fold"):
        load_ptbxl(shared / "data", folds=(99,))
