"""Parts of a sentence that are not about this recording: other times or persons, guidelines, comparisons, questions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from .items import Phrase
from .tokens import Sentence, word_set

OTHER_TIME = "said of another time, person or device, not of this recording"
GENERAL = "a general statement, not one about this recording"
NOT_SAID = "not asserted of this recording"
COMPARED = "a comparison with another recording"
QUESTION = "a question, not a statement"

_SEGMENT_ENDS = frozenset({",", "(", ")", "[", "]"})
_VERBS = word_set("showed revealed had demonstrated was were documented had has shows zeigte war waren hatte rose fell")
_MONTHS = word_set(
    "january february march april may june july august september october november december "
    "jan feb mar apr jun jul aug sep sept oct nov dec "
    "januar februar maerz mai juni juli oktober dezember"
)
_MONTH_NAMES = _MONTHS - word_set("may jan feb mar apr jun jul aug sep sept oct nov dec")
_REPORTED = word_set("showed revealed had demonstrated was were zeigte war waren hatte")
_WITHIN = frozenset(
    {"when", "where", "which", "wo", "als", "welches"}
)  # after a comparison: "compared with 2019, when"
_KNOWN = frozenset({"known", "diagnosed", "bekannt"})
_BEGINS_PART = word_set("previously formerly initially originally zuvor vorher frueher")
_COMPARISON_ENDS = word_set("is are has have shows there new newly neu neuer neue neues ist sind")
# words before a year that make it a time ("in 2019")
_YEAR_BEFORE = frozenset({"in", "im", "since", "seit", "jahr", "year", "from", "von", "vom", "of", "dated"})


def exclusions(sentence: Sentence, items: Sequence[Phrase]) -> list[str]:
    """Find the parts of a sentence that are not claims about this recording.

    Args:
        sentence: its tokens.
        items: its items.

    Returns:
        For every token the reason why it is not part of a claim, or ``""``.
    """
    size = len(sentence.words)
    kinds = {item.term.kind for item in items}
    if sentence.question and _is_question(sentence, items):
        return [QUESTION] * size
    if "met" not in kinds and any(item.term.kind == "general" and _is_general(sentence, item) for item in items):
        return [GENERAL] * size
    out = [""] * size
    if "[" in sentence.words:
        _mark_criteria(sentence, items, out)
    months = [at for at, word in enumerate(sentence.words) if word in _MONTH_NAMES]
    if not months and not kinds & {"aside", "year", "comparison", "hypothetical", "conditional"}:
        return out
    segments = _segments(sentence, items)
    _mark_hypothetical(items, segments, out)
    _mark_comparisons(sentence, items, out)
    _mark_times(sentence, items, segments, months, out)
    return out


def _is_general(sentence: Sentence, item: Phrase) -> bool:
    """Whether a word makes its sentence a general one: "the hallmark of AF" does at the beginning alone."""
    return item.first <= 1 or "hallmark" not in sentence.words[item.first : item.last + 1]


def _mark_criteria(sentence: Sentence, items: Sequence[Phrase], out: list[str]) -> None:
    """Mark a device's criteria behind its statement: "RIGHT BUNDLE BRANCH BLOCK [120+ ms QRS DURATION]"."""
    opened, criteria = -1, False
    known = {item.first: item for item in items if item.number is not None and item.number.compare}
    for at, word in enumerate([*sentence.words, "]"]):
        if word == "[":
            opened, criteria = at, False
        elif word == "]" and opened >= 0:
            if criteria:
                _mark(out, opened, at, GENERAL)
            opened = -1
        criteria = criteria or at in known


def _is_question(sentence: Sentence, items: Sequence[Phrase]) -> bool:
    """Whether a sentence with a question mark is a question ("Is there AF?"); "LVH?" expresses doubt."""
    return (
        sentence.words[0]
        in {
            "is",
            "are",
            "does",
            "do",
            "has",
            "was",
            "could",
            "can",
            "what",
            "which",
            "any",
            "ist",
            "hat",
            "liegt",
            "gibt",
            "sind",
        }
        and len(sentence.words) > 2
    )


def _segments(sentence: Sentence, items: Sequence[Phrase]) -> list[tuple[int, int, bool]]:
    """Parts between commas, brackets and words such as "but": (first token, token after it, is it a new clause)."""
    cuts: dict[int, bool] = {0: True}
    for at, word in enumerate(sentence.words):
        if word in _SEGMENT_ENDS:
            cuts.setdefault(at, False)
    for item in items:
        if item.term.kind in ("contrast", "now"):
            cuts[item.first] = True
    starts = sorted(cuts)
    return [(a, b, cuts[a]) for a, b in zip(starts, [*starts[1:], len(sentence.words)], strict=True)]


def _mark(out: list[str], first: int, behind: int, reason: str) -> None:
    for at in range(first, behind):
        out[at] = out[at] or reason


