"""``gem evaluate``: benchmarks by name, printed and written as JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from grounding import EcgError

from ..data.labelled import usable
from ..errors import GemInputError
from ..evaluation import benchmarks
from ..terminal import print_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gem evaluate``."""
    parser.add_argument("benchmark", choices=[*benchmarks.list(), "reasoning"], help="what to measure")
    parser.add_argument("questions", nargs="?", type=Path, help="reasoning: folder with DIAGNOSIS/NNN.json")
    parser.add_argument("--out", type=Path, help="reasoning: folder for the answered questions")
    parser.add_argument(
        "--records", type=Path, required=True, help="PTB-XL or a folder of the challenges, as downloaded"
    )
    parser.add_argument(
        "--folds",
        type=int,
        action="append",
        help="PTB-XL fold, may be repeated (default: 8, on which gem-nano was trained)",
    )
    parser.add_argument("--model", default="gem-nano", help="name or folder of a model (default: gem-nano)")
    parser.add_argument("--limit", type=int, help="only the first N records")
    parser.add_argument("--json", type=Path, help="write the figures there")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print.

    Args:
        args: of the command line.

    Returns:
        0.
    """
    if args.benchmark == "reasoning":
        return _reasoning(args)
    from ..checkpoints import load

    folds = sorted(set(args.folds or [8]))
    samples, skipped = usable(args.records, folds, args.limit)
    model = load(args.model)
    benchmark = benchmarks[args.benchmark]
    try:
        figures = benchmark.run(model, samples)
    except EcgError:
        raise
    except Exception as error:
        home = benchmark.run.__module__
        if home.startswith("gem."):
            raise
        raise GemInputError(
            f"it raised {type(error).__name__}: {error}",
            where=f"benchmark {benchmark.name} ({home})",
            remedy="--debug shows where",
        ) from error
    result = {"model": str(args.model), "folds": folds, **figures, "skipped": skipped}
    print_lines(*benchmark.table(result).splitlines())
    if skipped:
        number, reason = next(iter(skipped.items()))
        print_lines(f"left out: {len(skipped)} records, {number} first: {reason}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1, default=_plain) + "\n", encoding="utf-8")
    return 0


def _plain(value: Any) -> Any:
    """Arrays and their numbers, which a user's own benchmark may give, as JSON holds them."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _reasoning(args: argparse.Namespace) -> int:
    from ..evaluation.reasoning import evaluate_reasoning, reasoning_table

    if args.questions is None or args.out is None:
        raise GemInputError(
            "reasoning needs QUESTIONS and --out",
            remedy="gem evaluate reasoning QUESTIONS --records ROOT --out ANSWERS",
        )
    figures = evaluate_reasoning(args.questions, args.records, args.out)
    for line in reasoning_table(figures).splitlines():
        print_lines(line)
    print_lines(f"answered {figures['standard']['completion'][1]} samples: {args.out}")
    return 0
