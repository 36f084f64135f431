from __future__ import annotations

import pytest

from grounding.criteria.expressions import CriterionError, compiled, evaluate, names, parse


def reader(**values: object):  # type: ignore[no-untyped-def]
    return lambda lead, name: values.get(f"{lead}_{name}" if lead else name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pr > 200", True),
        ("pr > 200 and missing > 3", None),
        ("pr < 200 and missing > 3", False),
        ("pr > 200 or missing > 3", True),
        ("not missing > 3", None),
        ("abs(V1_s) > 1 or abs(V1.s) + max(pr, 2) > 200", True),
        ("120 <= pr <= 250", True),
        ("pr / zero > 1", None),
        ("V1.form in ['rSR', 'RS']", True),
    ],
)
def test_unknown_stays_unknown_until_it_no_longer_matters(text: str, expected: bool | None) -> None:
    assert evaluate(text, reader(pr=210.0, V1_s=-0.5, V1_form="RS", zero=0.0)) is expected


@pytest.mark.parametrize(
    "text", ["__import__('os')", "pr.__class__()", "[x for x in y]", "lambda: 1", "pr >", "open('x') > 1", "pr[0] > 1"]
)
def test_nothing_but_the_language_is_read(text: str) -> None:
    with pytest.raises(CriterionError):
        parse(text)


def test_names_tell_what_is_read() -> None:
    assert set(names("V1.s_mv + max(pr, 2) > qrs")) == {("V1", "s_mv"), (None, "pr"), (None, "qrs")}


@pytest.mark.parametrize("text", ["pr > long", "abs(V1.s) >= long", "pr < -long", "long > pr", "pr in [long, 3.0]"])
@pytest.mark.parametrize("value", [210.0, 200.0, -210.0, 3.0, None])
def test_a_limit_that_is_a_number_is_as_one_that_is_looked_up(text: str, value: float | None) -> None:
    read = {(None, "pr"): value, ("V1", "s"): value, (None, "limit"): 200.0}
    assert compiled(text, {"long": 200.0})(read) is compiled(text, {"long": "limit"})(read)
