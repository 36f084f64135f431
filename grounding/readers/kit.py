"""What the formats read through the ecgdatakit package have in common."""

from __future__ import annotations

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EcgFormatError
from .channels import Channels
from .registry import add_warnings

MAX_DOCUMENT_BYTES = 64 << 20  # a 10 s ECG takes 0.1-2 MB in these formats


def xml_sniff(tag: bytes) -> Any:
    """A sniffer for an XML root element, in UTF-8 or UTF-16."""
    return lambda head: b"<" + tag in head.replace(b"\0", b"") or b":" + tag in head.replace(b"\0", b"")


def read_with_kit(path: Path, module: str, parser: str) -> Channels:
    """Read a file with one of ecgdatakit's parsers.

    Files of eight leads (I, II, V1-V6) get III, aVR, aVL and aVF by lead algebra, named in ``meta["derived_leads"]``.

    Args:
        path: the file.
        module: name of the module under ``ecgdatakit.parsing.parsers``.
        parser: name of the class in it.

    Raises:
        EcgFormatError: the file is too large or has no leads.
    """
    where = str(path)
    if path.stat().st_size > MAX_DOCUMENT_BYTES:
        raise EcgFormatError(
            f"the file is over {MAX_DOCUMENT_BYTES >> 20} MB", where=where, remedy="export a shorter recording"
        )
    parse = getattr(import_module(f"ecgdatakit.parsing.parsers.{module}"), parser)().parse
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        document = parse(path)
    if not document.leads:
        raise EcgFormatError("there is no rhythm recording in it", where=where, remedy="export the waveforms too")
    meta: dict[str, Any] = {}
    add_warnings(meta, *(str(item.message) for item in caught))
    # the package rounds the rate to whole hertz; aECG keeps the exact one
    exact = document.raw_metadata.get("rhythm_time", {}).get("sampling_rate_exact")
    names, signals, rates, units = [], [], [], []
    for lead in document.leads:
        calibrated = not lead.is_raw or bool(lead.resolution_unit)
        lead = lead.to_physical() if lead.is_raw and calibrated else lead
        names.append(lead.label)
        signals.append(np.asarray(lead.samples, dtype=np.float64))
        rates.append(float(exact or lead.sampling_rate))
        units.append(lead.units or lead.resolution_unit if calibrated else "adu")
    patient = document.patient
    if patient.age is not None and 0 <= patient.age <= 130:
        meta["age"] = float(patient.age)
    sex = {"M": "male", "F": "female"}.get(patient.sex)
    if sex:
        meta["sex"] = sex
    return Channels(names, signals, rates, units, meta, complete_limb_leads=True)
