"""Results of workers come in the order of their tasks, from any of joblib's backends."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import joblib
import pytest
from joblib._parallel_backends import ThreadingBackend

from grounding.processes import _AT_ONCE, results_in_order, uncollected


class WaitsForAll(ThreadingBackend):  # type: ignore[misc]
    """As Ray's backend: it gives all results at once, and no generator of them."""

    supports_return_generator = False


def slow_square(number: int, power: int) -> int:
    time.sleep(0.01 if number % 2 else 0.0)
    return int(number**power)


@pytest.fixture(params=["one", "threading", "waits for all"])
def backend(request: pytest.FixtureRequest) -> Iterator[int | None]:
    if request.param == "one":
        yield 1
        return
    joblib.register_parallel_backend("waits for all", WaitsForAll)
    with joblib.parallel_config(request.param, n_jobs=2):
        yield None


def test_results_are_in_order(backend: int | None) -> None:
    count = 2 * _AT_ONCE + 3
    found = list(results_in_order(slow_square, ((number, 2) for number in range(count)), backend))
    assert found == [number**2 for number in range(count)]
    assert list(results_in_order(slow_square, iter(()), backend)) == []


def test_tasks_are_taken_a_few_ahead(backend: int | None) -> None:
    taken = []

    def tasks() -> Iterator[tuple[int, int]]:
        for number in range(1000):
            taken.append(number)
            yield number, 1

    results = results_in_order(slow_square, tasks(), backend)
    assert next(results) == 0
    assert len(taken) <= 200
    results.close()


def test_an_error_of_a_task_is_raised(backend: int | None) -> None:
    with pytest.raises(ZeroDivisionError):
        list(results_in_order(slow_square, [(1, 1), (0, -1)], backend))


@pytest.mark.parametrize("enabled", [True, False])
def test_collection_is_as_before_after_a_task_without_it(enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
        with pytest.raises(ZeroDivisionError), uncollected():
            divmod(1, 0)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
