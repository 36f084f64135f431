"""An estimated mV scale for z-scored recordings: lead algebra for the limb leads, typical amplitudes for the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from grounding.record import STANDARD_LEADS, ECGRecord, fill_missing

# median over PTB-XL raw records (folds 1-8) of a lead's standard deviation after a 0.5-40 Hz band-pass, mV
TYPICAL_SD_MV = dict(
    zip(
        STANDARD_LEADS,
        (0.114, 0.131, 0.092, 0.117, 0.077, 0.095, 0.142, 0.252, 0.218, 0.215, 0.200, 0.166),
        strict=True,
    )
)
_LIMB = ("I", "II", "III", "aVR", "aVL", "aVF")


def estimate_millivolts(record: ECGRecord) -> ECGRecord:
    """A copy of a z-scored recording on an estimated scale.

    I + III = II gives the limb leads' ratios exactly (so the axis is recovered); their common size and the chest
    leads' sizes are the typical ones, so voltages are guesses by about a factor of 1.5 either way. Records with
    millivolts come back as they are.

    Args:
        record: (leads, samples), any unit.

    Returns:
        ECGRecord in (estimated) millivolts, ``meta["millivolts_estimated"]`` set.
    """
    if record.has_millivolts:
        return record
    rows = {lead: fill_missing(record.signal).astype(np.float64)[i] for i, lead in enumerate(record.leads)}
    sizes = {lead: TYPICAL_SD_MV.get(lead, 0.15) / max(float(np.std(row)), 1e-9) for lead, row in rows.items()}
    if all(lead in rows for lead in _LIMB):
        one, two, three = (rows[lead] - rows[lead].mean() for lead in ("I", "II", "III"))
        ratios = np.abs(np.linalg.svd(np.stack([one, three, -two]).T, full_matrices=False)[2][-1])  # I, III, II
        if ratios.min() > 1e-3 * ratios.max():
            guess = {"I": ratios[0], "III": ratios[1], "II": ratios[2]}
            first, second = guess["I"] * one, guess["II"] * two
            for lead, derived in (
                ("aVR", -(first + second) / 2),
                ("aVL", first - second / 2),
                ("aVF", second - first / 2),
            ):
                guess[lead] = float(np.std(derived)) / max(float(np.std(rows[lead])), 1e-9)
            common = float(np.mean([np.log(sizes[lead] / guess[lead]) for lead in _LIMB]))
            sizes |= {lead: float(guess[lead] * np.exp(common)) for lead in _LIMB}
    signal = np.stack([rows[lead] * sizes[lead] for lead in record.leads]).astype(np.float32)
    made = ECGRecord.from_array(
        signal,
        record.fs,
        record.leads,
        units="mV",
        record_id=record.record_id,
        meta={**record.meta, "millivolts_estimated": True},
    )
    return made if made.fs >= 250 else replace(made.resample(500.0), meta=made.meta)
