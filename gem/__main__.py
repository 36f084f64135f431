"""``python -m gem``: the same as ``gem``."""

from __future__ import annotations

from .cli import command

if __name__ == "__main__":
    command()
