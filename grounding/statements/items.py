"""From tokens to items: phrases of the lexicon (the longest first), leads and numbers of one sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..record import STANDARD_LEADS
from .lexicon import Lexicon, Term
from .numbers import NUMBER_WORDS, Number, NumberReader, is_number
from .tokens import Sentence, word_set

_LEADS = {lead.lower(): lead for lead in STANDARD_LEADS}
_WAVE_LEAD = re.compile(r"([qrst])(v[1-6]|av[lrf])")  # "SV1", "RaVL"
_GLUE = frozenset("-/.")  # may come between the words of a phrase: "first-degree", "ST/T", "unspez. intraventr. Block"
_JOIN = frozenset(
    {
        ",",
        "and",
        "or",
        "to",
        "-",
        "through",
        "lead",
        "leads",
        "/",
        "&",
        "the",
        "as",
        "well",
        "+",
        "bis",
        "und",
        "oder",
        "thru",
        "ableitung",
        "ableitungen",
    }
)
_RANGE = frozenset({"-", "to", "through", "bis", "thru"})
_BEFORE_LEAD_I = frozenset(
    {"lead", "leads", "in", "and", ",", "(", "or", "/", "ableitung", "ableitungen", "und", "&", "for"}
)
_PRONOUN_VERBS = word_set(
    "see think note find do did would have had am believe suspect agree cannot can recommend suggest read was will "
    "could"
)
_NO_LEAD_BEHIND = frozenset({"block", "degree", "type", "mobitz", "grade", "avb", "typ", "grad", "class", "nyha"})
_MAX_PHRASE = 14
_YEAR = Term("year")
_SKIPPED = Term("skip")
_NUMBER = Term("number")
_DOUBT = Term("doubt")
_UNTICKED = Term("unticked")
_ABSENT = Term("absent")


@dataclass(slots=True)
class Phrase:
    """A phrase, a list of leads or a number, with the tokens ``first`` to ``last``."""

    term: Term
    first: int
    last: int
    number: Number | None = None


def items_of(sentence: Sentence, lexicon: Lexicon) -> list[Phrase]:
    """The items of a sentence, in order; tokens that belong to none are left out.

    Args:
        sentence: its tokens.
        lexicon: the known phrases.
    """
    return _Matcher(sentence, lexicon).items()


class _Matcher:
    def __init__(self, sentence: Sentence, lexicon: Lexicon) -> None:
        self.words = sentence.words
        self.ends, self.starts = sentence.ends, sentence.starts
        self.tree = lexicon.tree
        self.size = len(self.words)
        self.numbers = NumberReader(sentence)
        self.found: list[Phrase] = []

    def items(self) -> list[Phrase]:
        """Read the sentence from left to right."""
        words, tree, at = self.words, self.tree, 0
        while at < self.size:
            word = words[at]
            if word in _LEADS and self._is_lead(at, _LEADS[word]):
                at = self._lead_list(at)
            elif word == "may" and at + 1 < self.size and len(words[at + 1]) == 4 and words[at + 1].isdecimal():
                at += 1  # the month
            elif word == "zero" and self.numbers.following_unit(at):
                at = self._number(at)
            elif word in tree and (item := self._phrase(at)):
                self.found.append(item)
                at = item.last + 1
            elif word == "?":
                self.found.append(Phrase(_DOUBT, at, at))
                at += 1
            elif word == "[" and words[at + 1 : at + 2] == ["]"]:
                self.found.append(Phrase(_UNTICKED, at, at + 1))
                at += 2
            elif word == "(" and words[at + 1 : at + 3] == ["-", ")"]:
                self.found.append(Phrase(_ABSENT, at, at + 2))  # "LBBB (-)"
                at += 3
            elif is_number(word) or word in NUMBER_WORDS:
                at = self._number(at)
            elif 3 <= len(word) <= 4 and (pair := _WAVE_LEAD.fullmatch(word)):
                self.found.append(Phrase(Term("wavelead", (pair[1], _LEADS[pair[2]])), at, at))
                at += 1
            else:
                at += 1
        return self.found

    def _phrase(self, at: int) -> Phrase | None:
        """The longest phrase that begins at a token; hyphens, slashes and full stops may separate its words."""
        words, node, position = self.words, self.tree, at
        best: tuple[Term, int] | None = None
        limit = min(self.size, at + _MAX_PHRASE)
        while position < limit:
            word = words[position]
            step = node.get(word)
            if step is None:
                # a full stop at the end of a sentence is not part of a phrase
                if word not in _GLUE or position == at or position + 1 >= limit:
                    break
                step = node.get(words[position + 1])
                if step is None:
                    break
                position += 1
            node = step
            if "" in node:
                best = (node[""], position)
            position += 1
        return Phrase(best[0], at, best[1]) if best else None

    def _is_lead(self, at: int, lead: str) -> bool:
        words = self.words
        before = words[at - 1] if at else ""
        if lead == "I":
            following = words[at + 1 : at + 3]
            listed = (
                len(following) == 2
                and following[0] in {",", "and", "und", "-", "/", "+", "&", "to"}
                and following[1] in _LEADS
            )
            return listed or (before in _BEFORE_LEAD_I and (not following or following[0] not in _PRONOUN_VERBS))
        if lead in ("II", "III"):
            return before not in _NO_LEAD_BEHIND and before != "°"
        return True

    def _lead_list(self, at: int) -> int:
        """Read a list of leads ("II, III and aVF", "V1-V4", "v4,5,6"); returns the position after it."""
        words = self.words
        leads: list[str] = []
        first = last = at
        ranged = False
        while at < self.size:
            word = words[at]
            lead = _LEADS.get(word)
            if lead is None and leads and leads[-1][0] == "V" and len(word) == 1 and f"V{word}" in STANDARD_LEADS:
                bare = ranged or (words[at - 1] in {",", "/", "+", "&", "and", "und"} and self._bare_lead(at))
                lead = f"V{word}" if bare else None
            if lead is not None:
                if ranged and leads:
                    a, b = STANDARD_LEADS.index(leads[-1]), STANDARD_LEADS.index(lead)
                    leads += STANDARD_LEADS[a + 1 : b + 1]
                else:
                    leads.append(lead)
                last, ranged = at, False
            elif word in _JOIN:
                ranged = ranged or word in _RANGE
            else:
                break
            at += 1
        self.found.append(Phrase(Term("lead", tuple(dict.fromkeys(leads))), first, last))
        return last + 1

    def _bare_lead(self, at: int) -> bool:
        """Whether a digit after a chest lead is a lead ("V4,5,6"): it has no unit."""
        return not self.numbers.following_unit(at)

    def _number(self, at: int) -> int:
        if self.words[at] in NUMBER_WORDS and not self._may_be_number_word(at):
            return at + 1
        found = self.numbers.read(at)
        if found is None:
            return at + 1
        if found.year:
            self.found.append(Phrase(_YEAR, found.first, found.last, found.number))
        elif found.number is None or found.number.unit == "other":
            self.found.append(Phrase(_SKIPPED, found.first, found.last))
        else:
            self.found.append(Phrase(_NUMBER, found.first, found.last, found.number))
        return found.last + 1

    def _may_be_number_word(self, at: int) -> bool:
        return not at or self.words[at - 1] not in ("no", "-")
