"""Killed and started again, spread over processes or a Dask cluster: always the same bytes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image

import grounding
from gem.cli.entry import main
from gem.instruct.output import all_rows
from gem.instruct.pipeline import instruct
from gem.instruct.sources import find_sources
from grounding import EcgError


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve recordings of two patients under as many names."""
    folder = tmp_path_factory.mktemp("records")
    for number in range(12):
        source = Path(grounding.sample_path(("ptbxl_102", "ptbxl_13")[number % 2]))
        name = source.name.removesuffix(".hea")
        head = source.with_name(f"{name}.hea").read_text()
        for kind in (".dat", ".mat"):
            if (data := source.with_name(name + kind)).is_file():
                shutil.copy(data, folder / f"r{number}{kind}")
        (folder / f"r{number}.hea").write_text(
            head.replace(head.split()[0], f"r{number}", 1).replace(f"{name}.dat", f"r{number}.dat")
        )
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_killed_three_times_it_writes_what_an_unbroken_run_writes(records: Path, tmp_path: Path) -> None:
    words = ["instruct", str(records), "--tasks", "report", "feature", "--shard-size", "2"]
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0
    command = [sys.executable, "-m", "gem", *words, "--out", str(tmp_path / "broken")]
    pick = random.Random(0)
    shards = tmp_path / "broken" / "shards"
    for kill in range(3):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        limit = time.monotonic() + 60
        # one shard further each time, then at any moment of the next one
        while len(list(shards.glob("*.parquet"))) <= kill and child.poll() is None and time.monotonic() < limit:
            time.sleep(0.01)
        time.sleep(pick.uniform(0, 0.05))
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    names = [row["record_id"] for row in all_rows(tmp_path / "broken")]
    assert len(names) == 24
    assert all(names.count(name) == 2 for name in names)
    assert content(tmp_path / "broken") == content(tmp_path / "whole")


def _children(pid: int) -> list[int]:
    """Processes whose parent is ``pid``."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="the processes are read from Linux's /proc")
@pytest.mark.parametrize(
    ("end", "when"), [(signal.SIGKILL, "start"), (signal.SIGKILL, "work"), (signal.SIGTERM, "work")]
)
def test_workers_end_with_their_parent(end: signal.Signals, when: str, records: Path, tmp_path: Path) -> None:
    words = ["--tasks", "report", "--shard-size", "2", "--jobs", "2", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "gem", "instruct", str(records), *words]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    children: list[int] = []
    limit = time.monotonic() + 90
    while time.monotonic() < limit and parent.poll() is None:
        children = _children(parent.pid)
        if len(children) >= 3 and (when == "start" or any((tmp_path / "out").glob("shards/*.parquet"))):
            break
        time.sleep(0.01)
    assert len(children) >= 2
    parent.send_signal(end)
    parent.wait()
    limit = time.monotonic() + 5
    while any(map(_alive, children)) and time.monotonic() < limit:
        time.sleep(0.05)
    left = [pid for pid in children if _alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_worker_processes_and_a_dask_cluster_write_the_same(records: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    sources = find_sources([records])[:4]
    options = {"task_names": ["report"], "shard_size": 2}
    instruct(sources, tmp_path / "one", **options)
    instruct(sources, tmp_path / "two", jobs=2, **options)
    assert content(tmp_path / "two") == content(tmp_path / "one")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        instruct(sources, tmp_path / "dask", jobs=-1, **options)
    assert content(tmp_path / "dask") == content(tmp_path / "one")


def test_pictures_come_with_how_they_were_drawn(records: Path, tmp_path: Path) -> None:
    sources = find_sources([records])[:2]
    instruct(sources, tmp_path, task_names=["report"], pictures=True)
    for row in all_rows(tmp_path):
        with Image.open(tmp_path / row["image"]) as picture:
            assert min(picture.size) > 200
        assert row["status"] == "kept"
    assert list(tmp_path.rglob("*.json"))


def test_distorted_pictures_keep_the_truth_of_each_pixel(records: Path, tmp_path: Path) -> None:
    sources = find_sources([records])[:2]
    for name in ("one", "two"):
        instruct(sources, tmp_path / name, task_names=["report"], pictures=True, distort=True, seed=3)
    files = sorted((tmp_path / "one" / "pictures").glob("*.jpg"))
    assert len(files) == 2
    for path in files:
        assert path.read_bytes() == (tmp_path / "two" / "pictures" / path.name).read_bytes()
        about = json.loads(path.with_suffix(".json").read_text())
        assert about["distortions"]
        with Image.open(path) as picture:
            assert picture.size == (about["picture_width_px"], about["picture_height_px"])
        step = about["map"]["step_px"]
        x, y = (np.array(about["map"][f"page_{side}_hundredths"]) / 100 for side in "xy")
        assert (x.shape[1] - 1) * step >= about["picture_width_px"] > (x.shape[1] - 2) * step
        middle = tuple(side // 2 for side in x.shape)
        assert 0 < x[middle] < about["width_px"]
        assert 0 < y[middle] < about["height_px"]
    with pytest.raises(EcgError, match="none are drawn"):
        instruct(sources, tmp_path / "three", task_names=["report"], distort=True)


def test_a_local_model_that_babbles_puts_nothing_into_the_data(records: Path, tmp_path: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    import gem
    from gem.instruct.local_models import TransformersTeacher

    tokenizer = gem.load("gem-nano").processor.tokenizer
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    teacher = TransformersTeacher(str(tmp_path / "model"), max_tokens=12)
    instruct(find_sources([records])[:2], tmp_path / "out", teacher, task_names=["report"])
    rows = list(all_rows(tmp_path / "out"))
    assert [row["status"] for row in rows] == ["rejected"] * 2, [row["written"] for row in rows]
    assert all(row["written"][0] and row["reason"] for row in rows)
