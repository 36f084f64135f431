"""transformers' ``Trainer`` on our models: a step that adds up batches is the step of one batch that holds them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from gem import GemForConditionalGeneration
from gem.configuration import EcgCocaConfig
from gem.fusion.coca import EcgCocaModel

pytest.importorskip("accelerate")
transformers = pytest.importorskip("transformers")
MEIT = {
    "vision_encoder": None,
    "fusion": "prefix_kv",
    "class_names": [],
    "ecg_projector": {"type": "linear"},
    "ecg_encoder": {
        "name": "ecg_patch",
        "kwargs": {"n_samples": 500, "patch": 50, "width": 32, "layers": 1, "heads": 2, "fs_hz": 50},
    },
}


class Rows(Dataset[dict[str, Tensor]]):
    """Four conversations with 1, 3, 5 and 7 trained tokens, each with a recording."""

    def __init__(self, classes: bool = False, placeholder: int = -200) -> None:
        make = torch.Generator().manual_seed(3)
        self.rows = []
        for number in range(4):
            ids = torch.randint(3, 64, (12,), generator=make)
            labels = ids.clone()
            labels[: 12 - (2 * number + 1)] = -100
            ids[2] = placeholder
            row = {
                "input_ids": ids,
                "labels": labels,
                "attention_mask": torch.ones(12, dtype=torch.long),
                "ecg": torch.randn(12, 500, generator=make),
            }
            if classes:
                row["class_labels"] = torch.tensor([1.0, 0.0])
            self.rows.append(row)

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.rows[index]


def stepped(model: Any, data: Any, batch: int, folder: Path) -> dict[str, Tensor]:
    """The weights after one step of SGD, which shows the gradient's scale, over four rows in batches of ``batch``."""
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=4 // batch,
        max_steps=1,
        optim="sgd",
        learning_rate=0.1,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        seed=0,
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    transformers.Trainer(model=model, args=arguments, train_dataset=data).train()
    after = model.state_dict()
    assert any(not torch.equal(before[name], value) for name, value in after.items())
    return {name: after[name] - before[name] for name in before if before[name].is_floating_point()}


