"""A labelled recording of any data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from grounding import ECGRecord

SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")  # PTB-XL's


@dataclass(frozen=True)
class Sample:
    """One labelled record. ``record`` reads the signal when it is asked for.

    Attributes:
        record_id: its name in the data set; PTB-XL's number.
        patient: who it is of; the record's own name where the data set does not tell.
        fold: 1-10 in PTB-XL, a patient is in one only; None where the data set has none.
        age: years, or None (PTB-XL writes 300 for "over 89"; kept as it is).
        sex: ``"male"``, ``"female"`` or None.
        superclasses, subclasses, form, rhythm: PTB-XL's label codes; empty where there are none.
        scp_codes: SCP statement -> likelihood in percent (0 = stated without one).
        report: the clinician's words, German or English.
        source: ``"raw"`` (millivolts, 500 Hz) or ``"filtered"`` (0.5-40 Hz, z-scored per lead, 125 Hz).
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
        """The recording, read anew at each call."""
        return self.read()
