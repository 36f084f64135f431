"""Intact files for ``fuzz.py``: one recording written in every format, and the recordings in a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.io

from grounding import EcgError, ECGRecord, read_record, sample_path
from grounding.readers import readers

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "grounding" / "readers"))
from writers import WRITERS, write_healforce
from writers_xml import write_cardiosoft, write_philips_xli

MAX_SEED_BYTES = 4 << 20


@dataclass(frozen=True)
class Seed:
    """A recording that can be read.

    Attributes:
        reader: the format.
        main: name of the file to read.
        files: name -> content, of this file and those that it needs.
        options: of ``read_record``.
    """

    reader: str
    main: str
    files: dict[str, bytes]
    options: dict[str, Any] = field(default_factory=dict)


def own_seeds(folder: Path) -> list[Seed]:
    """Every format, some in several forms, from the bundled recording; they are written in ``folder``."""
    record = read_record(sample_path()).crop(0, 1)
    made = []
    for name, (suffix, write) in WRITERS.items():
        path = folder / f"{name}{suffix}"
        write(record, path)
        made.append(Seed(name, path.name, {path.name: path.read_bytes()}))
    for name, write in (
        ("healforce", write_healforce),
        ("philips", write_philips_xli),
        ("cardiosoft", write_cardiosoft),
    ):
        path = folder / f"{name}_other{'.scp' if name == 'healforce' else '.xml'}"
        if name == "cardiosoft":
            write(record, path, full_disclosure=True)
        else:
            write(record, path)
        made.append(Seed(name, path.name, {path.name: path.read_bytes()}))
    return [*made, *_tables(record, folder), *_wfdb(record, folder)]


def _tables(record: ECGRecord, folder: Path) -> Iterator[Seed]:
    frame = pd.DataFrame(record.signal.T.round(4).astype(float), columns=list(record.leads))
    timed = frame.assign(time=np.arange(len(frame)) / record.fs, HR=70, label="N")
    clock = frame[["I", "II"]].round(3)
    clock.insert(0, "Elapsed time", [f"0:{k / record.fs:06.3f}" for k in range(len(clock))])
    one = "".join(f"{1000 * value:.1f}\n".replace(".", ",") for value in record.lead("I"))
    atm = "'Elapsed time','I','II'\n'hh:mm:ss.mmm','mV','mV'\n" + clock.to_csv(index=False, header=False)
    texts = {
        "plain": frame.to_csv(index=False),
        "timed": timed.to_csv(index=False),
        "semicolon": timed.to_csv(sep=";", decimal=","),
        "atm": atm,
        "hash": "# made by x\n#" + frame.to_csv(index=False),
        "watch": f'Name,X\nGeburtsdatum,"1, 1"\nMessrate,512 Hertz\nAbleitung,Ableitung I\nEinheit,µV\n\n{one}',
        "long": frame[:500].reset_index().melt("index", var_name="lead", value_name="uV").to_csv(index=False),
        "gap": "# units: mV\n"
        + frame[:200].to_csv(index=False)
        + "\n\n"
        + frame[200:].to_csv(index=False, header=False),
        "title": "Rhythm signal: 500 X 12\n" + frame.to_csv(index=False, header=False, sep=" "),
    }
    for name, text in texts.items():
        encoding = "utf-16" if name == "watch" else "utf-8"
        options = {"leads": list(record.leads)} if name == "title" else {}
        yield Seed("csv", f"{name}.csv", {f"{name}.csv": text.encode(encoding)}, {"fs": 500, **options})
    files = {
        "npy": folder / "a.npy",
        "npz": folder / "a.npz",
        "npz packed": folder / "b.npz",
        "mat": folder / "a.mat",
        "mat old": folder / "b.mat",
        "parquet": folder / "a.parquet",
    }
    np.save(files["npy"], record.signal)
    np.savez(files["npz"], signal=record.signal, fs=500, leads=list(record.leads), units="mV")
    steps = np.round(record.signal * 1000).astype(np.int16)
    scipy.io.savemat(files["mat"], {"val": steps}, do_compression=True)
    scipy.io.savemat(files["mat old"], {"val": steps}, format="4")
    np.savez_compressed(files["npz packed"], **{lead: record.lead(lead) for lead in ("I", "II")}, fs=500)
    timed.to_parquet(files["parquet"], compression="zstd")
    for name, path in files.items():
        options = {"fs": 500, "leads": list(record.leads)} if name[:3] in ("npy", "mat") else {}
        yield Seed(name.split()[0], path.name, {path.name: path.read_bytes()}, options)


def _wfdb(record: ECGRecord, folder: Path) -> Iterator[Seed]:
    import wfdb

    signal = record.select(["I", "II", "V1"]).signal.T.astype(float)
    shared: dict[str, Any] = {
        "fs": 500,
        "units": ["mV"] * 3,
        "sig_name": ["I", "II", "V1"],
        "adc_gain": [1000.0] * 3,
        "baseline": [0] * 3,
        "write_dir": str(folder),
    }
    for fmt in ("16", "212", "80", "32", "24"):
        scale = {"80": 0.1, "212": 0.5}.get(fmt, 1.0)
        wfdb.wrsamp(
            f"w{fmt}",
            p_signal=signal * scale,
            fmt=[fmt] * 3,
            comments=["Age: 64", "Sex: F", "Dx: 1,2"],
            **(shared | {"adc_gain": [50.0 if fmt == "80" else 1000.0] * 3}),
        )
        yield _seed("wfdb", folder / f"w{fmt}.hea", [folder / f"w{fmt}.dat"])
    for name, part in (("s1", signal[:200]), ("s2", signal[200:])):
        wfdb.wrsamp(name, p_signal=part, fmt=["16"] * 3, **shared)
    header = folder / "seg.hea"
    header.write_text("seg/3 3 500 600\ns1 200\n~ 100\ns2 300\n")
    yield _seed("wfdb", header, [folder / name for name in ("s1.hea", "s1.dat", "s2.hea", "s2.dat")])


def _seed(reader: str, main: Path, others: list[Path], options: dict[str, Any] | None = None) -> Seed:
    return Seed(reader, main.name, {path.name: path.read_bytes() for path in (main, *others)}, options or {})


def seeds_in(folder: Path) -> Iterator[Seed]:
    """The recordings in a folder; files over 4 MB, and files that can't be read, are skipped."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in (".dat", ".mat"):
            continue
        beside = sorted(_beside(path, set()) - {path}) if path.suffix == ".hea" else []
        if sum(file.stat().st_size for file in (path, *beside)) > MAX_SEED_BYTES:
            continue
        try:
            record = read_record(path)
        except EcgError:
            continue
        yield _seed(record.meta["format"], path, beside)


def _beside(header: Path, found: set[Path]) -> set[Path]:
    """The files that a WFDB header names, and those that the headers among them name."""
    for line in header.read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
        name = line.split()[0] if line.split() else "#"
        for file in (header.parent / name, header.parent / f"{name}.hea"):
            if not name.startswith(("#", "~")) and file.is_file() and file not in found:
                found.add(file)
                found |= _beside(file, found) if file.suffix == ".hea" else set()
    return found


def by_reader(seeds: list[Seed], folder: Path) -> tuple[dict[str, list[Seed]], list[str]]:
    """The seeds of every reader, in the registry's order, and the errors of those that can't be read."""
    found: dict[str, list[Seed]] = {}
    unread = []
    for seed in seeds:
        try:
            read_record(write(seed, folder), format=seed.reader, **seed.options)
        except EcgError as error:
            unread.append(str(error))
        else:
            found.setdefault(seed.reader, []).append(seed)
    return {name: found[name] for name in readers if name in found}, unread


def write(seed: Seed, folder: Path) -> Path:
    """Write a recording's files, and return the one to read."""
    for name, content in seed.files.items():
        (folder / name).write_bytes(content)
    return folder / seed.main
