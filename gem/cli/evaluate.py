"""``gem evaluate``: benchmarks by name, printed and written as JSON; runs of them, shown and compared."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from grounding import EcgError

from ..data.labelled import DEFAULT_FOLDS, usable
from ..errors import GemInputError
from ..evaluation import benchmarks, item_benchmarks
from ..evaluation.inputs import MODALITIES
from ..terminal import print_lines

ACTIONS = ("list", "show", "compare", "leaderboard")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gem evaluate``."""
    names = [*benchmarks.list(), *item_benchmarks.list(), *ACTIONS]
    parser.add_argument(
        "benchmark", choices=names, metavar="NAME", help="a benchmark; list, show, compare, leaderboard"
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        help="show, compare, leaderboard: folders of runs; reasoning: folder with DIAGNOSIS/NNN.json, to be answered "
        "by rules into --out",
    )
    parser.add_argument("--out", type=Path, help="folder of the run, which continues after a kill; page to write")
    parser.add_argument("--records", type=Path, help="PTB-XL or a folder of the challenges, as downloaded")
    parser.add_argument("--data", type=Path, help="the benchmark's own files, as its authors publish them")
    parser.add_argument(
        "--folds",
        type=int,
        action="append",
        help="PTB-XL fold, may be repeated (default: 8, on which gem-nano was trained)",
    )
    parser.add_argument(
        "--model",
        help="name or folder of a model (default: gem-nano); also rules, majority, random, openai:URL#MODEL where the "
        "benchmark has items",
    )
    parser.add_argument("--limit", type=int, help="only the first N records or questions")
    parser.add_argument("--seed", type=int, default=0, help="of random and of the intervals (default: 0)")
    parser.add_argument(
        "--control", help="of questions: give noise, a flat line or an other patient's ECG: noise, flat, other"
    )
    parser.add_argument(
        "--missing",
        metavar="MODALITY[:PERCENT]",
        help="of questions: signal:50 or picture:50 takes that part of every input away; signal or picture alone runs "
        "25, 50, 75 and 100 %%",
    )
    parser.add_argument(
        "--judge",
        action="append",
        default=[],
        metavar="openai:URL#MODEL",
        help="marks the answers of a judged benchmark; may be repeated",
    )
    parser.add_argument(
        "--judge-repeats", type=int, default=1, help="how often each judge marks an answer (default: 1)"
    )
    parser.add_argument(
        "--judge-price",
        type=float,
        nargs=2,
        metavar=("READ", "WRITTEN"),
        help="of a million tokens that judges read, and that they write: tells the cost",
    )
    parser.add_argument(
        "--bertscore",
        metavar="FOLDER[:LAYER]",
        help="of reports: a BERT model and its tokenizer in a local folder, for BERTScore",
    )
    parser.add_argument(
        "--batch", type=int, default=1, help="of reports: items over which BLEU is counted together (default: 1)"
    )
    parser.add_argument("--retry", action="store_true", help="ask again where an endpoint or a judge gave no answer")
    parser.add_argument("--quoted", action="store_true", help="leaderboard: with what others published, marked so")
    parser.add_argument("--json", type=Path, help="write the figures there")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print.

    Args:
        args: of the command line.

    Returns:
        0.
    """
    if args.benchmark in ACTIONS:
        return _action(args)
    if args.benchmark == "reasoning" and args.paths:
        return _reasoning(args)
    args.model = args.model or "gem-nano"
    if args.benchmark in item_benchmarks:
        return _items(args)
    benchmark = benchmarks[args.benchmark]
    if args.records is None and benchmark.bundled is None:
        raise GemInputError(f"{args.benchmark} needs recordings", remedy="give their folder with --records")
    from ..checkpoints import load

    folds = sorted(set(args.folds or DEFAULT_FOLDS))
    skipped: dict[str, str] = {}
    if args.records is None and benchmark.bundled is not None:
        samples, folds = list(benchmark.bundled())[: args.limit], []
    else:
        samples, skipped = usable(args.records, folds, args.limit)
    model = (benchmark.load or load)(args.model)
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
    _write_json(args.json, result)
    return 0


def _write_json(path: Path | None, result: Any) -> None:
    if path is not None:
        path.write_text(json.dumps(result, indent=1, default=_plain) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """Arrays and their numbers, which a user's own benchmark may give, as JSON holds them."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _items(args: argparse.Namespace) -> int:
    from ..evaluation.missing import missing_table, run_missing
    from ..evaluation.run_table import figures_table
    from ..evaluation.running import run_benchmark

    if args.data is not None and not args.data.exists():
        raise GemInputError("no such file or folder", where=str(args.data), remedy="check --data")
    labelled = item_benchmarks[args.benchmark].labelled is not None
    if args.folds and not labelled:
        raise GemInputError("this benchmark has no folds", where=args.benchmark, remedy="leave --folds out")
    if args.data is None and (args.records is None or not labelled):
        source = item_benchmarks[args.benchmark].source
        print_lines(f"the bundled items, not the benchmark's own; its authors offer these at {source}: --data FOLDER")
    options = {
        "data": args.data,
        "records": args.records,
        "out": args.out,
        "limit": args.limit,
        "seed": args.seed,
        "retry": args.retry,
        "control": args.control,
        "judges": args.judge,
        "judge_repeats": args.judge_repeats,
        "judge_price": args.judge_price,
        "bertscore": args.bertscore,
        "batch": args.batch,
        "folds": args.folds,
    }
    if args.missing in MODALITIES:
        figures = run_missing(args.benchmark, args.model, args.missing, **options)
        print_lines(*missing_table(figures).splitlines())
    else:
        figures = run_benchmark(args.benchmark, args.model, missing=args.missing, **options)
        print_lines(*figures_table(figures).splitlines())
    details = figures.pop("details", {})
    _write_json(args.json, {**figures, **details})
    return 0


