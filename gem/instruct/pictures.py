"""Pictures for instructions, each with a JSON file on how it was drawn: layout, boxes, seed, distortions."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

from grounding.record import ECGRecord

from .output import write_atomic

LAYOUTS = ("3x4", "3x4", "6x2", "12x1")
PX_PER_MM = (4.0, 5.0, 6.0)


def draw_picture(record: ECGRecord, folder: Path, seed: int) -> str:
    """Draw a recording in a random layout and resolution; write ``pictures/<id>.png`` and ``.json``.

    Args:
        record: the recording.
        folder: of the run.
        seed: of the choice.

    Returns:
        The picture's path relative to ``folder``.

    Raises:
        EcgError: it can't be drawn.
    """
    from grounding.paper import draw

    pick = random.Random(f"{seed}|{record.record_id}|picture")
    layout, scale = pick.choice(LAYOUTS), pick.choice(PX_PER_MM)
    labels = pick.random() < 0.9
    page = draw(record, layout, px_per_mm=scale, labels=labels)
    out = io.BytesIO()
    page.image.save(out, "PNG", compress_level=1)
    name = f"pictures/{record.record_id}.png"
    # pages are not distorted; the empty list states that
    about = {
        "record_id": record.record_id,
        "image": name,
        "seed": seed,
        "labels": labels,
        "distortions": [],
        **page.layout.to_dict(),
    }
    write_atomic((folder / name).with_suffix(".json"), json.dumps(about, allow_nan=False).encode())
    write_atomic(folder / name, out.getvalue())
    return name
