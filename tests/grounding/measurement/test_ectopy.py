"""Ectopic beats, by shape, width and time."""

from __future__ import annotations

import numpy as np
import pytest

from grounding.delineation.types import Boundaries
from grounding.measurement.ectopy import (
    Comparison,
    beat_types,
    compare,
    compare_with_median,
    resembling_paced,
    supraventricular_features,
    ventricular_features,
)
from grounding.measurement.rhythm import scores

FS = 250
NARROW, WIDE = 0.012, 0.035  # s


def beats(
    rr_ms: list[float], strange: set[int] = frozenset(), reverse: set[int] = frozenset()
) -> tuple[np.ndarray, Boundaries]:  # type: ignore[assignment]
    """(4 leads, samples) with a QRS at each place, some of them wide and of another shape, or only of another sign."""
    at = np.cumsum([1000.0, *rr_ms]) / 1000
    time = np.arange(int((at[-1] + 1) * FS)) / FS
    gains = np.array([[1.0], [0.5], [-0.7], [0.3]])
    signal = np.zeros((4, len(time)))
    for k, r in enumerate(at):
        if k in strange:
            signal += (
                1.4
                * (np.exp(-(((time - r) / WIDE) ** 2)) - 0.6 * np.exp(-(((time - r - 0.08) / 0.04) ** 2)))
                * gains[::-1]
            )
        else:
            signal += (-1 if k in reverse else 1) * np.exp(-(((time - r) / NARROW) ** 2)) * gains
    half = np.array([0.075 if k in strange else 0.045 for k in range(len(at))])
    qrs = np.stack([(at - half) * FS, np.full(len(at), np.nan), (at + half) * FS], axis=1)
    nothing = np.full((4, len(at), 3), np.nan)
    return signal.astype(np.float32), Boundaries(
        (at * FS).round().astype(np.intp), nothing, np.stack([qrs] * 4), nothing
    )


def typed(
    rr_ms: list[float], strange: set[int] = frozenset(), paced: set[int] = frozenset(), has_p: bool = True
) -> list[str]:  # type: ignore[assignment]
    signal, found = beats(rr_ms, strange)
    of = compare(signal, found, np.diff(found.beats).astype(float))
    p = np.array([has_p and k not in strange for k in range(len(found.beats))])
    ventricular = scores("ventricular", ventricular_features(of, p, found.beats, signal.shape[1])) > 0
    after = np.append(False, ventricular[:-1])
    supraventricular = (
        (scores("supraventricular", supraventricular_features(of, ventricular)) > 0) & ~ventricular & ~after
    )
    driven = resembling_paced(signal, found.beats, np.isin(np.arange(len(found.beats)), list(paced)), None)
    return beat_types(of, ventricular & ~driven, supraventricular, driven)


STEADY = [800.0] * 9


def test_alike_and_steady_beats_are_normal() -> None:
    assert set(typed(STEADY)) == {"normal"}
    assert set(typed(STEADY, strange=set(range(10)))) == {"normal"}  # a wide QRS throughout is the usual one


def test_an_early_beat_is_ventricular_by_its_shape_and_supraventricular_without_it() -> None:
    early = [800.0, 800, 800, 500, 1100, 800, 800, 800, 800]
    assert typed(early)[4] == "premature_supraventricular"
    assert typed(early).count("normal") == 9
    assert typed(early, strange={4})[4] == "premature_ventricular"
    assert typed(early, strange={4}).count("normal") == 9


def test_an_interpolated_beat_leaves_the_next_on_time() -> None:
    between = [800.0, 800, 800, 430, 370, 800, 800, 800, 800]
    types = typed(between, strange={4})
    assert types[4] == "premature_ventricular"
    assert types[5] == "normal"


def test_a_couplet_is_two() -> None:
    assert typed([800.0, 800, 800, 450, 400, 1000, 800, 800, 800], strange={4, 5})[4:6] == ["premature_ventricular"] * 2


def test_a_late_beat_of_another_shape_is_no_premature_one() -> None:
    types = typed([800.0, 800, 800, 1300, 800, 800, 800, 800, 800], strange={4})
    assert types[4] == "wide"


@pytest.mark.parametrize("every", [2, 3, 4])
def test_frequent_ventricular_beats_with_pauses_are_premature(every: int) -> None:
    """Bigeminy, trigeminy, quadrigeminy: half the RR intervals or more are not the usual one."""
    rr, at = [], set()
    for beat in range(1, 13):
        early = beat % every == every - 1
        after = beat > 1 and (beat - 1) % every == every - 1
        rr.append(500.0 if early else 1100.0 if after else 800.0)
        if early:
            at.add(beat)
    types = typed(rr, strange=at)
    assert {k for k, kind in enumerate(types) if kind == "premature_ventricular"} == at
    assert set(types) == {"normal", "premature_ventricular"}


def test_ventricular_beats_are_told_in_an_irregular_rhythm() -> None:
    """In atrial fibrillation no beat is early, and shape and width must do."""
    irregular = [600.0, 900, 700, 620, 1050, 700, 850, 720, 950]
    types = typed(irregular, strange={4}, has_p=False)
    assert types[4] == "premature_ventricular"
    assert types.count("premature_ventricular") == 1


def test_slow_changes_of_the_rate_make_no_beat_early() -> None:
    breathing = (850 + 130 * np.sin(np.arange(14) * 0.9)).tolist()
    assert set(typed(breathing)) == {"normal"}


def test_beats_that_look_like_paced_ones_are_paced_too() -> None:
    assert set(typed(STEADY, paced=set(range(10)))) == {"paced"}
    assert set(typed(STEADY, paced={0, 4})) == {"paced"}  # their spikes were not seen
    assert typed(STEADY, strange={2, 3}, paced={0, 4})[0:5:4] == ["paced", "paced"]
    assert "paced" not in typed(STEADY, strange={2, 3}, paced={0, 4})[2:4]


def test_a_beat_is_compared_where_it_fits_and_by_the_leads_it_has() -> None:
    signal, found = beats(STEADY)
    rr = np.diff(found.beats).astype(float)
    moved = found.beats + np.array([0, 4, 0, 8, 0, 0, -8, 0, 0, 0])
    assert compare(signal, found._replace(beats=moved), rr).difference.max() < 0.3
    present = np.ones(signal.shape, bool)
    present[0, : signal.shape[1] // 2] = False
    broken = np.where(present, signal, np.float32(9.0))
    of = compare(broken, found, rr, present)
    assert of.difference.max() < 0.1
    assert compare(broken, found, rr).difference.max() > 0.5
    assert compare_with_median(signal, found.beats, np.ones(10, bool), None)[1] == pytest.approx(np.ones(10), abs=1e-3)


def test_one_beat_and_unknown_intervals_are_compared_too() -> None:
    signal, found = beats([])
    of = compare(signal, found, np.empty(0))
    assert isinstance(of, Comparison)
    assert of.difference[0] == pytest.approx(0, abs=1e-4)
    assert np.isnan(of.usual_rr[0])
    signal, found = beats([800.0, 800, 3000, 800, 800, 800])
    rr = np.diff(found.beats).astype(float)
    rr[2] = np.nan  # something between them is missing
    features = supraventricular_features(compare(signal, found, rr), np.zeros(7, bool))
    assert np.isfinite(features).all()
    assert np.abs(features[:, :2]).max() < 0.02
