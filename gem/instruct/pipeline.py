"""From recordings to instruction data: facts, teacher, check, then keep, mend or reject.

Recordings are processed in parallel and written in shards, so that a killed run can be resumed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grounding._version import __version__
from grounding.criteria import find
from grounding.errors import EcgError
from grounding.evidence import Evidence
from grounding.measurement import Measurement, measure
from grounding.measurement.columns import LEAD_FEATURE_COLUMNS
from grounding.processes import results_in_order, uncollected

from .judging import Judgement, distinct, judge
from .lessons import FORMS, Lesson, LessonCase
from .output import PLACEHOLDER, all_rows, read_shard, write_atomic, write_gem_json, write_shard
from .pictures import draw_picture
from .reports import ReportReview, review
from .sources import Source
from .tasks import lesson, tasks
from .teachers import Composer, Teacher, TeacherConfigError, TeacherError

MAX_ANSWER_CHARACTERS = 20_000
_KILLED_WORKER = "run again, which goes on from here; with fewer --jobs if memory ran out"
_UNREADABLE_RUN = "name another folder, or delete this file if the shards are those of the same options"


@dataclass(frozen=True)
class InstructionPlan:
    """The options of a run; see ``instruct``."""

    out: Path
    teacher: Teacher
    tasks: tuple[str, ...]
    forms: tuple[str, ...]
    seed: int
    pictures: bool
    measurements: bool
    distort: bool = False


def instruct(
    sources: Sequence[Source],
    out: str | Path,
    teacher: Teacher | None = None,
    *,
    task_names: Sequence[str] | None = None,
    forms: Sequence[str] = FORMS,
    seed: int = 0,
    shard_size: int = 100,
    jobs: int = 1,
    pictures: bool = False,
    measurements: bool = False,
    distort: bool = False,
    retry: bool = False,
    progress: bool = False,
) -> dict[str, Any]:
    """Make instruction data; called again after it was killed, it resumes.

    Args:
        sources: the recordings, see ``find_sources``.
        out: folder to write: ``shards/*.parquet``, ``instructions.json`` (GEM's layout), ``summary.json``,
            ``pictures/`` on request.
        teacher: writes the answers; the offline composer when ``None``.
        task_names: names in ``tasks``; all when ``None``.
        forms: the allowed forms, of ``closed open fill mcq multi``.
        seed: of questions, wordings and pictures.
        shard_size: recordings per shard; a killed run loses at most this many.
        jobs: worker processes; inside ``joblib.parallel_config("dask")`` the work goes to the cluster.
        pictures: draw each recording on paper.
        measurements: add GEM's fourteen features per lead and beat to each item.
        distort: pictures have the looks of many devices, and are distorted as photographs, scans and faxes are.
        retry: repeat lessons that the teacher failed to answer in an earlier run.
        progress: show a progress bar.

    Returns:
        Counts: ``records``, ``status``, ``tasks``, ``forms``, ``report`` and ``items`` (number of items to train on).

    Raises:
        EcgError: an option can't be used, or ``out`` holds data of other options or sources.
        TeacherConfigError: the teacher can't work with its settings.
    """
    folder = Path(out)
    names = tuple(task_names or tasks)
    for name in names:
        tasks[name]
    unknown = [form for form in forms if form not in FORMS]
    if unknown or not sources or shard_size < 1:
        what = (
            f"no form is called {', '.join(unknown)}"
            if unknown
            else "there is no recording"
            if not sources
            else f"a shard of {shard_size} recordings"
        )
        raise EcgError(what, remedy=f"forms: {', '.join(FORMS)}; a shard holds at least one of at least one recording")
    if distort and not pictures:
        raise EcgError("pictures are to be distorted, and none are drawn", remedy="ask for pictures, too")
    plan = InstructionPlan(folder, teacher or Composer(), names, tuple(forms), seed, pictures, measurements, distort)
    with _exclusive_lock(folder):
        _check_same_run(plan, sources, shard_size)
        shards = {
            number: list(sources[number * shard_size : (number + 1) * shard_size])
            for number in range(math.ceil(len(sources) / shard_size))
        }
        _check_shards(folder, shards)
        _process(plan, shards, jobs, retry, progress)
        _check_shards(folder, shards, finished=True)
        items = write_gem_json(folder / "instructions.json", all_rows(folder))
        summary = summarise(folder) | {"items": items}
        write_atomic(folder / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False).encode())
    return summary


def _process(
    plan: InstructionPlan, shards: Mapping[int, Sequence[Source]], jobs: int, retry: bool, progress: bool
) -> None:
    kept: dict[int, list[dict[str, Any]]] = {}
    todo: dict[int, Sequence[Source]] = {}
    for number, members in shards.items():
        path = _shard(plan.out, number)
        if not path.is_file():
            todo[number] = members
        elif retry and any(row["status"] == "failed" for row in read_shard(path, ["status"])):
            kept[number] = read_shard(path)
            failed = {row["record_id"] for row in kept[number] if row["status"] == "failed"}
            todo[number] = [source for source in members if source.id in failed]
    queue = [source for members in todo.values() for source in members]
    results: Iterator[list[dict[str, Any]]] = results_in_order(rows_of, ((source, plan) for source in queue), jobs)
    total = sum(map(len, shards.values()))
    with _progress_bar(total, total - len(queue), progress) as advance:
        for number, members in todo.items():
            fresh = {}
            for source in members:
                try:
                    fresh[source.id] = next(results)
                except BrokenProcessPool:
                    raise EcgError("a worker process was killed", where=source.id, remedy=_KILLED_WORKER) from None
                advance()
            old: dict[str, list[dict[str, Any]]] = {}
            for row in kept.get(number, ()):
                old.setdefault(row["record_id"], []).append(row)
            rows = [row for source in shards[number] for row in fresh.get(source.id, old.get(source.id, []))]
            _check_folder_exists(plan.out)
            write_shard(_shard(plan.out, number), rows)


def rows_of(source: Source, plan: InstructionPlan) -> list[dict[str, Any]]:
    """All rows of one recording: one per task, or a single one with the reason why there are none.

    Args:
        source: the recording.
        plan: options of the run.

    Raises:
        TeacherConfigError: the teacher can't work with its settings.
    """
    try:
        with uncollected():
            return _rows_of(source, plan)
    except TeacherConfigError:  # every other recording would fail likewise
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}. This looks like a fault of ours: please report it"
        return [_row(source, plan, "", status="failed", reason=reason.encode("utf-8", "replace").decode("utf-8"))]


def _rows_of(source: Source, plan: InstructionPlan) -> list[dict[str, Any]]:
    said: list[str] = []
    try:
        record = source.read()
        said += record.meta.get("warnings", ())
        measurement = measure(record)
        shown = measurement if plan.distort else None
        image = draw_picture(record, plan.out, plan.seed, shown) if plan.pictures else ""
    except EcgError as error:
        return [_row(source, plan, "", status="unreadable", reason=error.what, warnings=said)]
    case = LessonCase(measurement, find(measurement))
    report = _report_fields(review(source.report, measurement))
    table = json.dumps(machine_measurements(measurement), allow_nan=False) if plan.measurements else ""
    evidence = _EvidenceJson()
    lessons = {task: lesson(case, task, plan.seed, plan.forms) for task in plan.tasks}
    possible = [one for one in lessons.values() if one is not None]
    if plan.teacher.concurrency > 1 and len(possible) > 1:
        with ThreadPoolExecutor(plan.teacher.concurrency) as pool:
            replies = list(pool.map(lambda one: _answers(plan.teacher, one), possible))
    else:
        replies = [_answers(plan.teacher, one) for one in possible]
    answered = dict(zip((one.task for one in possible), replies, strict=True))
    facts = [{"tag": f.tag, "text": f.text, "kind": f.kind, "label": f.label} for f in case.base.values()]
    rows = []
    for task, one in lessons.items():
        common = {"image": image, "warnings": said, "machine_measurements": table, **report}
        if one is None:
            rows.append(
                _row(
                    source,
                    plan,
                    task,
                    status="rejected",
                    reason="this recording and these forms leave nothing to ask",
                    **common,
                )
            )
            continue
        common |= {"form": one.form, "facts": facts}
        written = answered[task]
        if isinstance(written, str):
            rows.append(_row(source, plan, task, status="failed", reason=written, **common))
        else:
            judged = _judged(one, written, judge(one, written, measurement), evidence)
            rows.append(_row(source, plan, task, **common, **judged))
    measurement.derived.clear()  # its assessment refers to it: only a collection would free both
    return rows


def _answers(teacher: Teacher, one: Lesson) -> list[str] | str:
    """The answers, or the reason why there are none."""
    try:
        written = teacher.answer(one)
    except TeacherConfigError:
        raise
    except TeacherError as error:
        return error.what
    if len(written) != len(one.turns) or not all(isinstance(text, str) for text in written):
        return f"the teacher gave {len(written)} answers to {len(one.turns)} questions"
    if any(len(text) > MAX_ANSWER_CHARACTERS for text in written):
        return f"the answer is longer than {MAX_ANSWER_CHARACTERS} characters"
    # lone surrogates can't be written to a file
    return [text.encode("utf-8", "replace").decode("utf-8") for text in written]


class _EvidenceJson:
    """Evidence of one recording as JSON; most of it is part of several lessons, the same object each time."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Evidence, str]] = {}  # with the evidence, so that its id stays its own

    def text(self, evidence: Iterable[Evidence]) -> str:
        """``json.dumps`` of the dictionaries of some evidence."""
        return f"[{', '.join(map(self._one, evidence))}]"

    def _one(self, proof: Evidence) -> str:
        known = self._known.get(id(proof))
        if known is None:
            known = self._known[id(proof)] = (proof, json.dumps(proof.to_dict()))
        return known[1]


def _judged(
    one: Lesson, written: Sequence[str], verdicts: Sequence[Judgement], as_json: _EvidenceJson
) -> dict[str, Any]:
    """The fields of a judged lesson; a dialogue is kept without its rejected turns if two or more are left."""
    good = [number for number, verdict in enumerate(verdicts) if verdict.status != "rejected"]
    reasons = [
        f"turn {number + 1}: {reason}" if len(verdicts) > 1 else reason
        for number, verdict in enumerate(verdicts)
        for reason in verdict.reasons
    ]
    enough = len(good) >= min(2, len(verdicts))
    mended = len(good) < len(verdicts) or any(verdict.status == "mended" for verdict in verdicts)
    out: dict[str, Any] = {
        "written": list(written),
        "reason": "; ".join(reasons),
        "status": "rejected" if not enough else "mended" if mended else "kept",
    }
    if not enough:
        return out
    turns, claims = [], []
    evidence: list[Evidence] = []
    for place, number in enumerate(good):
        verdict = verdicts[number]
        turns.append({"from": "human", "value": ("" if place else PLACEHOLDER) + one.turns[number].question})
        turns.append({"from": "gpt", "value": verdict.text})
        claims += [
            {
                "turn": 2 * place + 1,
                "start": c.start,
                "end": c.end,
                "kind": c.kind,
                "verdict": c.verdict,
                "text": c.text,
                "reason": c.reason,
            }
            for c in verdict.claims
        ]
        evidence += verdict.evidence
    return out | {
        "conversations": turns,
        "claims": claims,
        "evidence": as_json.text(distinct(evidence)),
    }


def _row(source: Source, plan: InstructionPlan, task: str, **fields: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "id": f"{source.id}-{task}" if task else source.id,
        "record_id": source.id,
        "ecg": source.ecg or source.id,
        "image": "",
        "task": task,
        "form": "",
        "status": "",
        "reason": "",
        "warnings": [],
        "teacher": plan.teacher.name,
        "conversations": [],
        "written": [],
        "facts": [],
        "claims": [],
        "evidence": "[]",
        "machine_measurements": "",
    }
    return {**empty, **_report_fields(ReportReview(source.report)), **fields}


def _report_fields(reviewed: ReportReview) -> dict[str, Any]:
    fields = asdict(reviewed)
    return fields | {"report_language": fields.pop("language"), "report_checkable": fields.pop("checkable")}


def machine_measurements(measurement: Measurement) -> dict[str, dict[str, str]]:
    """GEM's fourteen features per lead, each as comma-separated values in the order of the beats.

    Args:
        measurement: of the recording.

    Returns:
        Lead -> feature -> values, ``nan`` where one is missing.
    """
    rows: dict[str, list[int]] = {}
    for row, lead in enumerate(measurement.column("lead_features", "lead")):
        rows.setdefault(lead, []).append(row)
    features = [name for name in LEAD_FEATURE_COLUMNS if name not in ("lead", "beat")]
    columns = {name: [_cell(value, name) for value in measurement.column("lead_features", name)] for name in features}
    return {
        lead: {name: ", ".join(columns[name][row] for row in own) for name in features} for lead, own in rows.items()
    }


def _cell(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if value is None or not math.isfinite(float(value)):
        return "nan"
    return f"{float(value):.3f}" if name.endswith("_mv") else f"{float(value):.0f}"


def summarise(folder: str | Path) -> dict[str, Any]:
    """Counts over the shards of a folder.

    Args:
        folder: of a run.
    """
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("status", "task", "form")}
    reports: Counter[str] = Counter()
    seen: set[str] = set()
    warned = 0
    for row in all_rows(
        Path(folder),
        [
            "record_id",
            "warnings",
            "status",
            "task",
            "form",
            "report_checkable",
            "agreement",
            "conflict",
            "not_measurable",
        ],
    ):
        for name, counter in counts.items():
            counter[row[name] or "none"] += 1
        if row["record_id"] not in seen:
            seen.add(row["record_id"])
            warned += bool(row["warnings"])
            reports[row["report_checkable"]] += 1
            reports.update(
                {f"{name} statements": len(row[name] or ()) for name in ("agreement", "conflict", "not_measurable")}
            )
    shown = {name: dict(sorted(counter.items())) for name, counter in counts.items()}
    return {"records": len(seen), "with warnings": warned, **shown, "report": dict(sorted(reports.items()))}


def _shard(folder: Path, number: int) -> Path:
    return folder / "shards" / f"{number:05d}.parquet"


def _check_same_run(plan: InstructionPlan, sources: Sequence[Source], shard_size: int) -> None:
    """Refuse to mix two runs in one folder; delete incomplete files of a killed run."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(
            f"{source.id}\0{source.ecg}\0{source.report}\0{source.age}\0{source.sex}\0{source.options}\1".encode()
        )
    # through JSON, which turns tuples into lists, so that it can be compared with the file
    now = json.loads(
        json.dumps(
            {
                "version": __version__,
                **plan.teacher.describe(),
                "tasks": plan.tasks,
                "forms": plan.forms,
                "seed": plan.seed,
                "shard_size": shard_size,
                "pictures": plan.pictures,
                "measurements": plan.measurements,
                **({"distort": True} if plan.distort else {}),  # runs without it can still be continued
                "records": len(sources),
                "sources": digest.hexdigest(),
            }
        )
    )
    path = plan.out / "run.json"
    for left in (*plan.out.glob(".*.tmp"), *plan.out.glob("*/.*.tmp")):
        left.unlink()
    if not path.is_file():
        write_atomic(path, json.dumps(now, indent=1).encode())
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EcgError(f"can't be read as JSON ({error})", where=str(path), remedy=_UNREADABLE_RUN) from None
    if not isinstance(before, dict):
        raise EcgError("it holds no options of a run", where=str(path), remedy=_UNREADABLE_RUN)
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if changed:
        raise EcgError(
            f"this folder holds a run with other {', '.join(sorted(changed))}",
            where=str(plan.out),
            remedy="repeat that run's options, or name another folder",
        )


