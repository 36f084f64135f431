"""Looking up: the knowledge base, a folder of texts, and whether citations hold."""

from __future__ import annotations

from pathlib import Path

import pytest

import gem
from gem.retrieval import Library, Passage, citations, unsupported_citation
from grounding.criteria import load_knowledge

pytest.importorskip("bm25s")


def test_every_finding_is_found_by_its_label() -> None:
    library = Library()
    assert {f"kb:{name}" for name in load_knowledge()} == {one.address for one in library.passages}
    ranks = []
    for name, entry in load_knowledge().items():
        found = [one.address for one in library.search(entry.label, 3)]
        ranks.append(f"kb:{name}" in found)
    assert sum(ranks) >= 0.95 * len(ranks)


def test_a_folder_of_texts(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    long = " ".join(f"word{n}" for n in range(500))
    (tmp_path / "sub" / "guide.md").write_text(f"Brugada pattern\ntype one is coved.\n\nAnother matter.\n\n{long}")
    (tmp_path / "data.bin").write_bytes(b"\xff\x00")
    library = Library(tmp_path)
    best = library.search("coved Brugada", 1)[0]
    assert (best.address, best.text) == ("sub/guide.md#1", "Brugada pattern type one is coved.")
    assert best.score > 0
    assert library["sub/guide.md#2"].text == "Another matter."
    assert all(len(one.text) <= 1200 for one in library.passages if one.address.startswith("sub/"))
    words = " ".join(one.text for one in library.passages if one.address.startswith("sub/")).split()
    assert words == (tmp_path / "sub" / "guide.md").read_text().split()  # nothing lost
    assert library.search("zzzz qqqq") == []
    assert library.search("") == []
    (tmp_path / "l.txt").write_bytes("Hebung für II".encode("latin-1"))
    with pytest.raises(gem.GemInputError, match="UTF-8"):
        Library(tmp_path)
    with pytest.raises(gem.GemInputError, match="no such folder"):
        Library(tmp_path / "none")


def test_citations_hold_or_not() -> None:
    passages = {"a#1": Passage("a#1", "The PR interval is prolonged above 200 ms in adults.")}
    assert citations("Long above 200 ms [a#1; b#2] and [c].") == ["a#1", "b#2", "c"]
    assert unsupported_citation("No citation at all.", passages) is None
    assert unsupported_citation("The PR interval is prolonged above 200 ms [a#1].", passages) is None
    assert unsupported_citation('The guide says "prolonged above 200 ms" [a#1].', passages) is None
    for wrong in (
        "Above 200 ms [b#2].",
        'It says "prolonged above 300 ms" [a#1].',
        "Torsades may follow digitalis overdose quickly [a#1].",
        "So it is [a#1].",
    ):
        assert unsupported_citation(wrong, passages), wrong
