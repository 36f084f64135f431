"""Cues: words of negation, doubt, comparison and time that apply to findings and values beside them."""

from __future__ import annotations

from .context import CLOSE, FAR, IS, OR, Context, Head, Scope, family_of
from .items import Phrase
from .parsed import CHANGE
from .scope import COMPARED, NOT_SAID, OTHER_TIME
from .tokens import word_set

_CAN_BE_DENIED = frozenset({"finding", "wave", "regional", "quality", "unmodelled", "region"})
_AND = OR | {"and", "und", "&", "sowie"}
# words of cues whose list goes on behind "and": "free of ectopy and block", unlike "no P waves and atrial fibrillation"
_WHOLE = word_set("free devoid ruling rules excluding excludes precludes precluding against frei")
_RESULT_GAPS: tuple[list[str], ...] = ([], [":"], ["="], ["-"], ["("], ["is"], [")", "is"])
_RESULT_ENDS = frozenset({"because", "since", "as", "here", "", ",", ")", "}", "]", ";", ".", '"', "and", "und"})
_PARTLY = word_set("not partially partly incompletely almost nearly teilweise nicht")
_BEFORE_A_LIST = word_set(
    "includes include including significant notable remarkable"
)  # "history significant for AF, LBBB"
# cues of absence that may also precede their finding: "absent P waves"
_ALSO_BEFORE = frozenset({"absent", "missing", "none", "excluded"})


def open_scope(
    c: Context,
    item: Phrase,
    *,
    negated: bool = False,
    uncertain: bool = False,
    strong: bool = False,
    exclusion: str = "",
) -> None:
    """Begin the scope of a cue; adjacent cues are combined ("probably no").

    Args:
        c: the sentence.
        item: the cue.
        negated: it denies.
        uncertain: it expresses doubt.
        strong: it also applies after a comma.
        exclusion: why what follows is not a claim about this recording, or ``""``.
    """
    heading = (bool(exclusion) or negated) and _has_colon(c, item)
    heading = heading or (bool(exclusion) and c.words[item.last] in _BEFORE_A_LIST)
    whole = not _WHOLE.isdisjoint(c.words[item.first : item.last + 1])
    scope = Scope(item.last, negated, uncertain, exclusion, strong, heading, whole)
    for before in c.scopes:
        if item.first - before.last > 4 or c.has(",", before.last, item.first):
            continue
        if not before.heads:
            scope.negated, scope.uncertain = negated or before.negated, uncertain or before.uncertain
            scope.exclusion, scope.strong = exclusion or before.exclusion, strong or before.strong
        elif (
            before.negated
            and uncertain
            and c.words[item.first] not in ("possible", "possibly", "probable", "probably", "likely")
        ):
            scope.negated, scope.uncertain = True, False  # "no ST changes suggestive of ischaemia" denies both
    c.scopes = [scope]


def _has_colon(c: Context, item: Phrase) -> bool:
    """Whether a cue is a heading, at most a word before its colon: "Absent: AF", "Excluded diagnoses: AF, LBBB"."""
    behind = [*c.words[item.last : item.last + 3], "", ""]
    return ":" in behind[:2] or (behind[2] == ":" and behind[1] != "," and c.item_at[item.last + 1] < 0)


def read_stop(c: Context, number: int, item: Phrase) -> None:
    """Words such as "but", "there is" and "now" end the scope of negation and doubt."""
    c.scopes, c.reference, c.compare = [], -1, None
    if item.term.kind != "now":
        if c.heads:
            c.heads[-1].closed = True
        c.regions, c.amount = [], None


def read_no(c: Context, number: int, item: Phrase) -> None:
    """Read "no", "without" and the like."""
    following = c.next(number)
    if following is not None and following.term.kind in ("missing", "maybe_post", "absent"):
        return
    head, behind = c.heads[-1] if c.heads else None, c.word(item.last + 1)
    answers = item.first == item.last and c.words[item.first] in ("no", "nein") and behind in (",", ":")
    if answers and (item.first == 0 or (c.word(item.first - 1) == ":" and not c.heads)):
        return  # "No, sinus rhythm.", "Answer: no, sinus rhythm."
    said = head is not None and not head.closed and _result_gap(c, head, item) in ([":"], ["-"], ["="], ["("])
    if said and (following is None or behind in (",", ")", "}")):
        mark_preceding(c, item, denied=True)  # "LBBB: no", "LBBB - no, RBBB - no"
    else:
        open_scope(c, item, negated=True, strong=item.term.kind == "no_strong")


