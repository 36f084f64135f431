"""What is explained: a path, a recording, an array or a picture becomes a recording, with its picture if any."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grounding
from grounding import EcgError, ECGRecord
from grounding.readers.picture import EXTENSIONS

from .errors import GemInputError


@dataclass(frozen=True)
class Subject:
    """One recording to explain.

    Attributes:
        record: the recording.
        picture: the PIL picture that it was read from, which a model sees as it is; None for a recording that was
            never a picture.
    """

    record: ECGRecord
    picture: Any = None


def read_subject(item: Any, options: Mapping[str, Any]) -> Subject:
    """A recording from whatever a user has.

    Args:
        item: an ``ECGRecord``, a path, an array (leads, samples), or a PIL picture.
        options: of ``grounding.read_record``; an array needs ``fs`` (Hz) and ``leads``.

    Raises:
        EcgError: it can't be read.
        GemInputError: it is something else, or an array without its rate or leads.
    """
    if isinstance(item, ECGRecord):
        if options:
            raise GemInputError(
                f"{', '.join(options)} of a recording", remedy="they are for files and arrays; a record has its own"
            )
        return Subject(item)
    if isinstance(item, str | Path):
        picture = None
        if Path(item).suffix.lower() in EXTENSIONS:
            from grounding.photographs import open_picture

            picture = open_picture(Path(item))
        return Subject(grounding.read_record(item, **options), picture)
    if hasattr(item, "convert") and hasattr(item, "save") and hasattr(item, "size"):  # a PIL picture
        return Subject(_from_picture(item, options), item)
    if hasattr(item, "ndim") or hasattr(item, "__array__"):
        missing = [name for name in ("fs", "leads") if options.get(name) is None]
        if missing:
            raise GemInputError(
                f"an array without {' and '.join(missing)}",
                where="record",
                remedy='gem.explain(array, fs=500, leads=["I", "II", ...]), in mV or with units=',
            )
        given = {name: options[name] for name in ("fs", "leads", "units") if options.get(name) is not None}
        about = {name: options[name] for name in ("age", "sex") if options.get(name) is not None}
        return Subject(ECGRecord.from_array(item, meta=about, **given))
    raise GemInputError(
        f"{type(item).__name__} is no recording", where="record", remedy="pass a record, a path, an array or a picture"
    )


def _from_picture(image: Any, options: Mapping[str, Any]) -> ECGRecord:
    """The recording on a picture, by the reader of picture files."""
    from grounding.photographs import upright

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.bmp"  # written at once, without loss
        upright(image).save(path)
        try:
            return grounding.read_record(path, **options)
        except EcgError as error:
            raise GemInputError(
                f"no recording can be read from the picture ({error.what})",
                where="picture",
                remedy="give the recording; model.processor(picture=..., prompt=...) takes a picture alone",
            ) from None
