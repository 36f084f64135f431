"""Labelled recordings of any data set as it is downloaded: PTB-XL and the PhysioNet challenges, by the command too."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import gem
import grounding
from gem.cli import main
from gem.data.challenge import load_challenge, statements
from gem.data.examples import load_items
from gem.data.labelled import load_labelled, usable


@pytest.fixture(scope="module")
def challenge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three bundled recordings as the challenges store them, and one without a diagnosis."""
    root = tmp_path_factory.mktemp("challenge")
    for name, dx in (
        ("ptbxl_13", "426783006"),
        ("ptbxl_286", "164909002,426783006"),
        ("ptbxl_424", "RBBB, 445118002,999"),
        ("ptbxl_102", None),
    ):
        sample = grounding.sample_path(name)
        (root / "g1").mkdir(exist_ok=True)
        lines = [line for line in sample.with_suffix(".hea").read_text().splitlines() if not line.startswith("#")]
        if dx is not None:
            lines += ["#Age: 61", "#Sex: Female", f"#Dx: {dx}"]
        (root / "g1" / f"{name}.hea").write_text("\n".join(lines) + "\n")
        (root / "g1" / f"{name}.dat").write_bytes(sample.with_suffix(".dat").read_bytes())
    return root


@pytest.fixture(scope="module")
def stock(ptbxl_like: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PTB-XL as it is downloaded: its own two tables, and the recordings."""
    root = tmp_path_factory.mktemp("stock")
    (root / "records500").symlink_to(ptbxl_like / "ptbxl" / "records500")
    with (ptbxl_like / "ptbxl" / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["ecg_id"]) < 10000]
    with (root / "ptbxl_database.csv").open("w", newline="", encoding="utf-8") as file:
        columns = ["ecg_id", "patient_id", "age", "sex", "report", "scp_codes", "strat_fold"]
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**row, "patient_id": f"{row['patient_id']}.0"} for row in rows)
    kinds = {
        "NORM": "NORM",
        "1AVB": "CD",
        "CLBBB": "CD",
        "CRBBB": "CD",
        "LAFB": "CD",
        "IMI": "MI",
        "ASMI": "MI",
        "LVH": "HYP",
    }
    with (root / "scp_statements.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["", "diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass"])
        writer.writerows([code, "1.0", "", "", kind, kind] for code, kind in kinds.items())
        writer.writerow(["SR", "", "", "1.0", "", ""])
    return root


def test_diagnoses_become_superclasses_where_they_mean_the_same(challenge: Path) -> None:
    samples = {sample.record_id: sample for sample in load_challenge(challenge)}
    assert list(samples) == ["g1/ptbxl_13", "g1/ptbxl_286", "g1/ptbxl_424"]
    assert samples["g1/ptbxl_13"].superclasses == ()  # sinus rhythm is no normal ECG
    assert samples["g1/ptbxl_286"].superclasses == ("CD",)
    assert samples["g1/ptbxl_424"].scp_codes == {"RBBB": 100.0, "LAFB": 100.0}
    assert samples["g1/ptbxl_424"].record.signal.shape[0] == 12


def test_the_table_knows_ptbxls_statements() -> None:
    kinds = {superclass for _, superclass in statements().values()}
    assert kinds == {"NORM", "MI", "STTC", "CD", "HYP", ""}
    assert statements()["164909002"] == statements()["LBBB"] == ("CLBBB", "CD")


def test_a_stock_ptbxl_is_read_patient_by_patient(stock: Path) -> None:
    samples = load_labelled(stock, range(10))
    assert len(samples) == 9
    assert {sample.patient for sample in samples} >= {"19953", "9887"}
    assert next(one for one in samples if one.ecg_id == 286).superclasses == ("CD",)
    for layout in ("ptbxl", "recordings"):
        items = load_items(layout, str(stock), folds=list(range(10)))
        assert [(item.id, item.patient) for item in items] == [(one.record_id, one.patient) for one in samples]


def test_the_command_takes_a_folder_of_the_challenges(challenge: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    assert main(["evaluate", "classification", "--records", str(challenge), "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["n"] == 3
    assert figures["macro_auc"]["signal"] is not None


def test_what_has_no_labels_says_so(tmp_path: Path) -> None:
    with pytest.raises(gem.GemError, match="neither PTB-XL"):
        usable(tmp_path)
    (tmp_path / "record_list.csv").write_text("subject_id,study_id,path\n")
    with pytest.raises(gem.GemError, match="MIMIC-IV-ECG has machine reports"):
        usable(tmp_path)


def test_every_code_of_the_shared_recordings_is_known_or_means_something_else(shared: Path) -> None:
    samples = load_challenge(shared / "data" / "challenge")
    assert len(samples) > 200
    assert sum(bool(sample.scp_codes) for sample in samples) > 0.9 * len(samples)
