"""The ``gem`` command; what a command needs is imported only when it runs."""

from __future__ import annotations

import argparse
import atexit
import importlib
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grounding
from grounding import EcgError

from ..errors import GemInputError
from ..extensions import load_extension
from ..extras import how_to_install
from ..terminal import Parser, print_error, print_json, print_lines, print_traceback, redirect_warnings
from .reading import READING, add_reading_options, read, read_text
from .statements import print_explanation, print_statements, save_pages

if TYPE_CHECKING:
    from grounding import Evidence, Measurement


# commands in modules of their own: name -> (module with add_arguments(parser) and run(args), description)
COMMAND_MODULES = {
    "ground": ("gem.cli.ground", "hold a text that somebody wrote against a recording, with the evidence"),
    "compare": ("gem.cli.compare", "put texts and models side by side, claim by claim"),
    "chat": ("gem.cli.chat", "talk about a recording, with tools and earlier ECGs"),
    "app": ("gem.cli.app", "open a local page: drop recordings, edit texts, see each claim checked"),
    "digitise": ("gem.cli.digitise", "read photographs of ECGs into recordings"),
    "instruct": ("gem.cli.instruct", "make instruction data from recordings"),
    "train": ("gem.cli.train", "train a model by a config"),
    "evaluate": ("gem.cli.evaluate", "measure a model on a benchmark"),
    "convert": ("gem.cli.convert", "convert a published checkpoint"),
}
PACKAGES = (
    "numpy",
    "scipy",
    "neurokit2",
    "wfdb",
    "pandas",
    "pillow",
    "torch",
    "transformers",
    "timm",
    "lightning",
    "onnxruntime",
    "typst",
)
STOPPED = 130  # exit status of shells: 128 + SIGINT


