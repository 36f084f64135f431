"""ECG-Reasoning-Benchmark as items: one for each question, with the true answers before it as its history.

References:
    ECG-Reasoning-Benchmark, arXiv 2603.14326.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import GemInputError
from ..items import (
    WRONG_FORMAT,
    WRONG_VALUE,
    Item,
    ItemBenchmark,
    Score,
    missing_file,
    register_item_benchmark,
)
from ..labels import choice_score, jaccard, named_labels, refuses, set_score
from .answering import Answer, Reasoner, Step

if TYPE_CHECKING:
    from ..inputs import Inputs

SOURCE = "arXiv 2603.14326 (ECG-Reasoning-Benchmark)"
FIRST = "initial_diagnostic_question"
LEADS = "lead_grounding"
_PLACE = re.compile(r"(.*):(\d+)/(\d+)")
_FORM = {
    True: "Answer with all of the options that apply, separated by commas. Write nothing else.",
    False: "Answer with one of the options, word for word. Write nothing else.",
}


@dataclass(frozen=True)
class ReasoningItem(Item):
    """A question of a chain.

    Attributes:
        before: the questions before it with their true answers.
    """

    before: tuple[Step, ...] = ()

    @property
    def step(self) -> Step:
        """The question as a ``Reasoner`` reads it."""
        return Step(self.kind, self.question, self.options)


def questions(sample: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every question of a sample, in order.

    Args:
        sample: as in the benchmark's JSON.
    """
    yield sample["data"][FIRST]
    for loop in sample["data"]["reasoning"]:
        for part in loop.values():
            yield from part if isinstance(part, list) else [part]


def sample_files(folder: Path) -> list[Path]:
    """The files of a folder, ``DIAGNOSIS/NNN.json``, by name.

    Args:
        folder: of the benchmark.

    Raises:
        GemInputError: there are none.
    """
    paths = sorted(folder.glob("*/*.json"))
    if not paths:
        raise missing_file("ECG-Reasoning-Benchmark (DIAGNOSIS/NNN.json)", folder, SOURCE)
    return paths


def load_items(folder: Path) -> list[Item]:
    """An item for each question, in the order in which it is asked.

    Args:
        folder: with ``DIAGNOSIS/NNN.json``.

    Raises:
        GemInputError: there are no files, or one has another layout.
    """
    items: list[Item] = []
    for path in sample_files(folder):
        try:
            sample = json.loads(path.read_text(encoding="utf-8"))
            items += chain_of(f"{path.parent.name}/{path.stem}", sample)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GemInputError(
                f"not a sample of the benchmark ({type(error).__name__}: {error})",
                where=str(path),
                remedy=f"see {SOURCE}",
            ) from None
    return items


def chain_of(name: str, sample: dict[str, Any]) -> list[Item]:
    """The items of a sample.

    Args:
        name: of the sample.
        sample: as in the benchmark's JSON.
    """
    asked, before, history = list(questions(sample)), list[Step](), list[tuple[str, str]]()
    items: list[Item] = []
    for number, one in enumerate(asked, 1):
        truth = one["answer"] if isinstance(one["answer"], list) else [one["answer"]]
        several = one["question_type"] == LEADS
        options = "\n".join(f"- {option}" for option in one["options"])
        prompt = f"{one['question']}\n{options}\n{_FORM[several]}"
        items.append(
            ReasoningItem(
                f"{name}:{number}/{len(asked)}",
                one["question_type"],
                one["question"],
                prompt,
                tuple(truth),
                tuple(one["options"]),
                (str(sample["metadata"]["ecg_id"]),),
                several,
                history=tuple(history),
                before=tuple(before),
            )
        )
        history.append((prompt, ", ".join(truth)))
        before.append(Step(one["question_type"], one["question"], tuple(one["options"]), one["answer"]))
    return items


@lru_cache(64)
def reasoner_of(name: str, inputs: Inputs) -> Reasoner:
    """The reasoner of a recording, which is measured once.

    Args:
        name: of the recording.
        inputs: the recordings.
    """
    return Reasoner(inputs.record(name))


def answer_by_rules(item: Item, inputs: Inputs) -> str:
    """The answer by measurement and the benchmark's protocols, see ``Reasoner``.

    Args:
        item: of the benchmark.
        inputs: the recordings.
    """
    assert isinstance(item, ReasoningItem)  # for mypy: its loader makes no others
    return as_text(reasoner_of(item.seen[0], inputs).answer(item.step, item.before))


