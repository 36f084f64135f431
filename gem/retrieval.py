"""Passages of the knowledge base, its sources and a folder of the user's texts, found by their words (BM25)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from grounding.criteria import load_knowledge
from grounding.criteria.language import criterion_words

from .errors import GemError, GemInputError
from .extras import how_to_install

SUFFIXES = (".txt", ".md", ".rst")
MAX_FILE_BYTES = 16 << 20
MAX_PASSAGE_CHARACTERS = 1200
COVERED_SHARE = 0.6  # of a sentence's content words that the passage it cites must hold
_CITATION = re.compile(r"\[([^\[\]\n]{1,200})\]")
_QUOTATION = re.compile(r"[\"“„«]([^\"“”„«»]{3,})[\"”“»]")
_WORD = re.compile(r"[^\W_]{4,}|\d+(?:\.\d+)?")
# words of a sentence that do not come from what it cites
_OWN_WORDS = frozenset(
    re.findall(
        r"\w+",
        "according this that with from have been which when where what source says states knowledge base defined means "
        "there these those here also only than then they their will would should could about",
    )
)


@dataclass(frozen=True)
class Passage:
    """A piece of text with an address.

    Attributes:
        address: where it stands, by which it is cited: ``"kb:first_degree_av_block"``, ``"guide.md#3"``.
        text: the words.
        score: how well it fits what was looked up (BM25).
    """

    address: str
    text: str
    score: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {"address": self.address, "text": self.text, "score": round(self.score, 3)}


class Library:
    """Texts that can be looked up.

    Args:
        folder: of texts (``.txt``, ``.md``, ``.rst``; UTF-8), beside the knowledge base; with subfolders.

    Raises:
        GemInputError: the folder is not there, or a file in it is too large or not UTF-8.

    Example:
        >>> passage = Library().search("first-degree AV block: the PR interval", 1)[0]
        >>> passage.address, "PR interval above 200 ms" in passage.text
        ('kb:first_degree_av_block', True)
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.passages: tuple[Passage, ...] = (*_knowledge(), *(() if folder is None else _texts(Path(folder))))
        self._by_address: dict[str, Passage] = {one.address: one for one in self.passages}

    def __len__(self) -> int:
        return len(self.passages)

    def __getitem__(self, address: str) -> Passage:
        return self._by_address[address]

    def __contains__(self, address: object) -> bool:
        return address in self._by_address

    @cached_property
    def _index(self) -> Any:
        try:
            import bm25s
        except ImportError:
            raise GemError("looking up needs the package bm25s", remedy=how_to_install("bm25s")) from None
        index = bm25s.BM25()
        index.index(_tokens([one.text for one in self.passages]), show_progress=False)
        return index

    def search(self, query: str, count: int = 3) -> list[Passage]:
        """The passages that fit a query best, those that it names first; none without a common word.

        Args:
            query: words.
            count: how many.

        Raises:
            GemError: the ``retrieval`` extra is not installed.
            GemInputError: the query is no str, or the count below 1.
        """
        if not isinstance(query, str) or count < 1:
            raise GemInputError("no query", where="query", remedy="pass words, and a count of 1 or more")
        words = _tokens([query])
        if not words[0]:
            return []
        found, scores = self._index.retrieve(words, k=min(count, len(self)), show_progress=False)
        best = [
            Passage(self.passages[at].address, self.passages[at].text, score)
            for at, score in zip(found[0].tolist(), scores[0].tolist(), strict=True)
            if score > 0
        ]
        # what the query names by its whole name goes before what only speaks of it
        top = max((one.score for one in best), default=0.0)
        named = [replace(self._by_address[f"kb:{name}"], score=top) for name in _named(" ".join(words[0]))]
        rest = [one for one in best if one.address not in {first.address for first in named}]
        return [*named, *rest][:count]


def _named(query: str) -> list[str]:
    """The entries of the knowledge base that are named in a query; none whose name is part of a longer one there."""
    found = [
        (words, name)
        for name, entry in load_knowledge().items()
        for words in (" ".join(part) for part in _tokens([entry.label, *entry.terms]))
        if words and f" {words} " in f" {query} "
    ]
    longest = [one for one in found if not any(one[0] != other and f" {one[0]} " in f" {other} " for other, _ in found)]
    return list(dict.fromkeys(name for _, name in longest))


def _tokens(texts: Sequence[str]) -> list[list[str]]:
    """Words in lower case, their plural s cut off; numbers too."""
    found = [re.findall(r"[^\W_]+", text.lower()) for text in texts]
    return [[word.removesuffix("s") if len(word) > 3 else word for word in words if len(word) > 1] for words in found]


