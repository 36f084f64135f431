from __future__ import annotations

from pathlib import Path

from grounding.criteria import load_knowledge
from grounding.criteria.docs import page

ROOT = Path(__file__).resolve().parents[3]


def test_the_committed_page_is_the_knowledge_base() -> None:
    assert (ROOT / "docs" / "findings.md").read_text() == page(ROOT / "benchmarks" / "findings.csv")


def test_every_entry_has_its_place_on_the_page() -> None:
    text = page()
    for entry in load_knowledge().values():
        assert f"`{entry.name}`" in text
        assert entry.source in text
