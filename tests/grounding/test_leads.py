"""Names of leads and channels as people and devices write them."""

from __future__ import annotations

import time

import pytest

from grounding.leads import STANDARD_LEADS, canonical_lead, canonical_leads, channel_kind, no_lead_warning, recognise

PREFIXES = [
    "{}",
    " {} ",
    "ECG {}",
    "EKG {}",
    "ECG-{}",
    "ECG_{}",
    "ECG{}",
    "ekg{}",
    "Lead {}",
    "lead_{}",
    "Lead-{}",
    "LEAD{}",
    "Ableitung {}",
    "Abl. {}",
    "Abl {}",
    "Derivación {}",
    "Derivacion {}",
    "Dérivation {}",
    "Derivazione {}",
    "Derivação {}",
    "Afleiding {}",
    "Avledning {}",
    "отведение {}",
    "导联{}",
    "{}导联",
    "MDC_ECG_LEAD_{}",
    "Lead {} (Einthoven)",
    "{} (mV)",
    "{} [uV]",
    "{}_mV",
    "{} µV",
    "ECG Lead {}",
    "ch {}",
    "Lead #{}",
    "{}-REF",
    "'{}'",
    '"{}"',
    "{} lead",
    "{}.",
    "ECG lead {}, filtered",
    "ECG ({})",
    "EKG [{}]",
    "ECG, Lead {}",
    "Ch 1 ({})",
    "Brustwandableitung {}",
]


@pytest.mark.parametrize("pattern", PREFIXES)
def test_every_lead_in_every_habit(pattern: str) -> None:
    for lead in STANDARD_LEADS:
        for name in {lead, lead.upper(), lead.lower()}:
            assert canonical_lead(pattern.format(name)) == lead, pattern.format(name)


@pytest.mark.parametrize(
    ("name", "lead"),
    [
        ("DI", "I"),
        ("D1", "I"),
        ("d i", "I"),
        ("D-I", "I"),
        ("DII", "II"),
        ("D III", "III"),
        ("D3", "III"),
        ("LI", "I"),
        ("Derivación DII", "II"),
        ("MLI", "I"),
        ("MLII", "II"),
        ("ML III", "III"),
        ("mod.V1", "V1"),
        ("V 1", "V1"),
        ("V-6", "V6"),
        ("C1", "V1"),
        ("c 6", "V6"),
        ("V1R", "V1R"),
        ("v3r", "V3R"),
        ("V4 R", "V4R"),
        ("C4R", "V4R"),
        ("v7", "V7"),
        ("vx", "Vx"),
        ("VZ", "Vz"),
        ("a V R", "aVR"),
        ("aV-F", "aVF"),
        ("-aVR", "-aVR"),
        ("ECG -aVR", "-aVR"),
        ("MDC_ECG_LEAD_AVRneg", "-aVR"),
        ("LA-RA", "I"),
        ("ECG LL-RA", "II"),
        ("MCL1", "MCL1"),
        ("cm5", "CM5"),
        ("V2-V3", "V2-V3"),
        ("V", "V"),
        ("Ⅱ", "II"),
    ],
)
def test_leads_of_other_habits(name: str, lead: str) -> None:
    assert canonical_lead(name) == lead


