"""The recordings that are open, in memory, and what was said about each."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from grounding import ECGRecord, Measurement

from ..answer import Answer
from ..errors import GemInputError
from ..explanation import Explanation
from ..grounded import GIVEN, ground
from .limits import MAX_OPEN, MAX_OPEN_SAMPLES


@dataclass(eq=False)
class Opened:
    """One recording.

    Attributes:
        key: random, in addresses.
        name: as its file is called.
        record: its samples.
        measurement: as it was measured.
        said: what is said about it, held against this measurement.
        explanation: the same, with boundaries moved by hand if any are.
        boundaries: those that were moved: name -> ms after R.
        turns: of the conversation.
        latest: the number of the latest text that was sent; earlier ones need no answer.
    """

    key: str
    name: str
    record: ECGRecord
    measurement: Measurement
    said: Explanation
    explanation: Explanation
    boundaries: dict[str, float | None] = field(default_factory=dict)
    turns: list[Answer] = field(default_factory=list)
    latest: int = -1

    def say(self, text: str, author: str) -> None:
        """Hold another text against the recording.

        Args:
            text: what is said.
            author: who says it.
        """
        self.take(ground(self.record, text, self.measurement, author))

    def take(self, said: Explanation) -> None:
        """Show what is said; moved boundaries count for it, too.

        Args:
            said: of this recording, held against the measurement as it was measured.
        """
        explanation = said.edited(self.boundaries) if self.boundaries else said
        self.said, self.explanation = said, explanation

    def edit(self, boundaries: dict[str, float | None]) -> None:
        """Move boundaries, from where they were measured.

        Args:
            boundaries: name -> ms after R; all that are moved, so that none undoes all.

        Raises:
            EcgError: they can't be moved so.
        """
        self.explanation = self.said.edited(boundaries) if boundaries else self.said
        self.boundaries = boundaries

    def told(self) -> dict[str, Any]:
        """What the page knows of it, beside its scene."""
        return {"id": self.key, "name": self.name, "text": self.explanation.text, "author": self.said.model}


class Shelf:
    """The open recordings; when there are too many, those that were not used for longest are closed."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Opened] = OrderedDict()

    def __iter__(self) -> Any:
        return iter(self._open.values())

    def add(self, name: str, record: ECGRecord, measurement: Measurement, text: str, author: str = GIVEN) -> Opened:
        """Open a recording.

        Args:
            name: as its file is called.
            record: its samples.
            measurement: of it.
            text: what is said about it.
            author: who says it.
        """
        said = ground(record, text, measurement, author)
        made = Opened(secrets.token_urlsafe(9), name, record, measurement, said, said)
        self._open[made.key] = made
        while len(self._open) > 1 and (
            len(self._open) > MAX_OPEN or sum(one.record.signal.size for one in self) > MAX_OPEN_SAMPLES
        ):
            self._open.popitem(last=False)
        return made

    def get(self, key: str) -> Opened:
        """An open recording.

        Args:
            key: of it.

        Raises:
            GemInputError: it is not open.
        """
        if key not in self._open:
            raise GemInputError("this recording is not open any more", remedy="open it again")
        self._open.move_to_end(key)
        return self._open[key]

    def close(self, key: str) -> None:
        """Forget a recording.

        Args:
            key: of it.
        """
        self._open.pop(key, None)
