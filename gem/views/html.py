"""One self-contained HTML page: the ECG with its evidence marked, the text, the measurements.

With scripts it is the view of ``gem/views/static``; without them, in print and in notebooks it is ``fragment``.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zlib
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from PIL import Image

from grounding.paper import Box, PageLayout, draw

from .files import mark
from .measured import printed_lines, quality_lines, rows, source_line
from .scene import scene
from .scripts import STATIC, bundle
from .subject import KINDS

if TYPE_CHECKING:
    from grounding import ECGRecord

    from .subject import Shown, ShownStatement

TEMPLATES = Path(__file__).parent / "templates"
VERDICT_SIGNS = {"supported": "\u2713", "contradicted": "\u2715", "unsupported": "?", "not_checkable": "\u2013"}
MAX_PROOF_LINES = 6
START = (STATIC / "page.js").read_text(encoding="utf-8")  # mounts the view
# what needs no script is not laid out first where the view will take its place; it comes back if the view fails
HIDE = """document.documentElement.className = "gem-live";
addEventListener("error", () => { document.documentElement.className = ""; });"""


def page(explanation: Shown) -> str:
    """The page as a document of its own.

    Args:
        explanation: what to show.
    """
    made = scene(explanation)
    if made["picture"]:
        made["picture"]["href"] = ""  # it is in the fragment
    data = json.dumps(made, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    script = bundle() + START
    holder = f'<script type="application/json" id="gem-scene">{_inert(data)}</script>'
    scripts = f'{holder}\n<script type="module">{script}</script>'
    return document(explanation.record_id, mark(explanation), fragment(explanation), scripts, (HIDE, script))


def document(title: str, page_mark: str, body: str, scripts: str = "", allowed: Sequence[str] = ()) -> str:
    """A document of its own, which fetches nothing and runs no script but those that are named.

    Args:
        title: of the document.
        page_mark: see ``gem.views.files.mark``.
        body: its HTML.
        scripts: script elements, at its end.
        allowed: the texts of the scripts that may run; the first runs before the body is read.
    """
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in allowed)
    names = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    policy = (
        f"default-src 'none'; script-src {names}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    return (
        Template((TEMPLATES / "explanation.html").read_text(encoding="utf-8"))
        .substitute(
            title=escape(title),
            mark=page_mark,
            body=body,
            scripts=scripts,
            policy=policy,
            first=f"<script>{allowed[0]}</script>" if allowed else "",
        )
        .encode(errors="replace")
        .decode()
    )


def _inert(data: str) -> str:
    """JSON that no reader of HTML takes for markup."""
    return data.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def fragment(explanation: Shown) -> str:
    """The page as a part of another document, such as a notebook.

    Args:
        explanation: what to show.
    """
    # a notebook may show several explanations, whose anchors must differ
    key = f"g{zlib.crc32(f'{explanation.record_id} {explanation.text}'.encode(errors='replace')):08x}"
    style = Template((TEMPLATES / "explanation.css").read_text(encoding="utf-8")).substitute(
        pairs=_pairs(key, len(explanation.statements))
    )
    measurement = explanation.measurement
    patient = [f"{measurement.age:g} years" if measurement.age is not None else "", measurement.sex or ""]
    facts = [
        *filter(None, patient),
        f"{measurement.duration_s:g} s",
        f"{len(measurement.leads)} leads",
        f"{measurement.fs:g} Hz",
    ]
    about = " \u00b7 ".join(facts)
    counts = "".join(
        f'<span class="chip {name}"><b aria-hidden="true">{VERDICT_SIGNS[name]}</b> '
        f"{count} {name.replace('_', ' ')}</span> "
        for name, count in explanation.verdict.items()
    )
    figure = _figure(key, explanation)
    drawn = set(re.findall(rf'id="{key}e(\d+)"', figure))
    statements = "\n".join(
        _statement(key, index, part, str(index) in drawn) for index, part in enumerate(explanation.statements, 1)
    )
    parts = [
        f"<style>{style}</style>",
        '<div class="gem"><header>',
        f"<h1>{escape(explanation.record_id)}</h1><p>{escape(about)}</p></header>",
        figure,
        f'<section aria-label="Explanation"><h2>Explanation</h2><p class="verdicts">{counts}</p>'
        f"<ol>{statements}</ol></section>",
        '<div class="columns">',
        _measured(explanation),
        _aside(explanation),
        "</div>",
        "<footer><p><strong>Research software, not a medical device.</strong> "
        f"Text by {escape(explanation.model)}; numbers by measurement; verdicts by the checker.</p></footer></div>",
    ]
    # lone surrogates, from file names that are not UTF-8, can't be encoded
    return "\n".join(parts).encode(errors="replace").decode()


def _pairs(key: str, count: int) -> str:
    """CSS that shows a statement's evidence while it is hovered or focused, and marks the statement of an evidence."""
    rules = []
    for index in range(1, count + 1):
        states = [f".gem:has(#{key}s{index}:{state})" for state in ("hover", "focus-within", "target")]
        rules.append(",".join(f"{state} #{key}e{index} .full" for state in states) + "{opacity:1}")
        rules.append(f"#{key}e{index}:target .full{{opacity:1}}")
        rules.append(
            ",".join(f".gem:has(#{key}e{index}:{state}) #{key}s{index}" for state in ("hover", "target"))
            + "{background:var(--hover)}"
        )
    return "\n".join(rules)


