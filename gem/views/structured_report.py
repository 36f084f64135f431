"""An explanation as a structured report in DICOM's JSON model (PS3.18, annex F).

The tree follows the ECG report of DICOM PS3.16 (TID 3700) where it can: the observer, global measurements, findings,
a conclusion; what is missing is said in words. It is no instance that an archive stores: patient, study and series are
for the archive to fill in. ``pydicom.Dataset.from_json`` reads it.

Rules that ``tests/gem/test_exports.py`` holds a report against:
    * a content item has ``ValueType``, below the root ``RelationshipType``, and ``ConceptNameCodeSequence``;
    * NUM has ``MeasuredValueSequence``: of one item with a unit of UCUM, or, for a value that is missing, of none and
      with ``NumericValueQualifierCodeSequence``; TEXT has ``TextValue``, CODE ``ConceptCodeSequence``;
    * a code has value, scheme and meaning, of at most 16, 16 and 64 characters; a longer value is a ``LongCodeValue``.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from grounding import Evidence, Finding
from grounding._version import __version__

from .codes import AGE, DCM, FINDINGS, LOINC, MDC, QUANTITIES, SNOMED, STUDY, UCUM, Code
from .files import mark
from .measured import name_of

if TYPE_CHECKING:
    from .subject import Shown

SCHEMES = {LOINC: "LN", MDC: "MDC", SNOMED: "SCT", DCM: "DCM", UCUM: "UCUM"}
OUR_SCHEME = "99GEMECG"  # DICOM's form of a private scheme
SHORT = 16  # characters of a CodeValue
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
# keyword -> tag and value representation (PS3.6)
TAGS = {
    "SpecificCharacterSet": ("00080005", "CS"),
    "SOPClassUID": ("00080016", "UI"),
    "SOPInstanceUID": ("00080018", "UI"),
    "Modality": ("00080060", "CS"),
    "Manufacturer": ("00080070", "LO"),
    "CodeValue": ("00080100", "SH"),
    "CodingSchemeDesignator": ("00080102", "SH"),
    "CodeMeaning": ("00080104", "LO"),
    "LongCodeValue": ("00080119", "UC"),
    "PatientSex": ("00100040", "CS"),
    "SoftwareVersions": ("00181020", "LO"),
    "MeasurementUnitsCodeSequence": ("004008EA", "SQ"),
    "RelationshipType": ("0040A010", "CS"),
    "ValueType": ("0040A040", "CS"),
    "ConceptNameCodeSequence": ("0040A043", "SQ"),
    "ContinuityOfContent": ("0040A050", "CS"),
    "TextValue": ("0040A160", "UT"),
    "ConceptCodeSequence": ("0040A168", "SQ"),
    "MeasuredValueSequence": ("0040A300", "SQ"),
    "NumericValueQualifierCodeSequence": ("0040A301", "SQ"),
    "NumericValue": ("0040A30A", "DS"),
    "CompletionFlag": ("0040A491", "CS"),
    "VerificationFlag": ("0040A493", "CS"),
    "ContentSequence": ("0040A730", "SQ"),
}
MEASUREMENTS = Code(DCM, "122158", "ECG Global Measurements")
FOUND = Code(DCM, "121070", "Findings")
FINDING = Code(DCM, "121071", "Finding")
CONCLUSION = Code(DCM, "121077", "Conclusion")
COMMENT = Code(DCM, "121106", "Comment")
DERIVED = Code(DCM, "121401", "Derivation")
OBSERVER = Code(DCM, "121013", "Device Observer Name")
NOT_AVAILABLE = Code(DCM, "114006", "Measurement failure")


def report(explanation: Shown) -> dict[str, Any]:
    """The report as a DICOM JSON object.

    Args:
        explanation: what to tell.
    """
    measurement = explanation.measurement
    values = [_value(name, measurement.evidence(name)) for name in QUANTITIES]
    if measurement.age is not None:
        values.append(_number(AGE, measurement.age, Code(UCUM, "a", "years"), ()))
    content = [
        _text("HAS OBS CONTEXT", OBSERVER, f"gem-ecg {__version__}; research software, not a medical device"),
        _container("CONTAINS", MEASUREMENTS, values),
        _container("CONTAINS", FOUND, [_finding(finding) for finding in explanation.findings]),
    ]
    content += [
        _text("CONTAINS", CONCLUSION, part.text, [_text("HAS PROPERTIES", COMMENT, _verdict(part))])
        for part in explanation.statements
    ]
    content += [
        _text("CONTAINS", COMMENT, f"{edit.boundary} moved by hand from {edit.from_ms} to {edit.to_ms} ms after R")
        for edit in getattr(measurement, "edits", ())
    ]
    content.append(_text("CONTAINS", COMMENT, f"Recording {explanation.record_id}. {explanation.verdict_line}"))
    sex = {"male": "M", "female": "F"}.get(measurement.sex or "", "")
    told = f"{mark(explanation)} {explanation.text} {getattr(measurement, 'edits', ())}".encode(errors="replace")
    root = uuid.uuid5(uuid.NAMESPACE_OID, told.decode())
    return {
        **_data(
            SpecificCharacterSet="ISO_IR 192",
            SOPClassUID=COMPREHENSIVE_SR,
            SOPInstanceUID=f"2.25.{root.int}",
            Modality="SR",
            Manufacturer="gem-ecg",
            PatientSex=sex,
            SoftwareVersions=__version__,
            CompletionFlag="PARTIAL",
            VerificationFlag="UNVERIFIED",
        ),
        **_container(None, STUDY, content),
    }


def _data(**values: Any) -> dict[str, Any]:
    """Elements by keyword; a value that is empty has no ``Value``, as DICOM writes it."""
    out = {}
    for keyword, value in values.items():
        tag, vr = TAGS[keyword]
        filled = value if isinstance(value, list) else [value]
        out[tag] = {"vr": vr, **({"Value": filled} if value not in ("", []) else {})}
    return out


def _code(code: Code) -> dict[str, Any]:
    value = code.value
    if code.system == MDC:  # DICOM writes partition and term
        value = f"{int(value) // 65536}:{int(value) % 65536}"
    scheme = SCHEMES.get(code.system, OUR_SCHEME)
    named = _data(CodeValue=value) if len(value) <= SHORT else _data(LongCodeValue=value)
    return {**named, **_data(CodingSchemeDesignator=scheme, CodeMeaning=_clean(code.display)[:64])}


def _item(
    relation: str | None, kind: str, name: Code, values: dict[str, Any], inside: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    return {
        **(_data(RelationshipType=relation) if relation else {}),
        **_data(ValueType=kind, ConceptNameCodeSequence=[_code(name)]),
        **values,
        **(_data(ContentSequence=list(inside)) if inside else {}),
    }


def _container(relation: str | None, name: Code, inside: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return _item(relation, "CONTAINER", name, _data(ContinuityOfContent="SEPARATE"), inside)


def _text(relation: str, name: Code, words: str, inside: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    return _item(relation, "TEXT", name, _data(TextValue=_clean(words) or "-"), inside)


def _number(name: Code, value: float | None, unit: Code, inside: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if value is None:
        empty = _data(MeasuredValueSequence=[], NumericValueQualifierCodeSequence=[_code(NOT_AVAILABLE)])
        return _item("CONTAINS", "NUM", name, empty, inside)
    one = _data(NumericValue=round(float(value), 1), MeasurementUnitsCodeSequence=[_code(unit)])
    return _item("CONTAINS", "NUM", name, _data(MeasuredValueSequence=[one]), inside)


def _value(quantity: str, evidence: Evidence) -> dict[str, Any]:
    told = QUANTITIES[quantity]
    # of a QT correction, DICOM's code tells the formula, LOINC's does not
    name = told.codes[-1] if told.method is not None or told.codes[0].system == MDC else told.codes[0]
    inside = [_text("HAS PROPERTIES", DERIVED, f"{name_of(quantity)}: {evidence.method or 'gem-ecg'}")]
    if told.method is not None:
        inside.append(_item("HAS CONCEPT MOD", "CODE", DERIVED, _data(ConceptCodeSequence=[_code(told.method)]), ()))
    value = evidence.value if isinstance(evidence.value, int | float) else None
    where = evidence.address() if value is not None else evidence.reason or "not measured"
    inside.append(_text("HAS PROPERTIES", COMMENT, where))
    return _number(name, value, Code(UCUM, told.unit, told.unit_text), inside)


def _finding(finding: Finding) -> dict[str, Any]:
    label = finding.label or finding.name
    code = FINDINGS.get(finding.name) or Code(OUR_SCHEME, finding.name, label)
    said = {True: "present", False: "absent", None: f"undecided: {finding.reason or 'it can not be told'}"}
    inside = [
        _text("HAS PROPERTIES", COMMENT, f"{label}: {said[finding.present]}"),
        _text("HAS PROPERTIES", DERIVED, f"{finding.criterion} [{finding.source}]"),
    ]
    return _item("CONTAINS", "CODE", FINDING, _data(ConceptCodeSequence=[_code(code)]), inside)


def _verdict(statement: Any) -> str:
    reasons = "; ".join(dict.fromkeys(claim.reason for claim in statement.claims if claim.reason))
    return f"{statement.verdict.replace('_', ' ') or 'no claim was read in it'}{': ' if reasons else ''}{reasons}"


def _clean(words: str) -> str:
    """Text without control characters and lone surrogates."""
    return "".join(char if char >= " " else " " for char in words).encode(errors="replace").decode().strip()