def _check_shards(folder: Path, shards: Mapping[int, Sequence[Source]], finished: bool = False) -> None:
    """Refuse shards with other names or recordings than this run's and, when it has finished, missing ones."""
    paths = {_shard(folder, number): members for number, members in shards.items()}
    for path in sorted((folder / "shards").glob("*.parquet")):
        if path not in paths:
            raise EcgError("not a shard of this run", where=str(path), remedy="move it out of the folder and run again")
    for path, members in paths.items():
        if path.is_file():
            held = dict.fromkeys(row["record_id"] for row in read_shard(path, ["record_id"]))
            if list(held) != [source.id for source in members]:
                raise EcgError("a shard of other recordings", where=str(path), remedy="delete it and run again")
        elif finished:
            _check_folder_exists(folder)
            raise EcgError("the shard is missing", where=str(path), remedy="run again, which writes it again")


def _check_folder_exists(folder: Path) -> None:
    if not (folder / "run.json").is_file():
        raise EcgError(
            "the folder was removed or emptied while it was written to",
            where=str(folder),
            remedy="run again, and leave it alone meanwhile",
        )


@contextlib.contextmanager
def _exclusive_lock(folder: Path) -> Iterator[None]:
    """One run at a time in a folder; the lock ends with the process, even if it is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            import fcntl
        except ImportError:  # Windows has no fcntl
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EcgError(
                "another run is writing here", where=str(folder), remedy="wait for it, or name another folder"
            ) from None
        yield


@contextlib.contextmanager
def _progress_bar(total: int, done: int, shown: bool) -> Iterator[Any]:
    """A progress bar in the calling process, which advances with each result of the workers."""
    from tqdm import tqdm

    with tqdm(total=total, initial=done, unit="rec", disable=not shown, dynamic_ncols=True) as bar:
        yield bar.update
