"""The recordings of a benchmark's items, found by the names that published files use."""

from __future__ import annotations

import csv
import random
import re
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import grounding
from grounding import EcgError, ECGRecord
from grounding.paper import Page, draw
from grounding.readers.picture import EXTENSIONS

from ..data.ptbxl import is_ptbxl, load_ptbxl
from ..data.samples import Sample
from ..errors import GemInputError

if TYPE_CHECKING:
    from grounding import Measurement

_PTBXL_NAME = re.compile(r"(\d{5})_[hl]r")
CONTROLS = ("noise", "flat", "other")
MODALITIES = ("signal", "picture")
SHARES = (25, 50, 75, 100)  # per cent that is gone, in the protocol of missing modalities
NOISE_MV = 0.2
BUNDLED = Path(grounding.__file__).parent / "samples"
_KEPT = 64  # recordings whose measurements are kept


@dataclass(frozen=True)
class Missing:
    """What part of an input is gone.

    Attributes:
        modality: ``signal`` or ``picture``.
        percent: 1 to 100.
    """

    modality: str
    percent: int

    @classmethod
    def parse(cls, text: str) -> Missing:
        """From ``signal:50``.

        Args:
            text: as given on the command line.

        Raises:
            GemInputError: it is something else.

        Example:
            >>> Missing.parse("picture:75")
            Missing(modality='picture', percent=75)
        """
        modality, _, percent = text.partition(":")
        if modality not in MODALITIES or not percent.isdigit() or not 1 <= int(percent) <= 100:
            raise GemInputError(
                "not a missing modality", where=text, remedy="write signal:50 or picture:50, a percentage from 1 to 100"
            )
        return cls(modality, int(percent))

    def stretch(self, name: str, n: int) -> slice:
        """The stretch that is gone, in the same place of a recording whenever it is asked.

        Args:
            name: of the recording.
            n: samples, or columns of the picture.
        """
        gone = round(n * self.percent / 100)
        start = random.Random(f"{self.modality}:{self.percent}:{name}").randint(0, n - gone)
        return slice(start, start + gone)


