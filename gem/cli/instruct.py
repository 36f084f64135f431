"""``gem instruct``: instruction data from recordings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from gem.instruct import endpoint  # noqa: F401  (registers its teacher)
from gem.instruct.lessons import FORMS
from gem.instruct.output import schema
from gem.instruct.pipeline import instruct
from gem.instruct.sources import find_sources
from gem.instruct.tasks import tasks
from gem.instruct.teachers import teachers

from ..errors import GemInputError
from ..instruct import local_models as local  # noqa: F401  (registers the local models)
from ..terminal import print_lines

_ABOUT = """Makes instruction data: measures each recording, asks a teacher, checks every sentence of the answer
against the measurement, and keeps, mends or rejects it with the reason. The same command resumes a run that was
stopped or killed. See docs/instructions.md."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gem instruct``."""
    parser.description = _ABOUT
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "tasks:\n" + "\n".join(
        f"  {name:<15} {tasks[name].text} ({', '.join(tasks[name].forms)})" for name in tasks
    )
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCES", help="recordings, or folders of them")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--reports",
        type=Path,
        metavar="CSV",
        help="table of reports (default: a labels.csv or ptbxl_database.csv beside the sources)",
    )
    parser.add_argument(
        "--tasks", nargs="+", choices=list(tasks), metavar="TASK", help="task types, see below (default: all)"
    )
    parser.add_argument(
        "--forms",
        nargs="+",
        choices=FORMS,
        default=list(FORMS),
        metavar="FORM",
        help=f"{', '.join(FORMS)} (default: all)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of questions, wordings and pictures (default: 0)")
    parser.add_argument(
        "--pictures", action="store_true", help="draw each recording on ECG paper, with how it was drawn"
    )
    parser.add_argument(
        "--distort",
        action="store_true",
        help="with --pictures: pages of many looks, distorted as photographs, scans, screens and faxes are",
    )
    parser.add_argument("--measurements", action="store_true", help="add GEM's fourteen features per lead and beat")
    parser.add_argument("--shard-size", type=int, default=100, metavar="N", help="recordings per shard (default: 100)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="worker processes (default: 1)")
    parser.add_argument("--retry", action="store_true", help="ask again where a teacher failed to answer")
    group = parser.add_argument_group("what files do not tell, or tell wrongly")
    group.add_argument("--fs", type=float, help="sampling rate, Hz")
    group.add_argument("--leads", help="channels to take, or names for all of them, e.g. I,II,V1")
    group.add_argument("--units", help="what the samples are in: mV, uV, V, zscore, adu")
    group.add_argument("--format", help="name of a reader")
    group = parser.add_argument_group("teacher")
    group.add_argument(
        "--teacher",
        choices=teachers.list(),
        default="composer",
        help="who writes the answers (default: composer, offline)",
    )
    group.add_argument("--url", help="openai: address up to /v1")
    group.add_argument("--model", help="openai: the model's name; transformers: its name or folder")
    group.add_argument(
        "--key-variable", metavar="NAME", help="openai: environment variable with the key (default: OPENAI_API_KEY)"
    )
    group.add_argument(
        "--timeout", type=float, dest="timeout_s", metavar="S", help="openai: seconds for a request (default: 60)"
    )
    group.add_argument("--retries", type=int, help="openai: repetitions of a request (default: 3)")
    group.add_argument("--concurrency", type=int, help="openai: requests at a time in each worker (default: 4)")
    group.add_argument("--max-tokens", type=int, help="longest answer, tokens (default: 512)")


def run(args: argparse.Namespace) -> int:
    """Make the data and print the counts.

    Args:
        args: of the command line.

    Returns:
        0, or 1 if a recording could not be read or a teacher failed.
    """
    if args.jobs == 0:
        raise GemInputError("0 worker processes", where="--jobs", remedy="1 or more; -1 takes every core")
    schema()  # raises now if pyarrow is missing, instead of at the first shard
    names = ("url", "model", "key_variable", "timeout_s", "retries", "concurrency", "max_tokens")
    teacher = teachers[args.teacher](**{name: getattr(args, name) for name in names if getattr(args, name) is not None})
    reading = {name: getattr(args, name) for name in ("fs", "leads", "units", "format")}
    reading = {name: value for name, value in reading.items() if value is not None}
    summary = instruct(
        find_sources(args.sources, args.reports, out=args.out, **reading),
        args.out,
        teacher,
        task_names=args.tasks,
        forms=args.forms,
        seed=args.seed,
        shard_size=args.shard_size,
        jobs=args.jobs,
        pictures=args.pictures,
        measurements=args.measurements,
        distort=args.distort,
        retry=args.retry,
        progress=sys.stderr.isatty(),
    )
    warned = f", {summary['with warnings']} of them with warnings" if summary["with warnings"] else ""
    print_lines(f"{summary['items']} items from {summary['records']} recordings{warned} in {args.out}")
    for name in ("status", "task", "form", "report"):
        print_lines(f"  {name:<7} {_counts(summary[name])}")
    status = summary["status"]
    return 1 if status.get("failed") or status.get("unreadable") else 0


def _counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())