def assert_same_step(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    size = max(float(value.abs().max()) for value in one.values())
    for name, value in one.items():
        torch.testing.assert_close(
            other[name], value, atol=2e-4 * size, rtol=2e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("changes", [{"class_names": []}, MEIT], ids=["tokens", "meit"])
def test_accumulated_steps_are_one_step(
    changes: dict[str, Any], tiny_model: Callable[..., GemForConditionalGeneration], tmp_path: Path
) -> None:
    data = Rows(placeholder=7 if changes is MEIT else -200)  # MEIT's prompts have none
    whole, accumulated, pairs = (stepped(tiny_model(**changes), data, batch, tmp_path) for batch in (4, 1, 2))
    assert_same_step(whole, accumulated)
    assert_same_step(whole, pairs)


def test_the_step_is_that_of_the_mean_over_all_tokens(
    tiny_model: Callable[..., GemForConditionalGeneration], tmp_path: Path
) -> None:
    """Held against a step written out here, without the Trainer."""
    model, rows = tiny_model(class_names=[]), Rows()
    step = stepped(model, rows, 1, tmp_path)
    plain = tiny_model(class_names=[]).train()
    batch = {name: torch.stack([row[name] for row in rows.rows]) for name in rows[0]}
    plain(**batch).loss.backward()
    for name, parameter in plain.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(step[name], -0.1 * parameter.grad, atol=1e-5, rtol=2e-3, msg=name)


def test_classes_beside_the_text_count_by_their_share_of_the_tokens(
    tiny_model: Callable[..., GemForConditionalGeneration],
) -> None:
    model = tiny_model()
    batch = {name: torch.stack([row[name] for row in Rows(classes=True).rows]) for name in Rows(classes=True)[0]}
    rows = [{name: value[i : i + 1] for name, value in batch.items()} for i in range(4)]
    with torch.no_grad():
        parts = [model(**row, num_items_in_batch=16).loss for row in rows]
        text = [model(**{key: value for key, value in row.items() if key != "class_labels"}).loss for row in rows]
        alone = [model(**row).loss for row in rows]
    weights = torch.tensor([1, 3, 5, 7]) / 16
    wanted = sum(w * loss for w, loss in zip(weights, alone, strict=True))
    torch.testing.assert_close(sum(parts), wanted)
    assert all(float(a) > float(t) for a, t in zip(alone, text, strict=True))


def test_a_batch_without_trained_tokens_adds_nothing(tiny_model: Callable[..., GemForConditionalGeneration]) -> None:
    model, row = tiny_model(class_names=[]).requires_grad_(False), Rows()[0]
    batch = {name: value[None] for name, value in row.items()} | {"labels": torch.full((1, 12), -100)}
    for supervised_only in (False, True):
        assert float(model(**batch, num_items_in_batch=5, supervised_only=supervised_only).loss) == 0.0


def test_supervised_only_has_the_same_share(tiny_model: Callable[..., GemForConditionalGeneration]) -> None:
    model = tiny_model(class_names=[])
    batch = {name: torch.stack([row[name] for row in Rows().rows]) for name in Rows()[0]}
    for items in (None, 40, torch.tensor(40), torch.tensor([[40]])):
        losses = [model(**batch, num_items_in_batch=items, supervised_only=only).loss for only in (False, True)]
        torch.testing.assert_close(*losses)


class Pairs(Dataset[dict[str, Tensor]]):
    """Four recordings with their texts."""

    def __init__(self) -> None:
        make = torch.Generator().manual_seed(4)
        self.rows = [
            {"ecg": torch.randn(12, 500, generator=make), "input_ids": torch.randint(3, 50, (9,), generator=make)}
            for _ in range(4)
        ]

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.rows[index]


def test_ecg_coca_takes_the_mean_over_its_batches(tmp_path: Path) -> None:
    """Records are contrasted within their batch: two batches of two give the mean of their losses, not one of four."""

    def made() -> EcgCocaModel:
        torch.manual_seed(0)
        text = {
            "model_type": "bert",
            "vocab_size": 50,
            "hidden_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "intermediate_size": 64,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        }
        decoder = {"width": 64, "heads": 1, "layers": 1, "vocab_size": 50}
        return EcgCocaModel(
            EcgCocaConfig(ecg={"n_samples": 500, "width": 64, "layers": 1}, text=text, decoder=decoder, embed_dim=16)
        )

    order: list[int] = []

    class Noted(Pairs):
        def __getitem__(self, index: int) -> dict[str, Tensor]:
            order.append(index)
            return super().__getitem__(index)

    step = stepped(made(), Noted(), 2, tmp_path)
    plain, data = made().train(), Pairs()
    losses = []
    for pair in (order[:2], order[2:4]):
        batch = {name: torch.stack([data[i][name] for i in pair]) for name in data[0]}
        losses.append(plain(**batch).loss)
    (sum(losses) / 2).backward()
    for name, parameter in plain.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(step[name], -0.1 * parameter.grad, atol=1e-5, rtol=2e-3, msg=name)


def test_an_evaluation_has_a_loss(tiny_model: Callable[..., GemForConditionalGeneration], tmp_path: Path) -> None:
    """With the name of the labels that are there, as the docs say."""
    arguments = transformers.TrainingArguments(
        str(tmp_path), use_cpu=True, report_to=[], disable_tqdm=True, label_names=["labels"], prediction_loss_only=True
    )
    model = tiny_model(class_names=[])
    trainer = transformers.Trainer(model=model, args=arguments, eval_dataset=Rows(placeholder=-200))
    assert torch.isfinite(torch.tensor(trainer.evaluate()["eval_loss"]))
