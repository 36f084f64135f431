"""Several texts about a recording as one table of claims, in HTML without scripts."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from string import Template
from typing import Any, Protocol

from .html import TEMPLATES, VERDICT_SIGNS, document


class Compared(Protocol):
    """What is compared, see ``gem.TextComparison``."""

    @property
    def record_id(self) -> str:
        """Name of the recording."""

    @property
    def explanations(self) -> Mapping[str, Any]:
        """Name of each text -> the text."""

    @property
    def table(self) -> Any:
        """A row for each topic."""


def page(comparison: Compared) -> str:
    """The table as a document of its own.

    Args:
        comparison: what to show.
    """
    return document(comparison.record_id, "gem-comparison", fragment(comparison))


def fragment(comparison: Compared) -> str:
    """The table as a part of another document, such as a notebook.

    Args:
        comparison: what to show.
    """
    names = list(comparison.explanations)
    style = Template((TEMPLATES / "explanation.css").read_text(encoding="utf-8")).substitute(pairs="")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    rows = []
    for row in comparison.table.to_dict(orient="records"):
        cells = "".join(f"<td>{escape(row[name])} {_chip(row[f'{name}: verdict'])}</td>" for name in names)
        rows.append(
            f'<tr><th scope="row">{escape(row["topic"])}</th>{cells}'
            f"<td>{escape(row['verdicts'])}</td><td>{escape(row['measured'])}</td></tr>"
        )
    texts = "".join(
        f"<h2>{escape(name)}</h2><p style='white-space:pre-wrap'>{escape(one.text)}</p>"
        for name, one in comparison.explanations.items()
    )
    body = "".join(rows) or f'<tr><td colspan="{len(names) + 3}">no claim was found in any of the texts</td></tr>'
    return (
        (
            f'<style>{style}</style><div class="gem"><header><h1>{escape(comparison.record_id)}</h1></header>'
            '<section aria-label="Comparison"><table><thead><tr><th scope="col">About</th>'
            f'{head}<th scope="col">Verdicts</th><th scope="col">What was measured</th></tr></thead>'
            f"<tbody>{body}</tbody></table>{texts}</section>"
            "<footer><p><strong>Research software, not a medical device.</strong> Verdicts by the checker.</p>"
            "</footer></div>"
        )
        .encode(errors="replace")
        .decode()
    )


def _chip(verdict: str) -> str:
    if not verdict:
        return ""
    sign, name = VERDICT_SIGNS[verdict], verdict.replace("_", " ")
    return f'<span class="chip {verdict}"><b aria-hidden="true">{sign}</b> {name}</span>'
