"""Channels become a record in one place: which are kept, what they are called, and what their samples are in."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grounding import ECGRecord, EcgSignalError, read_record
from grounding.readers import readers, register_reader
from grounding.readers.channels import Channels, Options, to_record

WAVE = np.sin(np.arange(1000) / 20)


def make(names: Sequence[Any], file_units: Any = "mV", rates: Any = 500.0, **options: Any) -> ECGRecord:
    """A record from channels whose k-th one is (k + 1) times a sine."""
    signals = [(k + 1) * WAVE for k in range(len(names))]
    return to_record(Channels(names, signals, rates, file_units), Options(**options).check("here"), "here", "rec")


def heights(record: ECGRecord) -> list[float]:
    return [round(float(np.nanmax(row)), 3) for row in record.signal]


@pytest.mark.parametrize(
    ("names", "kept", "left_out"),
    [
        (["EEG C3", "ECG", "EOG"], ("ECG",), "EEG C3, EOG"),
        (["II", "PLETH", "RESP", "ABP"], ("II",), "PLETH, RESP, ABP"),
        (["x", "II", "y"], ("II",), "x, y"),
        (["ECG 1", "ECG 2", "HR"], ("ECG 1", "ECG 2"), "HR"),
        (["MLII", "V5", "label"], ("II", "V5"), "label"),
    ],
)
def test_where_some_are_ecgs_the_others_are_left_out_and_named(
    names: list[str], kept: tuple[str, ...], left_out: str
) -> None:
    record = make(names)
    assert record.leads == kept
    assert f"no ECG by name, left out: {left_out}" in record.meta["warnings"]


def test_where_none_is_an_ecg_by_name_the_unknown_ones_are_kept_and_it_is_said() -> None:
    record = make(["a", "b", "HR"])
    assert record.leads == ("a", "b")
    assert record.meta["warnings"][-1].startswith("none of the 2 names is a standard lead: a, b")


def test_where_all_are_something_else_the_error_has_a_way_out() -> None:
    with pytest.raises(EcgSignalError, match=r"no channel is a lead by its name: PLETH, RESP.*leads="):
        make(["PLETH", "RESP"])
    assert make(["PLETH", "RESP"], leads=["RESP"]).leads == ("RESP",)


def test_the_files_names_are_kept_where_ours_differ() -> None:
    record = make(["Ableitung I", "II", "AVR", b"V1\xa0"])
    assert record.leads == ("I", "II", "aVR", "V1")
    assert record.meta["channel_names"]["I"] == "Ableitung I"
    assert record.meta["channel_names"]["aVR"] == "AVR"
    assert "II" not in record.meta["channel_names"]


def test_doubled_and_missing_names_are_numbered() -> None:
    assert make(["ECG", "ECG", "ECG"]).leads == ("ECG", "ECG 2", "ECG 3")
    assert make(["ECG", "ECG 2", "ECG"]).leads == ("ECG", "ECG 2", "ECG 3")
    record = make([None, "", b""])
    assert record.leads == ("lead 1", "lead 2", "lead 3")
    assert any("3 of 3 channels have no name" in line for line in record.meta["warnings"])
    record = make(["II", "Lead II", "V1"])
    assert record.leads == ("II", "II 2", "V1")
    assert record.meta["channel_names"] == {"II 2": "Lead II"}
    assert any("same name" in line for line in record.meta["warnings"])
    assert heights(record) == [1, 2, 3]


def test_thousands_of_one_name_take_no_time() -> None:
    start = time.process_time()
    assert make(["ECG"] * 3000).leads[-1] == "ECG 3000"
    assert time.process_time() - start < 2


def test_leads_picks_by_any_spelling_and_in_the_order_given() -> None:
    names = ["EKG I", "EKG II", "EEG Cz"]
    assert heights(make(names, leads=["II", "I"])) == [2, 1]
    assert make(names, leads=["EEG Cz"]).leads == ("EEG Cz",)
    assert heights(make(["ECG", "ECG"], leads=["ECG 2"])) == [2]
    assert heights(make(["MLII", "V1"], leads=["MLII"])) == [1]


def test_leads_names_all_channels_where_the_files_names_are_others() -> None:
    record = make(["ECG", "ECG"], leads=["I", "II"])
    assert record.leads == ("I", "II")
    assert record.meta["channel_names"] == {"I": "ECG", "II": "ECG"}
    assert record.meta.get("warnings", ()) == ()
    assert make([None, None], leads=["V1", "V2"]).leads == ("V1", "V2")
    assert make(["ECG 1", "EEG", "ECG 2"], leads=["I", "II"]).leads == ("I", "II")  # all that are ECGs
    assert make(["I", "II", "x"], leads=["I", "II", "V1"]).leads == ("I", "II", "V1")


@pytest.mark.parametrize(
    ("names", "leads", "message"),
    [
        (
            ["I", "II", "III"],
            ["I", "II", "V1"],
            "there is no channel V1.*there are I, II, III",
        ),  # no renaming of III by a slip
        (["I", "II", "III"], ["V9"], "there is no channel V9"),
        (["I", "II"], ["II", "V1"], "there is no channel V1"),
        (["I", "II"], ["I", "I"], "name each lead once"),
        (["I", "II"], ["I", "DI"], "name one channel twice"),
        (["I"], [], "name each lead once"),
    ],
)
def test_leads_that_do_not_fit_are_refused(names: list[str], leads: list[str], message: str) -> None:
    with pytest.raises(EcgSignalError, match=message):
        make(names, leads=leads)


def test_units_of_every_channel() -> None:
    assert heights(make(["I", "II", "V1"], ["mV", b"\xb5V", "V"])) == pytest.approx([1, 0.002, 3000], rel=1e-4)


@pytest.mark.parametrize(
    ("unit", "word"),
    [
        ("", "unknown"),
        (None, "unknown"),
        ("parsec", "unknown"),
        ("adu", "adu"),
        ("counts", "adu"),
        ("z-score", "zscore"),
    ],
)
def test_a_unit_that_is_no_voltage_is_never_millivolts_in_silence(unit: str | None, word: str) -> None:
    record = make(["I", "II"], unit)
    assert not record.has_millivolts
    assert record.meta["units"] == word
    assert heights(record) == [1, 2]
    assert any("pass units=" in line for line in record.meta.get("warnings", ())) == (word != "zscore")
    given = make(["I", "II"], unit, units="uV")
    assert given.has_millivolts
    assert heights(given) == [0.001, 0.002]


def test_units_wins_over_the_file() -> None:
    assert heights(make(["I"], "mV", units="µV")) == [0.001]
    assert make(["I"], "mV", units="adu").meta["units"] == "adu"
    with pytest.raises(EcgSignalError, match="unknown unit 'parsec'"):
        make(["I"], units="parsec")


def test_a_lead_without_voltage_beside_others_is_left_out_and_named() -> None:
    record = make(["I", "II"], ["mV", "adu"])
    assert record.leads == ("I",)
    assert any("unit of II is no voltage (adu, not calibrated), left out" in line for line in record.meta["warnings"])
    assert make(["I", "II"], ["mV", "adu"], units="mV").leads == ("I", "II")


def test_other_quantities_are_left_out_by_their_unit() -> None:
    record = make(["a", "b"], ["mV", "mmHg"])
    assert record.leads == ("a",)
    assert "not voltages, left out: b (mmHg)" in record.meta["warnings"]
    with pytest.raises(EcgSignalError, match=r"no signal is a voltage: I \(%\)"):
        make(["I"], "%")
    assert make(["I"], "%", units="mV").leads == ("I",)


def test_rates() -> None:
    assert make(["I"], rates=None, fs=250).fs == 250
    assert make(["I"], rates=500, fs=250).fs == 250
    with pytest.raises(EcgSignalError, match="pass fs="):
        make(["I"], rates=None)
    record = to_record(Channels(["EEG", "I"], [np.zeros(4000), WAVE], [2000.0, 500.0], "mV"), Options(), "here", "rec")
    assert (record.fs, record.n_samples) == (500, 1000)  # what is left out does not set the rate
    both = to_record(Channels(["I", "II"], [WAVE, WAVE[::2]], [500.0, 250.0], "mV"), Options(fs=1000), "here", "rec")
    assert (both.fs, both.n_samples) == (1000, 1000)


def test_only_what_is_kept_is_read() -> None:
    def never() -> Any:
        raise AssertionError("read")

    record = to_record(Channels(["EEG", "I"], [never, lambda: WAVE], 500.0, "mV"), Options(), "here", "rec")
    assert record.leads == ("I",)


def test_leads_that_a_format_leaves_out_are_computed_and_can_be_asked_for() -> None:
    eight = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    channels = Channels(eight, [WAVE] * 8, 500.0, "mV", complete_limb_leads=True)
    record = to_record(channels, Options(), "here", "rec")
    assert record.n_leads == 12
    assert record.meta["derived_leads"] == ("III", "aVR", "aVL", "aVF")
    picked = to_record(channels, Options(leads=("aVF", "V2")), "here", "rec")
    assert picked.leads == ("aVF", "V2")
    assert picked.meta["derived_leads"] == ("aVF",)
    np.testing.assert_allclose(picked.lead("aVF"), WAVE / 2, atol=1e-6)
    assert "derived_leads" not in to_record(channels, Options(leads=("V2", "II")), "here", "rec").meta


def test_age_and_sex() -> None:
    record = make(["I"], age=64, sex="F")
    assert (record.meta["age"], record.meta["sex"]) == (64.0, "female")
    for wrong in ({"age": -1}, {"age": "old"}, {"sex": "x"}, {"sex": 3}):
        with pytest.raises(EcgSignalError, match="leave it out"):
            make(["I"], **wrong)


@pytest.fixture
def own_reader() -> Iterator[None]:
    @register_reader((".own",))
    def own(path: Path) -> ECGRecord:
        return ECGRecord.from_array(np.stack([WAVE, 2 * WAVE]), 500, ["I", "EEG"], meta={"note": "kept"})

    yield
    del readers._entries["own"]


@pytest.mark.usefixtures("own_reader")
def test_a_reader_of_the_users_own_has_the_options_too(tmp_path: Path) -> None:
    path = tmp_path / "a.own"
    path.write_text("x")
    assert read_record(path).leads == ("I", "EEG")
    record = read_record(path, age=50, fs=250, units="uV")
    assert (record.leads, record.fs, record.meta["age"], record.meta["note"]) == (("I", "EEG"), 250, 50.0, "kept")
    assert heights(record) == [0.001, 0.002]
    assert read_record(path, leads=["EEG"]).leads == ("EEG",)