def command() -> None:
    """The console script: runs ``main`` and exits, at once if it was stopped."""
    status = main()
    if status != STOPPED:
        sys.exit(status)
    # libraries may delete their temporary files, but threads that wait for an answer are not waited for
    cleanup = threading.Thread(target=atexit._run_exitfuncs, daemon=True)
    cleanup.start()
    cleanup.join(0.5)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the words after ``gem``; those of the process when None.

    Returns:
        0 on success; 1 if some recordings of a batch failed, or ``check`` found a contradiction; 2 on an error; 130 if
        it was stopped.
    """
    with warnings.catch_warnings():
        redirect_warnings()
        return _run(list(sys.argv[1:] if argv is None else argv))


def _run(words: Sequence[str]) -> int:
    try:
        words = _with_extensions(words)
        args = _parser(words).parse_args(words)
        return int(args.run(args) or 0)
    except BrokenPipeError:  # the program that reads our output (head, less) has ended
        sys.stderr.close()
        return 0
    except KeyboardInterrupt as stop:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of workers that are ended
            traceback.clear_frames(stop.__traceback__)
        print_error("stopped; what was written is kept")
        return STOPPED
    except Exception as error:
        if "--debug" in words:
            print_traceback()
        print_error(_one_line(error))
        return 2


def _with_extensions(words: Sequence[str]) -> list[str]:
    """Import the file of ``--import FILE``, before commands list their choices; returns the other words."""
    left, waiting = [], iter(words)
    for word in waiting:
        if word == "--import" or word.startswith("--import="):
            name = next(waiting, "") if word == "--import" else word.partition("=")[2]
            if not name or name.startswith("-"):
                raise GemInputError("--import without a file", remedy="--import my_encoder.py")
            load_extension(name)
        else:
            left.append(word)
    return left


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = Parser(
        prog="gem", description="Grounded explanations of 12-lead ECGs. Research software, not a medical device."
    )
    parser.add_argument("--version", action="version", version=f"gem-ecg {grounding.__version__}")
    shared = Parser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    # only for the help: the option is removed before the words are parsed, see _with_extensions
    shared.add_argument("--import", metavar="FILE", help="import a .py file or module first, or a .yaml of findings")
    reading = Parser(add_help=False)
    add_reading_options(reading)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int | None], text: str, *parents: Any) -> Any:
        sub = commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[shared, *parents]
        )
        sub.set_defaults(run=run)
        return sub

    sub = command("explain", _explain, "explain recordings, with the evidence", reading)
    sub.add_argument(
        "records",
        nargs="*",
        metavar="REC",
        help="recordings, folders, lists of names (.txt), or - for names from the standard input; "
        "a bundled one where none is given",
    )
    sub.add_argument("--model", default="gem-nano", help="name or folder of a model (default: %(default)s)")
    sub.add_argument("--prompt", help="what a published model is asked (default: its family's own question)")
    sub.add_argument(
        "--html", type=Path, metavar="OUT", help="page to write, or a folder (default: <record>.html here)"
    )
    sub.add_argument("--pdf", type=Path, metavar="OUT", help="also write a PDF, or PDFs into a folder")
    sub.add_argument("--json", action="store_true", help="print JSON, and write a page only with --html")
    sub.add_argument(
        "--jsonl",
        type=Path,
        metavar="OUT",
        help="write a line of JSON for each, and nothing else; resumes after a kill",
    )
    sub.add_argument("--jobs", type=int, metavar="N", help="with --jsonl: processes, -1 for all cores (default: 1)")
    sub.add_argument("--retry", action="store_true", help="with --jsonl: explain again where there was an error")
    sub = command("ask", _ask, "answer questions about a recording, with the evidence", reading)
    sub.add_argument("record", metavar="REC", help="a recording")
    sub.add_argument("questions", nargs="+", metavar="QUESTION", help="a question; later ones may follow up on it")
    sub.add_argument("--model", default="gem-nano", help="name or folder of a model (default: %(default)s)")
    sub.add_argument("--json", action="store_true", help="print JSON")
    sub = command("measure", _measure, "measure a recording, or many to a table", reading)
    sub.add_argument(
        "records",
        nargs="+",
        metavar="REC",
        help="a recording; or folders, lists of names (.txt), or - for names from the standard input",
    )
    sub.add_argument(
        "-o", "--out", type=Path, metavar="OUT", help="table of many: .csv, or .parquet; resumes after a kill"
    )
    sub.add_argument("--jobs", type=int, metavar="N", help="of many: processes, -1 for all cores (default: 1)")
    sub.add_argument("--retry", action="store_true", help="of many: measure again where there was an error")
    sub.add_argument("--json", action="store_true", help="print JSON, with the tables of beats and waves")
    sub.add_argument("--beats", type=Path, metavar="OUT", help="of a long one: a row per beat (.parquet), in parts")
    sub.add_argument(
        "--delineator", default="auto", help="learned, classical, nk_dwt, ..., or one of your own (--import)"
    )
    sub.add_argument(
        "--second-opinion",
        action="store_true",
        help="measure twice, by two methods, and give each interval its uncertainty",
    )
    sub = command("render", _render, "draw a recording on ECG paper", reading)
    sub.add_argument("record", metavar="REC", help="a recording")
    sub.add_argument("-o", "--output", type=Path, required=True, help="picture to write (.png, .jpg, .webp, .pdf)")
    sub.add_argument("--layout", default="3x4", help="rows x columns: 3x4 (default), 6x2, 12x1")
    sub.add_argument("--show", type=lambda text: text.replace(",", " ").split(), help="leads to draw, e.g. II,V1")
    sub.add_argument("--start", type=float, default=0.0, help="where the page begins, s")
    sub.add_argument("--dpi", type=float, help="resolution (default: 150)")
    sub.add_argument("--json", action="store_true", help="print where every lead lies in the picture")
    sub = command("check", _check, "check the statements of a text against a recording", reading)
    sub.add_argument("record", metavar="REC", help="a recording")
    source = sub.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", help="the text")
    source.add_argument("--file", help="a text file, or - for the standard input")
    sub.add_argument("--json", action="store_true", help="print JSON")
    sub.add_argument("--exit-zero", action="store_true", help="exit with 0 also where a statement is contradicted")
    sub = command("info", _info, "versions, device, weights and registries")
    sub.add_argument("--json", action="store_true", help="print JSON")
    chosen = next((word for word in words if not word.startswith("-")), None)
    for name, (module_name, text) in COMMAND_MODULES.items():
        sub = command(name, lambda args: None, text)
        if name == chosen:  # the modules of other commands, and what they need, are not imported
            module = _command_module(name, module_name)
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


def _command_module(name: str, module: str) -> Any:
    """The module of a command.

    Raises:
        EcgError: it, or a package that it needs, can't be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = (error.name or "").split(".")[0]
        is_ours = missing in ("", "gem", "grounding")
        raise EcgError(
            f"the part of gem-ecg behind it, {module}, can't be imported ({error})",
            where=f"gem {name}",
            remedy="install gem-ecg again" if is_ours else how_to_install(missing),
        ) from error


def _one_line(error: BaseException) -> str:
    if isinstance(error, EcgError):
        return " ".join(str(error).split())
    about = " ".join(str(error).split())[:300]
    if isinstance(error, ImportError) and error.name and error.name.split(".")[0] not in ("gem", "grounding"):
        return f"the package {error.name} can't be imported ({about}). {how_to_install(error.name)}."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'file'}: {error.strerror}. Check the path."
    return f"{type(error).__name__}: {about}. This looks like a fault of ours: run again with --debug and report it."