def _knowledge() -> Iterator[Passage]:
    for name, entry in load_knowledge().items():
        parts = [f"{entry.label}: {criterion_words(name)}.", f"Source: {entry.source}."]
        parts += [f"{entry.adaptation}."] if entry.adaptation else []
        parts += [f"Weakness: {entry.weakness}."] if entry.weakness else []
        parts += [f"Also called: {', '.join(entry.terms)}."] if entry.terms else []
        yield Passage(f"kb:{name}", " ".join(parts))


def _texts(folder: Path) -> Iterator[Passage]:
    if not folder.is_dir():
        raise GemInputError("no such folder", where=str(folder), remedy="name a folder of .txt or .md files")
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        if path.stat().st_size > MAX_FILE_BYTES:
            raise GemInputError(f"larger than {MAX_FILE_BYTES >> 20} MB", where=str(path), remedy="split it")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise GemInputError("the file is not UTF-8 text", where=str(path), remedy="save it as UTF-8") from None
        name = str(path.relative_to(folder)).replace("[", "(").replace("]", ")")
        for number, part in enumerate(_paragraphs(text), 1):
            yield Passage(f"{name}#{number}", part)


def _paragraphs(text: str) -> Iterator[str]:
    for part in re.split(r"\n\s*\n", text):
        words, line = part.split(), ""
        for word in words:
            if line and len(line) + len(word) >= MAX_PASSAGE_CHARACTERS:
                yield line
                line = ""
            line += f" {word}" if line else word
        if line:
            yield line


def citations(sentence: str) -> list[str]:
    """The addresses that a sentence cites: what stands in square brackets.

    Args:
        sentence: such as ``"It is long above 200 ms [kb:first_degree_av_block]."``
    """
    return [address.strip() for found in _CITATION.findall(sentence) for address in found.split(";")]


def unsupported_citation(sentence: str, passages: dict[str, Passage]) -> str | None:
    """Why a sentence's citations don't hold; None if they do, or there are none.

    Args:
        sentence: a sentence with addresses in square brackets.
        passages: address -> passage, of what was looked up.

    Returns:
        An address that was not looked up, quoted words that the passages lack, or too few of its own words in them.
    """
    named = citations(sentence)
    if not named:
        return None
    missing = [address for address in named if address not in passages]
    if missing:
        return f"it cites {missing[0]}, which was not looked up"
    text = " ".join(" ".join(passages[address].text for address in named).lower().split())
    said = _CITATION.sub(" ", sentence)
    for words in _QUOTATION.findall(said):
        if " ".join(words.lower().split()).strip(" .,;:") not in text:
            return f"it quotes words that {', '.join(named)} does not hold: {words.strip()!r}"
    content = [word for word in _WORD.findall(said.lower()) if word not in _OWN_WORDS]
    held = [word for word in content if word.removesuffix("s") in text]
    if not content or len(held) < COVERED_SHARE * len(content):
        return f"{len(content) - len(held)} of its {len(content)} words are not in {', '.join(named)}"
    return None


def quoted_spans(text: str, passages: Mapping[str, Passage]) -> list[tuple[int, int]]:
    """Where a text gives a passage word for word before it cites it: a definition, or words in quotation marks.

    A definition is the passage's own beginning: its name, a colon, and the words after it.

    Args:
        text: with addresses in square brackets.
        passages: address -> passage, of what was looked up.

    Returns:
        (start, end) of each, in order.

    Example:
        >>> passage = Passage("kb:x", "long PR: PR interval above 200 ms. Source: a book.")
        >>> quoted_spans("PR is 160 ms. Long PR: PR interval above 200 ms [kb:x].", {"kb:x": passage})
        [(14, 47)]
    """
    spans, last = [], 0
    for found in _CITATION.finditer(text):
        known = [passages[name.strip()].text for name in found[1].split(";") if name.strip() in passages]
        before = text[last : found.start()].rstrip()
        for passage in known:
            name, colon, _ = passage.partition(":")
            start = before.lower().rfind(f"{name.lower()}:") if colon else -1
            words = before[start:].strip(" .")
            if start >= 0 and len(words) > len(name) + 1 and passage.lower().startswith(words.lower()):
                spans.append((last + start, last + len(before)))
            spans += [
                (last + quotation.start(), last + quotation.end())
                for quotation in _QUOTATION.finditer(before)
                if " ".join(quotation[1].lower().split()).strip(" .,;:") in passage.lower()
            ]
        last = found.end()
    return sorted(set(spans))
