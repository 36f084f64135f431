"""The recordings of a benchmark's items, found by the names that published files use."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import grounding
from grounding import EcgError, ECGRecord

from ..data.ptbxl import is_ptbxl, load_ptbxl
from ..data.samples import Sample
from ..errors import GemInputError

if TYPE_CHECKING:
    from grounding import Measurement

_PTBXL_NAME = re.compile(r"(\d{5})_[hl]r")
CONTROLS = ("noise", "flat", "other")
NOISE_MV = 0.2
_KEPT = 64  # recordings whose measurements are kept


class Inputs:
    """Recordings by name, measured once.

    Args:
        root: PTB-XL (see ``gem.data.ptbxl.load_ptbxl``) or any folder of recordings; None if there are none.
        control: what is given in place of each recording: ``noise``, a ``flat`` line, or that of an ``other`` patient
            of PTB-XL. A score that hardly falls does not come from the ECG.

    Raises:
        GemInputError: no such folder or control.
    """

    def __init__(self, root: str | Path | None, control: str | None = None) -> None:
        if control is not None and control not in CONTROLS:
            raise GemInputError(f"unknown control {control!r}", remedy=f"use one of {', '.join(CONTROLS)}")
        self.control = control
        self.root = None if root is None else Path(root)
        if self.root is not None and not self.root.is_dir():
            raise GemInputError("no such folder", where=str(root), remedy="check --records")
        self._ptbxl: dict[str, Sample] = {}
        if self.root is not None and is_ptbxl(self.root):
            self._ptbxl = {sample.record_id: sample for sample in load_ptbxl(self.root, range(1, 11))}
        self.record = lru_cache(_KEPT)(self._given)
        self.measurement = lru_cache(_KEPT)(self._measurement)

    def patient(self, name: str) -> str:
        """The patient of a recording; the recording's name where that is not known.

        Args:
            name: of the recording.
        """
        sample = self._ptbxl.get(_number(name))
        return name if sample is None else sample.patient

    def _given(self, name: str) -> ECGRecord:
        """The recording, or what the control gives in its place."""
        record = self._record(name)
        if self.control is None:
            return record
        if self.control == "other":
            return self._of_other_patient(_number(name))
        signal = np.zeros(np.shape(record.signal), np.float32)
        if self.control == "noise":
            draw = np.random.default_rng(list(name.encode()))
            signal = draw.normal(0.0, NOISE_MV, signal.shape).astype(np.float32)
        return ECGRecord.from_array(signal, record.fs, record.leads, record_id=record.record_id)

    def _of_other_patient(self, number: str) -> ECGRecord:
        """The next recording of the same kind that is another patient's."""
        own = self._ptbxl.get(number)
        others = [
            sample
            for sample in self._ptbxl.values()
            if own is not None and sample.source == own.source and sample.patient != own.patient
        ]
        if own is None or not others:
            raise GemInputError(f"no recording of another patient for {number}", remedy="give PTB-XL with --records")
        later = [sample for sample in others if sample.ecg_id > own.ecg_id]
        return (later or others)[0].record

    def _record(self, name: str) -> ECGRecord:
        """A recording by its number in PTB-XL, by a file name that has it (``07190_hr-0.png``), or by its path.

        Raises:
            GemInputError: there is none.
            EcgError: it can't be read.
        """
        sample = self._ptbxl.get(_number(name))
        if sample is not None:
            return sample.record
        if self.root is not None and not name.isdigit():
            path = (self.root / name).resolve()
            inside = path.is_relative_to(self.root.resolve())  # names come from files
            if inside and (path.is_file() or path.with_suffix(".hea").is_file()):
                return grounding.read_record(path)
        raise GemInputError(
            f"no recording {name}", where=str(self.root), remedy="give the folder of recordings with --records"
        )

    def _measurement(self, name: str) -> Measurement:
        return grounding.measure(self.record(name))

    def problem(self, names: tuple[str, ...]) -> str | None:
        """Why the recordings of an item can't be used; None if they can.

        Args:
            names: of the recordings.
        """
        if not names:
            return None
        try:
            for name in names:
                self.record(name)
        except (EcgError, OSError) as error:
            return str(error)
        return None


def is_ptbxl_name(name: str) -> bool:
    """Whether a name has the number of a PTB-XL record in it, as in ``ptb-report-07190_hr-0``.

    Args:
        name: of an item, a recording or a picture.
    """
    return _PTBXL_NAME.search(name) is not None


def _number(name: str) -> str:
    found = _PTBXL_NAME.search(name)
    return str(int(found[1])) if found else name
