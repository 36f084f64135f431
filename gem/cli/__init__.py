"""The ``gem`` command line; longer commands have a module of their own."""

from .entry import command, main

__all__ = ["command", "main"]
