"""An explanation as a FHIR R4 bundle: a report, its observations, the device (this software) and their provenance.

Rules that ``tests/gem/test_exports.py`` holds a bundle against (FHIR R4, https://hl7.org/fhir/R4):
    * Bundle: ``type`` is ``collection``; every entry has a ``fullUrl`` (``urn:uuid:``) that occurs once; every
      reference is the ``fullUrl`` of an entry of the bundle.
    * Observation: ``status`` and ``code``; either one ``value[x]`` or ``dataAbsentReason`` (obs-6), with the reason in
      words; a quantity has ``system`` UCUM and ``code``.
    * DiagnosticReport: ``status``, ``code``, ``conclusion``; ``result`` lists the observations.
    * Provenance: ``target``, ``recorded``, ``agent`` with the device; what was moved by hand has its own.
"""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any

from grounding import Evidence, Finding
from grounding._version import __version__

from .codes import AGE, DCM, FINDINGS, LOINC, MDC, QUANTITIES, SNOMED, STUDY, UCUM, Code
from .files import mark
from .measured import name_of

if TYPE_CHECKING:
    from .subject import Shown

SYSTEMS = {
    LOINC: "http://loinc.org",
    MDC: "urn:iso:std:iso:11073:10101",
    SNOMED: "http://snomed.info/sct",
    DCM: "http://dicom.nema.org/resources/ontology/DCM",
    UCUM: "http://unitsofmeasure.org",
}
OURS = "urn:oid:2.25.290737250865017368853162741513418731136"  # names of our criteria; an OID made from a UUID
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
DISCLAIMER = "Research software, not a medical device: made by a program and not reviewed by a person."


def bundle(explanation: Shown, now: datetime.datetime | None = None) -> dict[str, Any]:
    """The bundle, JSON-ready.

    Args:
        explanation: what to tell.
        now: when it is told; the present when None.
    """
    return _Writer(explanation, now or datetime.datetime.now(datetime.UTC)).bundle()


