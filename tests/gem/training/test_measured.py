"""Training of the networks on measured values: they learn, values go missing in groups, the weights come back."""

from __future__ import annotations

from pathlib import Path

import lightning
import numpy as np
import pytest
import torch

import gem
from gem.data.ptbxl import load_ptbxl
from gem.data.ptbxl_batches import PtbxlData
from gem.measured import NAMES, values_of_record
from gem.training.measured import MeasuredClassification, centre_and_scale, missing_together
from gem.training.start import build, save

from .test_training import TINY, fit


@pytest.fixture(scope="module")
def trained(ptbxl_like: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """Two small networks, overfitted on eight records, in a model that had none."""
    folder = tmp_path_factory.mktemp("measured")
    torch.manual_seed(0)
    model = build(TINY)
    model.config.class_votes = {"ecg": 0.9, "vision": 0.1}
    save(model, folder / "before")
    lightning.seed_everything(0)
    module = MeasuredClassification(
        init=str(folder / "before"),
        output=str(folder / "after"),
        hidden=16,
        members=2,
        learning_rate=0.02,
        weight_decay=0.0,
        dropout=0.0,
        mixup=0.0,
        noise=0.0,
        missing_group=0.0,
        missing_value=0.0,
        missing_all=0.0,
    )
    data = PtbxlData(
        str(ptbxl_like),
        signal=False,
        measured_values=True,
        cache=str(folder / "cache"),
        batch_size=8,
        limit=8,
        val_folds=(8,),
    )
    return folder, fit(module, data, epochs=60)


def test_eight_records_are_overfitted(trained: tuple[Path, dict[str, float]]) -> None:
    assert trained[1]["loss"] < 0.05


def test_only_the_measured_part_is_new(trained: tuple[Path, dict[str, float]]) -> None:
    folder, _ = trained
    before, after = gem.load(folder / "before"), gem.load(folder / "after")
    for name, parameter in before.named_parameters():
        assert torch.equal(parameter, after.get_parameter(name)), name
    new = {name for name, _ in after.named_parameters()} - {name for name, _ in before.named_parameters()}
    assert all(name.startswith("class_head.heads.measured.") for name in new)
    assert new
    assert after.config.measured["names"] == list(NAMES)
    assert after.config.class_votes == pytest.approx({"ecg": 0.36, "measured": 0.54, "vision": 0.1})


def test_the_loaded_model_knows_the_records(trained: tuple[Path, dict[str, float]], ptbxl_like: Path) -> None:
    model = gem.load(trained[0] / "after")
    samples = load_ptbxl(ptbxl_like, (1, 2, 3, 4, 5, 6, 7))[:8]
    values = torch.from_numpy(np.stack([values_of_record(sample.record) for sample in samples]))
    said = model.classify(measured=values)[:, :5] > 0.5
    truth = torch.tensor([[name in one.superclasses for name in model.config.class_names[:5]] for one in samples])
    assert (said == truth).float().mean() > 0.95


def test_what_goes_missing_together() -> None:
    torch.manual_seed(0)
    module = MeasuredClassification(
        model=TINY, hidden=4, members=2, missing_group=0.3, missing_value=0.0, missing_all=0.0
    )
    gone = module.missing(torch.zeros(2, 500, len(NAMES)))
    assert not torch.equal(gone[0], gone[1])
    for name in ("V3 r_mv", "V3 t_sign"):
        lead = gone[..., [NAMES.index(n) for n in NAMES if n.startswith("V3 ")]]
        assert gone[..., NAMES.index(name)][lead.all(-1)].all()
    # in one group with its lead, in one with all amplitudes
    assert gone[..., NAMES.index("V3 r_mv")].float().mean() == pytest.approx(1 - 0.7**2, abs=0.05)
    assert gone[..., NAMES.index("rr_ms")].float().mean() == 0.0
    module.missing_all = 1.0
    assert module.missing(torch.zeros(2, 3, len(NAMES))).all()


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


def test_centre_and_scale_are_robust_and_survive_half_precision() -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(100, 10, 2000)
    normal[:20] = 300
    rare = np.where(rng.random(2000) < 0.02, 1.0, 0.0)
    never, constant = np.full(2000, np.nan), np.full(2000, 7.0)
    centre, scale = centre_and_scale(np.stack([normal, rare, never, constant], 1))
    assert centre == pytest.approx([100, 0, 0, 7], abs=1)
    assert scale[0] == pytest.approx(10, rel=0.1)
    assert scale[1] == pytest.approx(rare.std(), rel=0.01)
    assert scale[2:].tolist() == [1, 1]
    assert (centre.astype(np.float16) == centre).all()
    assert (scale.astype(np.float16) == scale).all()
