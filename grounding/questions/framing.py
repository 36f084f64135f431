"""What stands around a question: how it is to be answered, whom it is about, and whether it denies what it names."""

from __future__ import annotations

import re
from collections.abc import Callable

# behind a question, or around it in training texts; a definition ("Note that ...") is none either
_INSTRUCTIONS = re.compile(
    r"(?:please )?(?:answer|reply|respond)(?: with| by)? yes(?:,)?(?: or)? no[^.?!\n]*[.?!]?|"
    r"(?<=\?) *yes or no\??|, yes or no(?=\?)|(?<=[.?!]) *note(?: that\b|:)[^\n]*?[.!](?=\s|$)",
    re.I,
)
_ASKS = re.compile(
    r"(?:and |so |but |please |then )*(?:is|are|was|were|does|do|did|has|have|can|could|would|should|may|am|any|what|"
    r"which|how|where|when|why|who|in which|at what|tell|give|gibt|ist|sind|hat|zeigt|welche[rns]?|wie|wo|"
    r"wann|warum|in welcher)\b",
    re.I,
)
_LEAD_IN = re.compile(r"^[^:?\n]{1,80}[:\u2014]\s+(?=\S)")
_ABBREVIATED = re.compile(r"^(?:just |only |simply )?(?:say |answer |reply )?yes ?(?:or|/) ?no[,;.]?\s+(?=\S)", re.I)
_HOW_LONG = re.compile(r"\b(how (?:long|wide|broad|short) (?:is|are) the )([pqt])[- ]?waves?\b(?! duration)", re.I)
_WIDE_WAVE = re.compile(r"\b([pqt])[- ]?waves?(?=(?: is| are)?(?: longer| wider| broader| shorter| narrower)\b)", re.I)
_NORMAL_VALUE = re.compile(
    r"\b((?:what is|what's|what are|was ist) )(?:the |a |an |ein |das )?normal(?:e[rs]?)? "
    r"((?:pr|pq|qrs|qtc?|heart rate|axis|p wave duration)\b)",
    re.I,
)
_THAN_NORMAL = re.compile(
    r"\b(?:(?P<more>longer|wider|broader|larger|greater|higher|faster|more)|shorter|narrower|smaller|lower|slower|"
    r"less) than (?:is )?normal\b",
    re.I,
)
_FLAT_LEAD = re.compile(r"\b((?:iii|ii|i|av[rlf]|v[1-6])(?: is)?) flat\b(?! line| t)", re.I)
_LONG_ST = re.compile(r"\b(how (?:long|wide|short) (?:is|are) the )ST(?:[- ]segments?)?\b(?! duration)", re.I)
_ST_DURATION = re.compile(
    r"\b(?:ST[- ]segment (?:duration|length)|(?:duration|length) of the ST(?:[- ]segment)?)\b", re.I
)
_OTHER_ECG = re.compile(
    r"\b(?:compar\w+|previous|prior|older|last|earlier|yesterday|vergl\w+|vor(?:ekg|befund))\b", re.I
)
_SUM = re.compile(r"\d\s*[-+*/x=]\s*\d")
_CLAUSE = re.compile(r"[^.;:,?!\n]+(?:\.\d[^.;:,?!\n]*)*[.;:,?!\n]*")
# a question says these in other words than a statement: of "isn't there" and "why doesn't it" the denial is a figure
_LEADING_NOT = re.compile(
    r"(?P<before>(?:^|[.?!,;:]\s+|\b(?:why|and|so|but) )"
    r"(?:is|are|does|do|did|has|have|was|were|would|should|could|can|wo))n't\b",
    re.I,
)
_NOT = re.compile(r"\b(is|are|does|do|did|has|have|was|were|would|should|could)n't\b", re.I)


def without_contractions(text: str) -> str:
    """A text without "n't", whose last letter is no T wave.

    Args:
        text: with plain apostrophes.

    Example:
        >>> without_contractions("Doesn't it show AF? It isn't regular.")
        'Does it show AF? It is not regular.'
    """
    return _NOT.sub(r"\1 not", _LEADING_NOT.sub(lambda match: match["before"], text))


def reworded(text: str) -> str:
    """A text in which durations of waves, normal ranges and flat lines are named where they are meant.

    Args:
        text: of a question.

    Example:
        >>> reworded("Is the P wave longer than 120 ms? How long is the ST segment?")
        'Is the P wave duration longer than 120 ms? How long is the ST duration?'
    """
    text = _NORMAL_VALUE.sub(r"\1the normal range of the \2", _FLAT_LEAD.sub(r"\1 a flat line", text))
    text = _THAN_NORMAL.sub(lambda match: "prolonged" if match["more"] else "short", text)
    text = _WIDE_WAVE.sub(r"\1 wave duration", _HOW_LONG.sub(r"\1\2 wave duration", text))
    return _LONG_ST.sub(r"\1ST duration", _ST_DURATION.sub("ST duration", text))


def without_instructions(stem: str, names: Callable[[str], bool]) -> str:
    """A question without what says how to answer it, and without a heading that names nothing.

    Args:
        stem: the question without its options.
        names: whether a text names something that is asked about.

    Example:
        >>> without_instructions("Yes or no: is there AF?", lambda text: False)
        'is there AF?'
    """
    stem = _ABBREVIATED.sub("", _INSTRUCTIONS.sub(" ", stem).strip())
    heading = _LEAD_IN.match(stem)
    rest = stem[heading.end() :] if heading else ""
    if heading and (_ASKS.match(rest) or rest.endswith("?")) and not names(heading.group()):
        return rest
    return stem


def asked_clauses(stem: str, in_vocabulary: Callable[[int, int], bool]) -> str:
    """A question without the circumstances it tells before what it asks: "He takes digoxin; is there AF?".

    Args:
        stem: the question.
        in_vocabulary: whether a stretch of it names something that is measured.
    """
    places = [match.span() for match in _CLAUSE.finditer(stem)]
    asking = [_ASKS.match(stem[start:end].lstrip(" \n\"'(")) is not None for start, end in places]
    if True not in asking:
        return stem
    last = len(asking) - 1 - asking[::-1].index(True)
    kept = [
        stem[start:end]
        for number, (start, end) in enumerate(places)
        if number >= last or asking[number] or in_vocabulary(start, end) or _OTHER_ECG.search(stem[start:end])
    ]
    return "".join(kept)


def follows_up(text: str, known: re.Pattern[str], names: Callable[[str], bool]) -> bool:
    """Whether a question that names nothing is about what was asked before: it has no words of its own.

    Args:
        text: of the question.
        known: words of follow-ups ("why", "it", "how much").
        names: whether a word is one of the vocabulary, such as a lead, a number or "prolonged".
    """
    if _SUM.search(text):
        return False
    words = [word for word in re.split(r"[^\w'-]+", known.sub(" ", text.lower())) if word]
    return all(names(word) for word in words)