def _explain(args: argparse.Namespace) -> int:
    from ..batch import explain_to_jsonl
    from ..views.files import PageFiles

    names = _names(args.records)
    if args.jsonl is not None and args.prompt is not None:
        raise GemInputError("--prompt with --jsonl", remedy="leave one of them out")
    if args.jsonl is not None:
        given = names or [str(grounding.sample_path())]
        return _counted(explain_to_jsonl(given, args.jsonl, _options(args), _jobs(args), args.retry))
    if args.jobs is not None:
        raise GemInputError("--jobs without --jsonl", remedy="--jsonl out.jsonl")
    paths = [Path(name) for name in names] or [grounding.sample_path()]
    if len(paths) > 1 or _is_many(paths[0], args):
        paths = grounding.readers.find_recordings(paths, missing=True)
        if not paths:
            raise EcgError("no recording was found", where=", ".join(names), remedy="name a file to hear why")
    many, failed, pages = len(paths) > 1, 0, PageFiles()
    results: list[dict[str, Any]] = []
    for option in (args.html, args.pdf):
        if many and option is not None and option.suffix and not option.is_dir():
            raise EcgError("several recordings don't fit into one file", where=str(option), remedy="name a folder")
    try:
        for path, explanation in _explained(paths, args):
            if isinstance(explanation, EcgError):
                if not many or args.debug:
                    raise explanation
                print_error(f"{explanation}" if str(path) in str(explanation) else f"{path}: {explanation}")
                failed += 1
                continue
            save_pages(explanation, args.html, args.pdf, page_wanted=not args.json, pages=pages)
            results.append(explanation.to_dict())
            if not args.json:
                print_lines(*[""] * (len(results) > 1), explanation.record_id)
                print_explanation(explanation)
                sys.stdout.flush()
    except KeyboardInterrupt:
        if args.json and many:
            print_json(results)
        raise
    if args.json and (many or results):
        print_json(results if many else results[0])
    return 1 if failed else 0


def _explained(paths: Sequence[Path], args: argparse.Namespace) -> Iterator[tuple[Path, Any]]:
    """Each recording with its explanation or its error; the first alone, then in batches."""
    from ..batch import RECORDS_AT_ONCE, explained

    first, size = 0, 1
    while first < len(paths):
        yield from explained(paths[first : first + size], lambda path: read(path, args), args.model, prompt=args.prompt)
        first, size = first + size, min(2 * size, RECORDS_AT_ONCE)


def _names(words: Sequence[str]) -> list[str]:
    """The recordings named on the command line; ``-`` stands for the lines of the standard input."""
    given: list[str] = []
    for word in words:
        given += [line.strip() for line in sys.stdin if line.strip()] if word == "-" else [word]
    return given


def _options(args: argparse.Namespace) -> Any:
    from ..batch import BatchOptions

    given = {name: getattr(args, name) for name in READING}
    return BatchOptions(given, getattr(args, "delineator", "auto"), getattr(args, "model", "gem-nano"))


def _jobs(args: argparse.Namespace) -> int:
    if args.jobs == 0:
        raise GemInputError("0 worker processes", where="--jobs", remedy="1 or more; -1 takes every core")
    return 1 if args.jobs is None else int(args.jobs)


def _counted(counts: Any) -> int:
    """Print what a run over many recordings did; its exit status."""
    kept = f", {counts.kept} of them by an earlier run" if counts.kept else ""
    failed = f", {counts.failed} with an error" if counts.failed else ""
    none = "" if counts.records else ": no file there is of a format that is read; name one to hear why"
    print_lines(f"{counts.records} recordings{kept}{failed}{none}", to=sys.stderr)
    return 1 if counts.failed or not counts.records else 0


def _ask(args: argparse.Namespace) -> None:
    import gem

    record = read(args.record, args)
    measurement = grounding.measure(record)
    history: list[tuple[str, str]] = []
    results: list[dict[str, Any]] = []
    for question in args.questions:
        answer = gem.ask(record, question, model=args.model, measurement=measurement, history=history)
        history.append((question, answer.text))
        results.append(answer.to_dict())
        if not args.json:
            print_lines(*[question] * (len(args.questions) > 1))
            print_statements(answer.statements)
            sys.stdout.flush()
    if args.json:
        print_json(results if len(results) > 1 else results[0])


