"""A folder of recordings as a table: listed and measured in the background, a row each, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from pathlib import Path
from typing import Any

from grounding import EcgError

from ..errors import GemInputError
from .limits import ROW_S
from .tasks import ROW, recordings, table_row
from .workers import Lane

COLUMNS = ("file", *ROW, "conflicts", "claims", "report")


class Folder:
    """The table of a folder.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.files = root.resolve(), list[Path]()
        self.listed = False
        self.done: list[tuple[int, dict[str, Any]]] = []  # (row, values) in the order in which they were measured
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, lane: Lane) -> None:
        """Begin to measure.

        Args:
            lane: workers for it alone.
        """
        self._tasks.append(asyncio.create_task(self._measure(lane)))

    async def _measure(self, lane: Lane) -> None:
        self.files = await asyncio.to_thread(self._found)
        self.listed = True
        rows = itertools.count()
        # each task feeds one worker, so that none of their calls has to wait
        self._tasks += [asyncio.create_task(self._rows(rows, lane)) for _ in lane.workers]

    def _found(self) -> list[Path]:
        # links that lead to a folder elsewhere are not followed
        return [path for path in recordings([self.root]) if path.parent.resolve().is_relative_to(self.root)]

    async def _rows(self, rows: Any, lane: Lane) -> None:
        for row in rows:
            if row >= len(self.files):
                return
            try:
                values = await lane.run(table_row, self.files[row], self.root, limit_s=ROW_S)
            except EcgError as error:
                values = {"error": str(error)}
            self.done.append((row, values))

    async def stop(self) -> None:
        """End the measuring."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def told(self, names_from: int, rows_from: int, most: int) -> dict[str, Any]:
        """The next part of the table.

        Args:
            names_from: files whose names are known already.
            rows_from: measured rows that are known already.
            most: of either.
        """
        return {
            "name": self.root.name,
            "listed": self.listed,
            "total": len(self.files),
            "measured": len(self.done),
            "columns": COLUMNS,
            "names": [self._name(path) for path in self.files[names_from : names_from + most]],
            "rows": [
                [row, *(values.get(name) for name in COLUMNS[1:])]
                for row, values in self.done[rows_from : rows_from + most]
            ],
        }

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix().encode("utf-8", "replace").decode()

    def file(self, row: Any) -> Path:
        """The file of a row.

        Args:
            row: its number.

        Raises:
            GemInputError: there is no such row.
        """
        if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < len(self.files):
            raise GemInputError("there is no such row", where="table")
        return self.files[row]
