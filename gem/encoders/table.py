"""The encoders as a table: ``python -m gem.encoders.table > docs/encoders.csv``."""

from __future__ import annotations

import csv
import inspect
import io
import re

import torch

from . import ENCODERS, build_encoder

COLUMNS = (
    "name",
    "kind",
    "sees",
    "architecture",
    "fs_hz",
    "samples",
    "leads",
    "unit",
    "bandpass_hz",
    "tokens",
    "width",
    "parameters",
    "source",
)


def encoder_table() -> str:
    """CSV with a row for each registered encoder with default arguments; empty cells where a value is not defined."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for name in ENCODERS.list():
        writer.writerow(_row(name))
    return out.getvalue()


def _row(name: str) -> dict[str, object]:
    kind = ENCODERS[name]
    row: dict[str, object] = {"name": name, "kind": kind.kind}
    text = inspect.cleandoc(kind.__doc__ or "")
    for column in ("sees", "architecture", "source"):
        found = re.search(rf"^{column.capitalize()}: (.+?)(?=^\S[^:\n]*:|^$|\Z)", text, re.MULTILINE | re.DOTALL)
        row[column] = " ".join(found.group(1).split()) if found else ""
    needed = [part.name for part in inspect.signature(kind).parameters.values() if part.default is part.empty]
    if needed:  # without default arguments its sizes are not defined
        return row
    with torch.device("meta"):
        encoder = build_encoder(name)
    row |= {
        "tokens": encoder.n_tokens,
        "width": encoder.width,
        "parameters": sum(part.numel() for part in encoder.parameters()),
    }
    contract = encoder.contract
    if contract is not None:
        row |= {"fs_hz": contract.fs_hz, "samples": contract.n_samples, "leads": len(contract.leads)}
        row["unit"] = "mV" if contract.normalization == "none" else contract.normalization
        row["bandpass_hz"] = "-".join(f"{edge:g}" for edge in contract.bandpass_hz or ())
    return row


if __name__ == "__main__":
    print(encoder_table(), end="")