def _figure(key: str, explanation: Shown) -> str:
    if explanation.record is None:
        return '<p class="note">The ECG is not drawn: this explanation was read back without its recording.</p>'
    record = explanation.record
    picture = record.meta.get("picture")
    buffer = io.BytesIO()
    if picture is not None:
        page_, kind = picture["places"].page(), "jpeg"
        page_.image.save(buffer, "JPEG", quality=80)
    else:
        page_, kind = draw(record), "png"
        # 64 colours are enough for the grid and the grey levels of the trace, in a third of the bytes
        page_.image.quantize(64, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=False)
    width, height = page_.layout.size
    data = base64.b64encode(buffer.getvalue()).decode()
    marks = "\n".join(
        _marks(key, index, part, page_.layout) for index, part in enumerate(explanation.statements, 1) if part.evidence
    )
    alt = escape(_alt(explanation, record))
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="group" aria-label="{alt}">'
        f'<image href="data:image/{kind};base64,{data}" width="{width}" height="{height}"/>{marks}</svg>'
        "<figcaption>Numbers on the paper belong to the statements below. "
        "Point at a statement, or select its number, to see all of its evidence.</figcaption></figure>"
    )


def _alt(explanation: Shown, record: ECGRecord) -> str:
    return f"ECG of {record.record_id} on paper, leads {', '.join(record.leads)}. {explanation.text}"


def _marks(key: str, index: int, statement: ShownStatement, layout: PageLayout) -> str:
    """All boxes of a statement (hidden until it is hovered or selected), and one numbered mark that is always shown."""
    boxes = list(
        dict.fromkeys(box for part in statement.evidence for box in layout.evidence_boxes(part) if _placed(part))
    )
    if not boxes:
        return ""
    full = "".join(
        f'<rect x="{b.x0:.1f}" y="{b.y0:.1f}" width="{max(b.x1 - b.x0, 2):.1f}" height="{b.y1 - b.y0:.1f}"/>'
        for b in boxes
    )
    return f'<g id="{key}e{index}"><g class="full">{full}</g>{_badge(key, index, boxes, layout)}</g>'


def _placed(evidence: object) -> bool:
    """Whether evidence has a place on the paper; probabilities of the encoders have none."""
    return bool(getattr(evidence, "leads", ()) or getattr(evidence, "spans_s", ()))


