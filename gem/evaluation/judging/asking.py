"""Judges behind OpenAI-compatible endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...endpoint import ChatEndpoint, EndpointError, EndpointRefusal
from ...errors import GemInputError
from ..items import JUDGE_FAILED, Item, ItemBenchmark, Score, means
from ..rubrics import Opinion, Rubric

MAX_TOKENS = 4096  # of a judge's reply: an entry with an explanation for each lead
VARIED = 0.7  # temperature of the second and further repeats, which would else be copies of the first


@dataclass(frozen=True)
class Judge:
    """One judge.

    Attributes:
        endpoint: answers.
        rubric: what it marks.
        repeats: how often it is asked about an answer.
        parallel: how many answers it may be asked about at the same time.
    """

    endpoint: ChatEndpoint
    rubric: Rubric
    repeats: int = 1
    parallel: int = 4

    def opinions(self, item: Item, answer: str) -> list[Opinion]:
        """The judge's marks, one opinion for each repeat; one that failed says why.

        Args:
            item: with the reference.
            answer: to be marked.
        """
        return [self._opinion(item, answer, repeat) for repeat in range(self.repeats)]

    def _opinion(self, item: Item, answer: str, repeat: int) -> Opinion:
        name = self.endpoint.model if self.repeats == 1 else f"{self.endpoint.model} {repeat + 1}"

        def accept(message: dict[str, Any]) -> None:
            self.rubric.read(str(message["content"]))  # ValueError: it is asked once more

        asked = [{"role": "user", "content": self.rubric.prompt((item.prompt, *item.turns), item.truth, answer)}]
        options = {"temperature": VARIED} if repeat else {}
        try:
            message, tokens = self.endpoint.complete_counted(asked, accept, **options)
        except (EndpointError, EndpointRefusal) as error:
            return Opinion(name, {}, " ".join(str(error).split()))
        return Opinion(name, self.rubric.read(str(message["content"])), None, tokens)


def mean_score(rubric: Rubric, opinions: Sequence[Opinion]) -> Score:
    """The mean of the judges that gave marks, as the authors compute an answer's results.

    Args:
        rubric: of the judges.
        opinions: of all judges about one answer.
    """
    rows = [{"values": rubric.published(one.marks)} for one in opinions if one.marks]
    return Score(means(rows)) if rows else Score({}, JUDGE_FAILED)


def judges_of(benchmark: ItemBenchmark, names: Sequence[str], repeats: int = 1) -> list[Judge]:
    """The judges of a run.

    Args:
        benchmark: whose rubric they use.
        names: ``openai:URL#MODEL`` each.
        repeats: how often each is asked about an answer.

    Raises:
        GemInputError: the benchmark has no rubric, an address is not complete, or there are no repeats.
    """
    if not names:
        return []
    if benchmark.rubric is None:
        raise GemInputError(f"{benchmark.name} is scored without a judge", remedy="leave --judge out")
    if repeats < 1:
        raise GemInputError(f"{repeats} repeats", where="--judge-repeats", remedy="give 1 or more")
    endpoints = [ChatEndpoint.parse(name, retries=3, max_tokens=MAX_TOKENS) for name in names]
    return [Judge(endpoint, benchmark.rubric, repeats) for endpoint in endpoints]
