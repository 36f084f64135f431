"""A page of one run: figures, reasons, and every item with the worst first, its evidence and its ECG.

One file, no scripts, no network.
"""

from __future__ import annotations

import base64
import html
import io
import json
from pathlib import Path
from typing import Any

from grounding import EcgError, Evidence

from ..metrics.texts import own_report
from .comparing import OWN_UNITS, read_run
from .inputs import Inputs
from .items import item_benchmarks
from .labels import without_marks
from .run_table import figures_table
from .running import summarise

MAX_ITEMS, MAX_PICTURES = 500, 20
_STYLE = """body{font:15px/1.5 sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
pre{background:#f5f5f2;padding:.8rem;overflow:auto;white-space:pre-wrap}
article{border-top:1px solid #ccc;padding:.6rem 0}img{max-width:100%}b.r{color:#a02020}"""


def write_page(folder: Path, out: Path, records: Path | None = None) -> None:
    """Write the page of a run.

    Args:
        folder: of the run.
        out: file to write.
        records: folder of the recordings, to measure and draw those of the worst items; None draws none.

    Raises:
        GemInputError: the folder holds no run.
    """
    described, rows = read_run(folder)
    benchmark, seed, batch = item_benchmarks[described["benchmark"]], described["seed"], described.get("batch", 1)
    figures = {**described, **summarise(benchmark, rows, seed, batch)}
    worst = sorted(rows, key=_worth)[:MAX_ITEMS]
    inputs = None if records is None else Inputs(records)
    parts = [_item(row, inputs if place < MAX_PICTURES else None) for place, row in enumerate(worst)]
    title = html.escape(f"{described['benchmark']} by {described['model']}")
    note = f"<p>The {len(worst)} worst of {len(rows)} items, worst first.</p>"
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><pre>{html.escape(figures_table(figures))}</pre>"
        f"<details><summary>what was run</summary><pre>{html.escape(json.dumps(described, indent=1))}</pre></details>"
        f"{note}{''.join(parts)}</html>\n"
    )
    out.write_text(page, encoding="utf-8")


def _worth(row: dict[str, Any]) -> tuple[float, str]:
    """Items that were not scored come first, then those with the lowest mean of their strict shares."""
    if not row["scores"]:
        return (-1.0, row["id"])
    score = row["scores"].get("strict") or next(iter(row["scores"].values()))
    shares = [value for name, value in score["values"].items() if not name.endswith(OWN_UNITS)]
    return (sum(shares) / max(len(shares), 1), row["id"])


def _item(row: dict[str, Any], inputs: Inputs | None) -> str:
    cells = [
        ("asked", row["prompt"]),
        ("answered", row["answer"]),
        ("true", ", ".join(row["truth"])),
        ("problem", row["problem"]),
    ]
    cells += [
        (scoring, ", ".join(f"{name} {value:.2f}" for name, value in score["values"].items()))
        for scoring, score in row["scores"].items()
    ]
    text = "\n".join(f"{name}: {value}" for name, value in cells if value is not None)
    reason = f'<b class="r">{html.escape(row["reason"])}</b>' if row["reason"] else "right"
    shown = (
        "" if inputs is None else _evidence(row, inputs) + "".join(_picture(name, inputs) for name in row["records"])
    )
    return f"<article>{html.escape(row['id'])}: {reason}<pre>{html.escape(text)}</pre>{shown}</article>"


def _evidence(row: dict[str, Any], inputs: Inputs) -> str:
    """What is measured in each recording, and the claims of an answer about one with what they were compared with."""
    import grounding

    lines = []
    for name in row["records"]:
        try:
            measurement = inputs.measurement(name)
        except EcgError:
            continue  # its picture says so
        lines.append(f"measured in {name}: {own_report(measurement)}")
        if len(row["records"]) == 1:
            for claim in grounding.check(without_marks(row["answer"] or ""), measurement):
                values = ", ".join(_value(proof) for proof in claim.evidence if proof.value is not None)
                lines.append(f"{claim.verdict}: {claim.text}" + (f" ({values})" if values else ""))
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>" if lines else ""


def _value(proof: Evidence) -> str:
    value = f"{proof.value:.4g}" if isinstance(proof.value, float) else str(proof.value)
    return " ".join(part for part in (*proof.leads, proof.quantity, value, proof.unit) if part)


def _picture(name: str, inputs: Inputs) -> str:
    import grounding

    try:
        picture = grounding.render(inputs.record(name), dpi=70)
    except EcgError as error:
        return f"<p>{html.escape(str(error))}</p>"
    file = io.BytesIO()
    picture.convert("P").save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<figure><img alt="ECG {html.escape(name)}" src="data:image/png;base64,{data}"></figure>'
