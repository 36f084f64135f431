"""Who answers a benchmark: rules, the majority, chance, a model of this library, or an OpenAI-compatible endpoint."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ..endpoint import ChatEndpoint, EndpointError, EndpointRefusal
from ..errors import GemInputError
from .items import Answers, Item, ItemBenchmark

if TYPE_CHECKING:
    from ..answer import Answer
    from .inputs import Inputs

BATCH = 64  # items that a model of this library is asked together, where it can be
FEW = 5  # questions with the same options, below which the commonest answer may be an item's own
_LETTERS = "ABCDEFGH"
_UNIT = re.compile(r"(?<=\d)(?=(?:ms|bpm|mV|s)\b)")


class Answerer(Protocol):
    """Answers items."""

    @property
    def parallel(self) -> int:
        """How many items may be asked at the same time."""

    def answer(self, item: Item, inputs: Inputs) -> str:
        """The answer as text.

        Args:
            item: the question.
            inputs: the recordings.

        Raises:
            ConnectionError: no answer could be had.
        """


@dataclass(frozen=True)
class _Rules:
    benchmark: ItemBenchmark
    parallel: int = 1

    def answer(self, item: Item, inputs: Inputs) -> str:
        assert self.benchmark.rules is not None  # for mypy: answerer() sees to it
        return self.benchmark.rules(item, inputs)


@dataclass(frozen=True)
class InBatches:
    """A model of this library that is asked about several items together.

    The same batches are made whenever a run continues, so that it ends with the same answers.

    Attributes:
        answers: of several items.
        batch: how many together.
        parallel: one batch at a time.
    """

    answers: Answers
    batch: int = BATCH
    parallel: int = 1

    def answer(self, item: Item, inputs: Inputs) -> str:
        """The answer to one item.

        Args:
            item: the question.
            inputs: the recordings.
        """
        return self.answers([item], inputs)[0]


class _Majority:
    """The commonest answer to the same question: the same kind and options, or the same kind alone.

    Where fewer than ``FEW`` questions have an item's options, the item's own answer would be the commonest. There it is
    the one of its options that is most often right in items of the kind about other recordings.
    """

    parallel = 1

    def __init__(self, items: Sequence[Item]) -> None:
        counts: dict[tuple[str, tuple[str, ...]], Counter[str]] = {}
        self.right: dict[str, Counter[str]] = {}
        self.of_records: dict[tuple[str, tuple[str, ...]], Counter[str]] = {}
        for item in items:
            counts.setdefault(_asked(item), Counter())[", ".join(sorted(item.truth))] += 1
            self.right.setdefault(item.kind, Counter()).update(item.truth)
            self.of_records.setdefault((item.kind, item.records), Counter()).update(item.truth)
        self.commonest = {
            key: min(count, key=lambda one: (-count[one], one))
            for key, count in counts.items()
            if count.total() >= FEW or not key[1]
        }

    def answer(self, item: Item, inputs: Inputs) -> str:
        known = self.commonest.get(_asked(item))
        if known is not None:
            return known
        right = self.right[item.kind] - self.of_records[item.kind, item.records]
        return min(item.options, key=lambda option: (-right[option], option))


def _asked(item: Item) -> tuple[str, tuple[str, ...]]:
    return item.kind, tuple(sorted(item.options))


class _Random:
    """A label drawn for each question; of several labels, each with probability one half; another item's text."""

    parallel = 1

    def __init__(self, items: Sequence[Item], seed: int) -> None:
        self.seed = seed
        self.texts = [item.truth[0] for item in items if not item.options]

    def answer(self, item: Item, inputs: Inputs) -> str:
        draw = random.Random(hashlib.sha256(f"{self.seed}:{item.item_id}".encode()).hexdigest())
        if not item.options:
            return draw.choice(self.texts)
        drawn = [option for option in item.options if draw.random() < 0.5] if item.multiple else []
        return ", ".join(drawn or [draw.choice(item.options)])


class _Model:
    """A model of this library.

    One that writes from facts (gem-nano) is asked by ``gem.ask``, about one recording, and for reports by
    ``gem.explain``. A published one gets the prompt in its own conversation, with every recording of the item where its
    family takes several.
    """

    parallel = 1

    def __init__(self, name: str) -> None:
        from ..explaining import check_can_write, load_once, writes_from_facts

        self.model: Any = load_once(name)
        self.from_facts = writes_from_facts(self.model)
        if not self.from_facts:
            check_can_write(self.model)

    def answer(self, item: Item, inputs: Inputs) -> str:
        from ..asking import ask
        from ..explaining import explain_seen

        if not self.from_facts:
            return _turn_by_turn(item, inputs, partial(self._free, item, inputs))
        if len(item.seen) != 1:
            return f"I can't answer: this model takes one recording, and the question is about {len(item.seen)}."
        name = item.seen[0]
        record, measurement, seen = inputs.record(name), inputs.measurement(name), None
        if inputs.missing is not None and inputs.missing.modality == "picture":
            if self.model.processor.picture is None:
                raise GemInputError("this model takes no pictures", remedy="use --missing signal:...")
            seen = inputs.picture(name)
        if item.kind in ("report", "arena"):
            return explain_seen(record, measurement, self.model, seen).text
        offered = _to_choose_from(item)
        asked = "\n".join([item.question, *(f"{letter}. {text}" for letter, (text, _) in offered.items())])
        answer = ask(record, asked, self.model, measurement, item.history, seen)
        return _in_the_form(item, answer, {letter: option for letter, (_, option) in offered.items()})

    def _free(self, item: Item, inputs: Inputs, said: Sequence[tuple[str, str]], prompt: str) -> str:
        """The next answer of a conversation, which begins with the recordings."""
        from ..writing import converse

        takes_pictures = self.model.processor.picture is not None
        shown: list[dict[str, Any]] = []
        for name in item.seen:
            if self.model.processor.contract is not None:
                shown.append({"type": "ecg", "ecg": inputs.record(name)})
            if takes_pictures:
                shown.append({"type": "image", "image": inputs.picture(name)})
        try:
            return converse(self.model, _messages(shown, said, prompt))
        except GemInputError as error:
            if len(item.seen) > 1:
                return f"I can't answer: this model does not take {len(item.seen)} recordings ({error.what})."
            raise


