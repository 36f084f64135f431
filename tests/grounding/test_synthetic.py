"""The synthetic generator: what it says is in the recording is in the samples."""

from __future__ import annotations

import numpy as np
import pytest

from grounding import ECGRecord, EcgSignalError
from grounding.signal.quality import assess
from grounding.synthetic import RHYTHMS, Truth, synthesize


def vector_size(record: ECGRecord) -> np.ndarray:
    return np.sqrt((record.signal.astype(float) ** 2).sum(axis=0))


def runs(active: np.ndarray) -> list[tuple[int, int]]:
    """First and last sample of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(int), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


@pytest.mark.parametrize("fs", [100, 360, 500, 2000])
@pytest.mark.parametrize("conduction", ["normal", "rbbb", "lbbb"])
def test_boundaries_are_where_the_samples_leave_zero(fs: float, conduction: str) -> None:
    """Where waves do not touch, the recording is zero outside them and not inside."""
    record, truth = synthesize(rate_bpm=60, pr_ms=200, p_ms=90, fs=fs, conduction=conduction, seed=4)
    found = runs(vector_size(record) > 1e-6)
    for _, wave, onset, _, offset in truth.waves.itertuples(index=False):
        match = [(a, b) for a, b in found if a <= (onset + offset) / 2 <= b]
        assert len(match) == 1, wave
        assert abs(match[0][0] - onset) <= 2
        assert abs(match[0][1] - offset) <= 2


@pytest.mark.parametrize("rhythm", RHYTHMS)
def test_lead_algebra_is_exact_with_every_disturbance(rhythm: str) -> None:
    record, truth = synthesize(
        rhythm=rhythm, noise_snr_db=25, mains_mv=0.04, baseline_mv=0.5, st_mv={"II": 0.2, "V2": 0.1}
    )
    one, two = record.lead("I"), record.lead("II")
    expected = {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    for name, value in expected.items():
        np.testing.assert_allclose(record.lead(name), value, atol=1e-5)
    assert assess(record)[1] == (("pacing_spikes",) if rhythm == "paced" else ())
    assert len(truth.beat_types) >= 5


@pytest.mark.parametrize("axis", [-150, -90, -30, 0, 45, 90, 180])
@pytest.mark.parametrize("conduction", ["normal", "rbbb", "lbbb"])
def test_axis_is_that_of_the_net_area(axis: float, conduction: str) -> None:
    record, truth = synthesize(axis_deg=axis, conduction=conduction, fs=1000)
    row = truth.waves[truth.waves["wave"] == "QRS"].iloc[2]
    part = slice(int(np.ceil(row["onset"])), int(row["offset"]) + 1)
    x, y = record.lead("I")[part].sum(), record.lead("aVF")[part].sum() * 2 / np.sqrt(3)
    deviation = (np.degrees(np.arctan2(y, x)) - truth.axis + 180) % 360 - 180
    assert abs(deviation) < 1


def test_intervals_are_those_of_the_waves() -> None:
    _, truth = synthesize(rate_bpm=66, pr_ms=182, qrs_ms=104, qt_ms=411, p_ms=96, seed=9)
    waves = truth.waves.pivot(index="beat", columns="wave", values=["onset", "offset"]).dropna() * 1000 / truth.fs
    np.testing.assert_allclose(waves["onset", "QRS"] - waves["onset", "P"], 182)
    np.testing.assert_allclose(waves["offset", "QRS"] - waves["onset", "QRS"], 104)
    np.testing.assert_allclose(waves["offset", "T"] - waves["onset", "QRS"], 411)
    np.testing.assert_allclose(waves["offset", "P"] - waves["onset", "P"], 96)
    np.testing.assert_allclose(np.diff(waves["onset", "QRS"]), 60_000 / 66)
    assert truth.intervals == {"rr": pytest.approx(60_000 / 66, abs=1e-5), "pr": 182, "qrs": 104, "qt": 411, "p": 96}
    assert truth.heart_rate == pytest.approx(66, abs=1e-6)


def test_st_levels_are_met_from_the_j_point_on() -> None:
    asked = {"II": 0.2, "III": 0.25, "aVF": 0.225, "V2": -0.15}
    record, truth = synthesize(st_mv=asked, rate_bpm=60, fs=1000)
    for lead, level in truth.st_mv.items():
        assert level == pytest.approx(asked.get(lead, level))
    j_points = truth.waves.loc[truth.waves["wave"] == "QRS", "offset"].to_numpy()
    for ms in (1, 40, 60, 80):
        for lead, level in truth.st_mv.items():
            np.testing.assert_allclose(record.lead(lead)[np.round(j_points[:-1] + ms).astype(int)], level, atol=1e-4)


def count(truth: Truth, wave: str) -> int:
    return int((truth.waves["wave"] == wave).sum())


def test_rhythms() -> None:
    made = {rhythm: synthesize(rhythm=rhythm, duration_s=30, seed=1) for rhythm in RHYTHMS}
    truths = {rhythm: truth for rhythm, (_, truth) in made.items()}
    for rhythm in ("af", "flutter", "paced"):
        assert count(truths[rhythm], "P") == 0
        assert truths[rhythm].intervals["pr"] is None

    def rr_cv(truth: Truth) -> float:
        rr = np.diff(truth.waves.loc[truth.waves["wave"] == "QRS", "onset"])
        return float(rr.std() / rr.mean())

    assert rr_cv(truths["af"]) > 0.12
    assert rr_cv(truths["sinus"]) < 1e-9
    assert truths["avb1"].intervals["pr"] == 240
    for rhythm, share in (("avb2_wenckebach", 4 / 3), ("avb2_mobitz2", 3 / 2)):
        assert count(truths[rhythm], "P") / count(truths[rhythm], "QRS") == pytest.approx(share, rel=0.07)
        assert (truths[rhythm].waves["beat"] == -1).any()
    waves = (
        truths["avb2_wenckebach"].waves.query("beat >= 0").pivot(index="beat", columns="wave", values="onset").dropna()
    )
    pr = (waves["QRS"] - waves["P"]) * 2
    assert sorted({round(value) for value in pr}) == [160, 220, 250]
    assert truths["avb3"].intervals["pr"] is None
    assert set(truths["avb3"].beat_types) == {"escape"}
    assert len(truths["paced"].spikes) >= len(truths["paced"].beat_types)


@pytest.mark.parametrize("kind", ["pvc", "pac"])
def test_ectopy_is_early_and_every_nth(kind: str) -> None:
    _, truth = synthesize(ectopy=(kind, 4), duration_s=30)
    name = {"pvc": "premature_ventricular", "pac": "premature_supraventricular"}[kind]
    places = [index for index, beat in enumerate(truth.beat_types) if beat == name]
    assert len(places) >= 7
    assert set(np.diff(places)) == {4}
    onset = truth.waves.loc[truth.waves["wave"] == "QRS", "onset"].to_numpy()
    rr = np.diff(onset)
    for place in places[1:-1]:
        assert rr[place - 1] < 0.8 * np.median(rr)
        assert rr[place] > (1.2 if kind == "pvc" else 0.99) * np.median(rr)
    assert truth.intervals["qrs"] == 90


def test_disturbances_have_the_size_asked_for() -> None:
    record, truth = synthesize(noise_snr_db=20)
    noise = (record.signal - truth.clean).astype(float)
    assert 10 * np.log10(truth.clean.var(axis=1).mean() / noise.var(axis=1).mean()) == pytest.approx(20, abs=0.01)
    record, truth = synthesize(mains_mv=0.1, mains_hz=60)
    noise = record.signal - truth.clean
    assert np.sqrt(2) * noise.std(axis=1).mean() == pytest.approx(0.1, rel=0.01)
    record, truth = synthesize(baseline_mv=0.5)
    assert np.ptp(record.signal - truth.clean, axis=1).mean() == pytest.approx(1.0, rel=0.01)


def test_the_seed_fixes_all() -> None:
    first, second, other = (synthesize(rhythm="af", noise_snr_db=20, seed=seed)[0].signal for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "asked",
    [
        {"rate_bpm": 120, "qt_ms": 600},
        {"rate_bpm": 5},
        {"rate_bpm": float("nan")},
        {"qrs_ms": 400},
        {"pr_ms": 50},
        {"rhythm": "vt"},
        {"fs": 5},
        {"duration_s": 1e9},
        {"ectopy": ("pvc", 1)},
        {"ectopy": ("pac", 3), "rhythm": "af"},
        {"block": (2,)},
        {"st_mv": {"V9": 0.1}},
        {"st_mv": {"I": 0.1, "II": 0.5, "III": 0.1}},
    ],
)
def test_what_cannot_be_had_is_refused(asked: dict) -> None:
    with pytest.raises(EcgSignalError) as caught:
        synthesize(**asked)
    assert caught.value.remedy
