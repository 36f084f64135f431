"""The delineator's command on three marked records, then with recordings without marks, and its export."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from gem.training.delineator import Delineator, export, main, taught
from grounding import read_record, sample_path
from grounding.measurement.delineators import WEIGHTS, probabilities
from grounding.measurement.features import FS_HZ, net_input


def test_unmarked_recordings_teach_with_the_teachers_word(shared: Path, tmp_path: Path) -> None:
    marked, plain = tmp_path / "marked", tmp_path / "plain"
    marked.mkdir()
    plain.mkdir()
    for name in ("1", "3", "5"):
        for file in (shared / "data" / "ludb").glob(f"{name}.*"):
            shutil.copy(file, marked)
    for name in ("ptbxl_13", "ptbxl_139"):
        for end in (".hea", ".dat"):
            shutil.copy(sample_path(name).with_suffix(end), plain)
    rows = taught([plain], [WEIGHTS])
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
    assert card["held_out"] == ["1"]  # 1 // 2 % 5; 3 and 5 are trained on
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