def as_text(answer: Answer) -> str:
    """An answer as one text; leads are separated by commas.

    Args:
        answer: an option, or several.
    """
    return answer if isinstance(answer, str) else ", ".join(answer)


def published_score(item: Item, answer: str) -> Score:
    """Whether the answer is the true option, letter for letter without case; leads as a set.

    Args:
        item: of the benchmark.
        answer: any text.
    """
    parts = answer.split(",") if item.multiple else [answer]
    said = {part.strip().lower() for part in parts if part.strip()}
    labels = tuple(option for option in item.options if option.strip().lower() in said)
    right = said == {one.strip().lower() for one in item.truth}
    reason = None if right else WRONG_VALUE if labels else WRONG_FORMAT
    return Score({"exact": float(right), "jaccard": jaccard(labels, item.truth)}, reason, labels)


def strict_score(item: Item, answer: str) -> Score:
    """The options that an answer names as whole words, against the true ones as a set; leads also without "Lead".

    Args:
        item: of the benchmark.
        answer: any text.
    """
    if not item.multiple or refuses(answer) or any(not one.startswith("Lead ") for one in item.options):
        return choice_score(item, answer)
    named = named_labels(answer, [option.removeprefix("Lead ") for option in item.options])
    labels = tuple(option for option in item.options if option.removeprefix("Lead ") in named)
    return set_score(item, answer, labels)


def statistics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Accuracy, and over whole chains how far they are right.

    Args:
        rows: scores with ``id`` and ``values``, those of a chain in order.

    Returns:
        ``exact`` and ``jaccard``; where there are whole chains also ``completion``: the share of them in which no
        question after the first is answered wrongly, ``completion_with_initial``: nor the first, and ``depth``: the
        mean share of the questions after the first that are right before the first wrong one. A chain of which a
        question was not asked, or could not be scored, is left out of these.
    """
    out = {name: sum(row["values"][name] for row in rows) / len(rows) for name in ("exact", "jaccard")}
    chains = [rights for rights in _chains(rows) if len(rights) > 1]
    if chains:
        depth = [next((n for n, right in enumerate(rest) if not right), len(rest)) / len(rest) for _, *rest in chains]
        out["completion"] = sum(all(rest) for _, *rest in chains) / len(chains)
        out["completion_with_initial"] = sum(all(rights) for rights in chains) / len(chains)
        out["depth"] = sum(depth) / len(chains)
    return out


def _chains(rows: Sequence[Mapping[str, Any]]) -> list[list[bool]]:
    """Right or wrong for each question of every whole chain; one that was drawn twice is there twice."""
    out: list[list[bool]] = []
    rights: list[bool] = []
    name = ""
    for row in rows:
        place = _PLACE.fullmatch(row["id"])
        assert place is not None  # for mypy: chain_of writes the ids
        number, of = int(place[2]), int(place[3])
        if number == 1:
            name, rights = place[1], []
        if name == place[1] and number == len(rights) + 1:
            rights.append(row["values"]["exact"] == 1.0)
            if number == of:
                out.append(rights)
    return out


def shown_other(items: Sequence[Item]) -> list[Item]:
    """The items with another recording shown: what stays right needs no ECG.

    Args:
        items: of the benchmark, about two or more PTB-XL records; each gets the next one by number.
    """
    numbers = sorted({item.records[0] for item in items}, key=int)
    other = dict(zip(numbers, [*numbers[1:], numbers[0]], strict=True))
    return [replace(item, shown=(other[item.records[0]],)) for item in items]


def own_history(items: Sequence[Item], inputs: Inputs) -> list[str]:
    """The answers by rules where each question sees the rules' own earlier answers, and not the true ones.

    Args:
        items: of the benchmark, those of a chain in order.
        inputs: the recordings.
    """
    said: list[str] = []
    own: list[Step] = []
    for item in items:
        assert isinstance(item, ReasoningItem)  # for mypy
        own = own if item.before else []
        answer = reasoner_of(item.seen[0], inputs).answer(item.step, tuple(own))
        own.append(replace(item.step, answer=answer))
        said.append(as_text(answer))
    return said


register_item_benchmark(
    ItemBenchmark(
        "reasoning",
        "chains of reasoning questions (ECG-Reasoning-Benchmark), each with the true answers before it",
        load_items,
        {"strict": strict_score, "published": published_score},
        answer_by_rules,
        SOURCE,
        {"strict": statistics, "published": statistics},
        samples="ecg_reasoning",
    )
)
