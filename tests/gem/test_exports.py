"""FHIR bundles and structured reports, held against the rules in their modules; codes against DICOM's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gem
import grounding
from gem.views.codes import AGE, DCM, FINDINGS, LOINC, MDC, QUANTITIES, SNOMED, STUDY
from gem.views.fhir import SYSTEMS

TEXT = "Left bundle branch block. PR is 300 ms. \x07Tumour <script>alert(1)</script> \ud83d."


@pytest.fixture(scope="module")
def said() -> gem.Explanation:
    return gem.explain(grounding.sample_path("ptbxl_286"), text=TEXT)


@pytest.fixture(scope="module")
def unmeasured() -> gem.Explanation:
    noise = np.random.default_rng(0).normal(0, 0.01, (2, 3000))
    return gem.explain(grounding.ECGRecord.from_array(noise, 500, ["I", "II"]), text="")


def saved(explanation: gem.Explanation, ending: str, folder: Path) -> dict[str, Any]:
    return json.loads(explanation.save(folder / f"ecg{ending}").read_text(encoding="utf-8"))


# ---- codes


def test_loinc_codes_end_with_their_check_digit() -> None:
    codes = [STUDY, AGE, *(code for told in QUANTITIES.values() for code in told.codes)]
    for code in codes:
        if code.system != LOINC:
            continue
        digits, _, check = code.value.partition("-")
        doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits))]
        assert (10 - sum(value // 10 + value % 10 for value in doubled) % 10) % 10 == int(check), code


def test_codes_are_those_of_dicom() -> None:
    concepts = pytest.importorskip("pydicom.sr._concepts_dict").concepts
    schemes = {MDC: "MDC", SNOMED: "SCT", DCM: "DCM", LOINC: "LN"}
    known: dict[tuple[str, str], set[str]] = {}
    for scheme in schemes.values():
        for entry in concepts[scheme].values():
            for value, (meaning, _) in entry.items():
                known.setdefault((scheme, value), set()).add(meaning)
    from gem.views import structured_report as sr

    named = [sr.MEASUREMENTS, sr.FOUND, sr.FINDING, sr.CONCLUSION, sr.COMMENT, sr.DERIVED, sr.OBSERVER]
    told = [*named, sr.NOT_AVAILABLE, *FINDINGS.values(), *(one.method for one in QUANTITIES.values() if one.method)]
    told += [code for one in QUANTITIES.values() for code in one.codes if code.system == MDC]
    assert len(told) > 35
    for code in told:
        value = code.value
        if code.system == MDC:
            if value == "147842":
                continue  # the heart rate: ISO/IEEE 11073-10101, MDC_ECG_HEART_RATE; DICOM uses LOINC's
            value = f"{int(value) // 65536}:{int(value) % 65536}"
        assert code.display in known[schemes[code.system], value], code
    assert known["LN", "8867-4"] == {"Heart rate"}


def test_findings_with_codes_are_findings_of_ours(said: gem.Explanation) -> None:
    assert set(FINDINGS) <= {finding.name for finding in said.findings}
    assert set(QUANTITIES) >= {*said.measurement.intervals, "heart_rate", "axis"}


# ---- FHIR


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "reference":
                yield inner
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def empties(value: Any) -> Iterator[Any]:
    """What FHIR's JSON does not allow: empty texts, lists and objects, and null."""
    if value in ("", [], {}, None):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from empties(inner)


def check_bundle(bundle: dict[str, Any]) -> None:
    """The rules of ``gem.views.fhir``."""
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(urls)) == len(urls)
    assert all(url == f"urn:uuid:{entry['resource']['id']}" for url, entry in zip(urls, bundle["entry"], strict=True))
    assert set(references(bundle)) <= set(urls)
    assert not list(empties(bundle))
    allowed = {*SYSTEMS.values(), "http://terminology.hl7.org/CodeSystem/data-absent-reason"}
    for one in resources(bundle, "Observation"):
        assert one["status"] == "preliminary"
        assert one["code"]["coding"]
        values = [name for name in one if name.startswith("value")]
        assert len(values) + ("dataAbsentReason" in one) == 1, one  # obs-6
        if "dataAbsentReason" in one:
            coding = one["dataAbsentReason"]["coding"][0]
            assert coding["system"] in allowed
            assert coding["code"] in ("unknown", "not-performed")
            assert one["dataAbsentReason"]["text"]
        if "valueQuantity" in one:
            quantity = one["valueQuantity"]
            assert quantity["system"] == "http://unitsofmeasure.org"
            assert quantity["code"] in ("/min", "ms", "deg", "a")
            assert isinstance(quantity["value"], float)
    (report,) = resources(bundle, "DiagnosticReport")
    assert (report["status"], report["code"]["coding"][0]["code"]) == ("preliminary", "11524-6")
    assert len(report["result"]) == len(resources(bundle, "Observation"))
    assert "not a medical device" in report["conclusion"]
    (device,) = resources(bundle, "Device")
    assert device["version"] == [{"value": grounding.__version__}]
    provenance = resources(bundle, "Provenance")[0]
    assert len(provenance["target"]) == len(report["result"]) + 1
    assert provenance["recorded"].endswith("Z")
    assert provenance["agent"][0]["who"]["reference"].startswith("urn:uuid:")


def value_of(bundle: dict[str, Any], code: str) -> dict[str, Any]:
    return next(
        one for one in resources(bundle, "Observation") if any(part["code"] == code for part in one["code"]["coding"])
    )


