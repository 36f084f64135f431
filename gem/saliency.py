"""Where the ECG encoder looks: token vectors of stretches of the recording, and the gradient of a class per wave.

The waves come from a ``Measurement``; the sums over them from ``gem.kernels.pool_segments``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

import grounding
from grounding import ECGRecord, Evidence, Measurement
from grounding.record import canonical_lead

from .encoders import Encoder
from .errors import GemConfigError, GemInputError
from .kernels.segment_pooling import pool_segments
from .writing import in_eval_mode

if TYPE_CHECKING:
    import pandas as pd

WAVES = ("P", "QRS", "ST", "T")


def wave_segments(measurement: Measurement, per: str = "lead") -> pd.DataFrame:
    """The segments of all waves; ST lies between the end of the QRS and the onset of the T.

    Args:
        measurement: of the recording.
        per: ``"lead"`` takes each lead's own boundaries, ``"beat"`` the boundaries over all leads (``lead`` is then
            ``""``).

    Returns:
        A row per wave that was found: ``lead beat wave start_s end_s``, seconds, in the order of lead, beat and
        ``WAVES``.

    Raises:
        GemInputError: another ``per``.
    """
    import pandas as pd

    if per == "lead":
        table = measurement.waves.pivot(index=["lead", "beat"], columns="wave", values=["onset", "offset"])
        parts = {
            name: (table[("onset", name)], table[("offset", name)])
            for name in ("P", "QRS", "T")
            if ("onset", name) in table
        }
    elif per == "beat":
        beats = measurement.beats.assign(lead="").set_index(["lead", "beat"])
        parts = {name: (beats[f"{name.lower()}_onset"], beats[f"{name.lower()}_offset"]) for name in ("P", "QRS", "T")}
    else:
        raise GemInputError(f"no segments per {per!r}", remedy='use "lead" or "beat"')
    if {"QRS", "T"} <= set(parts):
        parts["ST"] = (parts["QRS"][1], parts["T"][0])
    rows = [
        pd.DataFrame({"wave": name, "start_s": start / measurement.fs, "end_s": end / measurement.fs})
        for name, (start, end) in parts.items()
    ]
    out = (
        pd.concat(rows).dropna().reset_index()
        if rows
        else pd.DataFrame(columns=["lead", "beat", "wave", "start_s", "end_s"])
    )
    out = out[out["end_s"] > out["start_s"]]
    order = {
        **{name: i for i, name in enumerate(measurement.leads)},
        **{name: i for i, name in enumerate(WAVES)},
        "": 0,
    }
    return out.sort_values(
        ["lead", "beat", "wave"],
        key=lambda column: column.map(order) if column.name != "beat" else column,
        ignore_index=True,
    )


def token_ranges(encoder: Encoder, samples: ArrayLike) -> NDArray[np.int64]:
    """Which tokens cover segments of the signal.

    Args:
        encoder: an ECG encoder.
        samples: (n, 2), first sample of each stretch and the one after its last, at the encoder's rate; fractions are
            allowed.

    Returns:
        (n, 2), first token and the one after the last; equal where no token covers the stretch.
    """
    spans = encoder.token_spans()
    placed = spans[:, 1] > spans[:, 0]
    first = int(placed.argmax())  # tokens that cover no samples, such as a class token, come first
    segments = np.asarray(samples, np.float64).reshape(-1, 2)
    start = np.searchsorted(spans[first:, 1], segments[:, 0], side="right")
    end = np.searchsorted(spans[first:, 0], segments[:, 1], side="left")
    return np.stack([start, np.where(segments[:, 1] > segments[:, 0], np.maximum(end, start), start)], 1) + first


def evidence_vectors(model: Any, record: ECGRecord, evidence: Sequence[Evidence]) -> Tensor:
    """One vector per piece of evidence: the mean over its segments of the mean of the projected ECG tokens in each.

    A token covers all leads, so evidence in different leads at the same time has the same vector.

    Args:
        model: a model with an ECG encoder, from ``gem.load``.
        record: the recording that the evidence is about.
        evidence: such as ``finding.evidence``.

    Returns:
        (n, hidden); zeros where the evidence has no segment, or none within the encoder's window.

    Raises:
        GemConfigError: the model has no ECG encoder.
        GemInputError: evidence about another recording.
    """
    for item in evidence:
        if item.record_id != record.record_id:
            raise GemInputError(f"the evidence is about {item.record_id}", where=record.record_id)
    encoder, ecg = _signal(model, record)
    with in_eval_mode(model):
        tokens = torch.stack([row for row in model.encode(ecg=ecg).ecg or [] if row is not None])
    spans = [(start, end) for item in evidence for start, end in item.spans_s]
    ranges = token_ranges(encoder, np.asarray(spans, np.float64).reshape(-1, 2) * _rate_hz(model, record))
    kept = ranges[:, 1].clip(max=tokens.shape[1]) > ranges[:, 0]
    each = _pool(tokens, ranges[kept], [int(kept.sum())])
    counts = np.asarray([len(item.spans_s) for item in evidence], np.int64)
    owner = np.repeat(np.arange(len(evidence)), counts)[kept]
    ends = np.cumsum(np.bincount(owner, minlength=len(evidence)))
    return _pool(
        each[None],
        np.stack([np.r_[0, ends[:-1]], ends], 1) if len(evidence) else np.zeros((0, 2), np.int64),
        [len(evidence)],
    )


def wave_saliency(
    model: Any, record: ECGRecord, label: str, measurement: Measurement | None = None, per: str = "lead"
) -> pd.DataFrame:
    """How much each wave contributes to the logit of a class, by gradients through the ECG encoder alone.

    Args:
        model: a model with an ECG encoder and a classification head, from ``gem.load``.
        record: the recording.
        label: one of ``model.config.class_names``.
        measurement: of the recording; measured here when None.
        per: as in ``wave_segments``; ``"beat"`` sums over the leads.

    Returns:
        The rows of ``wave_segments`` with ``gradient``, the sum of the logit's absolute gradient over the samples, and
        ``contribution``, the sum of gradient times signal: to first order, what the logit would lose if the wave were
        flat at zero. Both in the encoder's own input (z-scores or mV). Both are 0 outside the encoder's window.

    Raises:
        GemConfigError: the model has no ECG encoder, or no such class.
        GemInputError: another ``per``, or a recording outside the contract.
    """
    if label not in (model.config.class_names or []):
        raise GemConfigError(
            f"the model has no class {label!r}", remedy=f"it has {', '.join(model.config.class_names) or 'none'}"
        )
    _, ecg = _signal(model, record)
    table = wave_segments(grounding.measure(record) if measurement is None else measurement, per)
    with in_eval_mode(model), torch.enable_grad():
        signal = ecg.float().requires_grad_()
        logit = model.encode(ecg=signal).class_logits[0, model.config.class_names.index(label)]
        (gradient,) = torch.autograd.grad(logit, signal)
    values = torch.stack([gradient.abs(), gradient * signal.detach()], -1)[0]  # (leads, samples, 2)
    if per == "beat":
        table, values = table.assign(row=0), values.sum(0, keepdim=True)
    else:
        compat = model.processor.compat
        names = record.leads if compat else [canonical_lead(name) for name in model.processor.contract.leads]
        table = table[table["lead"].isin(names)]
        table = table.assign(row=table["lead"].map({name: i for i, name in enumerate(names)})).sort_values(
            "row", kind="stable", ignore_index=True
        )
    # the samples whose middle lies in the wave
    ranges = np.rint(table[["start_s", "end_s"]].to_numpy(np.float64) * _rate_hz(model, record)).astype(np.int64)
    counts = np.bincount(table["row"], minlength=len(values)).tolist()
    length = np.maximum(ranges.clip(max=values.shape[1]) @ [-1, 1], 0)
    sums = _pool(values, ranges, counts).double().cpu().numpy() * length[:, None]
    return table.drop(columns="row").assign(gradient=sums[:, 0], contribution=sums[:, 1])


def _signal(model: Any, record: ECGRecord) -> tuple[Encoder, Tensor]:
    encoder = model.ecg_encoder
    if encoder is None or model.processor.contract is None:
        raise GemConfigError("this model has no ECG encoder", remedy="it looks at pictures only")
    return encoder, model.processor(record=record, picture=False, measurement=False)["ecg"].to(model.device)


def _rate_hz(model: Any, record: ECGRecord) -> float:
    """Sampling rate of the encoder's input, Hz; with ``compat`` that of the recording, which was not resampled."""
    return float(record.fs if model.processor.compat else model.processor.contract.fs_hz)


def _pool(values: Tensor, ranges: NDArray[np.int64], counts: Sequence[int]) -> Tensor:
    first = torch.tensor([0, *np.cumsum(counts).tolist()], device=values.device)
    start, end = torch.from_numpy(ranges.T.copy()).to(values.device)
    return pool_segments(values, start, end, first, max(counts))