class _Writer:
    """Puts one bundle together; the identities follow from the recording, so that they are the same at every run."""

    def __init__(self, explanation: Shown, now: datetime.datetime) -> None:
        self.explanation, self.measurement = explanation, explanation.measurement
        self.root = uuid.uuid5(uuid.NAMESPACE_OID, mark(explanation))
        self.now = now.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self.device, self.patient, self.report = (self._url(name) for name in ("device", "patient", "report"))

    def bundle(self) -> dict[str, Any]:
        measured = [self._measured(name) for name in QUANTITIES]
        if self.measurement.age is not None:
            measured.append(self._age(self.measurement.age))
        found = [self._found(finding) for finding in self.explanation.findings]
        entries = [(self.report, self._report([*measured, *found])), *measured, *found]
        entries += [(self.device, self._device()), (self.patient, self._patient())]
        entries.append(
            (self._url("provenance"), self._provenance([self.report, *(url for url, _ in measured + found)]))
        )
        if getattr(self.measurement, "edits", ()):
            entries.append((self._url("edits"), self._edits([url for url, _ in measured])))
        return {
            "resourceType": "Bundle",
            "id": str(self.root),
            "meta": {"tag": [{"system": OURS, "code": "research", "display": DISCLAIMER}]},
            "type": "collection",
            "timestamp": self.now,
            "entry": [{"fullUrl": url, "resource": resource} for url, resource in entries],
        }

    def _url(self, name: str) -> str:
        return f"urn:uuid:{uuid.uuid5(self.root, name)}"

    def _resource(self, kind: str, name: str, **values: Any) -> dict[str, Any]:
        return {"resourceType": kind, "id": self._url(name).removeprefix("urn:uuid:"), **values}

    def _observation(self, name: str, code: dict[str, Any], evidence: tuple[Evidence, ...]) -> dict[str, Any]:
        places = "; ".join(dict.fromkeys(f"{part.quantity}: {part.address()}" for part in evidence[:6]))
        return self._resource(
            "Observation",
            name,
            status="preliminary",
            category=[_concept("procedure", system=CATEGORY, display="Procedure")],
            code=code,
            subject={"reference": self.patient},
            device={"reference": self.device},
            **({"note": [{"text": f"Evidence: {_text(places)}"}]} if places else {}),
        )

    def _measured(self, name: str) -> tuple[str, dict[str, Any]]:
        told, evidence = QUANTITIES[name], self.measurement.evidence(name)
        made = self._observation(
            name, _concept(*told.codes, text=name_of(name)), (evidence,) if evidence.value is not None else ()
        )
        if isinstance(evidence.value, int | float):
            made["valueQuantity"] = {
                "value": round(float(evidence.value), 1),
                "unit": told.unit_text,
                "system": SYSTEMS[UCUM],
                "code": told.unit,
            }
        else:
            made["dataAbsentReason"] = _absent("not-performed", evidence.reason or "it was not measured")
        how = evidence.method or "gem-ecg"
        made["method"] = _concept(told.method, text=how) if told.method is not None else {"text": how}
        return self._url(name), made

    def _found(self, finding: Finding) -> tuple[str, dict[str, Any]]:
        code = _concept(finding.name, system=OURS, display=finding.label or None, text=finding.label or finding.name)
        if finding.name in FINDINGS:
            code["coding"].insert(0, _coding(FINDINGS[finding.name]))
        made = self._observation(finding.name, code, finding.evidence if finding.present else ())
        if finding.present is None:
            made["dataAbsentReason"] = _absent("unknown", finding.reason or "it can't be decided")
        else:
            made["valueBoolean"] = finding.present
        made["method"] = {"text": _text(" ".join(filter(None, (finding.criterion, f"[{finding.source}]"))))}
        return self._url(finding.name), made

    def _report(self, results: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
        present = [finding for finding in self.explanation.findings if finding.present]
        said = self.explanation.text.strip() or ", ".join(finding.label or finding.name for finding in present)
        codes = [_concept(FINDINGS[one.name], text=one.label) for one in present if one.name in FINDINGS]
        claims = f" {self.explanation.verdict_line}" if self.explanation.text.strip() else ""
        return self._resource(
            "DiagnosticReport",
            "report",
            identifier=[{"system": OURS, "value": _text(self.explanation.record_id)}],
            status="preliminary",
            code=_concept(STUDY, text="ECG"),
            subject={"reference": self.patient},
            issued=self.now,
            performer=[{"reference": self.device}],
            result=[{"reference": url} for url, _ in results],
            conclusion=_text(f"{said}{claims} Text by {self.explanation.model}. {DISCLAIMER}"),
            **({"conclusionCode": codes} if codes else {}),
        )

    def _device(self) -> dict[str, Any]:
        return self._resource(
            "Device",
            "device",
            deviceName=[{"name": "gem-ecg", "type": "model-name"}],
            type={"text": "software that measures ECGs and checks texts about them; not a medical device"},
            version=[{"value": __version__}],
        )

    def _patient(self) -> dict[str, Any]:
        return self._resource("Patient", "patient", gender=self.measurement.sex or "unknown")

    def _age(self, years: float) -> tuple[str, dict[str, Any]]:
        made = self._observation("age", _concept(AGE, text="Age"), ())
        made["valueQuantity"] = {"value": round(years, 1), "unit": "years", "system": SYSTEMS[UCUM], "code": "a"}
        return self._url("age"), made

    def _provenance(self, targets: list[str]) -> dict[str, Any]:
        return self._resource(
            "Provenance",
            "provenance",
            target=[{"reference": url} for url in targets],
            recorded=self.now,
            activity={"text": "measured, evaluated by criteria, and checked"},
            agent=[{"type": {"text": "assembler"}, "who": {"reference": self.device}}],
            entity=[{"role": "source", "what": {"display": _text(f"recording {self.explanation.record_id}")}}],
        )

    def _edits(self, targets: list[str]) -> dict[str, Any]:
        moved = "; ".join(
            f"{edit.boundary.replace('_', ' ')} from {_ms(edit.from_ms)} to {_ms(edit.to_ms)}"
            for edit in self.measurement.edits
        )
        return self._resource(
            "Provenance",
            "edits",
            target=[{"reference": url} for url in targets],
            recorded=self.now,
            activity={"text": f"boundaries of the median beat moved by hand (ms after its R): {moved}"},
            agent=[{"type": {"text": "author"}, "who": {"display": "a person"}}],
        )


def _ms(value: float | None) -> str:
    return "not measured" if value is None else f"{value:g} ms"


def _coding(code: Code) -> dict[str, str]:
    return {"system": SYSTEMS[code.system], "code": code.value, "display": code.display}


def _concept(
    *codes: Code | str, system: str | None = None, display: str | None = None, text: str | None = None
) -> dict[str, Any]:
    """A CodeableConcept of codes, or of one name in a system."""
    coding = [
        _coding(code)
        if isinstance(code, Code)
        else {"system": str(system), "code": code, **({"display": display} if display else {})}
        for code in codes
    ]
    return {"coding": coding, **({"text": _text(text)} if text else {})}


def _absent(code: str, why: str) -> dict[str, Any]:
    return _concept(code, system=ABSENT, display=code.replace("-", " ").capitalize(), text=why)


def _text(words: str) -> str:
    """Text as FHIR allows it: no control characters but tab and line ends, no lone surrogates, never empty."""
    kept = "".join(char for char in words if char in "\t\n\r" or char >= " ")
    return kept.encode(errors="replace").decode().strip() or "-"
