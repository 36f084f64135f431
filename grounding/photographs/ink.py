"""Which points of a flat page are trace: a small network, which does not see text, separators and the grid as trace."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .picture import against_paper, darkest_channel
from .threads import in_threads

PX_PER_PERIOD = 40  # of the flat page that the network reads: 8 per millimetre
MULTIPLE = 16  # of the sides of the network's input
SOLID_PX = 9  # wider than any stroke
SURE_TRACE, DARK_AS_TRACE, MAX_DARK_LINES = 0.8, 0.6, 0.3
WEIGHTS = Path(__file__).parent / "weights" / "traces.onnx"


def absorbance(flat: NDArray[np.uint8], period: int = PX_PER_PERIOD) -> NDArray[np.float32]:
    """How much light is absorbed by what is printed, without the paper's own shade and shadows.

    Args:
        flat: (rows, columns, 3) bytes.
        period: of the grid, pixels.

    Returns:
        (rows, columns, 3): 0 for paper, the natural logarithm of the loss.
    """
    out = np.empty(flat.shape, np.float32)

    def fill(channel: int) -> None:
        plane = np.asarray(flat[..., channel] / 255, np.float32)
        against = against_paper(plane, period // 2 + 1, period / 10)
        np.negative(np.log(np.clip(against, 0.05, 1)), out=out[..., channel])

    in_threads(fill, range(flat.shape[-1]))
    return out


def network_input(flat_absorbance: NDArray[np.float32]) -> NDArray[np.float32]:
    """(5, rows, columns): absorbance of red, green and blue, and the grid's phase across and down.

    Args:
        flat_absorbance: (rows, columns, 3), with grid lines at multiples of ``PX_PER_PERIOD``.

    Returns:
        With sides that are multiples of ``MULTIPLE``: the last row and column are repeated.
    """
    rows, columns = flat_absorbance.shape[:2]
    out = np.empty((5, rows + -rows % MULTIPLE, columns + -columns % MULTIPLE), np.float32)
    out[:3, :rows, :columns] = flat_absorbance.transpose(2, 0, 1)
    across, down = (np.cos(2 * np.pi * np.arange(n) / PX_PER_PERIOD) for n in (columns, rows))
    out[3, :rows, :columns], out[4, :rows, :columns] = across[None, :], down[:, None]
    out[:, rows:] = out[:, rows - 1 : rows]
    out[:, :, columns:] = out[:, :, columns - 1 : columns]
    return out


def as_dark_as_trace(flat_absorbance: NDArray[np.float32], trace: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """What is as dark as the traces in all colours, also where it runs along a line of the grid, as pulses often do.

    Args:
        flat_absorbance: (rows, columns, 3), see ``absorbance``.
        trace: (rows, columns), probability of trace.

    Returns:
        (rows, columns); None where the grid is as dark as the traces.
    """
    dark = darkest_channel(flat_absorbance)
    sure = trace > SURE_TRACE
    if not sure.any():
        return np.zeros(trace.shape, bool)
    out = dark > DARK_AS_TRACE * float(np.median(dark[sure]))
    # a table beside the paper is dark, but no stroke
    solid = ndimage.minimum_filter(out.astype(np.uint8), SOLID_PX, mode="constant")
    if solid.any():
        # pixels so far from it along rows and columns
        out &= ndimage.distance_transform_cdt(solid == 0, "taxicab") > SOLID_PX
    period = PX_PER_PERIOD
    lines = out[::period].mean() + out[:, ::period].mean()
    return out if lines < MAX_DARK_LINES else None


@lru_cache(maxsize=2)
def _session(weights: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])


def trace_probability(flat_absorbance: NDArray[np.float32], weights: Path = WEIGHTS) -> NDArray[np.float32]:
    """Probability of each point to be trace.

    Args:
        flat_absorbance: (rows, columns, 3), with grid lines at multiples of ``PX_PER_PERIOD``.
        weights: ONNX file.

    Returns:
        (rows, columns).
    """
    rows, columns = flat_absorbance.shape[:2]
    (logits,) = _session(weights).run(None, {"page": network_input(flat_absorbance)[None]})
    return np.asarray(1 / (1 + np.exp(-logits[0, 0, :rows, :columns])), np.float32)
