"""The delineator's command on three marked records, then with recordings without marks, and its export."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import wfdb

from gem.training.delineator import Delineator, export, labelled_by_teachers, main, read_marks
from grounding import read_record, sample_path, synthesize
from grounding.delineation.features import FS_HZ, net_input
from grounding.delineation.learned import WEIGHTS, probabilities

MARKS = Path(__file__).resolve().parents[2] / "data" / "ludb_13"


def write_marked(folder: Path) -> None:
    """Three records as in LUDB: the bundled one with its cardiologists' marks, and two synthetic ones."""
    for end in (".hea", ".dat"):
        text = sample_path("ludb_13").with_suffix(end).read_bytes()
        (folder / f"13{end}").write_bytes(text.replace(b"ludb_13", b"13") if end == ".hea" else text)
    for file in MARKS.glob("13.*"):
        shutil.copy(file, folder)
    for name in ("1", "3"):
        record, truth = synthesize(60 + 10 * int(name), qrs_ms=100, duration_s=10, noise_snr_db=25, seed=int(name))
        leads = [lead.lower() for lead in record.leads]
        wfdb.wrsamp(name, 500, ["mV"] * 12, leads, record.signal.T, fmt=["16"] * 12, write_dir=str(folder))
        rows = [
            (round(at), symbol)
            for row in truth.waves.sort_values("onset").itertuples()
            for at, symbol in (
                (row.onset, "("),
                (row.peak, {"P": "p", "QRS": "N", "T": "t"}[row.wave]),
                (row.offset, ")"),
            )
        ]
        samples, symbols = zip(*rows, strict=True)
        wfdb.wrann(name, "marks", np.array(samples), list(symbols), fs=500, write_dir=str(folder))
        for lead in leads:
            shutil.copy(folder / f"{name}.marks", folder / f"{name}.{lead}")


def test_marks_are_read_as_cardiologists_set_them(tmp_path: Path) -> None:
    write_marked(tmp_path)
    target, known = read_marks(tmp_path / "13", 5000, 500.0)
    assert target.shape == known.shape == (12, 10 * FS_HZ)
    assert [int((np.diff((row == 2).astype(int)) == 1).sum()) for row in target] == [7] * 12  # seven QRS in each lead
    assert not target[~known].any()
    first = np.flatnonzero(target[1] == 2)[0] / FS_HZ
    waves = wfdb.rdann(str(tmp_path / "13"), "ii")
    assert first == pytest.approx(waves.sample[waves.symbol.index("N") - 1] / 500, abs=0.004)


def test_unmarked_recordings_teach_with_the_teachers_word(tmp_path: Path) -> None:
    marked, plain = tmp_path / "marked", tmp_path / "plain"
    marked.mkdir()
    plain.mkdir()
    write_marked(marked)
    for name in ("ptbxl_13", "ptbxl_139"):
        for end in (".hea", ".dat"):
            shutil.copy(sample_path(name).with_suffix(end), plain)
    rows = labelled_by_teachers([plain], [WEIGHTS])
    assert len(rows) == 2
    signal, target, counts = rows[0]
    assert signal.shape == (12, 2500)
    assert target.shape == (12, 4, 2500)
    assert np.allclose(target.sum(axis=1, dtype=np.float32), 1, atol=2e-3)
    assert counts.all()
    out = tmp_path / "out"
    main(
        [
            str(marked),
            "--out",
            str(out),
            "--epochs",
            "1",
            "--fold",
            "0",
            "--teachers",
            str(WEIGHTS),
            "--unmarked",
            str(plain),
        ]
    )
    card = json.loads((out / "delineator.json").read_text())
    assert card["unmarked_records"] == 2
    assert card["teachers"] == 1
    assert card["held_out"] == ["1"]  # 1 // 2 % 5; 3 and 13 are trained on
    assert card["records"] == 2
    assert (out / "delineator.onnx").stat().st_size > 300_000
    with pytest.raises(SystemExit):
        main([str(marked), "--out", str(out), "--unmarked", str(plain)])


def test_whole_numbers_say_what_float32_says(tmp_path: Path) -> None:
    signal = read_record(sample_path()).standard().resample(FS_HZ).signal[:, :2496]
    torch.manual_seed(0)
    net = Delineator()
    for _ in range(3):  # statistics of the norms
        net(torch.from_numpy(net_input(signal)))
    net.eval()
    export(net, tmp_path / "plain.onnx")
    export(net, tmp_path / "whole.onnx", [net_input(signal)])
    plain, whole = (probabilities(signal, tmp_path / f"{name}.onnx") for name in ("plain", "whole"))
    with torch.no_grad():
        own = net(torch.from_numpy(net_input(signal))).softmax(1).numpy()
    assert np.abs(plain - own).max() < 1e-4
    assert np.abs(whole - own).mean() < 0.03
    assert 0 < np.abs(whole - own).max() < 0.3
    # half the leads and another length go through the same file
    assert probabilities(signal[:5, :1000], tmp_path / "whole.onnx").shape == (5, 4, 1000)
