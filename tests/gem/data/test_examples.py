"""Every layout on disk becomes the same list of examples; what is missing or odd is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

import gem
import grounding
from gem.data.examples import LAYOUTS, load_items
from tests.gem.training import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


def test_wfdb_folder_with_reports(data: Path, tmp_path: Path) -> None:
    for file in data.parent.glob("r[01].*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "reports.csv").write_text("record,report,patient_id\nr0,Sinus rhythm.,p7\n")
    first, second = load_items("wfdb", str(tmp_path), prompt="Report.")
    assert (first.id, first.patient, first.turns) == ("r0", "p7", (("Report.", "Sinus rhythm."),))
    assert (second.patient, second.turns) == ("r1", ())
    assert first.record is not None
    assert first.record().signal.shape == (12, 500)


def test_mimic_layout(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files" / "p1000" / "p10000032" / "s40689238"
    folder.mkdir(parents=True)
    for ending in ("hea", "dat"):
        text = (data.parent / f"r0.{ending}").read_bytes()
        (folder / f"40689238.{ending}").write_bytes(text.replace(b"r0", b"40689238") if ending == "hea" else text)
    path = "files/p1000/p10000032/s40689238/40689238"
    (tmp_path / "record_list.csv").write_text(
        f"subject_id,study_id,file_name,ecg_time,path\n10000032,40689238,40689238,2180,{path}\n10000033,4,4,2180,{path}\n"
    )
    reports = ",".join(f"report_{i}" for i in range(18))
    (tmp_path / "machine_measurements.csv").write_text(
        f"subject_id,study_id,{reports}\n10000032,40689238,Sinus rhythm,Normal ECG.{',' * 16}\n"
    )
    first, second = load_items("mimic", str(tmp_path), prompt="Report.")
    assert (first.patient, first.turns) == ("10000032", (("Report.", "Sinus rhythm. Normal ECG"),))
    assert second.turns == ()
    assert first.record is not None
    assert first.record().n_leads == 12
    (tmp_path / "machine_measurements.csv").unlink()
    with pytest.raises(gem.GemInputError, match="machine_measurements"):
        load_items("mimic", str(tmp_path))


def test_challenge_layout(data: Path, tmp_path: Path) -> None:
    (tmp_path / "r0.hea").write_text((data.parent / "r0.hea").read_text() + "#Age: 74\n#Dx: 59118001,426783006\n")
    (tmp_path / "r0.dat").write_bytes((data.parent / "r0.dat").read_bytes())
    (item,) = load_items("challenge", str(tmp_path))
    assert item.labels == {"59118001", "426783006"}
    assert item.turns[0][1] == "59118001, 426783006"


def write_challenge(folder: Path, name: str, sample: str, codes: str) -> None:
    """A bundled record as in the PhysioNet challenges: samples in a ``.mat`` file, diagnoses in the header."""
    path = grounding.sample_path(sample)
    units = np.fromfile(path.with_suffix(".dat"), "<i2").reshape(-1, 12).T
    savemat(folder / f"{name}.mat", {"val": units}, format="4")
    first, *lines = path.with_suffix(".hea").read_text().splitlines()
    signals = [line.replace(f"{sample}.dat 16", f"{name}.mat 16+24") for line in lines if not line.startswith("#")]
    dx = f"#Age: 63\n#Sex: Female\n#Dx: {codes}\n"
    (folder / f"{name}.hea").write_text("\n".join([first.replace(sample, name), *signals]) + "\n" + dx)


def test_challenge_layout_with_matlab_files(tmp_path: Path) -> None:
    write_challenge(tmp_path, "A0001", "ptbxl_13", "426783006")
    write_challenge(tmp_path, "JS00002", "ptbxl_330", "164889003,55827005")
    normal, fibrillation = load_items("challenge", str(tmp_path))
    assert (normal.id, normal.labels) == ("A0001", {"426783006"})
    assert (fibrillation.id, fibrillation.labels) == ("JS00002", {"164889003", "55827005"})
    assert normal.record is not None
    record = normal.record()
    np.testing.assert_array_equal(record.signal, grounding.read_record(grounding.sample_path("ptbxl_13")).signal)
    assert record.meta["sex"] == "female"


def test_challenge_layout_of_real_records(shared: Path) -> None:
    folder = shared / "data" / "challenge"
    items = load_items("challenge", str(folder))
    assert len(items) == len(list(folder.glob("*.hea"))) > 200
    assert all(item.labels for item in items)


def test_ptbxl_layout_and_everything(data: Path, tmp_path: Path) -> None:
    root = tiny.write_ptbxl(tmp_path)
    items = load_items("ptbxl", str(root), folds=(1, 2, 3, 4, 8))
    assert [(item.id, item.fold) for item in items] == [("1", 1), ("2", 2), ("3", 3), ("4", 8), ("8", 8)]
    assert items[0].patient == items[1].patient == "100"
    assert items[0].turns[0][1] == "sinusrhythmus 0"
    assert items[0].labels == {"MI", "SR"}
    (root / "other").mkdir()
    for file in data.parent.glob("r0.*"):
        (root / "other" / file.name).write_bytes(file.read_bytes())
    everything = load_items("recordings", str(root))
    assert len(everything) == 9
    assert (everything[-1].id, everything[-1].fold, everything[-1].turns) == ("other/r0", None, ())
    assert all(item.record is not None and item.record().n_leads == 12 for item in everything)


def test_every_recording_below_a_folder_is_found(ptbxl_like: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(ptbxl_like, root)
    (root / "ludb").mkdir()
    for end in (".hea", ".dat"):
        shutil.copy(grounding.sample_path("ludb_13").with_suffix(end), root / "ludb")
    (root / "challenge" / "deep").mkdir(parents=True)
    write_challenge(root / "challenge", "A0001", "ptbxl_13", "426783006")
    write_challenge(root / "challenge" / "deep", "JS00002", "ptbxl_330", "164889003")
    items = load_items("recordings", str(root))
    folders = [item.id.rsplit("/", 1)[0] if "/" in item.id else "ptbxl" for item in items]
    assert {name: folders.count(name) for name in folders} == {
        "ptbxl": 18,
        "ludb": 1,
        "challenge": 1,
        "challenge/deep": 1,
    }
    assert all(item.record is not None and item.record().n_leads == 12 for item in items)


def test_every_recording_of_the_data_folder_is_found(shared: Path) -> None:
    data = shared / "data"
    items = load_items("recordings", str(data))
    folders = [item.id.split("/")[0] if "/" in item.id else "ptbxl" for item in items]
    assert folders.count("ptbxl") == 353 + 1420
    for name in ("ludb", "challenge", "cinc2011"):
        assert folders.count(name) == len(list((data / name).glob("*.hea"))) >= 100


def test_jsonl_and_parquet_are_read_as_json_is(data: Path, tmp_path: Path) -> None:
    rows = json.loads(data.read_text())
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "b.parquet")
    expected = [(item.id, item.patient, item.turns, item.labels) for item in load_items("instructions", str(data))]
    for name in ("a.jsonl", "b.parquet"):
        items = load_items("instructions", str(tmp_path / name), ecg_root=str(data.parent))
        assert [(item.id, item.patient, item.turns, item.labels) for item in items] == expected
        assert items[0].record is not None
        assert items[0].record().n_leads == 12
    assert len(load_items("instructions", str(tmp_path))) == 16


def test_bad_instructions_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    for row, words in (
        ({"id": "x", "conversations": []}, "question, answer"),
        (
            {"id": "x", "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
            "neither ecg nor image",
        ),
        (
            {"id": "x", "ecg": "r", "conversations": [{"from": "gpt", "value": "b"}, {"from": "human", "value": "a"}]},
            "x",
        ),
    ):
        path.write_text(json.dumps([row]))
        with pytest.raises(gem.GemInputError, match=words):
            load_items("instructions", str(path))
    path.write_text("{not json")
    with pytest.raises(gem.GemInputError, match="can't be read"):
        load_items("instructions", str(path))
    with pytest.raises(gem.GemInputError, match="unknown layout"):
        load_items("muse", str(tmp_path))
    (tmp_path / "empty").mkdir()
    for layout in LAYOUTS:
        with pytest.raises(gem.GemInputError):
            load_items(layout, str(tmp_path / "empty"))
