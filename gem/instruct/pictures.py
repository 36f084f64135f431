"""Pictures for instructions, each with a JSON file on how it was drawn: layout, boxes, seed, distortions."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grounding.record import ECGRecord

from .output import write_atomic

if TYPE_CHECKING:
    from grounding.measurement import Measurement

LAYOUTS = ("3x4", "3x4", "6x2", "12x1")
PX_PER_MM = (4.0, 5.0, 6.0)
HEADERS = 0.5  # share of the distorted pages on which measured values are printed


def draw_picture(record: ECGRecord, folder: Path, seed: int, measurement: Measurement | None = None) -> str:
    """Draw a recording in a random layout and resolution; write ``pictures/<id>.png`` (or ``.jpg``) and ``.json``.

    Args:
        record: the recording.
        folder: of the run.
        seed: of the choice.
        measurement: of the recording: the page then has a random look, its header may print the measured values, and
            it is distorted as photographs, scans, screens and faxes are. None draws a plain flat page.

    Returns:
        The picture's path relative to ``folder``.

    Raises:
        EcgError: it can't be drawn.
    """
    from grounding.paper import draw

    pick = random.Random(f"{seed}|{record.record_id}|picture")
    layout, scale = pick.choice(LAYOUTS), pick.choice(PX_PER_MM)
    labels = pick.random() < 0.9
    about = {"record_id": record.record_id, "seed": seed, "labels": labels}
    if measurement is None:
        page = draw(record, layout, px_per_mm=scale, labels=labels)
        data = _encoded(page.image, "PNG", compress_level=1)
        return _write(
            folder, f"pictures/{record.record_id}.png", data, about | {"distortions": []} | page.layout.to_dict()
        )
    from grounding.paper import PageHeader, distort, varied_page

    header = PageHeader(measurement) if pick.random() < HEADERS else None
    number = pick.randrange(2**31)
    page = draw(record, px_per_mm=scale, labels=labels, header=header, **varied_page(number, all_leads=True))
    picture = distort(page, seed=number)
    # of the noise of a camera, a lossless file is several times larger
    data = _encoded(picture.image, "JPEG", quality=92)
    return _write(folder, f"pictures/{record.record_id}.jpg", data, about | picture.to_dict())


def _encoded(image: Any, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _write(folder: Path, name: str, data: bytes, about: dict[str, Any]) -> str:
    text = json.dumps({**about, "image": name}, allow_nan=False)
    write_atomic((folder / name).with_suffix(".json"), text.encode())
    write_atomic(folder / name, data)
    return name
