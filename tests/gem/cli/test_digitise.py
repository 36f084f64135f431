"""``gem digitise``: photographs into files that are read again, an overlay, and a table with every photograph."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gem
import grounding
from gem.cli.digitise import write_recording
from gem.cli.entry import main
from grounding import ECGRecord
from tests.grounding.photographs.conftest import photographed, snr_db


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    record = grounding.read_record(grounding.sample_path("ptbxl_139"))
    path = tmp_path_factory.mktemp("photos") / "my photo.jpg"
    photographed(record).image.save(path, quality=85)
    return path


@pytest.fixture(scope="module")
def record(photo: Path) -> ECGRecord:
    """Read once for the tests that need the recording itself."""
    return grounding.read_record(photo, layout="3x4+1")


def test_a_folder_of_photographs(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (900, 700), "white").save(photo.parent / "blank.png")
    assert main(["digitise", str(photo.parent), "--out", str(tmp_path)]) == 1  # one is no ECG
    assert "1 of 2 read" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "quality.csv").open(encoding="utf-8")))
    refused = [row for row in rows if row["quality"] == "refused"]
    assert [Path(row["photo"]).name for row in refused] == ["blank.png"]
    assert "grid" in refused[0]["reason"]
    assert {row["lead"] for row in rows if row not in refused} == set(grounding.STANDARD_LEADS)
    record = grounding.read_record(tmp_path / "my_photo.hea")
    drawn = grounding.read_record(grounding.sample_path("ptbxl_139"))
    assert snr_db(drawn, record) > 8
    assert Image.open(tmp_path / "my_photo.overlay.jpg").size[0] > 800


def test_csv_has_nan_where_nothing_is_printed(record: ECGRecord, tmp_path: Path) -> None:
    written = grounding.read_record(write_recording(record, tmp_path, "my_photo", "csv"))
    assert set(written.leads) == set(grounding.STANDARD_LEADS)
    assert written.fs == pytest.approx(500)
    assert np.isnan(written.lead("V6")[: int(7 * written.fs)]).all()  # printed from 7.5 s


def test_a_wrong_layout_is_said(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["digitise", str(photo), "--out", str(tmp_path), "--layout", "5x5"]) == 1
    assert "no layout is called" in capsys.readouterr().err


def test_a_folder_without_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["digitise", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "no pictures" in capsys.readouterr().err


def test_evidence_is_marked_on_the_photograph(record: ECGRecord) -> None:
    explanation = gem.explain(record, text="Sinus rhythm. PR is 160 ms. QRS is 300 ms.")
    page = explanation._repr_html_()
    assert "data:image/jpeg;base64," in page
    assert "data:image/png" not in page
    assert 'class="bracket"' in page
    verdicts = {claim.text: claim.verdict for claim in explanation.claims}
    assert "contradicted" in verdicts.values()
    # the mark of a lead lies on its line
    layout = record.meta["picture"]["places"].page().layout
    (panel,) = layout.panels_of("V2")
    box = layout.boxes("V2", 6.0, 6.5)[0]
    assert box.x0 == pytest.approx(layout.x_px(panel, 6.0))
    assert panel.start_s == pytest.approx(5.0, abs=0.05)
