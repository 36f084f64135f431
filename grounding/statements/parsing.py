"""From text to statements: numbers, words for values, and findings, with their negation, doubt, time and leads.

A sentence is read from left to right, item by item. Quantities ("PR interval"), segments ("T waves") and findings are
subjects. Numbers and words for values belong to the subject before them if only filler words are in between. Negation
and doubt apply to the next finding or word, and to what is joined to it by "and", "or" or a comma.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from ..criteria.knowledge import additions
from . import cues, exceptions, figures, naming, relations, values, waves
from .context import Context
from .items import Phrase, items_of
from .layout import Heading, heading_of, with_rows
from .lexicon import lexicon
from .narrowing import narrowed
from .parsed import ParsedStatement
from .tokens import Sentence, normalised, sentences

# kind of item -> function that reads it, given the sentence, the number of the item and the item itself; other kinds
# only affect the reading of adjacent items
_RULES: Mapping[str, Callable[[Context, int, Phrase], None]] = {
    "stop": cues.read_stop,
    "contrast": cues.read_stop,
    "now": cues.read_stop,
    "except": exceptions.read_except,
    "no": cues.read_no,
    "no_strong": cues.read_no,
    "absent": cues.read_absent,
    "false": cues.read_result,
    "not_said": cues.read_result,
    "unticked": cues.read_unticked,
    "ended": cues.read_ended,
    "present": cues.read_present,
    "maybe": cues.read_maybe,
    "maybe_post": cues.read_maybe_post,
    "doubt": cues.read_doubt_sign,
    "unlikely": cues.read_unlikely,
    "past": cues.read_past,
    "compare": cues.read_compare,
    "reference": values.read_reference,
    "formula": cues.read_formula,
    "missing": cues.read_missing,
    "comparative": cues.read_comparative,
    "quantity": values.read_quantity,
    "unmeasured": values.read_unmeasured,
    "said": values.read_stated,
    "quality": values.read_quality,
    "regularity": values.read_regularity,
    "number": figures.read_number,
    "wave": waves.read_wave,
    "wavelead": waves.read_wavelead,
    "sum": waves.read_sum,
    "finding": naming.read_finding,
    "regional": naming.read_regional,
    "region": naming.read_region,
    "unmodelled": naming.read_unmodelled,
    "lead": naming.read_lead,
    "relation": relations.read_relation,
}

_ANSWERED = frozenset({"finding", "category", "regularity", "relation"})
_YES_NO = {"yes": True, "ja": True, "no": False, "nein": False, "none": False}


def read_statements(text: str) -> list[ParsedStatement]:
    """All statements of a text.

    Args:
        text: in English or German.

    Returns:
        The statements, in order.

    Example:
        >>> [(s.kind, s.subject or s.findings, s.negated) for s in read_statements("PR 160 ms, no LBBB")]
        [('number', ('pr',), False), ('finding', (('complete_left_bundle_branch_block',),), True)]
    """
    known = additions()
    out: list[ParsedStatement] = []
    asked: list[ParsedStatement] = []  # of a question right before
    heading: Heading | None = None  # of the list of which a sentence may be an entry
    text = with_rows(normalised(text), lexicon())
    for sentence in sentences(text, lexicon().abbreviations):
        if asked and (said := _answer(sentence)) is not None:
            for one in asked:
                one.negated, one.uncertain, one.exclusion = one.negated == said, False, ""
        first = sentence.starts[0]
        starts, ends = (tuple([at - first for at in places]) for places in (sentence.starts, sentence.ends))
        read = statements_of(tuple(sentence.words), starts, ends, sentence.question, known)
        moved = [statement.shifted(first) for statement in read]
        if sentence.words[-1] == ":" or sentence.words[1:2] == [":"]:
            heading = heading_of(sentence, lexicon())
        elif heading is not None and heading.has_entry(text, sentence):
            heading.apply(moved)
        else:
            heading = None
        asked = moved if sentence.question and len(moved) == 1 and moved[0].kind in _ANSWERED else []
        out += moved
    return out


def _answer(sentence: Sentence) -> bool | None:
    """Whether a sentence begins with yes (True) or no (False): "AF? No.", "Is there LBBB? No, QRS is narrow."."""
    if len(sentence.words) > 1 and sentence.words[1] not in (",", ":", "-"):
        return None
    return _YES_NO.get(sentence.words[0])


@lru_cache(maxsize=4096)
def statements_of(
    words: tuple[str, ...],
    starts: tuple[int, ...],
    ends: tuple[int, ...],
    question: bool,
    _: tuple[tuple[str, int], ...],
) -> tuple[ParsedStatement, ...]:
    """The statements of a sentence, remembered: reports and lessons repeat their sentences.

    Args:
        words: its tokens.
        starts: index of each token's first character.
        ends: index after each token's last character.
        question: it ends in a question mark.
    """
    known = lexicon()
    sentence = Sentence(list(words), list(starts), list(ends), question)
    items = relations.with_relations(sentence, narrowed(sentence, items_of(sentence, known), known))
    found: list[ParsedStatement] = []
    if items:
        context = Context(sentence, items, known)
        for number, item in enumerate(items):
            rule = _RULES.get(item.term.kind)
            if rule is not None and number > context.done_to:
                rule(context, number, item)
        found = context.out
    if not found and sum(word.isalpha() for word in words) >= 3:
        found = [ParsedStatement("other", (), starts[0], ends[-1])]
    return tuple(found)
