"""``gem app``: a local page that explains recordings."""

from __future__ import annotations

import argparse
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Any

from ..terminal import print_lines


def add_arguments(parser: Any) -> None:
    """Add the options.

    Args:
        parser: of the command.
    """
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="recordings to show as a table")
    parser.add_argument("--port", type=int, help="to listen at (default: 8000, or the next free one)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at; other machines get in by any but %(default)s"
    )
    parser.add_argument("--model", default="gem-nano", help="name or folder of a model (default: %(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl+C.

    Args:
        args: the parsed options.
    """
    from ..app import server

    def ready(address: str, once: str) -> None:
        print_lines(f"gem app is at {address}", "Ctrl+C stops it. Research software, not a medical device.")
        if args.host not in ("127.0.0.1", "localhost", "::1"):
            print_lines("Other machines can reach it, without encryption: whoever has the address sees the recordings.")
        sys.stdout.flush()
        if not args.no_browser:
            threading.Thread(target=webbrowser.open, args=(once,), daemon=True).start()

    server.run(args.folder, args.host, args.port, args.model, ready)
    return 0
