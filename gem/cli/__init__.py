"""The ``gem`` command: one module per command that needs more than a few lines."""

from .entry import command, main

__all__ = ["command", "main"]
