"""Who answers a benchmark: rules, the majority, chance, a model of this library, or an OpenAI-compatible endpoint."""

from __future__ import annotations

import base64
import hashlib
import io
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..endpoint import ChatEndpoint, EndpointError, EndpointRefusal
from ..errors import GemInputError
from .items import Item, ItemBenchmark

if TYPE_CHECKING:
    from .inputs import Inputs


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


class _Majority:
    """The commonest answer to the same kind of question."""

    parallel = 1

    def __init__(self, items: Sequence[Item]) -> None:
        counts: dict[tuple[str, tuple[str, ...]], Counter[str]] = {}
        for item in items:
            key = (item.kind, tuple(sorted(item.options)))
            counts.setdefault(key, Counter())[", ".join(sorted(item.truth))] += 1
        self.commonest = {key: min(count, key=lambda one: (-count[one], one)) for key, count in counts.items()}

    def answer(self, item: Item, inputs: Inputs) -> str:
        return self.commonest[item.kind, tuple(sorted(item.options))]


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
    """A model of this library: ``gem.ask`` for questions, ``gem.explain`` for reports; one recording at a time."""

    parallel = 1

    def __init__(self, name: str) -> None:
        from ..explaining import load_once

        self.model: Any = load_once(name)

    def answer(self, item: Item, inputs: Inputs) -> str:
        from ..asking import ask
        from ..explaining import explain

        if len(item.records) != 1:
            return f"I can't answer: this model takes one recording, and the question is about {len(item.records)}."
        record = inputs.record(item.records[0])
        if item.kind == "report":
            return explain(record, self.model).text
        return ask(record, item.question, self.model, inputs.measurement(item.records[0])).text


@dataclass(frozen=True)
class _Endpoint:
    endpoint: ChatEndpoint
    parallel: int = 4

    def answer(self, item: Item, inputs: Inputs) -> str:
        import grounding

        content: list[dict[str, Any]] = []
        for name in item.records:
            file = io.BytesIO()
            grounding.render(inputs.record(name)).save(file, "PNG")
            url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
            content.append({"type": "image_url", "image_url": {"url": url}})
        content.append({"type": "text", "text": item.prompt})
        try:
            return self.endpoint.write([{"role": "user", "content": content}])
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
    return _Model(name)
