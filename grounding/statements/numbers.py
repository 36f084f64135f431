"""Numbers, ranges and units as texts write them."""

from __future__ import annotations

from dataclasses import dataclass

from .tokens import Sentence, word_set

# unit word -> (unit of the library, factor)
UNITS: dict[str, tuple[str, float]] = {
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds", "msek", "millisekunden"), ("ms", 1.0)),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "sek", "sekunden"), ("ms", 1000.0)),
    **dict.fromkeys(("bpm", "spm", "bts"), ("bpm", 1.0)),
    **dict.fromkeys(("degrees", "degree", "deg", "°", "grad"), ("deg", 1.0)),
    **dict.fromkeys(("mv", "millivolt", "millivolts"), ("mV", 1.0)),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), ("mV", 0.1)),
    **dict.fromkeys(("µv", "uv", "microvolt", "microvolts"), ("mV", 0.001)),
}
# units of other quantities, which are not checked
_OTHER_UNITS = word_set(
    "mg g kg cm m km hz khz mmhg mmol l ml years year yo y jahre jahr j % leads lead ableitungen min minutes minute "
    "hours hour hrs days weeks months tage stunden minuten pm am beats beat complexes times x mal times channels kanal "
    "points score"
)
_SIZES, _SQUARES = word_set("small little large big"), word_set("square squares box boxes")
_BEATS = frozenset({"beats", "beat", "b", "schlaege", "schlag", "complexes", "per", "pro", "/"})
_MINUTES = frozenset({"min", "minute", "mins", "m"})
_ONES = {
    name: value
    for value, name in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_TENS = {
    name: 10 * value
    for value, name in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_SIGNS = {"minus": -1.0, "negative": -1.0, "plus": 1.0, "-": -1.0, "+": 1.0}
NUMBER_WORDS = frozenset({*_ONES, *_TENS, "hundred"})
_JOINS = frozenset({"-", "to", "bis", "and", "und", "through"})
_CENTURIES = (1900, 2100)
_PLUS_MINUS = (("\N{PLUS-MINUS SIGN}",), ("+", "-"), ("+", "/", "-"))


@dataclass(slots=True)
class Number:
    """A number or a range as written, in the unit's base (ms, bpm, deg, mV).

    Attributes:
        low: lower end of a range, or the number.
        high: upper end of a range, or the number.
        unit: ``ms``, ``bpm``, ``deg``, ``mV``, ``paper`` (mm/s, mm/mV), ``other``, or ``""`` where none is written.
        start: index of its first character in the text.
        end: index after its last character.
        compare: ``>`` or ``<`` where the text says above or below.
        approximate: "about 75".
        either_sign: the dash before it may be a minus sign or a dash.
        plus: a plus sign is written before it.
        written: the numbers as written, without their unit.
    """

    low: float
    high: float
    unit: str
    start: int
    end: int
    compare: str = ""
    approximate: bool = False
    either_sign: bool = False
    plus: bool = False
    written: tuple[float, ...] = ()

    def shifted(self, by: int) -> Number:
        """A copy in a text that starts ``by`` characters earlier.

        Args:
            by: characters.
        """
        return Number(
            self.low,
            self.high,
            self.unit,
            self.start + by,
            self.end + by,
            self.compare,
            self.approximate,
            self.either_sign,
            self.plus,
            self.written,
        )

    @property
    def is_range(self) -> bool:
        """Whether it is a range."""
        return self.low != self.high


@dataclass(slots=True)
class Found:
    """A number in a sentence.

    Attributes:
        first: first token.
        last: last token.
        number: None for dates, ratios and ages, which are skipped.
        year: it is a year or a date.
    """

    first: int
    last: int
    number: Number | None
    year: bool = False


def is_number(word: str) -> bool:
    """Whether a token is the beginning of a number in digits ("²" and "①" are not).

    Args:
        word: the token.
    """
    return (word[0].isdecimal() and word[-1].isdecimal()) or (word[0] == "." and len(word) > 1)


def _day_and_month(first: str, second: str) -> bool:
    if not (first.isdecimal() and second.isdecimal()):
        return False
    low, high = sorted((int(first), int(second)))
    return 1 <= low <= 12 and high <= 31


class NumberReader:
    """Reads the numbers of one sentence.

    Args:
        sentence: its tokens.
    """

    def __init__(self, sentence: Sentence) -> None:
        self.words, self.starts, self.ends = sentence.words, sentence.starts, sentence.ends
        self.size = len(self.words)

    def read(self, at: int) -> Found | None:
        """The number, range, date or ratio that begins at token ``at``, or None."""
        words = self.words
        if not is_number(words[at]):
            return self._number_word(at)
        if passed := self._date_or_ratio(at):
            return passed
        low, last = self._digits(at)
        first, sign, either = self._sign(at)
        low *= sign
        more = last + 1 < self.size and words[last + 1] == "+" and self.ends[last] == self.starts[last + 1]
        if more and self._unit(last + 1)[0]:
            last += 1  # "120+ ms"
        else:
            more = False
        high, unit, scale, last = low, *self._unit(last)
        if (
            spread := self._spread(last)
        ) is not None:  # "236 +- 9 ms", "236 ms +/- 9 ms": the first figure is the value
            following_unit, following_scale, last = self._unit(spread)
            if not unit:
                unit, scale = following_unit, following_scale
        if not unit and self._next_in_list_is_other(last):
            return Found(first, last, None)  # "140/90 mmHg"
        written = [low]
        joined = self._range(first, last)
        if joined is not None and unit in ("", "ms", "bpm", "deg", "mV"):
            end, second_sign = joined
            second, end_last = self._digits(end)
            unit_after, scale_after, last = self._unit(end_last)
            high = second * second_sign
            written.append(high)
            if unit_after:
                if not unit:
                    scale = scale_after
                unit = unit_after
        low, high = min(low, high) * scale, max(low, high) * scale
        number = Number(
            low, high, unit, self.starts[first], self.ends[last], either_sign=either, written=tuple(written)
        )
        number.compare = ">" if more else ""
        number.plus = words[first] in ("+", "plus") and first < at
        return Found(
            first,
            last,
            number,
            year=not unit and low == high and _CENTURIES[0] <= low < _CENTURIES[1] and len(words[at]) == 4,
        )

    def following_unit(self, at: int) -> str:
        """The unit after token ``at``, or ``""``."""
        return self._unit(at)[0]

    def _next_in_list_is_other(self, last: int) -> bool:
        return (
            last + 2 < self.size
            and self.words[last + 1] == "/"
            and is_number(self.words[last + 2])
            and self._unit(last + 2)[0] == "other"
        )

    def _digits(self, at: int) -> tuple[float, int]:
        """The value of "0.16", "0,16" or "1,200" and its last token."""
        word = self.words[at]
        if "." not in word and at + 2 < self.size and self.words[at + 1] == "," and self.words[at + 2].isdecimal():
            fraction = self.words[at + 2]
            touching = self.ends[at] == self.starts[at + 1] and self.ends[at + 1] == self.starts[at + 2]
            listed = (
                at + 4 < self.size
                and self.words[at + 3] == ","
                and self.ends[at + 2] == self.starts[at + 3]
                and self.words[at + 4].isdecimal()
            )
            if touching and not listed:
                if len(fraction) == 3 and word != "0":
                    return float(word + fraction), at + 2
                if len(fraction) <= 3:
                    return float(f"{word}.{fraction}"), at + 2
        return float(word), at

    def _sign(self, at: int) -> tuple[int, float, bool]:
        """First token of a number with its sign, the sign, and whether it may also be a dash."""
        if not at or self.words[at - 1] not in _SIGNS:
            return at, 1.0, False
        sign = self.words[at - 1]
        if sign.isalpha():
            return at - 1, _SIGNS[sign], False
        touches = self.ends[at - 1] == self.starts[at]
        glued = at > 1 and self.ends[at - 2] == self.starts[at - 1] and self.words[at - 2][-1].isalnum()
        if sign == "+":
            return (at - 1, 1.0, False) if not glued else (at, 1.0, False)
        if touches:  # "-30", "60/-12", but not "60-12", "V1-4", "axis-30" counts as a sign
            before = self.words[at - 2] if at > 1 else ""
            if glued and (before[0].isdecimal() or not before.isalpha()):
                return at, 1.0, False
            return (at - 1, -1.0, glued)
        spaced = at > 1 and not glued
        return (at - 1, 1.0, True) if spaced and self.words[at - 2].isalpha() else (at, 1.0, False)

    def _range(self, first: int, last: int) -> tuple[int, float] | None:
        """Token and sign of the second number of a range ("120-200", "60 to 100"), or None."""
        at = last + 1
        if at + 1 >= self.size or self.words[at] not in _JOINS:
            return None
        second, sign = at + 1, 1.0
        if self.words[second] in ("-", "+", "minus", "plus") and second + 1 < self.size and self.words[at] != "-":
            sign, second = _SIGNS[self.words[second]], second + 1
        if not is_number(self.words[second]):
            return None
        if self.words[at] in ("and", "und"):
            before = self.words[max(0, first - 3) : first]
            return (second, sign) if {"between", "zwischen"} & set(before) else None
        if self.words[at] == "-" and self.ends[at] == self.starts[second] and self.ends[at - 1] != self.starts[at]:
            return None  # "60 -12": a list, the second negative
        return second, sign

    def _unit(self, last: int) -> tuple[str, float, int]:
        """Unit after token ``last``, its factor and its last token."""
        words, at = self.words, last + 1
        if (
            at < self.size
            and words[at] == "-"
            and at + 1 < self.size
            and words[at + 1] in UNITS
            and self.ends[last] == self.starts[at]
        ):
            at += 1  # "2-mm"
        if at >= self.size:
            return "", 1.0, last
        word = words[at]
        if word in _BEATS:
            end = at
            while end < self.size and end - at < 3 and (words[end] in _BEATS or words[end] in ("a", "-")):
                end += 1
            if end < self.size and words[end] in _MINUTES and (end > at or word == "/"):
                return "bpm", 1.0, end
        if word in _MINUTES and at + 2 < self.size and words[at + 1] == "-" and words[at + 2] == "1":
            return "bpm", 1.0, at + 2  # min-1
        if word == "per" or word == "pro":
            return "", 1.0, last
        if word in UNITS:
            unit, scale = UNITS[word]
            if unit == "mV" and at + 1 < self.size and words[at + 1] == "/":
                return "paper", 1.0, min(at + 2, self.size - 1)
            if (
                word == "s"
                and at + 1 < self.size
                and self.ends[last] != self.starts[at]
                and words[at + 1] in ("wave", "waves", "in")
            ):
                return "", 1.0, last  # "12 S wave"
            if word == "°" and at + 1 < self.size and words[at + 1] in ("c", "f"):
                return "other", 1.0, at + 1
            return unit, scale, at
        if word in _SIZES and at + 1 < self.size and words[at + 1] in _SQUARES:
            return "other", 1.0, at + 1  # "3 small squares"
        if word in _OTHER_UNITS or (
            word == "-" and at + 1 < self.size and words[at + 1] in _OTHER_UNITS and self.ends[last] == self.starts[at]
        ):
            return "other", 1.0, last
        return "", 1.0, last

    def _spread(self, last: int) -> int | None:
        """Last token of an uncertainty after a number ("+- 9"), or None."""
        for sign in _PLUS_MINUS:
            at = last + 1 + len(sign)
            if tuple(self.words[last + 1 : at]) == sign and at < self.size and is_number(self.words[at]):
                return self._digits(at)[1]
        return None

    def _date_or_ratio(self, at: int) -> Found | None:
        """A date, time or ratio ("12.03.2020", "12/3/18", "12-MAR-2018", "07:27", "2:1"), which is skipped, or None."""
        words = self.words
        end, parts, signs = at, 1, ""
        while (
            parts < 5
            and end + 2 < self.size
            and words[end + 1] in "./-:,"
            and self.ends[end] == self.starts[end + 1] == self.ends[end + 1] - 1
            and self.ends[end + 1] == self.starts[end + 2]
        ):
            follows = words[end + 2]
            if not (is_number(follows) or (words[end + 1] == "-" and len(follows) == 3 and follows.isalpha())):
                break
            signs += words[end + 1]
            end, parts = end + 2, parts + 1
        last = words[end]
        if parts == 2 and signs == ":":
            return Found(at, end, None)
        if parts == 2 and words[at].count(".") == 1 and signs == "." and len(last) in (2, 4):
            return Found(at, end, None, year=True)  # "12.03" "." "2020"
        if parts == 3 and len(set(signs.replace(",", ":"))) == 1 and signs[0] != "," and "." not in words[at]:
            if signs == "//" and (len(words[at]) > 2 or (len(last) not in (2, 4))):
                return None  # 160/92/380: a list of values
            if signs == "//" and not _day_and_month(words[at], words[at + 2]):
                return None
            if signs[0] == "-" and is_number(words[at + 2]) and not (len(words[at]) == 4 or len(last) == 4):
                return None
            return Found(at, end, None, year=True)
        return None

    def _number_word(self, at: int) -> Found | None:
        """A number in words ("seventy-five", "one hundred and sixty"), or None."""
        words = self.words
        total, current, end, seen = 0, 0, at, False
        while end < self.size:
            word = words[end]
            if word in _ONES:
                current += _ONES[word]
            elif word in _TENS:
                current += _TENS[word]
            elif word == "hundred":
                current = max(1, current) * 100
            elif (
                word in ("-", "and")
                and seen
                and end + 1 < self.size
                and words[end + 1] in NUMBER_WORDS
                and (word == "-" or current >= 100)
            ):
                end += 1
                continue
            else:
                break
            seen = True
            end += 1
        if not seen:
            return None
        total += current
        unit, scale, last = self._unit(end - 1)
        if not unit and total < 20:
            return Found(at, end - 1, None)
        if unit == "other":
            return Found(at, last, None)
        return Found(at, last, Number(total * scale, total * scale, unit, self.starts[at], self.ends[last]))
