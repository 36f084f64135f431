"""Every registered benchmark of items: its bundled items, and a perfect, a random, a damaged and a useless answerer."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gem.errors import GemInputError
from gem.evaluation import Item, ItemBenchmark, item_benchmarks, leaderboard, run_benchmark
from gem.evaluation.answerers import answerer
from gem.evaluation.inputs import BUNDLED, Inputs
from gem.evaluation.items import samples_of
from gem.evaluation.rubrics import Opinion
from gem.evaluation.running import answer_item, summarise

NAMES = item_benchmarks.list()
# PTB-XL's records among the bundled ones, in four conditions; the leads of two records; the questions of ten chains
BUNDLED_ITEMS = {"classification": 9, "device-12sl": 9, "explanations": 36, "ludb": 24, "reasoning": 93, "retrieval": 9}
DOCS = Path(__file__).resolve().parents[3] / "docs" / "benchmarks.md"


@cache
def inputs_of(name: str) -> Inputs:
    benchmark = item_benchmarks[name]
    return Inputs(samples_of(benchmark)) if benchmark.own_recordings else _bundled()


@cache
def _bundled() -> Inputs:
    return Inputs(BUNDLED)


@cache
def items_of(name: str) -> list[Item]:
    return item_benchmarks[name].load(samples_of(item_benchmarks[name]))


def true_answer(item: Item) -> str:
    return (", " if item.options else " ").join(item.truth)


class Perfect:
    parallel = 1

    def answer(self, item: Item, inputs: Inputs) -> str:
        return true_answer(item)


class Damaged:
    """Right for some of the items, and useless for the others."""

    parallel = 1

    def __init__(self, items: list[Item], share: float) -> None:
        self.good = {item.item_id for item in items[: round(share * len(items))]}

    def answer(self, item: Item, inputs: Inputs) -> str:
        return true_answer(item) if item.item_id in self.good else "Hm."


class MadeUpJudge:
    """Gives the highest marks to the reference, and the lowest to anything else."""

    parallel = 1

    def __init__(self, benchmark: ItemBenchmark) -> None:
        self.rubric: Any = benchmark.rubric

    def opinions(self, item: Item, answer: str) -> list[Opinion]:
        place = 1 if answer == true_answer(item) else 0
        marks = {one.name: (float(one.scale[place]),) for one in self.rubric.criteria}
        return [Opinion("made up", marks)]


def main_values(name: str, who: Any) -> dict[str, float]:
    """The first metric of every scoring."""
    benchmark, items = item_benchmarks[name], items_of(name)
    judges: list[Any] = [MadeUpJudge(benchmark)] if benchmark.rubric else []
    scorings = benchmark.scorings(items)
    rows = [answer_item(who, scorings, item, inputs_of(name), judges) for item in items]
    figures = summarise(benchmark, rows)
    assert figures["not_scored"] == {}
    out = {}
    for scoring, kinds in figures["scorings"].items():
        metrics = next(iter(kinds.values()))
        out[scoring] = float(next(cell["value"] for key, cell in metrics.items() if key != "n"))
    return out


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_a_random_a_damaged_and_a_useless_answerer(name: str) -> None:
    items = items_of(name)
    assert len(items) == BUNDLED_ITEMS.get(name, 10)
    assert len({item.item_id for item in items}) == len(items)
    perfect = main_values(name, Perfect())
    assert set(perfect) == {"strict", "published"}
    damaged, useless = main_values(name, Damaged(items, 0.5)), main_values(name, Damaged(items, 0.0))
    chance = main_values(name, answerer("random", item_benchmarks[name], items))
    for scoring, best in perfect.items():
        assert best > damaged[scoring], scoring
        assert damaged[scoring] > useless[scoring] or "published" in scoring, scoring  # the published guess letters
        assert best > chance[scoring] or (name, scoring) == ("device-12sl", "published"), (
            scoring
        )  # it counts what is given
    if name.startswith("grounded"):  # the reference itself is held against the recording
        assert 0.85 < perfect["strict"] <= 1
    else:
        assert perfect["strict"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_missing_files_are_told_with_where_they_are_offered(name: str, tmp_path: Path) -> None:
    benchmark = item_benchmarks[name]
    assert benchmark.source
    with pytest.raises(GemInputError, match=re.escape(benchmark.source.split()[0])):
        benchmark.load(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_its_place_in_the_docs(name: str) -> None:
    assert f"`{name}`" in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "digitisation" else [])
        for name in NAMES
        if item_benchmarks[name].rules
    ],
)
def test_rules_answer_bundled_items_out_of_the_box(name: str) -> None:
    limit = 2 if name in ("explanations", "retrieval") else 1  # of which another recording or text is shown
    figures = run_benchmark(name, "rules", limit=limit)
    assert figures["not_scored"] == {}
    metrics = next(iter(figures["scorings"]["strict"].values()))
    assert metrics["n"] == limit


def test_quoted_figures_have_a_source_and_the_metrics_of_the_published_scoring() -> None:
    told: dict[str, set[str]] = {}
    for name, by_model in leaderboard._quoted().items():
        for rows in by_model.values():
            for row in rows:
                assert row["source"]
                assert float(row["value"]) >= 0
                told.setdefault(name, set()).add(row["metric"])
    for name, metrics in told.items():
        rubric, items = item_benchmarks[name].rubric, items_of(name)
        if rubric is not None:
            known = set(rubric.published({one.name: (float(one.scale[1]),) for one in rubric.criteria}))
        else:
            rows = [answer_item(Perfect(), item_benchmarks[name].scorings(items), items[0], inputs_of(name))]
            known = set(next(iter(summarise(item_benchmarks[name], rows)["scorings"]["published"].values())))
        assert metrics <= known, name


def test_chance_and_the_majority_need_no_files() -> None:
    for model in ("majority", "random"):
        assert run_benchmark("ecgbench-csn", model)["not_scored"] == {}


def test_a_benchmark_without_bundled_items_says_so() -> None:
    with pytest.raises(GemInputError, match="has no bundled items"):
        samples_of(ItemBenchmark("empty", "", lambda path: [], {}))
