"""Folders of the PhysioNet/CinC challenges: WFDB headers with diagnoses in comments, as SNOMED CT codes or CPSC names.

``snomed.csv`` maps diagnoses to PTB-XL statements of the same meaning, with PTB-XL's superclass of each
(``scp_statements.csv``). Codes that mean something else or less (T wave abnormal is a form and not a diagnosis; sinus
rhythm is not a normal ECG) give no superclass.

References:
    Perez Alday et al., PhysioNet/CinC Challenges 2020 and 2021 (CC BY 4.0); their tables of codes
    (``dx_mapping_scored.csv`` and ``dx_mapping_unscored.csv``) name each code.
"""

from __future__ import annotations

import csv
import re
from functools import lru_cache, partial
from importlib.resources import files
from pathlib import Path

from grounding import ECGRecord, read_record

from .samples import Sample

_DIAGNOSES = re.compile(r"#\s*Dx:\s*(.+)")


@lru_cache(maxsize=1)
def statements() -> dict[str, tuple[str, str]]:
    """SNOMED CT code or CPSC name -> (PTB-XL statement, superclass or ``""``)."""
    rows = list(csv.DictReader((files(__package__) / "snomed.csv").read_text(encoding="utf-8").splitlines()))
    return {key: (row["statement"], row["superclass"]) for row in rows for key in (row["code"], row["name"]) if key}


def diagnoses(header: Path) -> list[str]:
    """The codes or names after ``#Dx:`` in a header; empty if it has none.

    Args:
        header: of a WFDB record.
    """
    lines = header.read_text(encoding="utf-8", errors="replace").splitlines()
    found = next((match[1] for line in lines if (match := _DIAGNOSES.match(line))), "")
    return [part.strip() for part in found.split(",") if part.strip()]


def load_challenge(root: Path) -> list[Sample]:
    """The records of a folder that name a diagnosis, ordered by name; each counts as a patient, without a fold.

    Args:
        root: folder, which is searched recursively.
    """
    known = statements()
    out = []
    for header in sorted(root.rglob("*.hea")):
        codes = diagnoses(header)
        if not codes:
            continue
        shared = [known[code] for code in codes if code in known]
        name = header.relative_to(root).with_suffix("").as_posix()
        out.append(
            Sample(
                record_id=name,
                patient=name,
                fold=None,
                age=None,
                sex=None,
                superclasses=tuple(dict.fromkeys(superclass for _, superclass in shared if superclass)),
                subclasses=(),
                form=(),
                rhythm=(),
                scp_codes={statement: 100.0 for statement, _ in shared},
                report=", ".join(codes),
                source="raw",
                read=partial(_read, header),
            )
        )
    return out


def _read(header: Path) -> ECGRecord:
    return read_record(header.with_suffix(""))