def _measure(args: argparse.Namespace) -> int:
    names = _names(args.records)
    if args.beats is not None:
        return _measure_beats(names, args)
    if args.out is not None or len(names) != 1 or args.records == ["-"] or _is_many(Path(names[0]), args):
        return _measure_many(names, args)
    record = read(names[0], args)
    measurement = grounding.measure(record, args.delineator, second_opinion=args.second_opinion)
    if args.json:
        print_json(measurement.to_dict())
        return 0
    from grounding.tables import NAMES

    from ..views.measured import place, quality_lines, shown

    print_lines(
        f"{measurement.record_id}: {len(measurement.leads)} leads, {measurement.duration_s:g} s "
        f"at {measurement.fs:g} Hz, {measurement.n_beats} beats"
    )
    for quantity, name in NAMES.items():
        evidence = _evidence(measurement, quantity)
        if evidence is not None:
            why = f": {evidence.reason}" if evidence.value is None else f"   [{place(evidence)}]"
            print_lines(f"  {name:<18} {shown(evidence)}{why}")
    for line in quality_lines(measurement):
        print_lines(f"  quality: {line}")
    for line in record.meta["warnings"]:
        print_lines(f"  warning: {line}")
    return 0


def _is_many(path: Path, args: argparse.Namespace) -> bool:
    """Whether a name is of a folder or a list, not of a recording."""
    if path.is_dir():
        return True
    return (
        args.format is None
        and path.is_file()
        and grounding.readers.find_recordings([path]) != [path]
        and (path.suffix.lower() not in (".dat", ".mat"))
    )


def _measure_many(names: Sequence[str], args: argparse.Namespace) -> int:
    from ..batch import measure_to_table

    for option in ("json", "second_opinion"):
        if getattr(args, option):
            raise GemInputError(
                f"--{option.replace('_', '-')} is for one recording",
                remedy="name one, or leave it out: the table is CSV",
            )
    return _counted(measure_to_table(names, args.out, _options(args), _jobs(args), args.retry))


def _measure_beats(names: Sequence[str], args: argparse.Namespace) -> int:
    from ..batch import beats_to_parquet
    from ..views.measured import part_line

    if len(names) != 1 or args.json or args.second_opinion or args.out is not None:
        raise GemInputError("--beats is for one recording", remedy="name one, without --json, -o and --second-opinion")
    for part in beats_to_parquet(names[0], args.beats, _options(args), _jobs(args)):
        print_lines(part_line(part))
    return 0


def _evidence(measurement: Measurement, quantity: str) -> Evidence | None:
    try:
        return measurement.evidence(quantity)
    except KeyError:
        return None


def _render(args: argparse.Namespace) -> None:
    from grounding.paper import draw

    record = read(args.record, args)
    if args.show is not None:
        record.select(args.show)  # raises for a missing lead, which would be drawn as a blank panel
    page = draw(record, args.layout, leads=args.show, start_s=args.start, dpi=args.dpi)
    try:
        page.image.save(args.output)
    except ValueError:
        raise EcgError(
            "unknown kind of picture", where=str(args.output), remedy="use .png, .jpg, .webp or .pdf"
        ) from None
    if args.json:
        print_json(page.layout.to_dict())
    else:
        print_lines(f"wrote {args.output}", to=sys.stderr)


def _check(args: argparse.Namespace) -> int:
    text = args.text if args.text is not None else read_text(args.file)
    claims = grounding.check(text, grounding.measure(read(args.record, args)))
    if args.json:
        print_json([claim.to_dict() for claim in claims])
    else:
        for claim in claims:
            print_lines(f"{claim.verdict.replace('_', ' '):<13} {claim.text!r}: {claim.reason}")
        if not claims:
            print_lines("no statement was found in the text")
    contradicted = any(claim.verdict == "contradicted" for claim in claims)
    return 1 if contradicted and not args.exit_zero else 0


def _info(args: argparse.Namespace) -> None:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    versions = {"gem-ecg": grounding.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    from grounding.readers import readers

    registries = {"readers": readers.list()}
    try:
        import torch

        from ..encoders import list_encoders

        registries["encoders"] = list(list_encoders())
        cuda = torch.cuda.is_available()
        device = torch.cuda.get_device_name(0) if cuda else f"cpu, {torch.get_num_threads()} threads"
    except ImportError as error:
        device = f"torch can't be imported ({error})"
    folder = Path(__file__).parents[1] / "weights"
    weights = {
        path.parent.name: f"{path.stat().st_size / 1e6:.1f} MB" for path in sorted(folder.glob("*/model.safetensors"))
    }
    facts: dict[str, Any] = {"versions": versions, "device": device, "weights": weights, "registries": registries}
    if args.json:
        print_json(facts)
        return
    for name, value in versions.items():
        print_lines(f"{name:<14} {value}")
    print_lines(f"{'device':<14} {device}")
    print_lines(f"{'weights':<14} {', '.join(f'{name} ({size})' for name, size in weights.items()) or 'none bundled'}")
    for name, entries in registries.items():
        print_lines(f"{name:<14} {', '.join(entries)}")
