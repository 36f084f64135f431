"""``gem chat``: a conversation about a recording, line by line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from grounding import EcgError

from ..errors import GemInputError
from ..terminal import print_error, print_json, print_lines
from .reading import add_reading_options, read, refuse_standard_input
from .statements import print_statements


def add_arguments(parser: Any) -> None:
    """Add the options.

    Args:
        parser: of the command.
    """
    parser.add_argument("record", metavar="REC", help="a recording; questions are the lines of the standard input")
    parser.add_argument(
        "--model", default="gem-nano", help="name or folder of a model, or its name at --url (default: %(default)s)"
    )
    parser.add_argument("--url", help="an OpenAI-compatible endpoint, e.g. http://localhost:8000/v1")
    parser.add_argument("--key-variable", default="OPENAI_API_KEY", help="environment variable with its key")
    parser.add_argument("--timeout", type=float, default=60.0, help="for one request, s (default: %(default)s)")
    parser.add_argument(
        "--earlier", action="append", default=[], metavar="REC", help="an earlier ECG of the patient; repeatable"
    )
    parser.add_argument("--texts", type=Path, metavar="FOLDER", help="texts to look up beside the knowledge base")
    parser.add_argument("--save", type=Path, metavar="OUT", help="write the conversation as .json")
    parser.add_argument("--json", action="store_true", help="print a JSON list of the answers at the end")
    add_reading_options(parser)


def run(args: argparse.Namespace) -> int:
    """Talk until the input ends, or a line says ``exit``.

    Args:
        args: the parsed options.
    """
    import gem

    refuse_standard_input(args.record)
    options: dict[str, Any] = {}
    if args.url is not None:
        options = {"url": args.url, "key_variable": args.key_variable, "timeout_s": args.timeout}
    talk = gem.chat(read(args.record, args), args.model, earlier=args.earlier, texts=args.texts, **options)
    prompted, failed = sys.stdin.isatty() and not args.json, False
    while True:
        if prompted:
            sys.stdout.write("> ")
            sys.stdout.flush()
        line = sys.stdin.readline()
        if not line or line.strip().lower() in ("exit", "quit"):
            break
        if not line.strip():
            continue
        try:
            answer = talk.ask(line.strip())
        except GemInputError as error:  # the next line may be a question
            print_error(error)
            failed = True
            continue
        except EcgError:
            _keep(talk, args.save)
            raise
        if not args.json:
            _show(answer, prompted)
    _keep(talk, args.save)
    if args.json:
        print_json([answer.to_dict() for answer in talk.turns])
    return 1 if failed else 0


def _keep(talk: Any, path: Path | None) -> None:
    if path is not None:
        talk.save(path)


def _show(answer: Any, prompted: bool) -> None:
    if not prompted:
        print_lines(answer.question)
    print_statements(answer.statements)
    for call in answer.calls:
        print_lines(f"      ({call.name} {' '.join(map(str, call.arguments.values()))})")
    for sentence, why in answer.withheld:
        print_lines(f"      - left out: {sentence!r}: {why}")
    for fault in answer.faults:
        print_lines(f"      - {fault}")
    sys.stdout.flush()