def _result_gap(c: Context, head: Head, item: Phrase) -> list[str]:
    """What is between a finding and its result, without quotation marks: '"lbbb": false'."""
    return [word for word in c.gap(head.last, item.first) if word != '"']


def read_result(c: Context, number: int, item: Phrase) -> None:
    """Read a result behind a finding: "LBBB: false", "AF - incorrect", "LBBB: N/A"."""
    head = c.heads[-1] if c.heads else None
    if head is None or head.closed or c.word(item.last + 1) not in _RESULT_ENDS:
        return
    if _result_gap(c, head, item) not in _RESULT_GAPS:
        return
    if item.term.kind == "false":
        mark_preceding(c, item, denied=True)
    else:
        for statement in head.statements:
            statement.exclusion = statement.exclusion or NOT_SAID


def read_unticked(c: Context, number: int, item: Phrase) -> None:
    """Read an empty box before a finding: "[ ] LBBB"."""
    open_scope(c, item, exclusion=NOT_SAID)


def read_maybe(c: Context, number: int, item: Phrase) -> None:
    """Read "possible", "suggests" and the like; at the end of a clause they apply to what precedes."""
    following = c.next(number)
    gap = c.gap(item.last, following.first) if following is not None else []
    ends = (
        following is None
        or following.term.kind in ("stop", "contrast", "now")
        or len(gap) > CLOSE
        or gap[:1] in ([","], [")"])
    )
    if ends and mark_preceding(c, item, denied=False):
        return
    if c.words[item.first] in ("versus", "vs"):
        mark_preceding(c, item, denied=False)
    open_scope(c, item, uncertain=True)


def read_doubt_sign(c: Context, number: int, item: Phrase) -> None:
    """Read a question mark as a sign of doubt: "LVH?", "?LVH", "? LVH", "(?)"."""
    following = c.next(number)
    if following is not None and (item.first == 0 or c.starts[following.first] == c.ends[item.last]):
        open_scope(c, item, uncertain=True)
    elif c.heads and item.first - c.heads[-1].last <= 3:
        mark_preceding(c, item, denied=False)


def read_maybe_post(c: Context, number: int, item: Phrase) -> None:
    """Read words of doubt that follow their finding: "cannot be excluded"."""
    if not (_near_head(c, item) and mark_preceding(c, item, denied=False)):
        open_scope(c, item, uncertain=True)


def read_unlikely(c: Context, number: int, item: Phrase) -> None:
    """Read "unlikely" and the like, before or after their finding: negation and doubt."""
    if _near_head(c, item) and not c.heads[-1].closed:
        for statement in c.heads[-1].statements:
            statement.uncertain = True
        mark_preceding(c, item, denied=True)
    else:
        open_scope(c, item, negated=True, uncertain=True)


def read_past(c: Context, number: int, item: Phrase) -> None:
    """Read "history of" and the like: what follows is about another time."""
    open_scope(c, item, exclusion=OTHER_TIME)


def read_absent(c: Context, number: int, item: Phrase) -> None:
    """Read "absent", "none" and the like, before or after their finding."""
    if state_p_waves(c, number, item, present=False):
        return
    following = c.next(number)
    ahead = following is not None and following.first - item.last <= 2 and following.term.kind in _CAN_BE_DENIED
    near = _near_head(c, item)
    if ahead and c.words[item.first] in _ALSO_BEFORE and not (near and c.word(item.first - 1) in IS):
        open_scope(c, item, negated=True)
    elif near:
        mark_preceding(c, item, denied=True)
    elif c.words[item.first] in _ALSO_BEFORE or c.words[item.first] == "(" or _has_colon(c, item):
        open_scope(c, item, negated=True)