class Inputs:
    """Recordings by name, measured once.

    Args:
        root: PTB-XL (see ``gem.data.ptbxl.load_ptbxl``), MIMIC-IV-ECG with its ``record_list.csv``, or any folder of
            recordings; None if there are none.
        control: what is given in place of each recording: ``noise``, a ``flat`` line, or that of an ``other`` patient
            of PTB-XL. A score that hardly falls does not come from the ECG.
        missing: ``signal:50``, ``picture:100``, ...: of every lead a contiguous stretch of the recording is zero, as
            the published systems fill what is missing; of the page a vertical stripe is white. The other modality stays
            as it is: the page shows the whole recording.

    Raises:
        GemInputError: no such folder, control or modality.
    """

    def __init__(self, root: str | Path | None, control: str | None = None, missing: str | None = None) -> None:
        if control is not None and control not in CONTROLS:
            raise GemInputError(f"unknown control {control!r}", remedy=f"use one of {', '.join(CONTROLS)}")
        self.control = control
        self.missing = None if missing is None else Missing.parse(missing)
        self.root = None if root is None else Path(root)
        if self.root is not None and not self.root.is_dir():
            raise GemInputError("no such folder", where=str(root), remedy="check --records")
        self._ptbxl: dict[str, Sample] = {}
        if self.root is not None and is_ptbxl(self.root):
            self._ptbxl = {sample.record_id: sample for sample in load_ptbxl(self.root, range(1, 11))}
        self._mimic = {} if self.root is None or self._ptbxl else _mimic_studies(self.root)
        self._keep()

    def _keep(self) -> None:
        self.record = lru_cache(_KEPT)(self._damaged)
        self.measurement = lru_cache(_KEPT)(self._measurement)

    @cached_property
    def whole(self) -> Inputs:
        """The same recordings with nothing put in their place or taken away: what an answer is held against."""
        if self.control is None and self.missing is None:
            return self
        whole = copy(self)
        whole.control = whole.missing = None
        whole._keep()
        return whole

    def patient(self, name: str) -> str:
        """The patient of a recording; the recording's name where that is not known.

        Args:
            name: of the recording.
        """
        sample = self._ptbxl.get(_number(name))
        if sample is not None:
            return sample.patient
        study = self._mimic.get(Path(name).stem)
        return name if study is None else study[1]

    def _damaged(self, name: str) -> ECGRecord:
        """The recording without the part of the signal that is missing."""
        record = self._given(name)
        if self.missing is None or self.missing.modality != "signal":
            return record
        signal = np.array(record.signal, np.float32)
        signal[:, self.missing.stretch(name, signal.shape[1])] = 0.0
        return ECGRecord.from_array(signal, record.fs, record.leads, record_id=record.record_id, meta=record.meta)

    def picture(self, name: str) -> Any:
        """The picture (PIL, RGB) of a recording: the file itself where the name is one, else drawn from the recording.

        Args:
            name: of the recording.

        Raises:
            EcgError: it can't be read.
        """
        file = self._file(name)
        if self.control is None and file is not None and file.suffix.lower() in EXTENSIONS:
            from PIL import Image

            try:
                with Image.open(file) as image:
                    return self._striped(image.convert("RGB"), name)
            except (OSError, ValueError) as error:
                raise GemInputError(f"the picture can't be read ({error})", where=str(file)) from None
        return self.page(name).image

    def page(self, name: str) -> Page:
        """The page on which a recording is drawn, without the part of the picture that is missing.

        Args:
            name: of the recording.
        """
        page = draw(self._given(name))
        return replace(page, image=self._striped(page.image.convert("RGB"), name))

    def _striped(self, image: Any, name: str) -> Any:
        """A picture with a white stripe where its part is missing."""
        if self.missing is not None and self.missing.modality == "picture":
            gone = self.missing.stretch(name, image.width)
            image.paste((255, 255, 255), (gone.start, 0, gone.stop, image.height))
        return image

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
        if self.root is not None and self.root.resolve() == BUNDLED.resolve():  # each is another patient's
            there = [path for path in sorted(BUNDLED.glob("*.hea")) if not path.stem.endswith(f"_{number}")]
            return grounding.read_record(there[int(number) % len(there) if number.isdigit() else 0])
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
        """A recording by its number in PTB-XL, its study in MIMIC-IV-ECG, or its path.

        A file name that has PTB-XL's number in it (``07190_hr-0.png``) stands for the number.

        Raises:
            GemInputError: there is none.
            EcgError: it can't be read.
        """
        sample = self._ptbxl.get(_number(name))
        if sample is not None:
            return sample.record
        if (path := self._file(name)) is not None:
            return grounding.read_record(path)
        raise GemInputError(
            f"no recording {name}", where=str(self.root), remedy="give the folder of recordings with --records"
        )

    def _file(self, name: str) -> Path | None:
        """The file of a recording or picture below the root; None if there is none."""
        if self.root is None:
            return None
        root, number = self.root.resolve(), _number(name)
        there = [] if name.isdigit() else [root / name]
        if number.isdigit():
            there.append(root / f"ptbxl_{number}.hea")  # the bundled ones
        if name in self._mimic:
            there.append(root / self._mimic[name][0])
        for path in (one.resolve() for one in there):
            if path.is_relative_to(root) and (
                path.is_file() or path.with_suffix(".hea").is_file()
            ):  # names come from files
                return path
        return None

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
                file = self._file(name)
                if file is None or file.suffix.lower() not in EXTENSIONS:  # a model may see a picture as it is
                    self.record(name)
        except (EcgError, OSError) as error:
            return str(error)
        return None


def _mimic_studies(root: Path) -> dict[str, tuple[str, str]]:
    """Study -> path and patient, from MIMIC-IV-ECG's own list; empty where there is none."""
    table = root / "record_list.csv"
    if not table.is_file():
        return {}
    try:
        with table.open(encoding="utf-8", newline="") as file:
            return {row["study_id"]: (row["path"], row["subject_id"]) for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise GemInputError(
            f"not MIMIC-IV-ECG's list of records ({type(error).__name__}: {error})",
            where=str(table),
            remedy="it has the columns subject_id, study_id and path; download it again",
        ) from None


def is_ptbxl_name(name: str) -> bool:
    """Whether a name has the number of a PTB-XL record in it, as in ``ptb-report-07190_hr-0``.

    Args:
        name: of an item, a recording or a picture.
    """
    return _PTBXL_NAME.search(name) is not None


def _number(name: str) -> str:
    found = _PTBXL_NAME.search(name)
    return str(int(found[1])) if found else name
