"""gem.explain where it is used by more than one thread or process, and commands that are stopped."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import gem
import grounding
from gem.checkpoints import WEIGHTS
from gem.cli import entry as cli
from gem.forking import ForkLock, model_building_lock

SAMPLES = sorted(path.with_suffix("") for path in grounding.sample_path().parent.glob("*.hea"))
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
WAIT_S = 120


def run(script: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=600,
        check=False,
    )


def test_first_use_by_several_threads() -> None:
    """In a process of its own: nothing was loaded before."""
    script = f"""
from concurrent.futures import ThreadPoolExecutor
import gem
paths = {[str(path) for path in SAMPLES[:4]]!r}
with ThreadPoolExecutor(4) as pool:
    first = [said.text for said in pool.map(gem.explain, paths)]
assert first == [gem.explain(path).text for path in paths]
"""
    done = run(script)
    assert done.returncode == 0, done.stderr[-2000:]


def test_threads_load_folders_at_once() -> None:
    names = [WEIGHTS / "gem-nano"] * 3
    found: list[Any] = []
    threads = [threading.Thread(target=lambda name=name: found.append(gem.load(name))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    first = found[0].state_dict()
    assert all(torch.equal(value, other.state_dict()[key]) for other in found for key, value in first.items())


@needs_fork
def test_a_forked_child_answers() -> None:
    """The parent has used torch's threads, which the child has not got. In a process of its own, with two threads."""
    script = f"""
import multiprocessing, torch, gem
torch.set_num_threads(2)
said = gem.explain({str(SAMPLES[0])!r}).text
torch.randn(1500, 1500) @ torch.randn(1500, 1500)
context = multiprocessing.get_context("fork")
answers = context.Queue()
def child():
    product = torch.ones(1500, 1500) @ torch.ones(1500, 1500)
    answers.put((gem.explain({str(SAMPLES[0])!r}).text, float(product.double().sum())))
children = [context.Process(target=child) for _ in range(2)]
for one in children: one.start()
for _ in children: assert answers.get(timeout={WAIT_S}) == (said, 1500.0**3)
for one in children: one.join()
assert torch.get_num_threads() == 2, "the parent keeps its own"
"""
    done = run(script, OMP_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr[-2000:]


class Explained(Dataset[str]):
    """Explains in the worker of a DataLoader."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> str:
        return gem.explain(SAMPLES[index]).text


@needs_fork
def test_workers_of_a_data_loader_explain() -> None:
    here = [gem.explain(path).text for path in SAMPLES[:2]]
    loader = DataLoader(Explained(), batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=WAIT_S)
    assert list(loader) == here


@needs_fork
def test_a_lock_that_another_thread_holds_is_free_in_the_child() -> None:
    lock, held, done = ForkLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(WAIT_S)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(WAIT_S)

    def take() -> None:
        with lock, model_building_lock:
            pass

    child = multiprocessing.get_context("fork").Process(target=take)
    child.start()
    child.join(WAIT_S)
    done.set()
    thread.join()
    assert child.exitcode == 0


def copies(folder: Path, count: int) -> list[str]:
    """Recordings with names of their own."""
    folder.mkdir()
    names = []
    for number in range(count):
        source = SAMPLES[number % len(SAMPLES)]
        name = f"rec{number:03d}"
        header = source.with_suffix(".hea").read_text().replace(source.name, name)
        (folder / f"{name}.hea").write_text(header)
        shutil.copyfile(source.with_suffix(".dat"), folder / f"{name}.dat")
        names.append(str(folder / name))
    return names


def _hears() -> None:
    """A shell makes what it starts in the background deaf to Ctrl-C, and these tests may run there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stopped(words: list[str], cwd: Path, seen: str) -> tuple[int, str, str, float]:
    """A command that gets Ctrl-C when a file of this pattern exists: status, output, errors, seconds until it ended."""
    with (cwd / "out").open("w") as out, (cwd / "err").open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "gem", *words],
            cwd=cwd,
            stdout=out,
            stderr=err,
            start_new_session=True,
            preexec_fn=_hears,
        )
        try:
            limit = time.monotonic() + 300
            while not list(cwd.glob(seen)) and process.poll() is None and time.monotonic() < limit:
                time.sleep(0.05)
            assert process.poll() is None, (cwd / "err").read_text()
            began = time.monotonic()
            os.kill(process.pid, signal.SIGINT)
            status = process.wait(60)
            took = time.monotonic() - began
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return status, (cwd / "out").read_text(), (cwd / "err").read_text(), took


SOON_S = 5  # a second where nothing else runs


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal here")
def test_a_stopped_batch_keeps_its_pages(tmp_path: Path) -> None:
    names = copies(tmp_path / "src", 60)
    status, out, err, took = stopped(["explain", *names, "--html", "pages"], tmp_path, "pages/rec001.html")
    assert (status, took < SOON_S) == (130, True), (status, took)
    assert err.splitlines()[-1] == "gem: error: stopped; what was written is kept"
    assert "Traceback" not in err
    assert "rec000" in out
    pages = sorted((tmp_path / "pages").glob("*.html"))
    assert 1 <= len(pages) < 60
    assert pages[0].read_text().rstrip().endswith("</html>")


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal here")
def test_a_stopped_batch_prints_the_json_it_has(tmp_path: Path) -> None:
    names = copies(tmp_path / "src", 60)
    status, out, _, took = stopped(["explain", *names, "--json", "--html", "pages"], tmp_path, "pages/rec001.html")
    assert (status, took < SOON_S) == (130, True), (status, took)
    assert [one["record_id"] for one in json.loads(out)][:1] == ["rec000"]


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal here")
@pytest.mark.parametrize("jobs", [1, 2])
def test_stopped_instructions_keep_their_shards(jobs: int, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    copies(tmp_path / "src", 60)
    words = ["instruct", "src", "--out", "data", "--shard-size", "2", "--jobs", str(jobs)]
    status, _, err, took = stopped(words, tmp_path, "data/shards/00000.parquet")
    assert (status, took < SOON_S) == (130, True), (status, took, err[-500:])
    assert err.splitlines()[-1] == "gem: error: stopped; what was written is kept"
    assert 1 <= len(list((tmp_path / "data" / "shards").glob("*.parquet"))) < 30


def test_a_stopped_training_is_stopped_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lightning answers Ctrl-C with status 1; the command's is 130."""
    cli_module = pytest.importorskip("lightning.pytorch.cli")

    def interrupted(**_: Any) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    monkeypatch.setattr(cli_module, "LightningCLI", interrupted)
    assert cli.main(["train", "probe"]) == 130
    monkeypatch.setattr(cli_module, "LightningCLI", lambda **_: sys.exit(1))
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "probe"])
    assert ended.value.code == 1