def read_ended(c: Context, number: int, item: Phrase) -> None:
    """Read "has resolved", "is gone", "converted to": the finding before is denied, a value before is compared."""
    subject = c.subjects[-1] if c.subjects else None
    of_value = subject is not None and not subject.by_finding and (not c.heads or subject.first > c.heads[-1].last)
    of_shape = c.segment is not None and (not c.heads or c.segment[1] > c.heads[-1].last)
    if of_value or of_shape:
        read_comparative(c, number, item)
    elif _near_head(c, item) and _PARTLY.isdisjoint(c.gap(c.heads[-1].last, item.first)):
        mark_preceding(c, item, denied=True)


def read_present(c: Context, number: int, item: Phrase) -> None:
    """Read "present" and the like: P waves are present; at the end of a list behind "no" the last one is."""
    if state_p_waves(c, number, item, present=True) or not c.heads or c.word(item.first - 1) not in ("is", "are"):
        return
    head = c.heads[-1]
    second = _denied_in_list(c, head) and c.scopes[0].heads == 2 and c.gap(c.heads[-2].last, head.first) == [","]
    if second and item.first - head.last == 2 and all(statement.leads for statement in head.statements):
        for statement in head.statements:  # "no ST elevation, ST depression in V5 is present"
            statement.negated = not statement.negated
        c.scopes = []


def state_p_waves(c: Context, number: int, item: Phrase, *, present: bool) -> bool:
    """Add the statement "P waves are present" or "absent".

    Args:
        c: the sentence.
        number: of the item.
        item: "present" or "absent".
        present: which of the two.

    Returns:
        Whether the item refers to P waves.
    """
    if c.segment is None or c.segment[0] != "p" or (c.heads and c.heads[-1].last >= c.segment[1]):
        return False
    if not c.only_filler(c.segment[1] + 1, item.first):
        return False
    first = c.segment_first
    scope = c.scope_for(c.segment[1], item.last, number)
    statement = c.add(
        "finding",
        (),
        first,
        item.last,
        findings=(("p_waves",),),
        negated=scope.negated == present,
        uncertain=scope.uncertain,
    )
    c.head([statement], first, item.last)
    c.heads[-1].closed = not present
    c.segment = None
    return True


def mark_preceding(c: Context, item: Phrase, *, denied: bool) -> bool:
    """Apply a cue to the list of findings before it.

    Args:
        c: the sentence.
        item: the cue.
        denied: it denies; else it expresses doubt.

    Returns:
        Whether there is such a list.
    """
    if not c.heads or c.heads[-1].closed or item.first - c.heads[-1].last > FAR:
        return False
    for statement in c.heads[-1].statements:
        statement.end = max(statement.end, c.ends[item.last])
    listed = False  # the list has an "and": "AF, LBBB and RBBB are absent"
    later: Head | None = None
    for head in reversed(c.heads):
        if head.closed:
            break
        if later is not None and head.statements[0].kind != "finding" and later.statements[0].kind == "finding":
            break  # "normal PR, QRS and QTc, AF absent"
        if later is not None and "," in (gap := c.gap(head.last, later.first)) and _AND.isdisjoint(gap):
            reached = _reached_over_comma(c, head, later, listed)
            if reached != "all":
                if reached == "doubt":  # "AF, LBBB absent" may deny AF or not
                    for statement in head.statements:
                        statement.uncertain = True
                break
        elif later is not None:
            listed = True
        for statement in head.statements:
            if denied and not (later is None and _denied_in_list(c, head)):
                statement.negated = not statement.negated
            elif not denied:
                statement.uncertain = True
        head.closed = True
        if not head.joined:
            break
        later = head
    c.scopes = []
    return True


def _denied_in_list(c: Context, head: Head) -> bool:
    """Whether a finding is denied already as one of a list, so that its own "absent" is no second denial."""
    scope = c.scopes[0] if c.scopes else None
    return scope is not None and scope.negated and scope.heads > 1 and scope.last == head.last


