"""Figures with matplotlib: true to scale, as vectors, shaded where the evidence is."""

from __future__ import annotations

import io
import re
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import grounding
from grounding import EcgError, ECGRecord, EcgSignalError, Measurement

pyplot = pytest.importorskip("matplotlib.pyplot")
SVG = "{http://www.w3.org/2000/svg}"
POINTS_PER_MM = 72 / 25.4


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return grounding.read_record(grounding.sample_path("ptbxl_13"))


@pytest.fixture(scope="module")
def measured(record: ECGRecord) -> Measurement:
    return grounding.measure(record)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


def svg_of(axes: Any) -> ElementTree.Element:
    buffer = io.BytesIO()
    axes.figure.savefig(buffer, format="svg")
    return ElementTree.fromstring(buffer.getvalue())


def paths_of(root: ElementTree.Element, gid: str) -> list[np.ndarray]:
    """The points of the paths in a group, (n, 2) in points from the top left."""
    groups = [one for one in root.iter(f"{SVG}g") if one.get("id") == gid]
    assert groups, f"no {gid} in the picture"
    return [
        np.array(re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", path.get("d") or ""), float)
        for path in groups[0].iter(f"{SVG}path")
    ]


def test_a_saved_page_is_vectors_and_true_to_scale() -> None:
    time = np.arange(5000) / 500
    ramp = np.where((time > 2) & (time < 3), 1.0, 0.0)  # 1 mV for a second
    record = ECGRecord.from_array(ramp[None], 500, ["II"])
    axes = record.plot(layout="1x1", leads=["II"])
    assert axes.figure.get_size_inches() == pytest.approx((279.4 / 25.4, 215.9 / 25.4))
    root = svg_of(axes)
    assert not list(root.iter(f"{SVG}image"))
    (trace,) = paths_of(root, "trace-0")
    high = trace[trace[:, 1] < trace[:, 1].min() + 0.1]
    assert np.ptp(high[:, 0]) / POINTS_PER_MM == pytest.approx(25, abs=0.2)
    assert np.ptp(trace[:, 1]) / POINTS_PER_MM == pytest.approx(10, abs=0.01)


def test_the_pdf_holds_paths_and_no_picture(record: ECGRecord, tmp_path: Path) -> None:
    path = tmp_path / "ecg.pdf"
    record.plot(layout="6x2").figure.savefig(path)
    data = path.read_bytes()
    assert data.startswith(b"%PDF")
    assert b"/Subtype /Image" not in data
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL)
    drawing = max((zlib.decompress(part) for part in streams if part.startswith(b"x")), key=len)
    assert drawing.count(b" l\n") > 2000  # lines


def test_every_lead_is_drawn_as_the_renderer_draws_it(record: ECGRecord) -> None:
    axes = record.plot(layout="3x4")
    traces = {line.get_gid(): line for line in axes.lines if line.get_gid()}
    assert len(traces) == 13
    plane = grounding.paper.plan(record, "3x4", px_per_mm=1)
    x, y = traces["trace-1"].get_xdata(), traces["trace-1"].get_ydata()
    second = plane.panels[1].start_s + 1.0
    at = (np.asarray(x) - plane.x_px(plane.panels[1], second)).__abs__().argmin()
    value = float(record.lead("II")[round(second * record.fs)])
    assert (x[at], y[at]) == pytest.approx(plane.pixels("II", second, value)[0], abs=1e-4)
    names = [text.get_text() for text in axes.texts]
    assert set(record.leads) <= set(names)


def test_evidence_is_shaded_on_its_waves(record: ECGRecord, measured: Measurement) -> None:
    evidence = measured.evidence("qrs")
    axes = record.plot(layout="12x1", evidence=[evidence])
    (shades,) = [one for one in axes.collections if one.get_label() == "evidence"]
    boxes = [path.vertices for path in shades.get_paths()]
    assert len(boxes) == 12 * len(evidence.spans_s)
    (trace,) = [line for line in axes.lines if line.get_gid() == "trace-0"]
    x, y = np.asarray(trace.get_xdata()), np.asarray(trace.get_ydata())
    peak = x[y.argmin()]  # y grows downwards: the highest R of lead I
    first_row = [box for box in boxes if box[:, 1].min() <= y[0] <= box[:, 1].max()]
    assert any(box[:, 0].min() <= peak <= box[:, 0].max() for box in first_row)
    assert not [one for one in record.plot().collections if one.get_label() == "evidence"]
    by_name = measured.plot(record, layout="12x1", evidence="qrs")
    (again,) = [one for one in by_name.collections if one.get_label() == "evidence"]
    np.testing.assert_array_equal([path.vertices for path in again.get_paths()], boxes)