def test_a_bundle_tells_what_was_measured(said: gem.Explanation, tmp_path: Path) -> None:
    bundle = saved(said, ".fhir.json", tmp_path)
    check_bundle(bundle)
    measured = {"8867-4": said.measurement.heart_rate, "8633-0": said.measurement.intervals["qrs"]}
    measured |= {"147232": said.measurement.intervals["qt"], "8632-2": said.measurement.axis}
    for code, value in measured.items():
        if value is not None:
            assert value_of(bundle, code)["valueQuantity"]["value"] == pytest.approx(value, abs=0.05), code
    assert value_of(bundle, "63467002")["valueBoolean"] is True  # left bundle branch block
    assert value_of(bundle, "146952")["method"]["coding"][0]["code"] == "122730"  # Bazett
    (report,) = resources(bundle, "DiagnosticReport")
    assert "PR is 300 ms" in report["conclusion"]
    assert "contradicted" in report["conclusion"]
    assert "63467002" in {one["coding"][0]["code"] for one in report["conclusionCode"]}
    assert resources(bundle, "Patient")[0]["gender"] == "female"
    again = saved(said, ".fhir.json", tmp_path)
    assert [entry["fullUrl"] for entry in again["entry"]] == [entry["fullUrl"] for entry in bundle["entry"]]


def test_what_is_missing_has_a_reason(unmeasured: gem.Explanation, tmp_path: Path) -> None:
    bundle = saved(unmeasured, ".fhir.json", tmp_path)
    check_bundle(bundle)
    for name, reason in unmeasured.measurement.reasons.items():
        if name in QUANTITIES and unmeasured.measurement.evidence(name).value is None:
            absent = value_of(bundle, QUANTITIES[name].codes[-1].value)["dataAbsentReason"]
            assert absent["text"], (name, reason)
    assert "dataAbsentReason" in value_of(bundle, "8625-6")


def test_a_boundary_moved_by_hand_has_its_provenance(said: gem.Explanation, tmp_path: Path) -> None:
    at = said.measurement.boundaries["qrs_offset"]
    assert at is not None
    bundle = saved(said.edited({"qrs_offset": at + 20}), ".fhir.json", tmp_path)
    check_bundle(bundle)
    assert value_of(bundle, "8633-0")["valueQuantity"]["value"] == pytest.approx(
        said.measurement.intervals["qrs"] + 20, abs=0.1
    )
    assert "moved by hand" in resources(bundle, "Provenance")[1]["activity"]["text"]


def test_the_rules_find_faults(said: gem.Explanation, tmp_path: Path) -> None:
    bundle = saved(said, ".fhir.json", tmp_path)
    one = value_of(bundle, "8625-6")
    one["dataAbsentReason"] = {"text": "both a value and none"}
    one["valueBoolean"] = True
    with pytest.raises(AssertionError):
        check_bundle(bundle)


# ---- DICOM


def items(dataset: Any, is_root: bool = True) -> Iterator[Any]:
    """The content items of a report, held against the rules of ``gem.views.structured_report``."""
    assert is_root or dataset.RelationshipType
    name = dataset.ConceptNameCodeSequence[0]
    check_code(name)
    kind = dataset.ValueType
    if kind == "NUM":
        values = dataset.MeasuredValueSequence
        assert len(values) + ("NumericValueQualifierCodeSequence" in dataset) == 1
        for one in values:
            check_code(one.MeasurementUnitsCodeSequence[0])
            assert one.MeasurementUnitsCodeSequence[0].CodingSchemeDesignator == "UCUM"
            float(one.NumericValue)
    elif kind == "CODE":
        check_code(dataset.ConceptCodeSequence[0])
    elif kind == "TEXT":
        assert dataset.TextValue
    else:
        assert kind == "CONTAINER"
        assert dataset.ContinuityOfContent == "SEPARATE"
    yield dataset
    for inner in dataset.get("ContentSequence", ()):
        yield from items(inner, False)


def check_code(code: Any) -> None:
    assert ("CodeValue" in code) != ("LongCodeValue" in code)
    assert len(code.get("CodeValue", "")) <= 16
    assert 0 < len(code.CodingSchemeDesignator) <= 16
    assert 0 < len(code.CodeMeaning) <= 64


def test_pydicom_reads_the_report(said: gem.Explanation, unmeasured: gem.Explanation, tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    for explanation in (said, unmeasured):
        report = pydicom.Dataset.from_json(saved(explanation, ".sr.json", tmp_path))
        assert report.SOPClassUID.name == "Comprehensive SR Storage"
        assert report.VerificationFlag == "UNVERIFIED"
        found = list(items(report))
        numbers = {one.ConceptNameCodeSequence[0].CodeValue: one for one in found if one.ValueType == "NUM"}
        pr = numbers["8625-6"].MeasuredValueSequence
        if explanation is unmeasured:
            assert not len(pr)
        else:
            assert float(pr[0].NumericValue) == pytest.approx(said.measurement.intervals["pr"], abs=0.05)
            assert {"2:15880", "2:15892"} <= set(numbers)  # QTc by Bazett and by Fridericia
            assert any("PR is 300 ms" in one.TextValue for one in found if one.ValueType == "TEXT")
        report.to_json()


def test_other_names_are_refused_with_those_that_are_not(said: gem.Explanation, tmp_path: Path) -> None:
    for name in ("ecg.xml", "ecg", "ecg.fhir"):
        with pytest.raises(gem.GemError, match=r"\.fhir\.json"):
            said.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
