"""ECGBench's questions with options: CSN, G12EC and MMMU-ECG by letters, ECG-QA by a list at the prompt's end."""

from __future__ import annotations

import random
import re
from functools import partial
from pathlib import Path

from ..items import REFUSED, WRONG_FORMAT, WRONG_VALUE, Item, ItemBenchmark, Score, register_item_benchmark
from ..labels import choice_score, jaccard, refuses
from .files import SOURCE, read_file

LETTERS = "ABCDEFGH"
_OPTION = re.compile(r"(?:^|\s)\(?([A-H])[.):]\s", re.M)
_STATED = re.compile(
    r"\b(?:answer|option|choice)\b(?:\s+(?:is|option|choice))*\s*[:=]?\s*\**\(?([A-H])\b(?!['’])", re.I
)
_OPTIONS = re.compile(r"Options:\s*(?P<list>.*)", re.S)
_CLOSING = re.compile(r"\s*(?:Only answer|Please answer|Answer|Choose)\b[^,]*\.?\s*$", re.I)


def published_letter(answer: str, options: int, draw: random.Random) -> str:
    """The letter that the authors' script reads, which is a random one where it finds none.

    "A." is looked for before "B.", wherever they stand, so that "V.A. block. B. is right" gives A.

    Args:
        answer: any text.
        options: how many letters there are.
        draw: for answers without a letter.

    Example:
        >>> published_letter("B. is right, not A. at all", 8, random.Random(0))
        'A'
    """
    if answer in LETTERS and len(answer) == 1:
        return answer
    for letter in LETTERS:
        if f"{letter}." in answer:
            return letter
    if "The correct option is " in answer:
        return answer.split("The correct option is ")[1][:1]
    if "Answer:" in answer:
        after = answer.split("Answer:")[1]
        for letter in LETTERS:
            if letter in after:
                return letter
    return draw.choice(LETTERS[:options])


def stated_letter(answer: str) -> str:
    """The one letter that an answer chooses; ``""`` where it names none, or several without saying which.

    Args:
        answer: any text.

    Example:
        >>> stated_letter("A. is wrong. The answer is (B)."), stated_letter("A. or B."), stated_letter("C")
        ('B', '', 'C')
    """
    said = _STATED.findall(answer)
    if said:
        return str(said[-1]).upper()
    text = answer.strip().strip("*().: ")
    if len(text) == 1 and text in LETTERS:
        return text
    named = set(_OPTION.findall(f" {answer} "))
    return str(named.pop()) if len(named) == 1 else ""


def load_letters(name: str, path: Path) -> list[Item]:
    """The items of a set with letters.

    Args:
        name: of the set.
        path: see ``read_file``.
    """
    options = tuple(LETTERS[: 4 if name == "mmmu-ecg" else 8])
    return [
        Item(
            entry.entry_id,
            name,
            entry.question,
            entry.question,
            (entry.answer.strip()[:1].upper(),),
            options,
            (entry.recording,),
        )
        for entry in read_file(path, name)
    ]


def letter_score(strict: bool, item: Item, answer: str) -> Score:
    """Whether the letter is right.

    Args:
        strict: nothing is guessed.
        item: of a set with letters.
        answer: any text.
    """
    if strict:
        letter = stated_letter(answer)
    else:  # the authors draw with one seed for the whole file; a seed for each item does not depend on the order
        letter = published_letter(answer, len(item.options), random.Random(f"42:{item.item_id}"))
    right = (letter,) == item.truth
    reason = None
    if not right:
        reason = REFUSED if not letter and refuses(answer) else WRONG_VALUE if letter else WRONG_FORMAT
    return Score({"accuracy": float(right)}, reason, (letter,) if letter else ())


def load_lists(path: Path) -> list[Item]:
    """The items of ECGBench's part of ECG-QA.

    Args:
        path: see ``read_file``.
    """
    items = []
    for entry in read_file(path, "ecgqa-test"):
        found = _OPTIONS.search(entry.question)
        listed = _CLOSING.sub("", found["list"]) if found else ""
        options = tuple(part.strip().rstrip(".") for part in listed.split(",") if part.strip())
        truth = tuple(sorted(part.strip() for part in entry.answer.split(",") if part.strip()))
        multiple = not set(options) <= {"yes", "no", "not sure"}
        items.append(
            Item(entry.entry_id, "ecgqa", entry.question, entry.question, truth, options, (entry.recording,), multiple)
        )
    return items


def published_list_score(item: Item, answer: str) -> Score:
    """PULSE's and GEM's scripts: options as substrings of the lowered answer.

    PULSE does not lower the options, so that "lead I" never matches, and "no" is found in "normal" (``pulse``). GEM
    lowers both, and compares the sets of characters of the joined strings, so that anagrams are right (``gem``).

    Args:
        item: of ECGBench's ECG-QA.
        answer: any text.
    """
    lower = answer.lower()
    pulse = tuple(sorted(option for option in item.options if option in lower))
    gem = "".join(option.lower() for option in item.options if option.lower() in lower)
    right = set(pulse) == set(item.truth)
    values = {"pulse": float(right), "gem": float(set(gem) == set("".join(item.truth).lower()))}
    return Score({**values, "jaccard": jaccard(pulse, item.truth)}, None if right else WRONG_VALUE, pulse)


for _name, _text in (
    ("csn-test-no-cot", "ECGBench: CSN, eight options"),
    ("g12-test-no-cot", "ECGBench: Georgia 12-lead, eight options"),
    ("mmmu-ecg", "ECGBench: MMMU-ECG, four options"),
):
    register_item_benchmark(
        ItemBenchmark(
            f"ecgbench-{_name.removesuffix('-ecg').removesuffix('-test-no-cot')}",
            _text,
            partial(load_letters, _name),
            {"strict": partial(letter_score, True), "published": partial(letter_score, False)},
            None,
            SOURCE,
            samples=f"{_name}.json",
        )
    )
register_item_benchmark(
    ItemBenchmark(
        "ecgbench-ecgqa",
        "ECGBench: questions of ECG-QA with options",
        load_lists,
        {"strict": choice_score, "published": published_list_score},
        None,
        SOURCE,
        samples="ecgqa-test.json",
    )
)
