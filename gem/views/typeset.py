"""The explanation as Typst source: a document of one file, which the ``.pdf`` is compiled from."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from grounding.paper import draw

from .files import mark
from .html import TEMPLATES
from .measured import quality_lines, rows, source_line
from .subject import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grounding import ECGRecord, Evidence

    from .subject import Shown, ShownStatement

_PER_LINE = 32  # bytes of the picture on a line of the source
_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f-\x9f]')


def source(explanation: Shown) -> bytes:
    """A Typst document that needs no other file: what is said, what was measured, the picture, how it is set.

    Args:
        explanation: what to show.
    """
    record = explanation.record
    picture = "none" if record is None else f"bytes((\n{_numbers(_picture(record, explanation.statements))}))"
    template = (TEMPLATES / "explanation.typ").read_text(encoding="utf-8")
    text = f"#let d = {_literal(_data(explanation))}\n#let picture = {picture}\n\n{template}"
    return text.encode(errors="replace")  # lone surrogates, from file names that are not UTF-8, can't be encoded


def _picture(record: ECGRecord, statements: Sequence[ShownStatement]) -> bytes:
    """The ECG on paper with a mark for each statement, as PNG."""
    page = draw(record)
    for index, statement in enumerate(statements, 1):
        placed = [part for part in statement.evidence if part.leads and part.spans_s]
        # one segment of one lead per statement: all of them at once would cover the trace
        first = [part for part in placed[:1] if part.spans_s[0][1] - part.spans_s[0][0] < 2.5]
        for part in first:
            page = page.mark(_one_segment(part, index), label=str(index))
    written = io.BytesIO()
    page.image.save(written, format="png")
    return written.getvalue()


def _one_segment(evidence: Evidence, index: int) -> Evidence:
    """The evidence reduced to one lead and segment; successive statements take successive beats."""
    lead = "II" if "II" in evidence.leads else evidence.leads[0]
    span = evidence.spans_s[index % len(evidence.spans_s)]
    return replace(evidence, leads=(lead,), spans_s=(span,))


def _numbers(data: bytes) -> str:
    """Bytes in decimals: Typst has no shorter way to hold them in its source."""
    lines = (data[start : start + _PER_LINE] for start in range(0, len(data), _PER_LINE))
    return "".join(f"{','.join(map(str, line))},\n" for line in lines)


def _literal(value: object, indent: str = "") -> str:
    """A Typst expression. Texts are strings, never markup, so that nothing in them has an effect."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{_ESCAPED.sub(lambda found: _escape(found[0]), value)}"'
    if not isinstance(value, dict | list):
        raise TypeError(f"no Typst literal for {type(value).__name__}")
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = [f"{name}: {_literal(part, deeper)}" for name, part in value.items()]
    else:
        parts = [_literal(part, deeper) for part in value]
    return "(" + "".join(f"\n{deeper}{part}," for part in parts) + f"\n{indent})"


def _escape(char: str) -> str:
    return f"\\{char}" if char in '"\\' else f"\\u{{{ord(char):x}}}"


def _data(explanation: Shown) -> dict[str, object]:
    """What the template shows."""
    measurement = explanation.measurement
    about = [f"{measurement.duration_s:g} s", f"{len(measurement.leads)} leads", f"{measurement.fs:g} Hz"]
    about += ["" if measurement.age is None else f"{measurement.age:g} years", measurement.sex or ""]
    top = sorted(explanation.probabilities.items(), key=lambda item: -item[1])[:8]
    return {
        "title": explanation.record_id,
        "about": " \u00b7 ".join(filter(None, about)),
        "model": explanation.model,
        "mark": mark(explanation),
        "verdict": explanation.verdict_line,
        "encoders": bool(top) or explanation.given is None,
        "statements": [
            {
                "text": part.text,
                "verdict": part.verdict.replace("_", " "),
                "kind": KINDS.get(part.kind, ""),
                "proof": list(dict.fromkeys(source_line(evidence) for evidence in part.evidence))[:6],
            }
            for part in explanation.statements
        ],
        "rows": [list(row) for row in rows(measurement)],
        "quality": quality_lines(measurement) or ["none found"],
        "probabilities": [[name, f"{value:.0%}"] for name, value in top],
    }
