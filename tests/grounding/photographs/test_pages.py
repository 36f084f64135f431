"""The flat page: resampled at the right pixels; edges of the paper are no trace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from grounding import ECGRecord
from grounding.paper import draw, varied_page
from grounding.photographs import flattening
from grounding.photographs.arrangement import Cell, find_pulses
from grounding.photographs.lattice import Lattice, find_lattice
from grounding.photographs.picture import coloured_lines, grid_lines
from grounding.photographs.rectifying import NODES_PER_PERIOD, PaperMap
from grounding.photographs.stretches import at_own_height
from grounding.photographs.strokes import pen_line
from grounding.photographs.traces import Trace, follow_rows, without_foreign

PERIOD = 40


def test_a_flat_picture_is_where_the_map_says() -> None:
    """Pillow's mesh against SciPy's coordinates, on a turned map."""
    pick = np.random.default_rng(0)
    picture = ndimage.gaussian_filter(pick.uniform(0, 255, (200, 240, 3)), (3, 3, 0))
    picture = (255 * (picture - picture.min()) / np.ptp(picture)).astype(np.uint8)
    v, u = np.mgrid[0:9, 0:9] * 15.0
    page = PaperMap(40 + u + 0.2 * v, 30 + v - 0.1 * u, np.ones((9, 9), bool))
    flat = page.flat_picture(picture, 20)
    assert flat.shape == (80, 80, 3)
    y, x = np.mgrid[0:80, 0:80] / 20 * NODES_PER_PERIOD * 15.0
    wanted = ndimage.map_coordinates(picture[..., 1].astype(float), [30 + y - 0.1 * x, 40 + x + 0.2 * y], order=1)
    assert np.abs(flat[..., 1] - wanted).max() < 2


def test_an_enlarged_map_means_the_same_place() -> None:
    page = PaperMap(np.array([[0.0, 10.0]] * 2), np.array([[0.0] * 2, [10.0] * 2]), np.ones((2, 2), bool))
    twice = page.enlarged(2)  # the middle of a pixel is between two of the larger picture
    assert twice.x[0].tolist() == [0.5, 20.5]


def test_the_grid_of_a_small_screenshot(record: ECGRecord) -> None:
    """Its traces and rows are much darker than its grid."""
    lattice = find_lattice(grid_lines(np.asarray(draw(record, px_per_mm=4).image)).astype(np.float64))
    assert lattice.period_px == pytest.approx(20, rel=0.05)
    assert np.nanmax(lattice.u) - np.nanmin(lattice.u) > 48


def test_the_grid_of_a_page_whose_lines_are_sharp(record: ECGRecord) -> None:
    """The 15th multiple of its frequency is the strongest; lines of 1 mm alone were found, and the page was refused."""
    page = draw(record, dpi=200, **varied_page(88))
    lattice = find_lattice(coloured_lines(np.asarray(page.image)).astype(np.float64), (0.0,))
    assert lattice.period_px == pytest.approx(200 / 25.4 * 5, rel=0.01)


def _lattice(coherence: float, lost: float) -> Lattice:
    """A grid of 16 x 20 nodes, which loses so many periods between two columns in its lower half."""
    v, u = np.mgrid[0:16, 0:20] * 2.0
    x, y = 40 + u * 15, 30 + v * 15
    v[8:, 10:] -= lost
    return Lattice(x, y, u, v, 15.0, np.full(u.shape, coherence))


def test_a_grid_that_lost_periods_is_torn_and_a_bent_one_is_not() -> None:
    assert _lattice(0.4, 0.0).torn == 0
    assert _lattice(0.4, 2.0).torn > 0.05
    whole = _lattice(0.4, 0.0)
    bent = replace(whole, v=whole.v + 0.2 * np.sin(whole.u / 4) + 0.01 * whole.u * whole.v)
    assert bent.torn == 0


@pytest.mark.parametrize(("lost", "chosen"), [(0.0, 0.4), (2.0, 0.25)])
def test_a_clearer_grid_by_colour_is_not_used_where_it_is_torn(
    monkeypatch: pytest.MonkeyPatch, lost: float, chosen: float
) -> None:
    """A photograph of a screen with glare: its fringes had colours, and the page was read at -3.6 dB."""
    found = iter([_lattice(0.25, 0.0), _lattice(0.4, lost)])
    used: list[float] = []

    def mapped(lattice: Lattice, _: np.ndarray) -> PaperMap:
        used.append(lattice.clearness)
        return PaperMap(lattice.x, lattice.y, np.isfinite(lattice.u))

    monkeypatch.setattr(flattening, "find_lattice", lambda *_: next(found))
    monkeypatch.setattr(flattening, "paper_map", mapped)
    flattening.map_by_grid(np.full((400, 500, 3), 255, np.uint8))
    assert used == [chosen]


def _page_with_an_edge() -> np.ndarray:
    ink = np.zeros((600, 1200), np.float32)
    ink[199:202, 100:1000] = 1  # a row
    ink[100:200, 500:502] = 1  # a beat
    ink[349:352, 800:1200] = 1  # the edge of the paper, 3.75 periods below
    return ink


def test_an_edge_of_the_paper_is_not_trace_but_a_broken_stroke_is() -> None:
    ink = _page_with_an_edge()
    ink[60:80, 500:502] = 1  # the tip of the beat, behind a gap
    kept = without_foreign(ink > 0.5, [200.0], PERIOD)
    assert not kept[340:360].any()
    assert kept[60:80, 500:502].all()
    assert kept[200, 100:1000].all()


def test_a_row_does_not_go_on_along_an_edge() -> None:
    ink = _page_with_an_edge()
    ink[200:352, 1198:1200] = 1  # joined to a frame that reaches the row's height
    (trace,) = follow_rows(ink, ink > 0.5, [200.0], 300, PERIOD)
    assert np.isnan(trace.y[1010:]).all()
    assert np.nanmedian(trace.y) == 200


def test_a_stretch_that_stands_higher_than_its_row_is_followed() -> None:
    ink = np.zeros((700, 1000), np.float32)
    ink[200:203, :] = ink[600:603, :] = ink[400:403, :500] = ink[290:293, 500:] = 1
    ink[240:293, 700:707] = 1  # a beat
    lines = [np.full(1000, height) for height in (201.0, 401.0, 601.0)]
    lines[1][500:] = np.nan
    rows = [Trace(line, float(np.nanmedian(line))) for line in lines]
    cells = [Cell("II", 1, 0.0, 500.0, 0.0), Cell("V5", 1, 500.0, 1000.0, 2.5), Cell("III", 2, 0.0, 1000.0, 0.0)]
    found = at_own_height(ink, ink > 0.5, rows, cells, PERIOD)
    assert found[1].y[510:690] == pytest.approx(291, abs=1)
    assert np.nanmin(found[1].y[500:]) == pytest.approx(241, abs=3)
    for row, line in zip(found, lines, strict=True):
        assert row.y[:500].tolist() == line[:500].tolist()


def test_pieces_of_a_line_do_not_depend_on_each_other() -> None:
    pick = np.random.default_rng(1)
    middle = 50 + 8 * np.cumsum(pick.normal(0, 0.4, 60))
    top, bottom = middle - 2 - pick.uniform(0, 6, 60), middle + 2
    whole = top.copy(), bottom.copy()
    for part in whole:
        part[30:34] = np.nan
    both = pen_line(*whole, 2.0)
    alone = pen_line(top[:30], bottom[:30], 2.0)
    np.testing.assert_allclose(both[:28], alone[:28], atol=1e-9)
    assert np.isnan(both[30:34]).all()


def test_pulses_of_another_gain_must_be_whole() -> None:
    ink = np.zeros((800, 1000), bool)
    for row in (200, 400, 600):
        ink[row, 100:900] = True
        ink[row - 40 : row + 1, [60, 80]] = True  # 5 mm high
        ink[row - 40, 60:81] = True
    baselines, ends = [200.0, 400.0, 600.0], (60.0, 900.0)
    pulses = find_pulses(ink, baselines, ends, PERIOD)
    assert pulses is not None
    assert pulses.height == 40
    ink[:, 80] = False
    half = find_pulses(ink, baselines, ends, PERIOD)
    assert half is None or half.height == 80  # the usual one, or none: never 5 mm/mV from half a pulse
