"""Growing the trees on measured values: they learn, values go missing in groups, the weights come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import gem
from gem.data.corpus import labels_of
from gem.data.ptbxl import load_ptbxl
from gem.measured import NAMES, values_of_record
from gem.training.measured import grow, main, measured_twice, missing_together, on_page, with_missing
from gem.training.start import build, save

from .test_training import TINY

SETTINGS = {"min_data_in_leaf": 1, "lambda_l2": 0.0, "learning_rate": 0.3, "feature_fraction_bynode": 1.0}


@pytest.fixture(scope="module")
def trained(ptbxl_like: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trees that overfit on eight records, in a model that had none."""
    folder = tmp_path_factory.mktemp("measured")
    torch.manual_seed(0)
    model = build(TINY)
    model.config.class_votes = {"ecg": 0.9, "vision": 0.1}
    save(model, folder / "before")
    samples = load_ptbxl(ptbxl_like, range(1, 8))[:8]
    save(grow(gem.load(folder / "before"), samples, 0.6, trees=20, leaves=4, settings=SETTINGS), folder / "after")
    return folder


def test_only_the_measured_part_is_new(trained: Path) -> None:
    before, after = gem.load(trained / "before"), gem.load(trained / "after")
    for name, parameter in before.named_parameters():
        assert torch.equal(parameter, after.get_parameter(name)), name
    new = set(after.state_dict()) - set(before.state_dict())
    assert all(name.startswith("class_head.heads.measured.") for name in new)
    assert new
    assert after.config.measured == {"names": list(NAMES), "trees": 20, "leaves": 4}
    assert after.config.class_votes == pytest.approx({"ecg": 0.36, "measured": 0.54, "vision": 0.1})


def test_the_loaded_model_knows_the_records(trained: Path, ptbxl_like: Path) -> None:
    model = gem.load(trained / "after")
    samples = load_ptbxl(ptbxl_like, range(1, 8))[:8]
    values = torch.from_numpy(np.stack([values_of_record(sample.record) for sample in samples]))
    said = model.classify(measured=values)[:, :5] > 0.5
    truth = torch.tensor([[name in one.superclasses for name in model.config.class_names[:5]] for one in samples])
    assert (said == truth).float().mean() > 0.95
    # a label that no record has is not likely, though nothing could be learned of it
    there = set().union(*map(labels_of, samples))
    never = [place for place, name in enumerate(model.config.class_names) if name not in there]
    assert never
    assert float(model.classify(measured=values)[:, never].max()) < 0.1


def test_the_command_uses_raw_records(
    trained: Path, ptbxl_like: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = load_ptbxl(ptbxl_like, range(1, 9), ("raw",))
    main([str(trained / "before"), "--data", str(ptbxl_like), "--out", str(tmp_path / "grown")])
    assert f"trees from {len(raw)} records" in capsys.readouterr().out
    assert gem.load(tmp_path / "grown").config.measured["trees"] == 200


def test_a_page_shows_a_quarter_of_most_leads(ptbxl_like: Path, tmp_path: Path) -> None:
    samples = load_ptbxl(ptbxl_like, range(1, 4), ("raw",))
    page = on_page(samples[0].record)
    known = np.isfinite(page.signal).mean(1)
    assert known == pytest.approx([1.0 if lead == "II" else 0.25 for lead in page.leads], abs=1e-3)
    assert np.array_equal(page.signal[0, :1000], samples[0].record.signal[0, :1000])
    assert np.isfinite(page.signal[page.leads.index("V6"), -1])

    whole, part = measured_twice(samples, tmp_path)
    assert whole == pytest.approx(np.stack([values_of_record(one.record) for one in samples]), nan_ok=True)
    assert part == pytest.approx(np.stack([values_of_record(on_page(one.record)) for one in samples]), nan_ok=True)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3
    for file in files:
        np.save(file, np.load(file) + 1)
    assert measured_twice(samples, tmp_path)[0] == pytest.approx(whole + 1, nan_ok=True)  # what is kept is used


def test_what_goes_missing_together() -> None:
    gone = np.isnan(with_missing(np.zeros((2000, len(NAMES))), np.random.default_rng(0)))
    # alone, in one group with its lead, and in one with all amplitudes
    for name, groups in (("V3 r_mv", 2), ("V3 r_to_qrs", 1), ("rr_ms", 0)):
        assert gone[:, NAMES.index(name)].mean() == pytest.approx(1 - 0.95 * 0.9**groups, abs=0.03)
    lead = gone[:, [NAMES.index(name) for name in NAMES if name.startswith("V3 ")]]
    assert lead.all(1).mean() == pytest.approx(0.1, abs=0.03)


def test_groups_are_those_of_leads_and_waves() -> None:
    names = ("V1 p_mv", "V1 r_to_qrs", "aVL t_sign", "pr_ms", "qt_ms", "rr_ms", "cornell_product_mv_ms")
    groups = missing_together(names)
    assert groups.shape == (15, len(names))
    v1, avl, p, t, millivolts = groups[[6, 4, 12, 13, 14]]
    assert v1.tolist() == [1, 1, 0, 0, 0, 0, 0]
    assert avl.tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert p.tolist() == [1, 0, 0, 1, 0, 0, 0]
    assert t.tolist() == [0, 0, 1, 0, 1, 0, 0]
    assert millivolts.tolist() == [1, 0, 0, 0, 0, 0, 1]
