"""Amplitudes and words of synthetic median beats, in which the size and the name of every deflection are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from grounding.measurement.shapes import BEFORE_S, median_beats, segments, summarise

FS = 500.0
START = int(BEFORE_S * FS)


def beat(
    *deflections: tuple[float, float, float], st: tuple[float, float] = (0.0, 0.0), qrs_ms: float = 100
) -> np.ndarray:
    """A beat of half sine waves, each (ms after the QRS onset, length in ms, mV); ``st``: level at J, rise to J80."""
    out = np.zeros(int(0.95 * FS))
    for onset, length, size in deflections:
        n = int(length * FS / 1000)
        first = START + int(onset * FS / 1000)
        out[first : first + n] += size * np.sin(np.pi * np.arange(n) / n)
    j = START + int(qrs_ms * FS / 1000)
    n = int(0.09 * FS)
    out[j : j + n] += st[0] + st[1] * np.arange(n) / (0.08 * FS)
    return out


def read(
    signal: np.ndarray, p: tuple[float, float] = (math.nan, math.nan), t: tuple[float, float] = (math.nan, math.nan)
) -> dict:
    return summarise(signal, FS, 100, p, t)


@pytest.mark.parametrize(
    ("word", "waves"),
    [
        ("R", [(10, 60, 1.0)]),
        ("QS", [(10, 60, -1.0)]),
        ("qR", [(0, 24, -0.2), (24, 60, 1.0)]),
        ("Rs", [(0, 50, 1.0), (50, 30, -0.3)]),
        ("rS", [(0, 30, 0.3), (30, 60, -1.2)]),
        ("RS", [(0, 40, 1.0), (40, 40, -1.0)]),
        ("qRs", [(0, 20, -0.2), (20, 40, 1.0), (60, 30, -0.3)]),
        ("rsR'", [(0, 24, 0.3), (24, 24, -0.3), (48, 50, 1.0)]),
        ("rSr'", [(0, 24, 0.3), (24, 44, -1.0), (68, 30, 0.3)]),
        ("Qr", [(0, 50, -1.0), (50, 30, 0.3)]),
        ("rSr's'", [(0, 20, 0.3), (20, 30, -1.0), (50, 24, 0.3), (74, 24, -0.2)]),
    ],
)
def test_words_and_amplitudes_of_the_qrs(word: str, waves: list[tuple[float, float, float]]) -> None:
    row = read(beat(*waves))
    assert row["qrs_form"] == word
    sizes = {"q_mv": 0.0, "r_mv": 0.0, "s_mv": 0.0, "r2_mv": 0.0, "s2_mv": 0.0}
    names = word.lower().replace("qs", "q") if word == "QS" else word.lower()
    letters = list(names.replace("r'", "R").replace("s'", "S"))
    for letter, (_, _, size) in zip(letters, waves, strict=True):
        sizes[{"q": "q_mv", "r": "r_mv", "s": "s_mv", "R": "r2_mv", "S": "s2_mv"}[letter]] = size
    for name, size in sizes.items():
        assert row[name] == pytest.approx(size, abs=0.01), name


def test_durations_of_q_r_s_and_the_time_to_the_r_peak() -> None:
    row = read(beat((0, 40, -0.5), (40, 40, 1.0), (80, 20, -0.5)))
    assert (row["q_ms"], row["r_ms"]) == (pytest.approx(38, abs=4), pytest.approx(38, abs=4))
    assert row["r_peak_time_ms"] == pytest.approx(60, abs=2)
    assert row["qrs_ms"] == 100


@pytest.mark.parametrize(
    ("level", "rise", "form"), [(0.1, 0.0, "horizontal"), (-0.1, 0.1, "upsloping"), (0.2, -0.1, "downsloping")]
)
def test_st_at_j_and_40_60_80_ms(level: float, rise: float, form: str) -> None:
    row = read(beat((10, 60, 1.0), st=(level, rise)))
    for name, share in (("j_mv", 0.0), ("st0_mv", 0.0), ("st40_mv", 0.5), ("st60_mv", 0.75), ("st80_mv", 1.0)):
        assert row[name] == pytest.approx(level + share * rise, abs=1e-6), name
    assert row["st_form"] == form


@pytest.mark.parametrize(
    ("waves", "form", "size"),
    [
        ([(200, 160, 0.3)], "positive", 0.3),
        ([(200, 160, -0.3)], "negative", -0.3),
        ([(200, 160, 0.01)], "flat", 0.01),
        ([(200, 80, 0.3), (280, 80, -0.2)], "biphasic", 0.3),
    ],
)
def test_p_and_t(waves: list[tuple[float, float, float]], form: str, size: float) -> None:
    row = read(beat((10, 60, 1.0), *waves), t=(200, 360))
    assert (row["t_form"], row["t_mv"]) == (form, pytest.approx(size, abs=0.005))
    early = [(onset - 390, length, mv) for onset, length, mv in waves]
    row = read(beat((10, 60, 1.0), *early), p=(-190, -30))
    assert (row["p_form"], row["p_mv"], row["p_ms"]) == (form, pytest.approx(size, abs=0.005), 160)


def test_a_lead_without_waves_has_no_words() -> None:
    row = read(beat())
    assert row["qrs_form"] is None
    assert row["t_form"] is row["p_form"] is None
    assert math.isnan(row["t_mv"])
    assert math.isnan(row["p_ms"])


def test_the_median_beat_forgives_a_stray_one_and_starts_level() -> None:
    one = beat((10, 60, 1.0), (200, 160, 0.3)).astype(np.float32)
    lead = np.concatenate([one + level for level in (0.0, 0.5, -0.3)] + [one * 5])
    onsets = START + len(one) * np.arange(4)
    found = median_beats(np.stack([lead, -lead]), onsets, FS)
    assert found is not None
    expected = np.median([one, one, one, 5 * one], axis=0)
    np.testing.assert_allclose(found, [expected, -expected], atol=1e-6)
    assert median_beats(lead[None, : START // 2], onsets, FS) is None


def test_median_beats_in_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    leads = np.random.default_rng(0).normal(size=(3, 4000)).astype(np.float32)
    onsets = np.array([600, 1200, 1900, 2500])
    at_once = median_beats(leads, onsets, FS)
    monkeypatch.setattr("grounding.measurement.shapes.VALUES_AT_ONCE", 100)
    np.testing.assert_array_equal(median_beats(leads, onsets, FS), at_once)


def test_pieces_lie_inside_the_lead() -> None:
    lead = np.stack([np.arange(10), np.arange(10) + 20]).astype(np.float32)
    (part,) = segments(lead, np.array([0, 0, 1]), np.array([2.7, -3.0, 8.0]), np.array([4.2, 1.0, 30.0]))
    assert [row[keep].tolist() for row, keep in zip(part.values, part.inside, strict=True)] == [
        [2, 3, 4],
        [0, 1],
        [28, 29],
    ]
    assert (part.first.tolist(), part.length.tolist(), part.last_value.tolist()) == ([2, 0, 8], [3, 2, 2], [4, 1, 29])
    many = list(segments(lead, np.zeros(9000, int), np.zeros(9000), np.ones(9000)))
    assert [len(part.values) for part in many] == [8192, 808]
