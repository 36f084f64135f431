"""Shared fixtures: the folder of real recordings beside the checkout, and small folders of the bundled samples."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

SHARED = Path(__file__).resolve().parents[2] / "shared"

# What PTB-XL's tables say of the nine bundled records (CC BY 4.0, see grounding/samples/README.md):
# patient, age, sex (0 male), superclasses, subclasses, form, rhythm, SCP codes, report
PTBXL = {
    13: (19953, 58, 1, "NORM", "NORM", "", "SR", {"NORM": 100.0, "SR": 0.0}, "sinusrhythmus normales ekg"),
    102: (
        9887,
        64,
        0,
        "CD STTC",
        "ISCA AVB",
        "",
        "SR",
        {"ISCAL": 50.0, "1AVB": 100.0, "SR": 0.0},
        "sinusrytm a-v block i st-t sänkning",
    ),
    139: (
        11121,
        58,
        0,
        "MI",
        "IMI",
        "",
        "SR",
        {"IMI": 100.0, "SR": 0.0},
        "sinusrytm inferior infarkt ålder ej bestämmbar",
    ),
    182: (
        12000,
        72,
        0,
        "CD MI",
        "AVB AMI LAFB/LPFB",
        "",
        "SR",
        {"ASMI": 35.0, "LAFB": 100.0, "1AVB": 100.0, "SR": 0.0},
        "sinusrytm extrem vänster el-axel",
    ),
    286: (6410, 81, 1, "CD", "CLBBB", "", "SR", {"CLBBB": 100.0, "SR": 0.0}, "sinus rhythm. left bundle branch block"),
    298: (
        340,
        85,
        1,
        "HYP MI STTC",
        "ISC AMI LVH",
        "VCLVH INVT STD",
        "SR",
        {"LVH": 100.0, "ISC_": 100.0, "SR": 0.0},
        "sinus rhythm. lv strain or ischaemia",
    ),
    330: (
        4807,
        61,
        0,
        "NORM",
        "NORM",
        "",
        "AFIB",
        {"NORM": 50.0, "AFIB": 0.0},
        "atrial fibrillation. otherwise no definite pathology.",
    ),
    413: (
        1631,
        85,
        0,
        "CD STTC",
        "IVCD ISC AVB",
        "PVC LPR LOWT",
        "SR",
        {"ISC_": 100.0, "IVCD": 100.0, "1AVB": 100.0, "PVC": 0.0, "SR": 0.0},
        "sinus rhythm. premature ventricular contraction(s).",
    ),
    424: (
        5026,
        78,
        0,
        "CD",
        "CRBBB LAFB/LPFB",
        "",
        "SR",
        {"CRBBB": 100.0, "LAFB": 100.0, "SR": 0.0},
        "sinus rhythm. right bundle branch block.",
    ),
}
LABELS = ("patient_id", "age", "sex", "super_class", "sub_class", "form", "rhythm", "scp_codes", "report")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings that lies beside the checkout; the test is skipped where it does not."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the recordings that lie beside the project are not here")
    return SHARED


def write_ptbxl_like(root: Path, copies: int = 1, nine_folds: bool = False) -> Path:
    """Write the folder of ``ptbxl_like``.

    Args:
        root: to be written into.
        copies: of each filtered recording, whose ids go on in steps of 10000.
        nine_folds: each record in a fold of its own, 1-9.
    """
    from scipy.signal import butter, sosfiltfilt

    import grounding

    records = root / "ptbxl" / "records500" / "00000"
    records.mkdir(parents=True)
    (root / "ptbxl_filtered").mkdir()
    band = butter(3, (0.5, 40), "bandpass", fs=500, output="sos")
    rows, signals = [], []
    for place, (number, told) in enumerate(PTBXL.items()):
        sample, name = grounding.sample_path(f"ptbxl_{number}"), f"{number:05d}_hr"
        header = sample.with_suffix(".hea").read_text().replace(sample.stem, name)
        (records / f"{name}.hea").write_text(header)
        (records / f"{name}.dat").write_bytes(sample.with_suffix(".dat").read_bytes())
        passed = sosfiltfilt(band, grounding.read_record(sample).signal, axis=1)[:, ::4]
        scores = (passed - passed.mean(axis=1, keepdims=True)) / passed.std(axis=1, keepdims=True)
        signals.append((1000 * scores).clip(-32768, 32767).astype(np.int16))
        fold = place + 1 if nine_folds else 8 if number in (13, 424) else place
        row = {**dict(zip(LABELS, told, strict=True)), "strat_fold": fold, "heart_axis": ""}
        rows += [{"ecg_id": number + 10000 * copy, **row} for copy in range(copies + 1)]
    with (root / "ptbxl" / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    ids = np.array([number + 10000 * copy for copy in range(1, copies + 1) for number in PTBXL])
    np.savez(root / "ptbxl_filtered" / "signals_125hz.npz", ecg_id=ids, signal=np.stack(signals * copies))
    return root


@pytest.fixture(scope="session")
def ptbxl_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out like PTB-XL's that holds the nine bundled records: 14 examples of folds 1-7 and 4 of fold 8.

    Each record is there twice, as it is (``ecg_id`` as published) and filtered (``ecg_id`` + 10000: 0.5-40 Hz,
    z-scores, 125 Hz).
    """
    return write_ptbxl_like(tmp_path_factory.mktemp("ptbxl_like"))


@pytest.fixture(scope="session")
def nine_folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ptbxl_like`` with each of its nine records in a fold of its own, 1-9."""
    return write_ptbxl_like(tmp_path_factory.mktemp("nine_folds"), nine_folds=True)


class Served:
    """A real ``gem app`` in a process of its own.

    Args:
        words: of its command line.
        home: a folder for its temporary files.
    """

    def __init__(self, words: list[str], home: Path) -> None:
        root = Path(__file__).resolve().parents[1]
        self.home = home
        env = {**os.environ, "TMPDIR": str(home), "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gem", "app", "--no-browser", "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=(home / "stderr.txt").open("w"),
            text=True,
            env=env,
            cwd=root,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "gem app is at" in line, (line, (home / "stderr.txt").read_text())
        self.address = line.split()[-1]
        self.place, _, self.key = self.address.partition("?key=")
        self.port = int(self.place.rstrip("/").rpartition(":")[2])
        self.headers = {"Authorization": f"Bearer {self.key}"}

    def left(self) -> list[str]:
        """Files on disk, but for the identity that onnxruntime keeps in the folder of temporary files."""
        files = [path.name for path in self.home.rglob("*") if path.is_file()]
        return [name for name in files if name not in ("stderr.txt", ".ses")]

    def end(self, number: int = signal.SIGTERM) -> str:
        """Stop it; what it wrote on the standard error and output."""
        self.process.send_signal(number)
        out = self.process.communicate(timeout=20)[0]
        return out + (self.home / "stderr.txt").read_text()


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Starts a ``gem app`` with the words of a command line."""
    pytest.importorskip("uvicorn", reason='pip install "gem-ecg[app]"')
    started: list[Served] = []

    def start(*words: str) -> Served:
        started.append(Served(list(words), tmp_path_factory.mktemp("app")))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(10)


@pytest.fixture(scope="session")
def app(serve: Callable[..., Served]) -> Served:
    """One server that tests share."""
    return serve()
