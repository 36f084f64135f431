from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

import grounding
from grounding import Measurement
from grounding.deferred import DeferredColumns, DeferredTable
from grounding.measurement.columns import BEAT_COLUMNS

TABLES = ("waves", "beats", "lead_features", "lead_summary", "quality")


@pytest.fixture
def measured() -> Measurement:
    return grounding.measure(grounding.read_record(grounding.sample_path()))


def made(measurement: Measurement) -> set[str]:
    return {name for name in TABLES if isinstance(measurement.table(name), pd.DataFrame)}


def test_no_table_is_made_to_find_check_and_compose(measured: Measurement) -> None:
    findings = grounding.find(measured)
    grounding.check("PR interval 160 ms. T wave inversion in V5. PVCs.", measured)
    assert findings[0].evidence is not None
    measured.to_dict()
    assert made(measured) == set()


def test_a_table_is_made_once_and_alone(measured: Measurement) -> None:
    assert measured.beats is measured.beats
    assert tuple(measured.beats.columns) == BEAT_COLUMNS
    assert made(measured) == {"beats"}
    assert measured.n_beats == len(measured.beats) == measured.n_rows("beats")


@pytest.mark.parametrize("name", TABLES)
def test_columns_are_the_same_before_and_after(measured: Measurement, name: str) -> None:
    before = {column: measured.column(name, column) for column in measured.table(name).columns}
    frame = getattr(measured, name)
    assert list(before) == frame.columns.tolist()
    for column, values in before.items():
        pd.testing.assert_series_equal(
            pd.Series(values, name=column), frame[column], check_dtype=False, check_exact=True
        )
        assert len(values) == len(measured.column(name, column))


def test_what_is_changed_in_a_table_is_read(measured: Measurement) -> None:
    measured.quality.loc[measured.quality["lead"] == "II", "usable"] = False
    usable = dict(zip(measured.column("quality", "lead"), measured.column("quality", "usable"), strict=True))
    assert not usable["II"]
    assert usable["I"]


@pytest.mark.parametrize("repeat", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_have_tables_of_their_own(measured: Measurement, repeat: Any) -> None:
    other = repeat(measured)
    pd.testing.assert_frame_equal(other.waves, measured.waves)
    assert made(other) == {"waves"}
    assert other.to_dict() == measured.to_dict()
    other.quality.loc[0, "usable"] = False
    assert measured.column("quality", "usable")[0]


def test_another_attribute_is_missing_as_usual(measured: Measurement) -> None:
    with pytest.raises(AttributeError, match="'Measurement' object has no attribute 'wave'"):
        _ = measured.wave  # type: ignore[attr-defined]


def test_columns_may_be_computed_when_they_are_asked_for() -> None:
    calls = []

    def columns() -> dict[str, list[float]]:
        calls.append(1)
        return {"ms": [1.0, 2.0]}

    table = DeferredTable(columns)
    assert not calls
    assert table.columns == {"ms": [1.0, 2.0]}
    assert table.frame()["ms"].tolist() == [1.0, 2.0]
    assert len(calls) == 1


def test_a_column_may_be_computed_when_it_is_asked_for() -> None:
    calls = []

    def later() -> list[float]:
        calls.append(1)
        return [3.0, 4.0]

    table = DeferredTable(DeferredColumns({"beat": [0, 1]}, {"ms": later}))
    assert list(table.columns) == ["beat", "ms"]
    assert table.columns["beat"] == [0, 1]
    assert not calls
    assert pickle.loads(pickle.dumps(table)).columns == {"beat": [0, 1], "ms": [3.0, 4.0]}
    assert table.frame()["ms"].tolist() == [3.0, 4.0]
    assert len(calls) == 1


def test_evidence_needs_no_peaks_of_waves() -> None:
    measurement = grounding.measure(grounding.read_record(grounding.sample_path()))
    onsets = measurement.column("waves", "onset")
    peaks = measurement.table("waves").columns._known
    assert "onset" in peaks
    assert "peak" not in peaks
    assert measurement.waves["onset"].tolist() == pytest.approx(onsets, nan_ok=True)
    assert measurement.waves["peak"].notna().sum() > 100


def test_a_pickled_table_holds_columns_not_what_they_are_made_of(measured: Measurement) -> None:
    waves, features = (measured.table(name) for name in ("waves", "lead_features"))
    assert callable(waves._columns)  # nobody has asked for it
    small = len(pickle.dumps(DeferredTable(dict(waves.columns))))
    assert len(pickle.dumps(waves)) <= small
    again = pickle.loads(pickle.dumps(features))
    pd.testing.assert_frame_equal(again.frame(), measured.lead_features)


def test_tables_of_waves_are_the_same_in_any_order(measured: Measurement) -> None:
    other = grounding.measure(grounding.read_record(grounding.sample_path()))
    features = other.lead_features
    pd.testing.assert_frame_equal(other.waves, measured.waves)
    pd.testing.assert_frame_equal(features, measured.lead_features)
    assert other.waves["peak"].notna().sum() > 100


def test_tables_of_a_long_recording_do_not_keep_its_signal() -> None:
    record = grounding.read_record(grounding.sample_path())
    long = grounding.ECGRecord.from_array(np.tile(record.signal, (1, 14)), record.fs, record.leads)
    measured = grounding.measure(long)
    assert not callable(measured.table("waves")._columns)
    assert not callable(measured.table("lead_features")._columns)