def _reached_over_comma(c: Context, head: Head, later: Head, listed: bool) -> str:
    """Whether a cue behind a list also applies to what a comma parts from it: ``all`` of it, ``doubt``, or ``""``.

    A value ("normal axis"), the rhythm and what has its own denial stand for themselves: "sinus rhythm, LBBB absent".
    """
    before, last = head.statements[0], later.statements[0]
    if before.kind != "finding" or before.negated or (before.findings and "sinus_rhythm" in before.findings[0]):
        return ""
    return "all" if listed or family_of(before.findings) == family_of(last.findings) != "" else "doubt"


def _near_head(c: Context, item: Phrase) -> bool:
    if not c.heads:
        return False
    gap = c.gap(c.heads[-1].last, item.first)
    return len(gap) <= FAR and gap[:1] != [","]


def read_compare(c: Context, number: int, item: Phrase) -> None:
    """Read "above", "<", "not more than": they apply to the next number."""
    if is_behind(c, number, item) or (c.words[item.first] == ">" and c.word(item.first - 1) == "-"):
        return  # "->" is an arrow
    scope = c.scopes[0] if c.scopes else None
    negated = scope is not None and scope.negated and not scope.heads and item.first - scope.last <= 3
    if negated:
        c.scopes = []
    c.compare = (item.term.values[0], item.last, negated)


def is_behind(c: Context, number: int, item: Phrase) -> bool:
    """Whether a word of comparison belongs to the number before it, as in "120 ms or more".

    Args:
        c: the sentence.
        number: of the item.
        item: the word.
    """
    following = c.next(number)
    before_a_number = following is not None and following.term.kind == "number" and following.first == item.last + 1
    return item.term.kind == "compare" and len(item.term.values) > 1 and not before_a_number


def read_formula(c: Context, number: int, item: Phrase) -> None:
    """Read the formula of a QTc: "QTc 425 ms (Bazett)", "by Fridericia 409 ms"."""
    name = item.term.values[0]
    last = c.out[-1] if c.out else None
    following = c.next(number)
    ahead = following is not None and following.term.kind == "number" and following.first - item.last <= 3
    bracketed = c.word(item.first - 1) == "(" and c.word(item.last + 1) == ")"  # "420 (Bazett), 410 (Fridericia)"
    if (
        last is not None
        and last.kind == "number"
        and last.subject[0] == "qtc"
        and c.starts[item.first] - last.end <= 6
        and (bracketed or not ahead)
    ):
        last.formulas = (*last.formulas[:3], name)
        if bracketed:
            return
    c.formula = (name, item.last)


def read_missing(c: Context, number: int, item: Phrase) -> None:
    """Read "the QT interval is not measurable"; what follows is the reason, not a statement."""
    subject = c.subjects[-1] if c.subjects else None
    if _near_head(c, item) and (subject is None or subject.by_finding):
        for statement in c.heads[-1].statements:  # "LVH is not assessable in LBBB"
            statement.exclusion = statement.exclusion or NOT_SAID
        read_stop(c, number, item)
        return
    if subject is None or not subject.name or not c.only_filler(subject.last + 1, item.first):
        return
    c.add("missing", (subject.name,), subject.first, item.last)
    c.done_to = len(c.items)


def read_comparative(c: Context, number: int, item: Phrase) -> None:
    """Read "longer", "unchanged": they compare with another recording, and can't be checked."""
    following = c.next(number)
    if following is not None and following.term.kind == "compare":
        return
    last = c.out[-1] if c.out else None
    if last is not None and last.kind in ("number", "amplitude") and c.starts[item.first] - last.end <= 2:
        last.exclusion = CHANGE  # "20 bpm faster"
        return
    subject = c.subjects[-1] if c.subjects else None
    if (
        subject is not None
        and not subject.by_finding
        and not subject.stated
        and c.only_filler(subject.last + 1, item.first)
    ):
        c.add("category", (subject.name,), subject.first, item.last, word="compared", exclusion=COMPARED)
        subject.stated = True
    elif c.segment is not None and c.only_filler(c.segment[1] + 1, item.first):
        c.add("finding", (), c.segment_first, item.last, exclusion=COMPARED)
