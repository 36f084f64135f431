"""``gem ground``: evidence and verdicts for a text that somebody wrote."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..terminal import print_json, print_lines
from .reading import add_reading_options, read, read_text, refuse_standard_input
from .statements import print_explanation, save_pages


def add_arguments(parser: Any) -> None:
    """Add the options.

    Args:
        parser: of the command.
    """
    parser.add_argument("record", metavar="REC", help="a recording")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--file", help="a text file, or - for the standard input")
    source.add_argument("--text", help="the text")
    parser.add_argument(
        "--html", type=Path, metavar="OUT", help="page to write, or a folder (default: <record>.html here)"
    )
    parser.add_argument("--pdf", type=Path, metavar="OUT", help="also write a PDF, or a PDF into a folder")
    parser.add_argument("--json", action="store_true", help="print JSON, and write a page only with --html")
    add_reading_options(parser)


def run(args: argparse.Namespace) -> int:
    """Ground the text.

    Args:
        args: the parsed options.
    """
    import gem

    refuse_standard_input(args.record)
    text = args.text if args.text is not None else read_text(args.file)
    explanation = gem.explain(read(args.record, args), text=text)
    save_pages(explanation, args.html, args.pdf, page_wanted=not args.json)
    if args.json:
        print_json(explanation.to_dict())
    else:
        print_explanation(explanation)
        if not explanation.claims:
            print_lines("no statement was found in the text")
    return 0
