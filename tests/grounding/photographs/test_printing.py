"""Lines that were printed on whole pixels, where stretches begin, and what bars hide."""

import numpy as np
import pytest

from grounding.photographs.arrangement import CalibrationPulse, Cell
from grounding.photographs.borders import hiding_bars, pulse_end
from grounding.photographs.printing import printed_lines
from grounding.photographs.traces import Trace

NODES = 60


def lines(period_px: float, seed: int, count: int = 55) -> tuple[np.ndarray, np.ndarray]:
    """Shifts of lines that were printed on whole pixels on bent paper, and what the printer did, in periods."""
    pick = np.random.default_rng(seed)
    place = np.arange(count) * period_px + pick.uniform()
    printed = np.floor(place + 0.5) + 0.5 - place
    nodes, number = np.mgrid[0:NODES, 0:count]
    bends = 1.5 * np.sin(nodes / 9 + number / 7) + pick.normal(0, 0.05, nodes.shape)
    return (printed + bends) / period_px, printed / period_px


@pytest.mark.parametrize("dpi", [200, 150, 100])
def test_what_the_printer_did_is_told_from_bends(dpi: int) -> None:
    period = dpi / 25.4 * 5
    (upright, off), (level, _) = lines(period, 1), lines(period, 2, 45)
    found, _ = printed_lines((upright, np.ones(upright.shape)), (level, np.ones(level.shape)))
    assert found.pixel * period == pytest.approx(1, abs=0.15)
    # by chance a line may be rounded to the other side
    assert np.median(np.abs(found.off - off)) * period < 0.1
    assert (np.abs(found.off - off) * period < 0.25).mean() > 0.9


def test_lines_that_are_off_by_chance_are_hardly_moved() -> None:
    nodes, number = np.mgrid[0:NODES, 0:50]
    moved = []
    for seed in range(12):
        pick = np.random.default_rng(seed)
        bends = [0.03 * np.sin(nodes / 9 + number / 7 + turn) + pick.normal(0, 0.004, nodes.shape) for turn in (0, 2)]
        each = [bend + pick.normal(0, 0.003, 50) for bend in bends]  # no printer is exact
        moved += [one.off for one in printed_lines(*((shifts, np.ones(shifts.shape)) for shifts in each))]
    assert np.abs(moved).max() < 0.009
    assert sum(not one.any() for one in moved) >= len(moved) / 2


def page() -> np.ndarray:
    """Two rows with a pulse that ends at 140.5 and a bar at 300."""
    ink = np.zeros((400, 600), np.float32)
    for y in (150, 300):
        ink[y - 1 : y + 2, 140:] = 1
        ink[y - 80 : y, 140] = 1
        ink[y - 80 : y, 141] = 0.9
        ink[y - 28 : y + 29, 297:304] = 1
    return ink


@pytest.mark.parametrize(("right", "end"), [(0, 140.47), (10, 150.47), (20, 160.0)])
def test_a_pulse_ends_in_the_middle_of_its_edge_or_on_the_line_there(right: int, end: float) -> None:
    ink = np.roll(page(), right, axis=1)
    pulses = CalibrationPulse(102.0 + right, 142.0 + right, 80.0, 2, 0.9, (0.9, 0.9))
    assert pulse_end(ink, [150, 300], pulses, 40) == pytest.approx(end, abs=0.02)


def test_a_bar_hides_what_runs_through_it_and_no_beat_beyond() -> None:
    ink = page() > 0.5
    for y in (150, 300):
        ink[y - 70 : y, 302:305] = True  # a beat beside the bar, in all rows
    rows = [Trace(np.full(600, float(y)), float(y)) for y in (150, 300)]
    cells = [Cell("I", 0, 142.0, 300.0, 0.0), Cell("II", 1, 142.0, 300.0, 0.0)]
    cells += [Cell("aVR", 0, 300.0, 458.0, 0.79), Cell("aVL", 1, 300.0, 458.0, 0.79)]
    bars = hiding_bars(ink, rows, cells, 40)
    behind, before = bars[300.0, False], bars[300.0, True]
    assert behind.edge == 304
    assert before.edge == 296
    assert behind.above == pytest.approx(28, abs=1)
    assert behind.below == pytest.approx(29, abs=1)
    columns, heights = np.array([300.0, 300.0, 300.0, 304.5]), np.array([5.0, 60.0, -40.0, 5.0])
    assert behind.hides(columns, heights, False).tolist() == [True, False, False, False]
    assert bars[142.0, False].hides(np.array([141.0]), np.array([60.0]), False).all()  # a pulse hides all above it
