"""Traces from a page of ECG paper: where in each column of pixels is the trace of each row of leads?

A general image network has to learn from a few thousand records that a thin dark line matters and that its height is a
voltage. This one is built on it: learned queries, one per row of leads, attend to the ink along every column of pixels
and return its height. The result is a set of traces, which a 1-D convolutional network reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ecg_conv import EcgConv
from .registry import Encoder, register_encoder

# centres of the rows, their height, and the start and end of the traces on our pages (grounding.paper, 3x4 with a
# rhythm strip), as fractions of the page
ROWS = (0.189, 0.409, 0.628, 0.848)
ROW_HEIGHT = 0.22
FIRST_S, LAST_S = 0.0644, 0.9592


@register_encoder(name="paper_traces")
class PaperTraces(Encoder):
    """Traces read off a page of ECG paper, then convolutions over time.

    Sees: a page of 3x4 leads and rhythm strips, upright, 400 x 512.
    Architecture: a fixed front end that follows the ink of each row, then a 1-D ResNet over the traces.
    Source: this library; gem-nano's picture encoder.

    The page has to look like ``grounding.render(record)``: rows of leads over a common time axis, dark ink on light
    paper, upright. The rows' heights are only where the search starts. It was not made for photographs and other
    layouts.

    Args:
        img_size: (H, W) of the input.
        rows: centre of each row, as a fraction of the height.
        columns: leads side by side in a row.
        samples: of a trace in one column; 128 for 2.5 s are about as many as 512 pixels of width resolve.
        widths: channels of each stage, see ``ecg_conv``.
        depth: blocks of each stage.
    """

    kind: ClassVar[str] = "vision"
    tiny: ClassVar[dict[str, Any]] = {"img_size": [48, 64], "samples": 16, "widths": [8, 16], "depth": 1}

    def __init__(
        self,
        img_size: Sequence[int] = (400, 512),
        rows: Sequence[float] = ROWS,
        columns: int = 4,
        samples: int = 128,
        widths: Sequence[int] = (64, 128, 256),
        depth: int = 2,
    ) -> None:
        super().__init__()
        self.image_size = (int(img_size[0]), int(img_size[1]))
        self.mean, self.std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
        self.columns, self.samples, self.rows = columns, samples, len(rows)
        # in the red channel the ink is dark, while the pink grid is as bright as the paper
        self.ink = nn.Conv2d(3, 1, 1)
        self.texture = nn.Sequential(nn.Conv2d(3, 8, 5, 1, 2), nn.GELU(), nn.Conv2d(8, len(rows), 3, 1, 1))
        self.centres = nn.Parameter(torch.tensor([float(row) for row in rows]))
        self.reach = nn.Parameter(torch.full((len(rows),), 0.45))
        self.gain = nn.Parameter(torch.tensor(12.0))
        self.body = EcgConv(3 * len(rows) * columns, samples, widths, depth)
        self.width, self.n_tokens = self.body.width, self.body.n_tokens
        self.reset_to_dark_lines()

    @torch.no_grad()
    def reset_to_dark_lines(self) -> None:
        """Initialise the attention to dark ink; the texture convolutions start at zero."""
        self.ink.weight.copy_(torch.tensor([-8.0, 0.0, 0.0]).view(1, 3, 1, 1))
        bias: Any = self.ink.bias
        bias.fill_(5.0)
        last: Any = self.texture[-1]
        last.weight.zero_()
        last.bias.zero_()

    def traces(self, x: Tensor) -> Tensor:
        """The height of the ink in every column.

        Args:
            x: (B, 3, H, W).

        Returns:
            (B, 3, rows, W): middle, top and bottom of the stroke above each row's centre, in units of the row height.
        """
        y = torch.linspace(0, 1, x.shape[-2], device=x.device, dtype=torch.float32)[:, None]
        off = (self.centres[:, None, None] - y) / ROW_HEIGHT  # (rows, H, 1), upwards
        prior = -2 * (off / self.reach[:, None, None]) ** 4
        score = self.gain * self.ink(x).sigmoid() + self.texture(x)
        score = score.float() + prior
        found = [((score + tilt * off).softmax(-2) * off).sum(-2) for tilt in (0.0, 6.0, -6.0)]
        return torch.stack(found, 1)

    def tokens(self, traces: Tensor) -> Tensor:
        """(B, 3, rows, W) -> (B, n_tokens, width)."""
        width = traces.shape[-1]
        first, last = round(FIRST_S * width), round(LAST_S * width)
        cut = F.interpolate(traces[..., first:last].flatten(1, 2), size=self.columns * self.samples, mode="linear")
        # (B, 3, rows, columns, samples)
        panels = cut.unflatten(1, (3, self.rows)).unflatten(-1, (self.columns, self.samples))
        middle = panels[:, :1]
        centred = middle - middle.mean(-1, keepdim=True)
        shape = centred / (centred.square().mean(-1, keepdim=True).sqrt() + 0.02)
        # the shape without its amplitude, and the amplitudes; records without a mV scale have only the first
        panels = torch.cat([shape, 5 * (panels[:, 1:] - middle.mean(-1, keepdim=True))], 1)
        # traces are read in float32
        read: Tensor = self.body(panels.transpose(2, 3).flatten(1, 3).to(self.ink.weight.dtype))
        return read

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, n_tokens, width)."""
        return self.tokens(self.traces(x))
