"""Folds, labels and both kinds of signal are read as they lie on disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import gem
import grounding
from gem.data.labelled import usable
from gem.data.ptbxl import load_ptbxl


def test_raw_and_filtered_records(ptbxl_like: Path) -> None:
    samples = load_ptbxl(ptbxl_like, folds=(8,))
    assert [(s.ecg_id, s.fold, s.source) for s in samples] == [
        (13, 8, "raw"),
        (424, 8, "raw"),
        (10013, 8, "filtered"),
        (10424, 8, "filtered"),
    ]
    raw, filtered = samples[0].record, samples[2].record
    assert raw.has_millivolts
    assert (raw.fs, raw.n_leads) == (500, 12)
    np.testing.assert_array_equal(raw.signal, grounding.read_record(grounding.sample_path("ptbxl_13")).signal)
    assert not filtered.has_millivolts
    assert (filtered.fs, filtered.signal.shape) == (125, (12, 1250))
    assert [s.sex for s in samples[:2]] == ["female", "male"]
    assert (samples[1].superclasses, samples[1].scp_codes["CRBBB"]) == (("CD",), 100.0)
    assert {s.source for s in load_ptbxl(ptbxl_like, (8,), sources=["raw"])} == {"raw"}


def test_as_it_is_downloaded(ptbxl_like: Path, tmp_path: Path) -> None:
    """PTB-XL's own files: statements with their kinds, numbers with a decimal point, folders of a thousand."""
    shutil.copytree(ptbxl_like / "ptbxl" / "records500", tmp_path / "records500")
    (tmp_path / "scp_statements.csv").write_text(
        ",description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\n"
        "CRBBB,complete right bundle branch block,1.0,,,CD,CRBBB\nNORM,normal ECG,1.0,,,NORM,NORM\n"
        "ABQRS,abnormal QRS,,1.0,,,\nSR,sinus rhythm,,,1.0,,\n"
    )
    (tmp_path / "ptbxl_database.csv").write_text(
        "ecg_id,patient_id,age,sex,report,scp_codes,strat_fold,filename_hr\n"
        "424,1.0,61.0,0,sinusrhythmus,\"{'CRBBB': 100.0, 'ABQRS': 0.0, 'SR': 0.0}\",8,records500/00000/00424_hr\n"
        "13,2.0,55.0,1,normal,\"{'NORM': 80.0, 'SR': 0.0}\",8,records500/00000/00013_hr\n"
        "99,3.0,55.0,1,normal,\"{'NORM': 80.0}\",8,records500/00000/00099_hr\n"
    )
    first, second = load_ptbxl(tmp_path, folds=(8,))
    assert (first.ecg_id, first.superclasses, first.rhythm, first.sex, first.age) == (
        13,
        ("NORM",),
        ("SR",),
        "female",
        55.0,
    )
    assert (second.superclasses, second.subclasses, second.form, second.rhythm) == (
        ("CD",),
        ("CRBBB",),
        ("ABQRS",),
        ("SR",),
    )
    np.testing.assert_array_equal(first.record.signal, grounding.read_record(grounding.sample_path("ptbxl_13")).signal)
    there, skipped = usable(tmp_path, (8,))
    assert (len(there), list(skipped)) == (2, ["99"])
    (tmp_path / "scp_statements.csv").unlink()
    with pytest.raises(gem.GemInputError, match="scp_statements"):
        load_ptbxl(tmp_path, folds=(8,))


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