@pytest.mark.parametrize(
    "name",
    ["ECG", "EKG", "ecg 1", "ECG2", "ECG L", "ECG1-ECG2", "EKG-R", "Lead 1", "lead_2", "electrocardiogram", "ECG raw"],
)
def test_an_ecg_whose_lead_is_not_told(name: str) -> None:
    assert channel_kind(name) == "ecg"
    assert canonical_lead(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "EEG",
        "EEG Fpz-Cz",
        "EEG C3-A2",
        "C3-A2",
        "C4-M1",
        "C3",
        "Fp1",
        "Fp2-F4",
        "O1",
        "Cz",
        "T3",
        "A1",
        "EOG",
        "EOG horizontal",
        "EOG(L)",
        "LOC-A2",
        "E1-M2",
        "ROC",
        "EMG",
        "EMG chin",
        "Chin1-Chin2",
        "Leg/L",
        "PLETH",
        "PLETHl",
        "SpO2",
        "SaO2",
        "PPG",
        "RESP",
        "Resp oro-nasal",
        "airflow",
        "Flow",
        "NASAL",
        "THOR RES",
        "ABDO RES",
        "Atmung",
        "ABP",
        "ART",
        "CVP",
        "PAP",
        "BP",
        "NIBP",
        "ICP",
        "etCO2",
        "HR",
        "Heart Rate",
        "Pulse",
        "Puls",
        "PR",
        "Fréquence cardiaque",
        "Frecuencia cardíaca",
        "TEMP",
        "Temp rectal",
        "ACC",
        "AccX",
        "acc_y",
        "gyro_z",
        "Body position",
        "Snore",
        "time",
        "Time (s)",
        "time_ms",
        "Zeit",
        "Uhrzeit",
        "tiempo",
        "Temps",
        "timestamp",
        "Elapsed time",
        "t",
        "index",
        "sample",
        "Sample #",
        "Unnamed: 0",
        "label",
        "Label",
        "target",
        "class",
        "annotation",
        "EDF Annotations",
        "BDF Annotations",
        "event",
        "Event marker",
        "Marker",
        "trigger",
        "Status",
        "status",
        "ECG HR",
        "ECG quality",
        "ECG impedance",
        "ECG lead off",
        "battery",
    ],
)
def test_what_is_no_ecg_by_name(name: str) -> None:
    assert channel_kind(name) == "other"


@pytest.mark.parametrize(
    "name", ["", "x", "chan 1", "col 0", "value", "signal", "data", "Mortara", "IV", "V10", "II 2"]
)
def test_what_does_not_tell(name: str) -> None:
    assert channel_kind(name) == "unknown"
    assert canonical_lead(name) == name


def test_c_is_chest_beside_limb_leads_and_scalp_beside_eeg() -> None:
    german = ["I", "II", "III", "aVR", "aVL", "aVF", "C1", "C2", "C3", "C4", "C5", "C6"]
    assert canonical_leads(german) == STANDARD_LEADS
    assert canonical_leads([f"C{k}" for k in range(1, 7)]) == STANDARD_LEADS[6:]
    sleep = recognise(["C3", "C4", "O1", "EOG left", "ECG II"])
    assert [channel.kind for channel in sleep] == ["other", "other", "other", "other", "lead"]
    assert recognise(["II", "V3", "C3"])[2] == ("C3", "other")


def test_columns_that_are_counted_are_no_electrodes() -> None:
    for first in (0, 1):
        names = [f"c{k}" for k in range(first, first + 12)]
        assert {channel.kind for channel in recognise(names)} == {"unknown"}
    assert recognise(["F3", "F4", "T4", "P3"])[2].kind == "other"


def test_a_modified_lead_keeps_its_name_beside_the_lead_itself() -> None:
    assert canonical_leads(["MLII", "V5"]) == ("II", "V5")
    assert canonical_leads(["II", "MLII"]) == ("II", "MLII")


def test_a_recording_without_lead_names_gives_a_warning() -> None:
    assert no_lead_warning(["ECG", "II"]) == ()
    (told,) = no_lead_warning([f"X{k}" for k in range(12)])
    assert told.startswith("none of the 12 names is a standard lead: X0, X1")


def test_long_names_cost_no_time() -> None:
    start = time.process_time()
    for name in (
        "lead " * 20_000,
        "a" * 100_000,
        "v" + " " * 100_000 + "1",
        "(" * 100_000,
        "ECG-" * 30_000,
        "-" * 100_000,
    ):
        assert channel_kind(name) in ("unknown", "ecg", "other", "lead")
        canonical_lead(name)
    assert time.process_time() - start < 2
