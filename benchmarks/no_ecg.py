"""Fifty drawn pictures that are no ECG: how many are taken for one. None should be.

python benchmarks/no_ecg.py --out no_ecg
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import grounding
from grounding import EcgError

SIZE = (1200, 900)
KINDS: list[Callable[[np.random.Generator, ImageDraw.ImageDraw], None]] = []


def kind(
    draw: Callable[[np.random.Generator, ImageDraw.ImageDraw], None],
) -> Callable[[np.random.Generator, ImageDraw.ImageDraw], None]:
    """Register a kind of picture."""
    KINDS.append(draw)
    return draw


def _grid(pen: ImageDraw.ImageDraw, step_px: int, colour: str) -> None:
    for x in range(0, SIZE[0], step_px):
        pen.line([(x, 0), (x, SIZE[1])], fill=colour)
    for y in range(0, SIZE[1], step_px):
        pen.line([(0, y), (SIZE[0], y)], fill=colour)


@kind
def document(pick: np.random.Generator, pen: ImageDraw.ImageDraw) -> None:
    for y in range(60, 860, 24):
        words = ["".join(pick.choice(list("abcdefghilmnoprstu"), pick.integers(2, 9))) for _ in range(22)]
        pen.text((60, y), " ".join(words)[:150], fill="black")


@kind
def table(pick: np.random.Generator, pen: ImageDraw.ImageDraw) -> None:
    for y in range(60, 860, 32):
        pen.line([(60, y), (1140, y)], fill="black")
        for x in range(60, 1140, 120):
            pen.text((x + 8, y + 8), f"{pick.normal(100, 30):.2f}", fill="black")
    for x in range(60, 1141, 120):
        pen.line([(x, 60), (x, 860)], fill="black")


@kind
def line_chart(pick: np.random.Generator, pen: ImageDraw.ImageDraw) -> None:
    _grid(pen, int(pick.integers(60, 140)), "#cccccc")
    for colour in ("blue", "red", "green"):
        y = 450 + np.cumsum(pick.normal(0, 6, 1100)) + 50 * np.sin(np.arange(1100) / pick.integers(60, 150))
        pen.line([(50 + i, float(v)) for i, v in enumerate(y)], fill=colour, width=3)


@kind
def stock_chart(pick: np.random.Generator, pen: ImageDraw.ImageDraw) -> None:
    _grid(pen, int(pick.integers(40, 90)), "#dddddd")
    level = 450.0
    for x in range(40, 1160, 14):
        top, bottom = level + pick.normal(0, 25), level + pick.normal(0, 25)
        pen.line([(x, min(top, bottom) - 15), (x, max(top, bottom) + 15)], fill="black")
        pen.rectangle([x - 4, min(top, bottom), x + 4, max(top, bottom)], fill="green" if top < bottom else "red")
        level = float(np.clip(level + pick.normal(0, 18), 150, 750))


@kind
def clock_face(pick: np.random.Generator, pen: ImageDraw.ImageDraw) -> None:
    pen.ellipse([250, 100, 950, 800], outline="black", width=8)
    for angle in np.arange(60) * np.pi / 30:
        inner = 310 if round(angle * 30 / np.pi) % 5 else 285
        pen.line([(600 + r * np.sin(angle), 450 - r * np.cos(angle)) for r in (inner, 335)], fill="black", width=4)
    for length in (180, 270):
        angle = pick.uniform(0, 2 * np.pi)
        pen.line([(600, 450), (600 + length * np.sin(angle), 450 - length * np.cos(angle))], fill="black", width=10)


@kind
def sheet_music(pick: np.random.Generator, pen: ImageDraw.ImageDraw) -> None:
    for top in range(80, 800, 130):
        for line in range(5):
            pen.line([(60, top + 14 * line), (1140, top + 14 * line)], fill="black", width=2)
        for x in range(110, 1130, int(pick.integers(32, 60))):
            y = top + 7 * int(pick.integers(0, 9))
            pen.ellipse([x - 8, y - 6, x + 8, y + 6], fill="black")
            pen.line([(x + 8, y), (x + 8, y - 45)], fill="black", width=2)


@kind
def seismogram(pick: np.random.Generator, pen: ImageDraw.ImageDraw) -> None:
    for row in range(80, 860, 110):
        start = int(pick.integers(100, 700))
        size = np.where(np.arange(1100) < start, 2.0, 40 * np.exp(-(np.arange(1100) - start) / 250))
        pen.line(
            [(50 + i, row + float(v)) for i, v in enumerate(size * pick.normal(0, 1, 1100))], fill="black", width=2
        )


@kind
def seismogram_on_grid(pick: np.random.Generator, pen: ImageDraw.ImageDraw) -> None:
    _grid(pen, int(pick.integers(30, 50)), "#f0c0c0")
    seismogram(pick, pen)


@kind
def graph_paper(pick: np.random.Generator, pen: ImageDraw.ImageDraw) -> None:
    _grid(pen, int(pick.integers(20, 45)), "#9fc5e8")
    for _ in range(6):
        points = pick.uniform([100, 100], [1100, 800], (5, 2))
        pen.line([tuple(point) for point in points.tolist()], fill="black", width=3)


@kind
def map_of_streets(pick: np.random.Generator, pen: ImageDraw.ImageDraw) -> None:
    for x in np.cumsum(pick.integers(40, 150, 14)):
        pen.line([(float(x), 0), (float(x) + pick.normal(0, 60), 900)], fill="#888888", width=int(pick.integers(2, 9)))
    for y in np.cumsum(pick.integers(40, 150, 10)):
        pen.line([(0, float(y)), (1200, float(y) + pick.normal(0, 60))], fill="#888888", width=int(pick.integers(2, 9)))


def main() -> None:
    """Draw, read and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--each", type=int, default=5, help="pictures of each of the ten kinds")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    accepted = total = 0
    for draw in KINDS:
        taken = 0
        for seed in range(args.each):
            image = Image.new("RGB", SIZE, "white")
            draw(np.random.default_rng(seed), ImageDraw.Draw(image))
            path = args.out / f"{draw.__name__}-{seed}.png"
            image.save(path)
            try:
                record = grounding.read_record(path)
                taken += 1
                print(f"{path.name} is read: {', '.join(record.leads)}")
            except EcgError:
                pass
        accepted, total = accepted + taken, total + args.each
        print(f"{draw.__name__}: {taken} of {args.each} accepted", flush=True)
    print(f"{accepted} of {total} accepted")


if __name__ == "__main__":
    main()
