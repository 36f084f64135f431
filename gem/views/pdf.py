"""The explanation as a PDF, typeset by typst."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from grounding.paper import draw

from ..errors import GemError
from .files import mark
from .html import TEMPLATES
from .measured import quality_lines, rows, source_line
from .subject import KINDS

if TYPE_CHECKING:
    from grounding import Evidence

    from .subject import Shown


def document(explanation: Shown) -> bytes:
    """The bytes of a PDF.

    Args:
        explanation: what to show.

    Raises:
        GemError: the ``report`` extra is not installed.
    """
    try:
        import typst
    except ImportError:
        raise GemError("a PDF needs the package typst", remedy='pip install "gem-ecg[report]"') from None
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if explanation.record is not None:
            page = draw(explanation.record)
            for index, statement in enumerate(explanation.statements, 1):
                placed = [part for part in statement.evidence if part.leads and part.spans_s]
                # one segment of one lead per statement: all of them at once would cover the trace
                first = [part for part in placed[:1] if part.spans_s[0][1] - part.spans_s[0][0] < 2.5]
                for part in first:
                    page = page.mark(_one_segment(part, index), label=str(index))
            page.image.save(root / "ecg.png")
        # lone surrogates, from file names that are not UTF-8, can't be encoded
        data = json.dumps(_data(explanation), ensure_ascii=False).encode(errors="replace")
        (root / "data.json").write_bytes(data)
        (root / "main.typ").write_text((TEMPLATES / "explanation.typ").read_text(encoding="utf-8"), encoding="utf-8")
        return bytes(typst.compile(str(root / "main.typ"), root=str(root)))


def _one_segment(evidence: Evidence, index: int) -> Evidence:
    """The evidence reduced to one lead and segment; successive statements take successive beats."""
    lead = "II" if "II" in evidence.leads else evidence.leads[0]
    span = evidence.spans_s[index % len(evidence.spans_s)]
    return replace(evidence, leads=(lead,), spans_s=(span,))


def _data(explanation: Shown) -> dict[str, object]:
    """Strings for the template, which shows them as text; markup in them has no effect."""
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
        "picture": explanation.record is not None,
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
