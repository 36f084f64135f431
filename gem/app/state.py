"""What one run of ``gem app`` holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .folder import Folder
from .opened import Shelf
from .scratch import Scratch
from .security import Keys
from .workers import Lane

Result = TypeVar("Result")


@dataclass
class State:
    """What one run holds.

    Attributes:
        keys: its secrets.
        model: name or folder of the model; loaded when it is first asked.
        folder: its table, where ``gem app FOLDER`` named one.
        scratch: its private folder.
        shelf: the open recordings.
        reading: workers that read and measure files, and write exports.
        measuring: workers for the folder alone.
        writing: the worker with the model.
        typing: one text is checked at a time.
        uploads: drops that are coming in.
    """

    keys: Keys
    model: str
    folder: Folder | None
    scratch: Scratch
    reading: Lane
    measuring: Lane
    writing: Lane
    shelf: Shelf = field(default_factory=Shelf)
    typing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    uploads: int = 0

    async def checking(self, function: Callable[..., Result], *args: Any) -> Result:
        """Call what takes a fraction of a second, off the event loop.

        Args:
            function: to call.
            args: of it.
        """
        return await asyncio.to_thread(function, *args)
