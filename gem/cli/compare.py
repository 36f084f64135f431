"""``gem compare``: texts and models side by side, claim by claim."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import GemInputError
from ..terminal import print_json, print_lines
from .reading import add_reading_options, read, read_text


def add_arguments(parser: Any) -> None:
    """Add the options.

    Args:
        parser: of the command.
    """
    parser.add_argument("record", metavar="REC", help="a recording")
    parser.add_argument("texts", nargs="*", metavar="FILE", help="text files, or - for the standard input")
    parser.add_argument("--model", action="append", default=[], help="name or folder of a model to ask; repeatable")
    parser.add_argument("-o", "--out", type=Path, metavar="OUT", help="also write .html, .csv or .json")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_reading_options(parser)


def run(args: argparse.Namespace) -> int:
    """Compare the texts.

    Args:
        args: the parsed options.
    """
    import gem

    items: dict[str, Any] = {}
    for name in args.texts:
        title = Path(name).name if Path(name).name not in items else name
        if title in items:
            raise GemInputError("the same text twice", where=name, remedy="name each file once")
        text = read_text(name)
        items[title] = text
    record = read(args.record, args)
    named: dict[str, Any] = {name: gem.explain(record, text=text) for name, text in items.items()}
    named |= {name if name not in named else f"model {name}": gem.explain(record, model=name) for name in args.model}
    comparison = gem.compare(record, named)
    if args.out is not None:
        comparison.save(args.out)
    if args.json:
        print_json(comparison.to_dict())
    else:
        print_lines(*str(comparison).splitlines())
    return 0
