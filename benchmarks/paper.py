"""Milliseconds of one processor core per ECG picture, ours beside a matplotlib figure where matplotlib is installed.

python benchmarks/paper.py [--repeats 20]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

import grounding
from grounding import ECGRecord


def median_ms(draw: Callable[[], object], repeats: int) -> float:
    draw()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        draw()
        times.append(1000 * (time.process_time() - started))
    return float(np.median(times))


def matplotlib_figure(record: ECGRecord) -> object:
    """A typical figure: one axes, line collections as the grid, a line per panel; 1650 x 1275."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8.5), dpi=150)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 279.4), ylim=(215.9, 0))
    for step, colour in ((1, "#fadbd9"), (5, "#f0acaa")):
        upright = [[(x, 0), (x, 215.9)] for x in range(0, 280, step)]
        level = [[(0, y), (279.4, y)] for y in range(0, 216, step)]
        axes.add_collection(LineCollection(upright + level, colors=colour, linewidths=0.5))
    for panel in grounding.paper.plan(record).panels:
        first, last = round(panel.start_s * record.fs), round(panel.end_s * record.fs)
        values = record.lead(panel.lead)[first:last]
        x = panel.x_mm + np.arange(len(values)) / record.fs * 25
        axes.plot(x, panel.y_mm - (values - panel.zero) * 10, color="#161826", linewidth=0.9)
        axes.text(panel.x_mm + 1, panel.y_mm - 12, panel.lead)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    import grounding.paper

    sample = grounding.read_record(grounding.sample_path())
    for layout in ("3x4", "6x2", "12x1"):
        for options in ({}, {"px_per_mm": 2}, {"width_px": 336}):
            size = grounding.render(sample, layout, **options).size
            taken = median_ms(
                lambda layout=layout, options=options: grounding.render(sample, layout, **options), repeats
            )
            print(f"ours        {layout:<5} {size[0]:>4} x {size[1]:<4} {taken:7.1f} ms")
    try:
        taken = median_ms(lambda: matplotlib_figure(sample), repeats)
        print(f"matplotlib  3x4   1650 x 1275 {taken:7.1f} ms")
    except ImportError:
        print("matplotlib is not installed: no comparison")
