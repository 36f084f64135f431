"""Exceptions: "no block other than RBBB", "T upright in all leads except aVL", "all intervals except PR"."""

from __future__ import annotations

from ..record import STANDARD_LEADS
from .context import CLOSE, Context, QuantitySubject
from .cues import read_stop
from .items import Phrase
from .parsed import ParsedStatement

EXCEPTED = "an exception is made that is not understood"
INTERVALS = ("pr", "qrs", "qtc")


def read_except(c: Context, number: int, item: Phrase) -> None:
    """Read "except", "other than" and the like: what follows is no part of what was said before."""
    subject = c.subjects[-1] if c.subjects else None
    head = c.heads[-1] if c.heads else None
    if subject is not None and subject.name == "intervals" and not subject.stated:
        c.left_out, c.left_out_last = [], item.last
        return
    said = list(head.statements) if head is not None and item.first - head.last <= CLOSE else []
    subjects = c.subjects
    read_stop(c, number, item)
    c.left_out, c.left_out_last, c.subjects = said, item.last, subjects if said else []


def intervals_left(c: Context, first: int, last: int) -> bool:
    """Name the intervals that an exception before them leaves, if there is one; whether there is.

    Args:
        c: the sentence.
        first: first token of "intervals".
        last: its last token.
    """
    if not c.left_quantity:
        return False
    left = [one for one in INTERVALS if one != c.left_quantity]
    c.subjects = [QuantitySubject(one, first, last, joined=bool(at)) for at, one in enumerate(left)]
    return True


def _reached(c: Context, first: int, last: int) -> bool:
    """Whether an exception is named by the tokens ``first`` to ``last``; others may follow."""
    if c.left_out_last < 0 or first - c.left_out_last > CLOSE:
        return False
    c.left_out_last = last
    return True


def leave_out_finding(c: Context, statement: ParsedStatement, first: int, last: int) -> None:
    """Take a finding that is an exception out of what was said before it.

    Args:
        c: the sentence.
        statement: about the exception.
        first: its first token.
        last: its last token.
    """
    if not c.left_out or not _reached(c, first, last):
        return
    names = {name for group in statement.findings for name in group}
    for said in c.left_out:
        left = tuple(tuple(name for name in group if name not in names) for group in said.findings)
        if all(left):
            said.findings = left
        else:
            said.exclusion = said.exclusion or EXCEPTED


def leave_out_leads(c: Context, leads: tuple[str, ...], item: Phrase) -> bool:
    """Take leads that are an exception out of those of what was said before; whether they are one.

    Args:
        c: the sentence.
        leads: the exception.
        item: the leads.
    """
    if not c.left_out or not c.left_out[0].findings or c.heads[-1].statements[-1] not in c.left_out:
        return False
    if not _reached(c, item.first, item.last):
        return False
    for said in c.left_out:
        every = said.leads or tuple(lead for lead in STANDARD_LEADS if lead != "aVR")
        # what is denied, such as an inversion, is denied of each lead that is left
        said.leads, said.region = tuple(lead for lead in every if lead not in leads), not said.negated
        if not said.leads:
            said.exclusion = said.exclusion or EXCEPTED
    return True


def leave_out_quantity(c: Context, name: str, item: Phrase) -> bool:
    """Take a quantity that is an exception out of "intervals"; whether it is one before their value is said.

    Args:
        c: the sentence.
        name: of the quantity.
        item: its words.
    """
    name = "qtc" if name.startswith("qt") else name
    if name not in INTERVALS or c.left_out_last < 0 or not _reached(c, item.first, item.last):
        return False
    left = [one for one in INTERVALS if one != name]
    if not c.left_out and not c.subjects:
        c.left_quantity = name  # "apart from a prolonged PR, the intervals are normal"
        return False
    subject = c.subjects[-1] if c.subjects else None
    if not c.left_out and subject is not None and subject.name == "intervals":  # "all intervals except PR are normal"
        c.left_quantity = name
        return intervals_left(c, subject.first, item.last)
    for said in c.left_out:
        if said.subject == ("intervals",):
            said.subject = (left[0],)
            at = c.out.index(said) + 1
            c.out.insert(at, said.shifted(0))
            c.out[at].subject = (left[1],)
    return False
