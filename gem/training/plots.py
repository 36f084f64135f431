"""Plot the curves of a run, from the CSV of its logger.

python -m gem.training.plots runs/logs/gem/version_0 --out gem.png
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path

from ..errors import GemInputError

_AXES = ("step", "epoch")


def read_curves(path: str | Path) -> dict[str, tuple[list[int], list[float]]]:
    """Read the logged metrics.

    Args:
        path: a ``metrics.csv`` or the folder that holds it.

    Returns:
        Metric -> (steps, values).

    Raises:
        GemInputError: there is no such file, or no metric in it.
    """
    file = Path(path) / "metrics.csv" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise GemInputError(
            "no metrics.csv", where=str(path), remedy="name the folder of a CSVLogger, e.g. runs/logs/NAME/version_0"
        )
    curves: dict[str, tuple[list[int], list[float]]] = {}
    with file.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            for name, value in row.items():
                if name not in _AXES and value and math.isfinite(float(value)):
                    steps, values = curves.setdefault(name, ([], []))
                    steps.append(int(row["step"]))
                    values.append(float(value))
    if not curves:
        raise GemInputError("no figures yet", where=str(file))
    return curves


def plot(path: str | Path, out: str | Path) -> Path:
    """Plot a panel per metric; a metric and that of validation (``loss``, ``val_loss``) share one.

    Args:
        path: see ``read_curves``.
        out: the picture to write; its extension picks the format.

    Returns:
        The picture's path.

    Raises:
        GemInputError: see ``read_curves``, or matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise GemInputError("plots need matplotlib", remedy='pip install "gem-ecg[train]"') from None
    curves = read_curves(path)
    panels = sorted({name.removeprefix("val_") for name in curves})
    figure = Figure(figsize=(6, 2.6 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        for name in (panel, f"val_{panel}"):
            if name in curves:
                axes.plot(*curves[name], label=name, marker="." if len(curves[name][0]) < 30 else "")
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.legend()
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=120)
    return target


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path")
    parser.add_argument("--out", default="run.png")
    arguments = parser.parse_args()
    print(plot(arguments.path, arguments.out))
