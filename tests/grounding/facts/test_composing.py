"""The composer's texts: repeatable, varied, and honest about what they don't know."""

from __future__ import annotations

import pytest

from grounding import EcgError
from grounding.facts import Fact, compose

ITEMS = [
    Fact("<rhythm>", "sinus rhythm", "named", (), "rhythm"),
    Fact("<rate>", "72 bpm", "normal", (), "number"),
    Fact("<pr>", "212 ms", "prolonged", (), "number"),
    Fact("<no_qt>", "not measurable (no T wave end found)", "", (), "missing", "QT interval"),
    Fact("<f1>", "ST depression in V5 and V6", "ischaemia", (), "finding"),
    Fact("<f2>", "left bundle branch block", "conduction", (), "finding"),
]


def test_the_seed_decides() -> None:
    assert compose(ITEMS, ["CD"], seed=4) == compose(ITEMS, ["CD"], seed=4)
    assert len({compose(ITEMS, ["CD"], seed=seed) for seed in range(20)}) > 10


def test_all_facts_are_told_and_normal_ones_may_be_left_out() -> None:
    full, brief = compose(ITEMS, ["CD", "MI"], seed=2), compose(ITEMS, ["CD", "MI"], seed=2, style="brief")
    for fact in ITEMS:
        assert fact.tag in full
        assert (fact.tag in brief) == (fact.word != "normal")
    assert "<f1>; <f2>" in full
    assert "encoders suggest <dx_cd> and <dx_mi>." in full
    assert "The QT interval is <no_qt>." in full


def test_nothing_is_said_about_nothing() -> None:
    assert compose([]) == ""


def test_unknown_labels_and_styles_are_refused() -> None:
    with pytest.raises(EcgError, match="no words for XYZ"):
        compose(ITEMS, ["XYZ"])
    with pytest.raises(EcgError, match="style"):
        compose(ITEMS, style="rhyme")
