"""LoRA by PEFT, by transformers' Trainer and by ``gem train``, as the page has it: the same losses."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gem.cli import main
from tests.test_docs import DOCS, Block, as_downloaded, blocks_of, releases

pytest.importorskip("peft")
pytest.importorskip("lightning.pytorch.cli")


def section() -> list[Block]:
    page = DOCS / "use_with_your_model.md"
    lines = page.read_text().splitlines()
    first = lines.index("## LoRA, three ways")
    last = next(at for at in range(first + 1, len(lines)) if lines[at].startswith("## "))
    return [block for block in blocks_of(page) if first < block.line < last]


def test_three_ways_have_the_same_losses(
    ptbxl_like: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("accelerate")
    transformers = pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_data", raising=False)
    as_downloaded(ptbxl_like, tmp_path / "PTBXL")
    releases(tmp_path)
    blocks = section()
    for block in blocks:
        if block.file:
            (tmp_path / block.file).write_text(block.text)
    by_peft, by_trainer = (block for block in blocks if block.language == "python" and not block.file)
    assert all(len(block.text.splitlines()) < 12 for block in (by_peft, by_trainer))
    capsys.readouterr()
    exec(compile(by_peft.text, "peft", "exec"), {})
    first = [float(line) for line in capsys.readouterr().out.split()]
    logged: list[float] = []

    def log(self: Any, logs: dict[str, Any], *_: Any) -> None:
        if "loss" in logs:
            logged.append(float(logs["loss"]))

    monkeypatch.setattr(transformers.Trainer, "log", log)
    exec(compile(by_trainer.text, "trainer", "exec"), {})
    assert main(["train", "lora.yaml"]) == 0
    with next(tmp_path.glob("runs/lightning_logs/*/metrics.csv")).open() as file:
        by_command = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(first) == 3
    assert first[2] < first[1] < first[0]  # it learns
    assert logged == pytest.approx(first, abs=1e-4)
    assert by_command == pytest.approx(first, abs=1e-4)
    assert json.loads((tmp_path / "runs" / "lora" / "config.json").read_text())["model_type"] == "gem"
