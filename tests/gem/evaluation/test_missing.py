"""Parts of the signal or the picture that are gone, and what that tells of a score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import grounding
from gem.cli.entry import main
from gem.errors import GemInputError
from gem.evaluation.inputs import BUNDLED, SHARES, Inputs, Missing
from gem.evaluation.missing import run_missing


@pytest.mark.parametrize("percent", SHARES)
def test_a_share_of_the_signal_is_gone_in_all_leads_and_the_page_stays(percent: int) -> None:
    whole, part = Inputs(BUNDLED), Inputs(BUNDLED, missing=f"signal:{percent}")
    gone = (part.record("13").signal == 0).all(axis=0)
    assert gone.mean() == pytest.approx(percent / 100, abs=0.01)
    assert np.diff(np.flatnonzero(gone)).max() == 1  # one stretch
    kept = ~gone
    assert (part.record("13").signal[:, kept] == whole.record("13").signal[:, kept]).all()
    assert (Inputs(BUNDLED, missing=f"signal:{percent}").record("13").signal == part.record("13").signal).all()
    assert part.picture("13").tobytes() == whole.picture("13").tobytes()


@pytest.mark.parametrize("percent", SHARES)
def test_a_share_of_the_picture_is_white_and_the_signal_stays(percent: int) -> None:
    whole, part = Inputs(BUNDLED), Inputs(BUNDLED, missing=f"picture:{percent}")
    assert (part.record("13").signal == whole.record("13").signal).all()
    before, after = np.asarray(whole.picture("13")), np.asarray(part.picture("13"))
    changed = (before != after).any(axis=(0, 2))
    assert changed.sum() <= round(before.shape[1] * percent / 100)
    assert changed.any()
    if percent == 100:
        assert (after == 255).all()


def test_other_words_are_told() -> None:
    for text in ("sound:50", "signal:0", "signal:101", "signal:x", "picture"):
        with pytest.raises(GemInputError, match="missing modality"):
            Missing.parse(text)


def test_a_picture_is_given_as_it_is(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (1, 2, 3)).save(tmp_path / "page.png")
    inputs = Inputs(tmp_path)
    assert inputs.problem(("page.png",)) is None  # it need not be readable as a signal
    assert inputs.picture("page.png").getpixel((5, 5)) == (1, 2, 3)
    assert "no recording ../page.png" in str(Inputs(tmp_path).problem(("../page.png",)))


def test_bundled_recordings_are_found_by_number_and_have_another_patients() -> None:
    inputs, other = Inputs(BUNDLED), Inputs(BUNDLED, "other")
    for name in ("424", "00424_hr-0.png", "ptbxl_424.hea"):
        assert np.array_equal(
            inputs.record(name).signal, grounding.read_record(grounding.sample_path("ptbxl_424")).signal
        )
    assert other.record("424").record_id != inputs.record("424").record_id


def test_the_protocol_flags_a_score_that_needs_no_ecg(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blind = run_missing("ecgbench-csn", "majority", "picture", tmp_path / "blind")
    assert blind["kept"] == ["strict accuracy", "published accuracy"]
    assert set(blind["scores"]["strict"]["accuracy"]) == {"0", "25", "50", "75", "100"}
    assert {path.name for path in (tmp_path / "blind").iterdir()} == {"whole", *(f"picture_{n}" for n in SHARES)}
    words = ["evaluate", "device-12sl", "--model", "rules", "--limit", "2", "--missing", "signal"]
    assert main([*words, "--json", str(tmp_path / "seeing.json")]) == 0
    seeing: dict[str, Any] = json.loads((tmp_path / "seeing.json").read_text())
    assert seeing["kept"] == []
    assert seeing["scores"]["strict"]["within_20"]["100"] == 0
    assert "per cent of the signal gone" in capsys.readouterr().out
    runs = [str(tmp_path / "blind" / name) for name in ("whole", "picture_100")]
    assert main(["evaluate", "compare", *runs]) == 0
    assert "hardly falls" in capsys.readouterr().out
