"""What workers do: read, measure, ask a model, draw. Their arguments and results travel between processes."""

from __future__ import annotations

import glob
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grounding
from grounding import EcgError, ECGRecord, Measurement

from ..answer import Answer
from ..batch import measured_row
from ..explanation import Explanation

# columns of the table of a folder: those of gem measure, and what the report beside a recording says
ROW = (
    *("heart_rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "qtc_fridericia_ms", "axis_deg", "duration_s", "age", "sex"),
    *("findings", "issues", "unusable_leads", "error"),
)
REPORT_ENDS = (".txt", ".report.txt")
MAX_REPORT_BYTES = 64 << 10


@dataclass(frozen=True)
class Read:
    """A recording that was read, or why it can't be.

    Attributes:
        name: as its file is called.
        record: its samples.
        measurement: of it.
        report: what its device or the text beside it says; empty where there is none.
        error: why it can't be used.
    """

    name: str
    record: ECGRecord | None = None
    measurement: Measurement | None = None
    report: str = ""
    error: str = ""


def warm_up() -> Measurement:
    """Import and load what measuring needs, before somebody waits for it; gives a bundled recording's measurement."""
    return grounding.measure(grounding.read_record(grounding.sample_path()))


def read_folder(folder: Path, options: Mapping[str, Any]) -> list[Read]:
    """Read and measure the recordings among the files of a drop.

    Args:
        folder: the files, and nothing else.
        options: of ``grounding.read_record``.
    """
    found = recordings([folder])
    if not found:  # files whose names tell no format; the readers look at their first bytes, or say what is missing
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() not in REPORT_ENDS)
    return [read_one(path, folder, options) for path in found]


def recordings(paths: Sequence[Path]) -> list[Path]:
    """The recordings in folders, without the texts that are a recording's report.

    Args:
        paths: of the folders.
    """
    found = grounding.readers.find_recordings(paths)
    named = {path.with_suffix(end) for path in found if path.suffix.lower() != ".txt" for end in REPORT_ENDS}
    return [path for path in found if path not in named]


def read_one(path: Path, root: Path, options: Mapping[str, Any]) -> Read:
    """Read and measure one recording.

    Args:
        path: of its file.
        root: the folder that it must be in.
        options: of ``grounding.read_record``.
    """
    name = path.relative_to(root).as_posix()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check_inside(path, root)
            record = grounding.read_record(path, **options)
            measurement = grounding.measure(record)
    except (EcgError, OSError) as error:
        return Read(name, error=" ".join(str(error).replace(f"{root}/", "").split()))
    kept = {**record.meta, "path": name}
    return Read(name, replace(record, meta=kept), measurement, report_of(path, root, record))


def check_inside(path: Path, root: Path) -> None:
    """Check that a recording and the files that its header names are in a folder, also where links lead.

    Args:
        path: of its file.
        root: the folder.

    Raises:
        EcgError: one is elsewhere.
    """
    real, files = root.resolve(), [path]
    if path.suffix.lower() == ".hea":
        words = [line.split()[0] for line in path.read_text("latin-1").splitlines() if line.split()]
        files += [place for word in words for place in (path.parent / word, path.parent / Path(word).name)]
        files += path.parent.glob(f"{glob.escape(path.stem)}.*")
    for file in files:
        if not file.resolve().is_relative_to(real):
            raise EcgError("it leads out of the folder", where=path.name, remedy="put the files themselves there")


def report_of(path: Path, root: Path, record: ECGRecord) -> str:
    """What was said about a recording: a text of its name beside it, or its device's statements.

    Args:
        path: of its file.
        root: the folder that the text must be in.
        record: as it was read.
    """
    for end in REPORT_ENDS:
        beside = path.with_suffix(end)
        if beside.is_file() and beside.resolve().is_relative_to(root.resolve()):
            with beside.open("rb") as file:
                return file.read(MAX_REPORT_BYTES).decode("utf-8-sig", "replace")
    device = record.meta.get("device")
    return "\n".join(device.get("statements", ())) if isinstance(device, Mapping) else ""


def table_row(path: Path, root: Path) -> dict[str, Any]:
    """A row of the table of a folder, by the engine of ``gem measure``.

    Args:
        path: of a recording.
        root: the folder.
    """
    read = read_one(path, root, {})
    if read.measurement is None:
        return {"error": read.error}
    row = measured_row(read.measurement)
    told = {name: row[name] for name in ROW if row.get(name) not in (None, "")}
    if read.report:
        claims = grounding.check(read.report, read.measurement)
        told["report"] = read.report[:300]
        told["conflicts"] = sum(claim.verdict == "contradicted" for claim in claims)
        told["claims"] = len(claims)
    return told


def write(record: ECGRecord, model: str) -> Explanation:
    """What a model says about a recording; it is loaded once.

    Args:
        record: the recording.
        model: a name or folder.
    """
    from ..explaining import explain

    return explain(record, model=model)


def answer(record: ECGRecord, measurement: Measurement, turns: Sequence[Answer], question: str, model: str) -> Answer:
    """The next answer of a conversation.

    Args:
        record: the recording.
        measurement: of it.
        turns: the answers before.
        question: a person's.
        model: a name or folder.
    """
    from ..dialogue import Chat
    from ..retrieval import Library
    from ..tools import Tools

    talk = Chat(record.record_id, record, measurement, Tools(measurement, (), Library(None)), model, list(turns))
    return talk.ask(question)


def drawn(explanation: Explanation, ending: str) -> bytes:
    """A file of an explanation, as ``Explanation.save`` writes it.

    Args:
        explanation: what to write.
        ending: a key of ``gem.views.formats.FORMATS``.
    """
    from ..views.formats import content

    return content(explanation, ending)
