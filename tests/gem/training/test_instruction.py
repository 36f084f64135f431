"""Trained parts and rates: decoder, LoRA, frozen towers; checkpointing, accumulation, bfloat16, caches, packing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import gem
from gem.errors import GemConfigError
from gem.training.alignment import Alignment
from gem.training.instruction import Instruction

from . import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """One step, saved: what the others start from."""
    folder = tmp_path_factory.mktemp("start")
    tiny.run(data, folder, 1)
    return folder / "model"


def changed(before: Any, after: Any) -> set[str]:
    """The parts in which a weight is another one."""
    old = before.state_dict()
    return {name.split(".")[0] for name, value in after.state_dict().items() if not torch.equal(value, old[name])}


@pytest.mark.parametrize(
    ("train", "lora"),
    [
        (["ecg_projector"], False),
        (["language_model"], False),
        (["ecg_encoder", "ecg_projector", "language_model"], False),
        (["ecg_projector", "language_model"], True),
        (["language_model"], True),
    ],
)
def test_only_the_named_parts_learn(train: list[str], lora: bool, data: Path, start: Path, tmp_path: Path) -> None:
    learner, losses = tiny.run(data, tmp_path, 3, lora=lora, module={"model": None, "init": str(start), "train": train})
    assert changed(gem.load(start), gem.load(tmp_path / "model")) == set(train)
    assert len(losses) == 3
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=False)["state_dict"]
    # what is frozen lies in the run's own files and not in its checkpoints
    frozen = {name for name, p in Instruction(init=str(start), train=train).named_parameters() if not p.requires_grad}
    assert lora or not frozen & set(kept)
    if lora:
        assert any("lora_" in name for name in kept)
        assert not any("base_layer" in name for name in kept)
        assert not any("lora" in name for name, _ in learner.model.named_parameters())


def test_alignment_trains_the_projectors() -> None:
    learner = Alignment(model=tiny.MODELS["gem"] | {"share_projector": False})
    learning = {name.split(".")[1] for name, p in learner.named_parameters() if p.requires_grad}
    assert learning == {"ecg_projector", "vision_projector"}


def test_rates_by_part() -> None:
    learner = Instruction(
        model=tiny.SIGNAL,
        train=["ecg_projector", "language_model"],
        learning_rate=1e-3,
        rates={"ecg_projector": 1e-2},
        weight_decay=0.1,
    )
    groups = learner.parameter_groups()
    of = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    for name, parameter in learner.named_parameters():
        if not parameter.requires_grad:
            assert id(parameter) not in of, name
            continue
        rate = 1e-2 if ".ecg_projector." in name else 1e-3
        assert of[id(parameter)] == (rate, 0.1 if parameter.dim() > 1 else 0.0), name
    with pytest.raises(GemConfigError, match="no part vision_encoder"):
        Instruction(model=tiny.SIGNAL, train=["vision_encoder"])


def test_a_part_moves_at_its_own_rate(data: Path, start: Path, tmp_path: Path) -> None:
    options = {"model": None, "init": str(start), "rates": {"ecg_projector": 0.0}}
    tiny.run(data, tmp_path, 2, module=options)
    assert changed(gem.load(start), gem.load(tmp_path / "model")) == {"language_model"}


def test_checkpointing_changes_nothing_but_memory(data: Path, tmp_path: Path) -> None:
    _, plain = tiny.run(data, tmp_path / "plain", 3)
    learner, saved = tiny.run(data, tmp_path / "saved", 3, module={"gradient_checkpointing": True})
    assert learner.model.language_model.is_gradient_checkpointing
    assert saved == pytest.approx(plain, abs=1e-6)


def test_compiled_layers_have_the_same_losses_and_names(data: Path, tmp_path: Path) -> None:
    _, plain = tiny.run(data, tmp_path / "plain", 3)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    learner, compiled = tiny.run(data, tmp_path / "compiled", 3, module={"compile": "eager"})
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > before
    assert compiled == pytest.approx(plain, abs=1e-5)
    assert gem.load(tmp_path / "compiled" / "model").state_dict().keys() == learner.model.state_dict().keys()


def test_accumulation_is_a_larger_batch(data: Path, tmp_path: Path) -> None:
    # the same two conversations again and again: as many answer tokens in each small batch
    few = {"limit": 4, "group_by_length": False}
    _, large = tiny.run(data, tmp_path / "large", 2, batch=4, source=few)
    _, small = tiny.run(data, tmp_path / "small", 2, batch=2, source=few, accumulate_grad_batches=2)
    assert len(small) == 4
    a, b = (gem.load(tmp_path / name / "model").state_dict() for name in ("large", "small"))
    # a mean of means is not the mean where answers differ in length, so the weights are close and not equal
    assert all(torch.allclose(a[name], b[name], atol=0.02) for name in a)
    assert sum(small[:2]) / 2 == pytest.approx(large[0], rel=0.05)


def test_bfloat16_learns(data: Path, tmp_path: Path) -> None:
    _, losses = tiny.run(data, tmp_path, 20, batch=8, precision="bf16-mixed")
    assert losses[-1] < 0.75 * losses[0]


def test_packed_training_is_padded_training(data: Path, tmp_path: Path) -> None:
    _, padded = tiny.run(data, tmp_path / "padded", 3)
    _, packed = tiny.run(data, tmp_path / "packed", 3, module={"pack_length": 200})
    assert packed == pytest.approx(padded, abs=1e-4)


def test_frozen_towers_run_once_per_record(data: Path, start: Path, tmp_path: Path) -> None:
    options = {"model": None, "init": str(start), "train": ["ecg_projector"]}
    _, plain = tiny.run(data, tmp_path / "plain", 4, module=options)
    cached = options | {"feature_cache": str(tmp_path / "cache")}
    learner, losses = tiny.run(data, tmp_path / "cached", 4, module=cached)
    assert losses == pytest.approx(plain, abs=1e-6)
    assert learner.caches[0].runs == 8  # two epochs over eight records
    again, losses = tiny.run(data, tmp_path / "again", 4, module=cached)
    assert (again.caches[0].runs, losses) == (0, pytest.approx(plain, abs=1e-6))
    shutil.rmtree(tmp_path / "cache")
    after, losses = tiny.run(data, tmp_path / "after", 4, module=cached)
    assert (after.caches[0].runs, losses) == (8, pytest.approx(plain, abs=1e-6))
    with pytest.raises(GemConfigError, match="needs a frozen encoder"):
        Instruction(model=tiny.SIGNAL, train=["ecg_encoder"], feature_cache=str(tmp_path / "cache"))


def test_frozen_towers_build_no_graph_and_the_head_sees_answers_alone(data: Path, tmp_path: Path) -> None:
    learner, _ = tiny.run(data, tmp_path, 1, module={"train": ["ecg_projector", "language_model"]})
    seen: dict[str, Any] = {}
    model = learner.model
    model.ecg_encoder.register_forward_hook(lambda _m, _i, out: seen.update(tower=out.requires_grad))
    model.language_model.lm_head.register_forward_hook(lambda _m, args, _o: seen.update(rows=args[0].numel() // 32))
    from gem.data.conversations import EcgData
    from gem.labels import IGNORE
    from gem.training.packing import text_loss

    source = EcgData(str(data), val_share=0.0)
    source.trainer = learner.trainer
    source.setup()
    assert source.train is not None
    batch = source.train[list(range(8))]
    text_loss(model, batch)
    assert seen == {"tower": False, "rows": int((batch["labels"] != IGNORE).sum())}


def test_packed_rows_are_not_sharded(start: Path) -> None:
    """Packing encodes outside of the model's forward pass, where FSDP2 has not gathered the weights."""
    learner = Instruction(init=str(start), output="unused", pack_length=64, train=("ecg_projector",))
    learner.configure_model()  # one device
    learner._device_mesh = object()  # type: ignore[assignment]
    with pytest.raises(GemConfigError, match="packed rows"):
        learner.configure_model()
