"""A killed run resumes where it was; two processes equal one; packed rows have the loss of padded ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import gem
from gem.data.conversations import EcgData
from gem.data.examples import load_items, split
from gem.training.packing import text_loss

from . import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


def test_eight_records_are_overfitted_and_saved(data: Path, tmp_path: Path) -> None:
    module, losses = tiny.run(data, tmp_path, 120, batch=8, every=60)
    assert losses[0] > 3.0
    assert losses[-1] < 0.1
    loaded = gem.load(tmp_path / "model")
    trained = module.model.state_dict()
    assert all(torch.equal(value, trained[name]) for name, value in loaded.state_dict().items())


def test_a_killed_run_loses_no_finished_step(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.gem.training.tiny", "endless", str(data), str(tmp_path)]
    root = Path(__file__).resolve().parents[3]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == "start 3":
            break
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=False)["global_step"] >= 3
    resumed, tail = tiny.run(data, tmp_path, 7, resume=str(last), lora=True)
    straight, whole = tiny.run(data, tmp_path / "straight", 7, lora=True)
    assert tail == whole[-len(tail) :]
    expected = straight.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.model.state_dict().items())


def test_two_processes_do_what_one_does(data: Path, tmp_path: Path) -> None:
    """DDP and FSDP2 (gloo, float32) have the losses and weights of one process; FSDP2 with LoRA resumes."""
    _, one = tiny.run(data, tmp_path / "one", 4, batch=4)
    root, out = Path(__file__).resolve().parents[3], tmp_path / "two"
    out.mkdir()
    command = [sys.executable, "-m", "tests.gem.training.tiny", "processes", str(data), str(out)]
    subprocess.run(command, check=True, cwd=root, timeout=600, env={**os.environ, "PYTHONPATH": str(root)})
    curves = json.loads((out / "losses.json").read_text())
    expected = gem.load(tmp_path / "one" / "model").state_dict()
    for name in ("ddp", "fsdp2"):
        assert curves[name] == pytest.approx(one, abs=1e-5), name
        for key, value in gem.load(out / name / "model").state_dict().items():
            assert torch.allclose(value, expected[key], atol=1e-4), (name, key)
    assert curves["resumed"] == pytest.approx(curves["lora"][2:], abs=1e-6)
    straight, resumed = (gem.load(out / name / "model").state_dict() for name in ("lora", "resumed"))
    assert all(torch.allclose(straight[key], resumed[key], atol=1e-6) for key in straight)
    assert not all(
        torch.equal(straight[key], value) for key, value in gem.load(out / "fsdp2" / "model").state_dict().items()
    )


def test_packed_rows_have_the_loss_of_padded_ones(data: Path, tmp_path: Path) -> None:
    module, _ = tiny.run(data, tmp_path, 1)
    source = EcgData(str(data), val_share=0.0)
    source.trainer = module.trainer
    source.setup()
    assert source.train is not None
    batch = source.train[list(range(8))]
    module.model.eval()
    with torch.no_grad():
        padded, packed = text_loss(module.model, batch), text_loss(module.model, batch, 200)
    assert float(packed) == pytest.approx(float(padded), abs=1e-5)


def test_a_patient_is_on_one_side(data: Path) -> None:
    items = load_items("instructions", str(data)) * 2
    train, val = split(items, 0.5)
    assert train
    assert val
    assert not {item.patient for item in train} & {item.patient for item in val}
