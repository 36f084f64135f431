"""A labelled recording of any data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from grounding import ECGRecord

SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")  # PTB-XL's


@dataclass(frozen=True)
class Sample:
    """One labelled record, whose signal is read by ``record``.

    Attributes:
        record_id: its name in the data set; its number in PTB-XL.
        patient: the patient; the record's name if the data set does not identify patients.
        fold: 1-10 in PTB-XL, where a patient is in one fold only; None for data sets without folds.
        age: years, or None (PTB-XL's 300 for "over 89" is kept).
        sex: ``"male"``, ``"female"`` or None.
        superclasses: PTB-XL's diagnostic superclasses, may be empty.
        subclasses: PTB-XL's diagnostic subclasses, may be empty.
        form: PTB-XL's form statements, may be empty.
        rhythm: PTB-XL's rhythm statements, may be empty.
        scp_codes: SCP statement -> likelihood in percent (0 if none is given).
        report: the clinician's text, German or English.
        source: ``"raw"`` (mV, 500 Hz) or ``"filtered"`` (0.5-40 Hz, z-scored per lead, 125 Hz).
        read: reads the signal.
    """

    record_id: str
    patient: str
    fold: int | None
    age: float | None
    sex: str | None
    superclasses: tuple[str, ...]
    subclasses: tuple[str, ...]
    form: tuple[str, ...]
    rhythm: tuple[str, ...]
    scp_codes: dict[str, float]
    report: str
    source: str
    read: Callable[[], ECGRecord] = field(repr=False)

    @property
    def ecg_id(self) -> int:
        """PTB-XL's number of the record."""
        return int(self.record_id)

    @property
    def record(self) -> ECGRecord:
        """The recording, read from its file at each access."""
        return self.read()