def _messages(shown: Sequence[dict[str, Any]], said: Sequence[tuple[str, str]], prompt: str) -> list[dict[str, Any]]:
    """A conversation that begins with what is shown, and ends with the next question."""
    questions = [*(question for question, _ in said), prompt]
    messages: list[dict[str, Any]] = [{"role": "user", "content": [*shown, {"type": "text", "text": questions[0]}]}]
    for (_, answer), question in zip(said, questions[1:], strict=True):
        messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": question}]
    return messages


def prompt_of(item: Item, inputs: Inputs) -> str:
    """What a language model is asked first: the prompt, after what is measured where the item tells that.

    Args:
        item: the question.
        inputs: the recordings.
    """
    if not item.facts:
        return item.prompt
    from ..metrics.texts import own_report

    return f"Measured: {own_report(inputs.measurement(item.records[0]))}\n\n{item.prompt}"


def _turn_by_turn(item: Item, inputs: Inputs, answer: Callable[[Sequence[tuple[str, str]], str], str]) -> str:
    """The answers to all turns of an item, each asked with those before it."""
    said = list(item.history)
    for prompt in (prompt_of(item, inputs), *item.turns):
        said.append((prompt, answer(said, prompt)))
    return "\n\n".join(text for _, text in said[len(item.history) :])


def _to_choose_from(item: Item) -> dict[str, tuple[str, str]]:
    """Letter -> what ``gem.ask`` reads of an option, and the option, where the question leaves them to the prompt."""
    plain = {"yes", "no"} & {option.lower() for option in item.options}
    # of several that may be right, options of other questions may be among them, and gem.ask chooses one
    if plain or item.multiple or not 2 <= len(item.options) <= len(_LETTERS) or item.options[0] in item.question:
        return {}
    return {letter: (_UNIT.sub(" ", option), option) for letter, option in zip(_LETTERS, item.options, strict=False)}


def _in_the_form(item: Item, answer: Answer, offered: Mapping[str, str]) -> str:
    """An answer in the form that the prompt demands: an option and nothing else, where it says which one."""
    if answer.declined:
        return answer.text
    first = re.match(r"(?:([A-H])\)|(\w+))", answer.text)
    if first is not None and first[1] in offered:
        return offered[first[1]]
    known = {option.lower(): option for option in item.options}
    if first is not None and first[2] and first[2].lower() in {"yes", "no"} & set(known):
        return known[first[2].lower()]
    return answer.text


@dataclass(frozen=True)
class _Endpoint:
    endpoint: ChatEndpoint
    parallel: int = 4

    def answer(self, item: Item, inputs: Inputs) -> str:
        content: list[dict[str, Any]] = []
        for name in item.seen:
            file = io.BytesIO()
            inputs.picture(name).save(file, "PNG")
            url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
            content.append({"type": "image_url", "image_url": {"url": url}})

        def ask(said: Sequence[tuple[str, str]], prompt: str) -> str:
            return self.endpoint.write(_messages(content, said, prompt))

        try:
            return _turn_by_turn(item, inputs, ask)
        except (EndpointError, EndpointRefusal) as error:
            raise ConnectionError(" ".join(str(error).split())) from error


def answerer(name: str, benchmark: ItemBenchmark, items: Sequence[Item], seed: int = 0) -> Answerer:
    """Who answers, by the name given to ``--model``.

    Args:
        name: ``rules``, ``majority``, ``random``, ``openai:URL#MODEL``, or a name or folder for ``gem.load``.
        benchmark: to be answered.
        items: of the benchmark, which ``majority`` counts.
        seed: of ``random``.

    Raises:
        GemInputError: there are no rules for this benchmark, or the endpoint's address is not complete.
        GemError: the model can't be loaded.
    """
    if name == "rules":
        if benchmark.rules is None:
            raise GemInputError(
                f"{benchmark.name} can't be answered by rules", remedy="use another --model, such as gem-nano"
            )
        return _Rules(benchmark)
    if name == "majority":
        return _Majority(items)
    if name == "random":
        return _Random(items, seed)
    if name.startswith("openai:"):
        return _Endpoint(ChatEndpoint.parse(name, retries=3))
    if benchmark.by_model is not None:
        from ..checkpoints import load

        if (answers := benchmark.by_model(load(name))) is not None:
            return InBatches(answers)
    return _Model(name)
