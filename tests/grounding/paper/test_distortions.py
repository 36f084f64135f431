"""Distorted pages: the same from the same seed, another picture for each kind, and the truth for every pixel."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageChops
from scipy import ndimage

import grounding
from grounding import EcgError, ECGRecord
from grounding.errors import EcgRegistryError
from grounding.paper import DISTORTIONS, DistortedPage, Page, PageHeader, PageStyle, distort, draw, mixture
from tests.grounding.photographs.conftest import snr_db

BENT = ("bending", "folds", "crumpling", "rotation", "perspective", "uneven_feed")


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return grounding.read_record(grounding.sample_path("ptbxl_139"))


@pytest.fixture(scope="module")
def page(record: ECGRecord) -> Page:
    return draw(record, dpi=100)


@pytest.mark.parametrize("kind", list(DISTORTIONS))
def test_each_kind_changes_the_picture_and_is_the_same_from_its_seed(page: Page, kind: str) -> None:
    first, again, other = (distort(page, kind, seed=seed) for seed in (5, 5, 6))
    assert first.image.tobytes() == again.image.tobytes()
    assert first.image.tobytes() != other.image.tobytes()
    if first.image.size == page.image.size:
        changed = np.asarray(ImageChops.difference(first.image, page.image)).max(axis=-1)
        assert (changed > 8).mean() > 0.0002
    assert first.warp.is_flat == (kind not in (*BENT, "table"))
    assert distort(page, (), seed=5).image.tobytes() == page.image.tobytes()


def dotted(page: Page) -> tuple[Page, np.ndarray, np.ndarray]:
    """The page with blue dots on white, and the middle of each."""
    x, y = (side.ravel() for side in np.meshgrid(np.arange(60, page.image.width - 40, 91), np.arange(60, 800, 83)))
    pixels = np.full((page.image.height, page.image.width, 3), 255, np.uint8)
    for across, down in zip(x, y, strict=True):
        pixels[down - 3 : down + 3, across - 3 : across + 3] = (0, 0, 255)
    return replace(page, image=Image.fromarray(pixels)), x.astype(float), y.astype(float)


@pytest.mark.parametrize("kinds", [*((kind,) for kind in BENT), (*BENT, "table", "blur")])
@pytest.mark.parametrize("seed", [1, 2])
def test_dots_are_where_the_map_says(page: Page, kinds: tuple[str, ...], seed: int) -> None:
    marked, x, y = dotted(page)
    picture = distort(marked, kinds, seed=seed)
    pixels = np.asarray(picture.image).astype(int)
    labels, found = ndimage.label(pixels[..., 2] - pixels[..., 0] > 40)
    weight = np.clip(pixels[..., 2] - pixels[..., 0], 0, None)
    middles = np.array(ndimage.center_of_mass(weight, labels, range(1, found + 1)))[:, ::-1] + 0.5
    there = np.stack(picture.warp.to_picture(x, y), axis=-1)
    seen = np.isfinite(there[:, 0])
    assert seen.mean() > 0.97  # what the uneven feed of a scanner cuts off
    distance = np.abs(there[seen][:, None] - middles[None]).max(axis=-1).min(axis=1)
    assert np.median(distance) < 0.25
    assert np.percentile(distance, 98) < 1.0  # a dot on a crease loses a part of itself
    back = np.stack(picture.warp.to_page(*there[seen].T), axis=-1)
    assert np.abs(back - np.stack([x, y], axis=-1)[seen]).max() < 0.01


def test_every_pixel_of_a_trace_keeps_its_lead(record: ECGRecord, page: Page) -> None:
    picture = distort(page, ("crumpling", "perspective", "rotation"), seed=3)
    labels = picture.trace_labels(record)
    assert set(np.unique(labels)) == set(range(len(page.layout.panels) + 1))
    grey = np.asarray(picture.image.convert("L")).astype(int)
    inked, local = labels > 0, ndimage.median_filter(grey, 9)
    assert np.mean(grey[inked] < local[inked] - 30) > 0.75  # ink that is rubbed off in creases is ink
    panel = page.layout.panels_of("V2")[0]
    y, x = np.nonzero(labels == page.layout.panels.index(panel) + 1)
    values = record.lead("V2")
    errors = []
    for across, down in zip(x[::7] + 0.5, y[::7] + 0.5, strict=True):
        lead, second, mv = picture.located(across, down)
        if lead != "V2":
            assert second == pytest.approx(panel.start_s, abs=0.02)  # half the pen lies before the stretch begins
            continue
        near = values[max(round((second - 0.012) * record.fs), 0) : round((second + 0.012) * record.fs) + 1]
        errors.append(max(near.min() - mv, mv - near.max(), 0))
    assert np.percentile(errors, 95) < 0.06  # half the thickness of the pen, and half a pixel


def test_points_of_the_recording_grid_and_texts(record: ECGRecord, page: Page) -> None:
    picture = distort(page, ("folds", "perspective"), seed=2)
    (x, y), *_ = picture.pixels("V2", 6.0, 0.5)
    lead, second, mv = picture.located(x, y)
    assert (lead, second, mv) == ("V2", pytest.approx(6.0, abs=1e-4), pytest.approx(0.5, abs=1e-4))
    assert picture.pixels("V2", 1.0, 0.0) == ()
    assert picture.located(2.0, 2.0) is None
    mm, at = picture.grid_points()
    assert len(mm) == len(at) == 56 * 44
    pink, y_px, x_px = np.asarray(picture.image).astype(int), *np.round(at[:, ::-1] - 0.5).astype(int).T
    inside = (x_px >= 2) & (y_px >= 2) & (x_px < pink.shape[1] - 2) & (y_px < pink.shape[0] - 2)
    red = pink[..., 0] - pink[..., 1]
    there = [red[r - 1 : r + 2, c - 1 : c + 2].max() for r, c in zip(y_px[inside], x_px[inside], strict=True)]
    assert np.mean(np.array(there) > np.median(red) + 10) > 0.9
    names = [text.words for text, corners in picture.texts() if text.role == "lead" and np.isfinite(corners).all()]
    assert names == [panel.lead for panel in page.layout.panels]


def test_kinds_do_not_change_each_other(page: Page) -> None:
    alone, together = (distort(page, kinds, seed=9) for kinds in (["folds"], ["noise", "folds", "stains"]))
    np.testing.assert_array_equal(alone.warp.x, together.warp.x)


def test_strength_is_how_much(page: Page) -> None:
    def change(strength: float) -> float:
        picture = distort(page, {"thermal_fading": strength}, seed=1)
        return float(np.asarray(ImageChops.difference(picture.image, page.image)).mean())

    assert change(0.2) < change(0.6) < change(1.2)
    turned = [abs(np.degrees(np.arctan2(*_axis(distort(page, {"rotation": how}, seed=4))[::-1]))) for how in (0.02, 1)]
    assert turned[0] == pytest.approx(turned[1] * 0.02, abs=0.1)


def _axis(picture: DistortedPage) -> np.ndarray:
    x, y = picture.warp.to_picture(np.array([300.0, 700.0]), np.array([400.0, 400.0]))
    return np.array([x[1] - x[0], y[1] - y[0]])


@pytest.mark.parametrize(
    ("kinds", "words"), [("crumpled", "crumpling"), ({"noise": 0.0}, "above 0"), ({"noise": float("nan")}, "above 0")]
)
def test_wrong_kinds_and_strengths_are_said(page: Page, kinds: object, words: str) -> None:
    with pytest.raises((EcgRegistryError, EcgError), match=words):
        distort(page, kinds)


def test_mixtures_have_every_kind_and_scale() -> None:
    drawn = [mixture(seed) for seed in range(300)]
    assert {kind for one in drawn for kind in one} == set(DISTORTIONS)
    assert mixture(7) == mixture(7) != mixture(8)
    assert mixture(7, 0.5) == {kind: pytest.approx(how / 2) for kind, how in mixture(7).items()}


def test_a_mildly_distorted_page_is_read_back(record: ECGRecord, tmp_path) -> None:
    header = PageHeader(grounding.measure(record))
    page = draw(record, px_per_mm=7, header=header, style=PageStyle(grid="red", grid_lines="printed"))
    mild = {"perspective": 0.2, "rotation": 0.01, "folds": 0.3, "shadow": 0.4, "blur": 0.6, "noise": 0.4, "jpeg": 0.2}
    distort(page, mild, seed=0).image.save(tmp_path / "mild.png")
    read = grounding.read_record(tmp_path / "mild.png")
    assert snr_db(record, read) > 9
    wanted, found = grounding.measure(record), grounding.measure(read)
    assert found.heart_rate == pytest.approx(wanted.heart_rate, abs=1)
    assert found.intervals["qrs"] == pytest.approx(wanted.intervals["qrs"], abs=20)
    assert found.intervals["qt"] == pytest.approx(wanted.intervals["qt"], abs=30)


def test_three_pages_a_second(record: ECGRecord) -> None:
    distort(draw(record), seed=0)
    begin = time.process_time()
    for seed in range(4):
        distort(draw(record), seed=seed)
    assert (time.process_time() - begin) / 4 < 1.5, "five times the measured time"
