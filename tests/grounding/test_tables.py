"""What notebooks show of records, measurements and findings: complete, escaped, in the page's own colours."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

import grounding
from grounding import ECGRecord, Finding, Measurement
from grounding.criteria import Findings

EVIL = "<script>alert(1)</script>&\"'"


def parsed(html: str) -> ElementTree.Element:
    """The HTML, which must be well-formed; entities that XML does not know do not occur."""
    return ElementTree.fromstring(f"<root>{html}</root>")


def words(html: str) -> str:
    root = parsed(html)
    for style in root.iter("style"):
        style.text = ""
    return " ".join(" ".join(root.itertext()).split())


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return grounding.read_record(grounding.sample_path("ptbxl_330"))


@pytest.fixture(scope="module")
def measured(record: ECGRecord) -> Measurement:
    return grounding.measure(record)


def test_a_record_says_what_it_is_and_shows_lead_two(record: ECGRecord) -> None:
    html = record._repr_html_()
    assert "ptbxl_330" in words(html)
    assert "10 s at 500 Hz" in words(html)
    path = next(parsed(html).iter("path")).get("d") or ""
    points = np.array(re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path), float)
    assert 800 < len(points) < 2100
    assert (np.diff(points[:, 0]) >= 0).all()
    # the highest point of the line is where lead II is highest
    top = points[points[:, 1].argmin(), 0] / 1000 * 10
    assert top == pytest.approx(int(record.lead("II").argmax()) / record.fs, abs=0.02)
    assert len(html) < 40_000


def test_a_gap_is_a_gap(record: ECGRecord) -> None:
    signal = record.signal.copy()
    signal[:, 2000:3000] = np.nan
    path = next(parsed(replace(record, signal=signal)._repr_html_()).iter("path")).get("d") or ""
    assert path.count("M") == 2
    empty = replace(record, signal=np.full_like(signal, np.nan))
    assert not list(parsed(empty._repr_html_()).iter("path"))


def test_a_measurement_says_values_reasons_and_edits(measured: Measurement) -> None:
    said = words(measured._repr_html_())
    assert f"QRS duration {measured.intervals['qrs']:.0f} ms" in said
    assert f"PR interval not measured {measured.reasons['pr']}" in said
    assert "moved by hand" not in said
    moved = measured.edited({"qrs_offset": (measured.boundaries["qrs_offset"] or 0) + 20})
    assert f"QRS duration {moved.intervals['qrs']:.0f} ms boundary moved by hand: QRS offset from" in words(
        moved._repr_html_()
    )
    noise = ECGRecord.from_array(np.random.default_rng(0).normal(0, 0.02, (2, 5000)), 500, ["I", "II"])
    assert "0 beats" in words(grounding.measure(noise)._repr_html_())


def test_findings_list_the_present_and_the_undecided(measured: Measurement) -> None:
    findings = grounding.find(measured)
    assert isinstance(findings, list)
    said = words(findings._repr_html_())
    for finding in findings:
        if finding.present is not False and finding.label:
            assert finding.label in said
    absent = sum(finding.present is False for finding in findings)
    assert f"{absent} others are absent" in said
    assert [one.name for one in findings.present] == [one.name for one in findings if one.present]
    assert "No findings" in words(Findings()._repr_html_())


def test_names_and_texts_are_escaped(record: ECGRecord) -> None:
    signal = record.signal[:2]
    meta = {"sex": "female", "format": EVIL, "warnings": (EVIL,), "units": "mV"}
    odd = ECGRecord.from_array(signal, 500, [f"II{EVIL}", "V1"], record_id=EVIL, meta=meta)
    measured = grounding.measure(odd)
    finding = Finding(EVIL, None, EVIL, source=EVIL, label=EVIL, reason=EVIL, doubt=EVIL)
    for html in (odd._repr_html_(), measured._repr_html_(), Findings([finding])._repr_html_()):
        assert "<script" not in html
        assert EVIL in "".join(parsed(html).itertext())


def test_colours_are_those_of_the_page(record: ECGRecord, measured: Measurement) -> None:
    """A fixed ink is unreadable in a dark theme, and a fixed ground in a light one."""
    for html in (record._repr_html_(), measured._repr_html_(), grounding.find(measured)._repr_html_()):
        fixed = re.findall(r"#[0-9a-fA-F]{3,6}\b|\b(?:color|background|stroke|fill):\s*(?!inherit|none)[\w#(]+", html)
        assert fixed == []