def test_waves_are_marked_between_their_boundaries(record: ECGRecord, measured: Measurement) -> None:
    axes = measured.plot(record, layout="12x1")
    shades = {one.get_label(): one for one in axes.collections if not one.get_label().startswith("_")}
    assert set(shades) == {"P", "QRS", "T"}
    whole = measured.waves.dropna(subset=["onset", "offset"])
    assert len(shades["T"].get_paths()) == int((whole["wave"] == "T").sum())
    row = whole[(whole["wave"] == "QRS") & (whole["lead"] == "I")].iloc[0]
    left, right = shades["QRS"].get_paths()[0].vertices[:2, 0]
    assert (right - left) / 25 == pytest.approx((row["offset"] - row["onset"]) / record.fs, abs=1e-6)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["P", "QRS", "T"]


def test_the_median_beat_shows_boundaries_intervals_and_what_was_moved(
    record: ECGRecord, measured: Measurement
) -> None:
    axes = measured.plot_median_beat(record)
    places = measured.boundaries
    lines = {line.get_gid(): float(line.get_xdata()[0]) for line in axes.lines if line.get_gid()}
    for name, at in places.items():
        assert lines[f"boundary-{name}"] == at
    assert not [gid for gid in lines if gid.startswith("measured-")]
    words = [text.get_text() for text in axes.texts]
    assert f"QRS {measured.intervals['qrs']:.0f} ms" in words
    moved = measured.edited({"qrs_offset": (places["qrs_offset"] or 0) + 20})
    after = moved.plot_median_beat(record, leads=["II", "v2"])
    lines = {line.get_gid(): float(line.get_xdata()[0]) for line in after.lines if line.get_gid()}
    assert lines["measured-qrs_offset"] == places["qrs_offset"]
    assert lines["boundary-qrs_offset"] == (places["qrs_offset"] or 0) + 20
    assert {"lead-II", "lead-V2"} == {gid for gid in lines if gid.startswith("lead-")}
    assert f"QRS {moved.intervals['qrs']:.0f} ms (moved by hand)" in [text.get_text() for text in after.texts]
    assert svg_of(after).tag == f"{SVG}svg"


def test_given_axes_are_used(record: ECGRecord, measured: Measurement) -> None:
    figure, (upper, lower) = pyplot.subplots(2)
    assert record.plot(ax=upper) is upper
    assert measured.plot_median_beat(record, ax=lower) is lower
    assert pyplot.get_fignums() == [figure.number]


def test_names_with_markup_are_words(record: ECGRecord) -> None:
    odd = replace(record.select(["II", "V2"]), leads=("$x^2$", "_<b>"), record_id="a $b$ <c> & d")
    axes = odd.plot(layout="2x1")
    root = svg_of(axes)
    assert {"$x^2$", "_<b>"} <= {text.get_text() for text in axes.texts}
    assert root.tag == f"{SVG}svg"
    measured = grounding.measure(odd)
    svg_of(measured.plot_median_beat(odd, leads=["$x^2$", "_<b>"]))
    svg_of(measured.plot(odd, layout="2x1"))


def test_records_without_voltages_or_leads_are_plotted(record: ECGRecord) -> None:
    scores = ECGRecord.from_array(record.signal / record.signal.std(), 500, record.leads, units="zscore")
    axes = scores.plot()
    assert any("not calibrated" in text.get_text() for text in axes.texts)
    beat = grounding.measure(scores).plot_median_beat(scores)
    assert beat.get_ylabel() == "arbitrary units"
    limb = record.select(["I", "II"]).plot()
    assert any("V6 not recorded" in text.get_text() for text in limb.texts)


def test_what_can_not_be_plotted_is_refused(record: ECGRecord, measured: Measurement) -> None:
    with pytest.raises(EcgError, match="unknown layout"):
        record.plot(layout="wide")
    with pytest.raises(EcgError, match="the evidence is 'pr'"):
        record.plot(evidence="pr")  # type: ignore[arg-type]
    with pytest.raises(EcgError, match="the evidence is of ptbxl_13"):
        replace(record, record_id="other").plot(evidence=measured.evidence("pr"))
    with pytest.raises(EcgError, match="no value is called 'pq'"):
        measured.plot(record, evidence="pq")
    with pytest.raises(EcgError, match="no option 'grid'"):
        measured.plot(record, grid=False)
    with pytest.raises(EcgSignalError, match="the measurement is of"):
        measured.plot(record.select(["II"]))
    with pytest.raises(EcgSignalError, match="no lead V9"):
        measured.plot_median_beat(record, leads="V9")


def test_without_matplotlib_it_says_what_to_install(
    record: ECGRecord, measured: Measurement, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [one for one in sys.modules if one.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    for plot in (record.plot, lambda: measured.plot(record), lambda: measured.plot_median_beat(record)):
        with pytest.raises(EcgError, match=r"gem-ecg\[notebook\]"):
            plot()


def test_matplotlib_is_not_imported_before_a_plot() -> None:
    import subprocess

    script = (
        "import sys, grounding; r = grounding.read_record(grounding.sample_path()); grounding.measure(r);"
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
