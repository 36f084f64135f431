"""Benchmarks of items: a question about recordings, its true answer, and functions that score what a model says.

Reasons of a score, which programs can read: a model refused, its answer has the wrong format or value, the judge or the
request failed, or the recording is missing. The last three say nothing of the model, and are counted apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grounding.registry import Registry

if TYPE_CHECKING:
    from ..data.samples import Sample
    from .inputs import Inputs
    from .rubrics import Rubric

REFUSED, WRONG_FORMAT, WRONG_VALUE = "model_refused", "wrong_format", "wrong_value"
JUDGE_FAILED, REQUEST_FAILED, INPUT_MISSING = "judge_failed", "request_failed", "input_missing"
SAMPLES = Path(__file__).parent / "samples"
INSTRUMENT = frozenset({JUDGE_FAILED, REQUEST_FAILED, INPUT_MISSING})  # reasons that are not the model's


@dataclass(frozen=True)
class Item:
    """One question of a benchmark.

    Attributes:
        item_id: unique in the benchmark.
        kind: group that results are given for, such as ``single-verify``.
        question: as the benchmark's authors wrote it.
        prompt: what a language model gets, with the options and the form of the answer.
        truth: the true answer: labels, or a single text.
        options: the possible labels; empty for open questions.
        records: the recordings that it is about, see ``Inputs.record``.
        multiple: whether an answer may have several labels.
        turns: questions that follow in the same conversation, each asked after the answer before it.
        history: what was asked and truly answered before it, in the same conversation.
        shown: the recordings that a model gets in place of ``records``, which its answer is still held against; empty
            for the same ones.
        facts: what is measured in ``records`` is told with the prompt.
    """

    item_id: str
    kind: str
    question: str
    prompt: str
    truth: tuple[str, ...]
    options: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    multiple: bool = False
    turns: tuple[str, ...] = ()
    history: tuple[tuple[str, str], ...] = ()
    shown: tuple[str, ...] = ()
    facts: bool = False

    @property
    def seen(self) -> tuple[str, ...]:
        """The recordings that a model gets."""
        return self.shown or self.records


@dataclass(frozen=True)
class Score:
    """What an answer is worth.

    Attributes:
        values: metric -> value, the main one first.
        reason: why it is not fully right: one of this module's constants, or ``None``.
        labels: what was read in the answer.
    """

    values: Mapping[str, float]
    reason: str | None = None
    labels: tuple[str, ...] = ()


Scorer = Callable[[Item, str], Score]
GroundedScorer = Callable[[Item, str, "Inputs"], Score]  # it looks at the recording, too
Rules = Callable[[Item, "Inputs"], str]
Statistic = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, float]]
Answers = Callable[[Sequence[Item], "Inputs"], list[str]]


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The mean of every metric of some scores.

    Args:
        rows: scores as stored, with ``values``.

    Example:
        >>> means([{"values": {"exact": 1.0}}, {"values": {"exact": 0.0}}])
        {'exact': 0.5}
    """
    names = dict.fromkeys(name for row in rows for name in row["values"])
    return {
        name: sum(row["values"][name] for row in rows if name in row["values"])
        / sum(name in row["values"] for row in rows)
        for name in names
    }


@dataclass(frozen=True)
class ItemBenchmark:
    """A benchmark of items.

    Attributes:
        name: for ``gem evaluate NAME``.
        text: what it measures, in one line.
        load: reads the items from a folder or file in the layout of its authors.
        scorers: ``strict`` and, where its authors define one, ``published``.
        rules: answers an item by measurement and knowledge base alone; ``None`` where no rule can.
        source: where its authors offer the files.
        statistics: scoring -> a function of the scores, where the mean of each is not what is reported.
        grounded: scorers that look at the recording, too.
        corpus: scorers that need all items first: a function of them gives the scorer.
        rubric: what a judge is asked, where the authors' score is a judge's; its scoring is ``published``.
        samples: file or folder of items of our own in the authors' layout, in ``gem/evaluation/samples``.
        own_recordings: the recordings lie in the folder of the items.
        wording: ``published`` compares texts by their words, so that it takes BERTScore, too.
        not_read: what of an item the rules can't read; a run of ``rules`` counts it.
        labelled: makes the items of labelled recordings, which ``--records`` and ``--folds`` name; ``load`` gives those
            of the default fold.
        by_model: how a model of this library answers several items together; ``None`` for one that is to be asked by
            the prompt, and where all are.
        main_condition: the kind that counts, where the kinds are conditions of the same recordings; there is no figure
            over all of them.
        details: further figures of a run from its items and rows.
        details_table: these for the terminal.
    """

    name: str
    text: str
    load: Callable[[Path], list[Item]]
    scorers: Mapping[str, Scorer]
    rules: Rules | None = None
    source: str = ""
    statistics: Mapping[str, Statistic] = field(default_factory=dict)
    grounded: Mapping[str, GroundedScorer] = field(default_factory=dict)
    corpus: Mapping[str, Callable[[Sequence[Item]], Scorer]] = field(default_factory=dict)
    rubric: Rubric | None = None
    samples: str = ""
    own_recordings: bool = False
    wording: bool = False
    not_read: Callable[[Item], tuple[str, ...]] | None = None
    labelled: Callable[[Sequence[Sample]], list[Item]] | None = None
    by_model: Callable[[Any], Answers | None] | None = None
    main_condition: str = ""
    details: Callable[[Sequence[Item], Sequence[Mapping[str, Any]]], dict[str, Any]] | None = None
    details_table: Callable[[Mapping[str, Any]], str] | None = None

    def scorings(self, items: Sequence[Item]) -> dict[str, GroundedScorer]:
        """Every scorer that needs no judge, the main one first.

        Args:
            items: of the benchmark.
        """

        def plain(scorer: Scorer) -> GroundedScorer:
            return lambda item, answer, inputs: scorer(item, answer)

        return {
            **self.grounded,
            **{name: plain(scorer) for name, scorer in self.scorers.items()},
            **{name: plain(make(items)) for name, make in self.corpus.items()},
        }


item_benchmarks: Registry[ItemBenchmark] = Registry("benchmark", "gem.item_benchmarks")


def register_item_benchmark(benchmark: ItemBenchmark) -> ItemBenchmark:
    """Add a benchmark of items.

    Args:
        benchmark: with a new name.
    """
    item_benchmarks.register(benchmark, name=benchmark.name)
    return benchmark


def samples_of(benchmark: ItemBenchmark) -> Path:
    """The bundled items of a benchmark, in the layout of its authors, about the bundled recordings.

    Args:
        benchmark: any.

    Raises:
        GemInputError: it has none.
    """
    from ..errors import GemInputError

    path = SAMPLES / benchmark.samples
    if not benchmark.samples or not path.exists():
        raise GemInputError(
            f"{benchmark.name} has no bundled items", remedy=f"give its files with --data; see {benchmark.source}"
        )
    return path


def missing_file(benchmark: str, where: Path, source: str) -> Exception:
    """The error for files that are not there.

    Args:
        benchmark: whose.
        where: they were looked for.
        source: where its authors offer them.
    """
    from ..errors import GemInputError

    return GemInputError(f"no files of {benchmark}", where=str(where), remedy=f"its authors offer them at {source}")