def _badge(key: str, index: int, boxes: Sequence[Box], layout: PageLayout) -> str:
    """A bracket and a number; successive statements mark successive beats, so that the marks don't overlap."""
    strips = [panel.y_mm * layout.px_per_mm for panel in layout.panels if panel.rhythm]
    low = [box for box in boxes if strips and box.y0 <= strips[-1] <= box.y1] or list(boxes)
    box = low[(index - 1) % len(low)]
    wide = box.x1 - box.x0 > 400
    scale = layout.px_per_mm
    lift = ((index - 1) % 3) * 4.6 * scale if wide else ((index - 1) % 2) * 4.6 * scale
    y = box.y1 - 2 * scale - lift if wide else box.y0 + 5.5 * scale + lift
    middle = (box.x0 + 3 * scale + ((index - 1) // 3) * 6 * scale) if wide else (box.x0 + box.x1) / 2
    side, radius = 1.3 * scale, 2.1 * scale
    tick = -side if wide else side
    path = f"M{box.x0:.1f} {y + tick:.1f}V{y:.1f}H{box.x1:.1f}V{y + tick:.1f}"
    return (
        f'<path class="bracket" d="{path}"/><a href="#{key}s{index}" aria-label="Statement {index}">'
        f'<circle cx="{middle:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'
        f'<text x="{middle:.1f}" y="{y + 0.35 * radius * 2:.1f}" font-size="{radius * 1.35:.1f}">{index}</text></a>'
    )


def _statement(key: str, index: int, statement: ShownStatement, marked: bool) -> str:
    verdict = statement.verdict
    name = verdict.replace("_", " ")
    chip = (
        f'<span class="chip {verdict}"><b aria-hidden="true">{VERDICT_SIGNS[verdict]}</b> {name}</span>'
        if verdict
        else ""
    )
    kind = f'<span class="chip kind">{KINDS[statement.kind]}</span>' if statement.kind in KINDS else ""
    lines = list(dict.fromkeys(source_line(part) for part in statement.evidence))
    proof = "".join(f"<li>{escape(line)}</li>" for line in lines[:MAX_PROOF_LINES])
    proof += f"<li>and {len(lines) - MAX_PROOF_LINES} more</li>" if len(lines) > MAX_PROOF_LINES else ""
    # its number links to the mark on the paper or, without a mark, to the statement itself
    goal = "e" if marked else "s"
    doubts = "".join(
        f'<li class="doubt">{escape(claim.verdict.replace("_", " "))}: \u201c{escape(claim.text)}\u201d, '
        f"{escape(claim.reason)}</li>"
        for claim in statement.claims
        if claim.verdict != "supported"
    )
    return (
        f'<li id="{key}s{index}" tabindex="0"><a class="number" href="#{key}{goal}{index}" '
        f'aria-label="Show the evidence of statement {index}">{index}</a>'
        f'<div><p class="said">{escape(statement.text)} {chip}{kind}</p>'
        f'<ul class="proof">{proof}{doubts}</ul></div></li>'
    )


def _measured(explanation: Shown) -> str:
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="value">{escape(value)}</td><td>{escape(where)}</td></tr>'
        for name, value, where in rows(explanation.measurement)
    )
    return (
        '<section aria-label="Measurements"><h2>Measured</h2><table><thead><tr>'
        '<th scope="col">Value</th><th scope="col"></th>'
        '<th scope="col">Where it was read, or why it is missing</th></tr></thead>'
        f"<tbody>{body}</tbody></table></section>"
    )


def _aside(explanation: Shown) -> str:
    issues = (
        "".join(f"<li>{escape(line)}</li>" for line in quality_lines(explanation.measurement)) or "<li>none found</li>"
    )
    warnings = explanation.record.meta.get("warnings", ()) if explanation.record is not None else ()
    issues += "".join(f"<li>{escape(str(line))}</li>" for line in warnings)
    lines = printed_lines(explanation.record, explanation.measurement)
    printed = "".join(f"<li>{escape(line)}</li>" for line in lines)
    paper = f'<h2>Printed on the paper</h2><ul class="plain">{printed}</ul>' if printed else ""
    present = "".join(
        f"<li><strong>{escape(finding.label or finding.name.replace('_', ' '))}</strong>: {escape(finding.criterion)}"
        + (f" <cite>{escape(finding.source)}</cite>" if finding.source else "")
        + "</li>"
        for finding in explanation.findings
        if finding.present
    )
    chances = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="value">{value:.0%}</td>'
        f'<td><span class="bar" style="width:{100 * value:.0f}%"></span></td></tr>'
        for name, value in sorted(explanation.probabilities.items(), key=lambda item: -item[1])[:8]
    )
    encoders = (
        f"<h2>{escape(explanation.model)}: probabilities <small>estimated by the model, not measured</small></h2>"
        f"<table>{chances}</table>"
        if chances
        else ""
        if explanation.given is not None
        else f"<h2>{escape(explanation.model)}</h2><p>This model gives no probabilities.</p>"
    )
    return (
        '<section aria-label="Findings, quality and model"><h2>Criteria met</h2>'
        f'<ul class="plain">{present or "<li>none</li>"}</ul>'
        f'<h2>Signal quality</h2><ul class="plain">{issues}</ul>{paper}{encoders}</section>'
    )
