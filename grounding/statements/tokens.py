"""Tokens of a text: words, numbers and signs with their positions, divided into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# one character is replaced by one, so that positions in the text are preserved
_VARIANTS = str.maketrans(
    {
        **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u202f\t\r\u200b\ufeff", " "),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ad", "-"),
        **dict.fromkeys("\u2018\u2019\u02bc\u00b4`", "'"),
        **dict.fromkeys("\u201c\u201d\u201e", '"'),
        "\u03bc": "\u00b5",
        "\u00ba": "\u00b0",
        "\u02da": "\u00b0",
        "\u2044": "/",
        "\u2215": "/",
        "\u223c": "~",
        "\u2248": "~",
        "\u2265": ">",
        "\u2264": "<",
        "\u2a7e": ">",
        "\u2a7d": "<",
        "\u2028": "\n",
        "\u2029": "\n",
        "\u000b": "\n",
        "\u000c": "\n",
    }
)
# an ordinal, a number, a word (with a lost umlaut as in "f#r", a chest lead's digit, "(s)"), line ends, or one sign
_TOKEN = re.compile(
    r"\d+(?i:st|nd|rd|th)\b|\d+(?:\.\d+)?|(?<![\w.])\.\d+|(?:[^\W\d_]+#|#(?=[a-z]))[^\W\d_]+|"
    r"[^\W\d_]+(?:\d(?!\d))?(?:'s\b|\((?:s|n|es|en)\))?|\n\s*|[^\w\s]"
)
_ENDS = frozenset(".;!|?")
_SIGNS = _ENDS | {"'"}  # what may end a sentence or be left out; line ends are never kept as words
_LETTERS = str.maketrans({"#": "ue", "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "é": "e", "è": "e"})
_CUT_SHORT = frozenset({"elev", "depr", "neg", "inv", "pos", "pathol"})
_OF_LEADS = re.compile(r"\s*(?:in |lead|over |ueber |über )?\s*(?:the )?(?:leads? )?(?:I{1,3}|V[1-6]|aV[RLF])\b")
_CONTRACTED = {"can": "can", "won": "will", "shan": "shall"}
_DEGREES = ("i", "ii", "iii")
_words: dict[str, str] = {}
_MAX_KNOWN_WORDS = 20_000


def word_set(words: str) -> frozenset[str]:
    """The set of words in a text.

    Args:
        words: separated by spaces.
    """
    return frozenset(words.split())


@dataclass(frozen=True)
class Sentence:
    """Tokens of one sentence.

    Attributes:
        words: in the form of ``word_of``.
        starts: index of each token's first character in the text.
        ends: index after each token's last character.
        question: it ends in a question mark.
    """

    words: list[str]
    starts: list[int]
    ends: list[int]
    question: bool = False


def word_of(raw: str) -> str:
    """A token in the form in which phrases are compared: lower case, one spelling for British, American and German.

    Args:
        raw: the token as in the text.

    Example:
        >>> [word_of(raw) for raw in ("ISCHÄMIE", "ischaemia", "Repolarisation", "contraction(s)", "Bazett's")]
        ['ischemie', 'ischemia', 'repolarization', 'contractions', 'bazett']
    """
    known = _words.get(raw)
    if known is None:
        known = raw.lower().removesuffix("'s")
        if known.endswith(")") and len(known) > 1:
            known = known[:-1].replace("(", "")
        known = known.translate(_LETTERS).replace("aemi", "emi").replace("isation", "ization").replace("ised", "ized")
        if len(_words) < _MAX_KNOWN_WORDS:
            _words[raw] = known
    return known


def normalised(text: str) -> str:
    """Replace typographic variants of dashes, spaces and signs; characters keep their positions.

    Args:
        text: any text.
    """
    return text.translate(_VARIANTS)


def sentences(text: str, abbreviations: frozenset[str] = frozenset()) -> Iterator[Sentence]:
    """Divide a text into sentences.

    A sentence ends at ``.`` before a space (not after an abbreviation or an ordinal), ``!``, ``?``, ``;``, ``|`` and at
    line ends. A line that begins in lower case continues the sentence if the text has capitals at all.

    Args:
        text: any text.
        abbreviations: words after which a full stop does not end a sentence.

    Yields:
        The sentences, in order.
    """
    text = normalised(text)
    wraps = any(char.isupper() for char in text[:2000])
    words: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    size = len(text)
    known, contracted = _words.get, False
    for match in _TOKEN.finditer(text):
        raw = match.group()
        start, end = match.span()
        word = known(raw)
        if contracted:
            word, contracted = "not", False
        if word is not None and raw not in _SIGNS:  # most tokens are words that were seen before
            words.append(word)
            starts.append(start)
            ends.append(end)
            continue
        if (
            raw == "'"
            and words
            and text[start - 1 : start + 2].lower() == "n't"
            and not text[start + 2 : start + 3].isalpha()
        ):
            words[-1] = _CONTRACTED.get(words[-1], words[-1].removesuffix("n") or "n")
            contracted = True  # "isn't" has the two words "is" and "not"
            continue
        if raw not in _ENDS and raw[0] != "\n":
            words.append(word_of(raw))
            starts.append(start)
            ends.append(end)
            continue
        if raw[0] == "\n":
            if not (wraps and words and end < size and text[end].islower() and words[-1] not in ":"):
                if words:
                    yield Sentence(words, starts, ends)
                words, starts, ends = [], [], []
            continue
        if _ends(raw, text, end, size, words, ends, start, abbreviations):
            if words:
                if raw == "?":
                    words.append("?")
                    starts.append(start)
                    ends.append(end)
                yield Sentence(words, starts, ends, question=raw == "?")
            words, starts, ends = [], [], []
            continue
        words.append(word_of(raw))
        starts.append(start)
        ends.append(end)
    if words:
        yield Sentence(words, starts, ends)


def _ends(
    sign: str,
    text: str,
    end: int,
    size: int,
    words: list[str],
    ends: list[int],
    start: int,
    abbreviations: frozenset[str],
) -> bool:
    if sign in ";!|":
        return True
    last = end >= size or text[end].isspace()
    if sign == "?":
        return last and bool(words)
    if words and words[-1] == "neg" and text[end : end + 5].lower() == " for ":
        return False  # "Neg. for STEMI"
    if words and words[-1] in _CUT_SHORT and _OF_LEADS.match(text, end):
        return False  # "ST elev. in II"
    if not last:
        # "rhythm.Normal" has two sentences, "1.Satz" has one
        return end < size and text[end].isupper() and bool(words) and len(words[-1]) > 3
    if not words or ends[-1] != start:
        return True
    before = words[-1]
    if before in abbreviations:
        return _next_char(text, end, size) == "\n"
    if len(words) > 1 and words[-2] in ("vom", "am") and before.count(".") == 1:
        return False  # "vom 3.4. "
    rest = text[end : end + 8].lstrip().lower()
    if (before in _DEGREES or (before.isdecimal() and len(before) <= 2)) and rest.startswith(("grad", "degree")):
        return False
    if before in _DEGREES[1:] and rest.startswith(("und i", "oder i", "bis i")):
        return False  # "AV-Block I., II. oder III. Grades"
    # "e.g. ", "Z. n. ": single letters with full stops
    if len(before) == 1 and before.isalpha():
        return not ((len(words) > 1 and words[-2] == ".") or (len(rest) > 1 and rest[0].isalpha() and rest[1] == "."))
    return True


def _next_char(text: str, end: int, size: int) -> str:
    return text[end] if end < size else "\n"
