"""What the picture encoder reads off a page of paper is the trace that was drawn there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import grounding
from gem.encoders import build_encoder
from gem.encoders.paper_traces import ROW_HEIGHT, ROWS, PaperTraces


@pytest.fixture(scope="module")
def page() -> np.ndarray:
    """(400, 512, 3), 0-255: a rendered recording, as small as the encoder sees it."""
    picture = grounding.render(grounding.read_record(grounding.sample_path("ptbxl_13")))
    image = getattr(picture, "image", picture)
    return np.asarray(image.convert("RGB").resize((512, 400), resample=2))


def darkest(page: np.ndarray) -> np.ndarray:
    """(rows, W): height of the ink's centre of gravity around each row, pixels, NaN without ink; nothing is learned."""
    ink = np.clip(170.0 - page[..., 0].astype(float), 0, None)
    out = []
    for centre in ROWS:
        low, high = (round((centre + side * ROW_HEIGHT * 0.45) * page.shape[0]) for side in (-1, 1))
        weight = ink[low:high]
        with np.errstate(invalid="ignore", divide="ignore"):
            out.append((weight * np.arange(low, high)[:, None]).sum(0) / weight.sum(0))
    return np.array(out)


def test_untrained_it_finds_the_ink_within_a_pixel(page: np.ndarray) -> None:
    encoder = build_encoder("paper_traces")
    pixels = torch.from_numpy(page.copy()).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        found = encoder.traces(pixels)[0, 0].numpy()
    height = (np.array(ROWS)[:, None] - found * ROW_HEIGHT) * (page.shape[0] - 1)
    off = np.abs(height - darkest(page))[:, 60:470]
    assert np.nanmedian(off) < 1.0


def test_top_and_bottom_of_the_stroke_enclose_its_middle(page: np.ndarray) -> None:
    encoder = build_encoder("paper_traces")
    with torch.inference_mode():
        middle, top, bottom = encoder.traces(torch.from_numpy(page.copy()).permute(2, 0, 1)[None] / 127.5 - 1)[0]
    assert (top >= middle - 1e-4).all()
    assert (middle >= bottom - 1e-4).all()


def test_a_taller_trace_gives_other_tokens() -> None:
    torch.manual_seed(0)
    encoder = build_encoder("paper_traces", PaperTraces.tiny).eval()
    traces = 0.1 * torch.randn(2, 3, 4, 64).cumsum(-1)
    with torch.inference_mode():
        low, high = encoder.tokens(traces), encoder.tokens(2 * traces)
    assert low.shape == (2, encoder.n_tokens, encoder.width)
    assert not torch.allclose(low, high)


def test_the_bundled_model_takes_it_through_the_processor() -> None:
    import gem

    model = gem.load("gem-nano")
    inputs = model.processor(record=grounding.read_record(grounding.sample_path("ptbxl_424")), prompt="")
    with torch.inference_mode():
        alone = model.classify(pixel_values=inputs["pixel_values"])[0]
    chances = dict(zip(model.config.class_names, alone.tolist(), strict=True))
    assert chances["CD"] > 0.5 > chances["NORM"]
