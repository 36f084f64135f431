"""An explanation of a text that somebody else wrote: a physician, a device or another model. No model is loaded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

import grounding
from grounding import Claim, ECGRecord
from grounding.criteria import assess
from grounding.statements.lexicon import lexicon
from grounding.statements.tokens import sentences

from .errors import GemInputError
from .explanation import Explanation, Statement

if TYPE_CHECKING:
    from grounding import Measurement

GIVEN = "a given text"


def ground(record: ECGRecord, text: str, measurement: Measurement | None = None, author: str = GIVEN) -> Explanation:
    """Hold any text against a recording, sentence by sentence.

    Args:
        record: the recording.
        text: about it, in English or German; it may be empty.
        measurement: of the recording, if it is known already.
        author: who wrote the text, for ``Explanation.model``.

    Returns:
        An Explanation whose ``text`` is the given text, character by character; every word is in one of its statements.

    Raises:
        GemInputError: the text is not a str.
    """
    if not isinstance(text, str):
        raise GemInputError(f"the text is {type(text).__name__}", where="text", remedy="pass a str")
    measured = grounding.measure(record) if measurement is None else measurement
    return Explanation(
        record.record_id,
        given_statements(text, grounding.check(text, measured)),
        measured,
        tuple(assess(measured).findings.values()),
        {},
        author,
        record,
        given=text,
    )


def given_statements(text: str, claims: Sequence[Claim]) -> tuple[Statement, ...]:
    """The sentences of a given text, each with the claims in it and the evidence of these.

    Args:
        text: as it was given.
        claims: of the whole text, in order.

    Returns:
        The statements; together they hold every character of the text that is not white space between them.
    """
    starts = [sentence.starts[0] for sentence in sentences(text, lexicon().abbreviations)]
    starts = [0, *starts[1:]]  # signs in front of the first sentence belong to it
    # a claim that goes on into the next sentence makes both one statement
    inside: set[int] = set()
    for claim in claims:
        inside.update(starts[bisect_right(starts, claim.start) : bisect_right(starts, claim.end - 1)])
    starts = [start for start in starts if start not in inside]
    parts: list[list[Claim]] = [[] for _ in starts]
    for claim in claims:
        parts[bisect_right(starts, claim.start) - 1].append(claim)
    out = []
    for start, end, within in zip(starts, [*starts[1:], len(text)], parts, strict=True):
        words = text[start:end]
        begin, stop = start + len(words) - len(words.lstrip()), start + len(words.rstrip())
        if begin < stop:
            evidence = tuple(dict.fromkeys(part for claim in within for part in claim.evidence))
            kind = "given" if within else "unread"
            out.append(Statement(text[begin:stop], begin, stop, evidence, tuple(within), kind))
    return tuple(out)