def _action(args: argparse.Namespace) -> int:
    from ..evaluation import comparing, leaderboard, run_page

    if args.benchmark == "list":
        known = [(name, benchmarks[name].text) for name in benchmarks.list()]
        known += [(name, item_benchmarks[name].text) for name in item_benchmarks.list()]
        print_lines(*(f"{name:20s}{text}" for name, text in sorted(known)))
        return 0
    wanted = {"show": 1, "compare": 2}.get(args.benchmark, len(args.paths) or 1)
    if len(args.paths) != wanted:
        folders = " ".join(["RUN"] * wanted)
        raise GemInputError(
            f"{args.benchmark} needs {wanted} folders of runs", remedy=f"gem evaluate {args.benchmark} {folders}"
        )
    if args.benchmark == "show":
        out = args.out or args.paths[0] / "run.html"
        run_page.write_page(args.paths[0], out, args.records)
        print_lines(f"wrote {out}")
    elif args.benchmark == "compare":
        compared = comparing.compare_runs(args.paths[0], args.paths[1], seed=args.seed)
        print_lines(*comparing.comparison_table(compared).splitlines())
        _write_json(args.json, compared)
    else:
        page = leaderboard.leaderboard(args.paths, args.quoted)
        if args.out is None:
            print_lines(*page.splitlines())
        else:
            args.out.write_text(page, encoding="utf-8")
    return 0


def _reasoning(args: argparse.Namespace) -> int:
    """The benchmark's own files in and out."""
    from ..evaluation.reasoning import evaluate_reasoning, reasoning_table

    if len(args.paths) != 1 or args.out is None or args.records is None:
        raise GemInputError(
            "reasoning needs QUESTIONS, --records and --out",
            remedy="gem evaluate reasoning QUESTIONS --records ROOT --out ANSWERS; for a run alone: --data QUESTIONS",
        )
    figures = evaluate_reasoning(args.paths[0], args.records, args.out, args.model or "rules")
    print_lines(*reasoning_table(figures).splitlines())
    print_lines(f"answered {figures['standard']['completion'][1]} samples: {args.out}")
    _write_json(args.json, figures)
    return 0