def _mark_hypothetical(items: Sequence[Phrase], segments: list[tuple[int, int, bool]], out: list[str]) -> None:
    """Mark what follows "if" or "usually", up to the end of the clause; with "would" the whole clause."""
    clauses = [a for a, _, new_clause in segments if new_clause]
    ends = [*clauses, len(out)]
    done = at = 0
    for item in items:
        if item.term.kind == "conditional":
            clause = clauses[bisect_right(clauses, item.first) - 1]
            _mark(out, max(clause, done), item.first, NOT_SAID)
        if item.term.kind in ("hypothetical", "conditional") and item.first >= done:
            while at < len(ends) - 1 and ends[at] <= item.last:
                at += 1
            end = ends[at]
            _mark(out, item.first, end, NOT_SAID)
            done = end


def _mark_comparisons(sentence: Sentence, items: Sequence[Phrase], out: list[str]) -> None:
    """Mark a comparison ("compared with the ECG of 2019"), up to the next comma or verb."""
    words, size = sentence.words, len(sentence.words)
    closing = {item.first for item in items if item.term.kind in ("stop", "contrast", "now")}
    done = 0
    for number, item in enumerate(items):
        if item.term.kind != "comparison" or item.first < done:
            continue
        following = items[number + 1] if number + 1 < len(items) else None
        if words[item.last] in ("since", "seit") and item.first == item.last:
            near = [other.term.kind for other in items[number + 1 : number + 4] if other.first - item.last <= 5]
            nouns = {
                "last",
                "then",
                "admission",
                "previous",
                "prior",
                "yesterday",
                "before",
                "stopping",
                "ecg",
                "tracing",
                "vor",
            }
            if not ({"year", "aside", "past", "skip"} & set(near) or nouns & set(words[item.last + 1 : item.last + 5])):
                continue
        if (
            words[item.last] == "than"
            and following is not None
            and following.term.kind == "number"
            and following.first - item.last <= 2
        ):
            continue
        end = item.last + 1
        while (
            end < size and words[end] not in _SEGMENT_ENDS and end not in closing and words[end] not in _COMPARISON_ENDS
        ):
            end += 1
        if words[end : end + 1] == [","] and words[end + 1 : end + 2] and words[end + 1] in _WITHIN:
            end += 1
            while end < size and words[end] != "," and end not in closing:
                end += 1
        _mark(out, item.last + 1, end, COMPARED)
        done = end


def _mark_times(
    sentence: Sentence,
    items: Sequence[Phrase],
    segments: list[tuple[int, int, bool]],
    months: list[int],
    out: list[str],
) -> None:
    """Mark parts about another time ("last year"), and parts after them if they have only a time, or a past verb."""
    cues: list[int] = []
    named = {item.last for item in items if item.term.kind in ("finding", "regional")}
    for item in items:
        if item.term.kind == "aside" and not out[item.first]:
            cues.append(item.first)
        elif item.term.kind == "year" and item.first and sentence.words[item.first - 1] in ("since", "seit"):
            if sentence.words[item.first - 2] in _KNOWN or item.first - 2 in named:
                cues.append(item.first)  # "AF since 2010"
        elif item.term.kind == "year" and item.first and not out[item.first]:
            at = item.first - 1
            while at > 0 and (sentence.words[at] in _MONTHS or sentence.words[at].isdecimal()):
                at -= 1  # "of 3 May 2018"
            before = sentence.words[at]
            if before in ("in", "im", "jahr", "year") or (
                before in _YEAR_BEFORE and _reports_recording(sentence, item)
            ):
                cues.append(item.first)
    for at in months:
        told = not _REPORTED.isdisjoint(sentence.words[max(0, at - 8) : at + 4])
        if told and not out[at] and not _YEAR_BEFORE.isdisjoint(sentence.words[max(0, at - 3) : at]):
            cues.append(at)  # "the ECG from January showed"
    if not cues:
        return
    cues.sort()
    known = {item.first: item for item in items}
    continues = False
    cue_at = 0
    for first, behind, new_clause in segments:
        while cue_at < len(cues) and cues[cue_at] < first:
            cue_at += 1
        has_cue = cue_at < len(cues) and cues[cue_at] < behind
        if new_clause and not has_cue:
            continues = False
        words = sentence.words[first:behind]
        if has_cue:
            _mark(out, first, behind, OTHER_TIME)
            content = [known[at].term.kind for at in range(first, behind) if at in known]
            alone = not {"finding", "quantity", "number", "said", "wave", "regional", "unmodelled"} & set(content)
            cue, early = sentence.words[cues[cue_at]], cues[cue_at] - first <= 1
            heads = ":" in sentence.words[cues[cue_at] : cues[cue_at] + 5]  # "Holter 2020: PVCs, NSVT"
            begins = early and (heads or cue in _BEGINS_PART)  # "Previously PR 300 ms, QRS 160 ms"
            continues = alone or begins or bool(_VERBS & set(words))
        elif continues:
            if {"is", "are", "ist", "sind"} & set(words) and not _VERBS & set(words):
                continues = False
                continue
            _mark(out, first, behind, OTHER_TIME)


def _reports_recording(sentence: Sentence, item: Phrase) -> bool:
    """Whether a date is that of another recording ("ECG of 12/3/2018 showed ..."); "ECG of 12/3/2018:" is a heading."""
    behind = sentence.words[item.last + 1 : item.last + 2]
    return bool(_VERBS & set(sentence.words[item.last + 1 : item.last + 4])) or bool(
        behind and behind[0].isalpha() and "ecg" not in behind
    )
