"""The exact contents of a synthetic recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..record import STANDARD_LEADS
from .beats import Beat

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Truth:
    """The exact contents of a synthetic recording.

    Attributes:
        fs: Hz; positions below are samples at this rate, with fractions.
        waves: DataFrame, a row per wave: ``beat wave onset peak offset``; ``wave`` is ``P``, ``QRS`` or ``T``, ``peak``
            the largest dipole. The boundaries are the same in every lead in which the wave is visible. A P wave that is
            not conducted has ``beat`` -1. Waves that an end of the recording cuts off are left out.
        beat_types: of each beat: ``normal``, ``premature_ventricular``, ``premature_supraventricular``, ``escape`` or
            ``paced``.
        intervals: means in ms over the dominant beats: ``rr`` (over all beats) ``pr qrs qt p``, ``None`` where there is
            none.
        heart_rate: ventricular, bpm.
        axis: frontal QRS axis of the dominant beats, degrees.
        st_mv: ST level of the dominant beats in every lead, constant from the J point to the onset of T.
        rhythm: as requested.
        conduction: as requested.
        spikes: (n,) first samples of pacing spikes.
        clean: (12, samples) mV, without noise, mains and baseline wander.
    """

    fs: float
    waves: pd.DataFrame
    beat_types: tuple[str, ...]
    intervals: Mapping[str, float | None]
    heart_rate: float
    axis: float
    st_mv: Mapping[str, float]
    rhythm: str
    conduction: str
    spikes: NDArray[np.int64]
    clean: NDArray[np.float32]


def truth_of(
    rows: list[tuple[int, str, float, float, float]],
    beats: list[Beat],
    fs: float,
    samples: int,
    axis_deg: float,
    st: Array,
    rhythm: str,
    conduction: str,
    spikes: NDArray[np.int64],
    clean: Array,
) -> Truth:
    """Collect the truth; waves that an end of the recording cuts off are left out.

    Args:
        rows: (beat or -1, wave, onset, peak, offset) of every wave, times in s.
        beats: all beats.
        fs: Hz.
        samples: length of the recording.
        axis_deg: frontal QRS axis.
        st: (12,) ST levels, mV.
        rhythm: as requested.
        conduction: as requested.
        spikes: (n,) first samples of pacing spikes.
        clean: (12, samples), mV.
    """
    import pandas as pd

    last = (samples - 1) / fs
    whole = [row for row in rows if row[2] >= 0 and row[4] <= last]
    # beats with a complete QRS are renumbered from 0
    kept = sorted(number for number, wave, *_ in whole if wave == "QRS")
    new = {number: index for index, number in enumerate(kept)}
    table = pd.DataFrame(
        [(new.get(n, -1), wave, a * fs, p * fs, b * fs) for n, wave, a, p, b in whole if wave == "P" or n in new],
        columns=["beat", "wave", "onset", "peak", "offset"],
    ).sort_values("onset", ignore_index=True)
    inside = [beats[number] for number in kept]
    main = [beat for beat in inside if beat.kind in ("normal", "paced", "escape")]
    rr = np.diff([beat.qrs_s for beat in inside]) * 1000
    prs = [beat.pr_ms for beat in main if beat.pr_ms is not None]
    p_length = [(b - a) * 1000 for _, wave, a, _, b in whole if wave == "P"]

    def mean(values: list[float] | NDArray[np.float64]) -> float | None:
        return round(float(np.mean(values)), 6) if len(values) else None

    intervals = {
        "rr": mean(rr),
        "pr": mean(prs),
        "qrs": mean([b.qrs_ms for b in main]),
        "qt": mean([b.qt_ms for b in main]),
        "p": mean(p_length),
    }
    rate = 60_000 / intervals["rr"] if intervals["rr"] else float("nan")
    return Truth(
        fs=fs,
        waves=table,
        beat_types=tuple(beat.kind for beat in inside),
        intervals=intervals,
        heart_rate=rate,
        axis=float((axis_deg + 180) % 360 - 180),
        st_mv=dict(zip(STANDARD_LEADS, st.tolist(), strict=True)),
        rhythm=rhythm,
        conduction=conduction,
        spikes=spikes,
        clean=clean.astype(np.float32),
    )
