"""Examples of any layout as batches for the model: signals and pictures prepared, conversations tokenised, answers marked."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import GemConfigError, GemInputError
from ..labels import IGNORE
from .augmentation import distort
from .batches import GlobalBatches, ResumableData, ResumableLoader
from .examples import Example, load_items, split


class EcgData(ResumableData):
    """Examples of one layout, split by patient, as batches.

    Args:
        path: folder or file, see ``gem.data.examples.load_items``.
        layout: ``instructions``, ``wfdb``, ``ptbxl``, ``mimic``, ``challenge`` or ``recordings``.
        task: ``"chat"`` (conversations with marked answers), ``"caption"`` (the last answer alone, for contrastive
            training), ``"classes"`` (label vectors) or ``"signals"`` (nothing beside the inputs).
        ecg_root, image_root: what paths in instructions are relative to.
        prompt: the question, where a layout has reports and no questions.
        train_folds, val_folds: for layouts with folds; else ``val_share`` of the patients validate. What has no fold
            trains.
        val_share: share of the patients that validate.
        seed: of the split and of the order.
        batch_size: examples of one process's batch.
        max_length: of a row, encoder tokens included; longer answers are cut.
        signal: whether the signal is prepared.
        picture: ``"none"``, ``"render"`` (drawn from the recording), ``"read"`` (the file the example names) or
            ``"auto"`` (the file where there is one, drawn where not).
        distort: how strongly pages that are drawn for training are distorted, 0-1, see
            ``gem.data.augmentation.distort``; 0 for clean pages.
        compat: prepare inputs as the published code does.
        group_by_length: batch texts of about the same length.
        lower: lower-case the answers (ECG-Chat, MEIT).
        workers: processes that prepare batches.
        cache: folder for prepared signals; deleting it costs time only. None for no cache.
        limit: only the first so many training examples.
        classes: labels of the class vectors; those of the classification head when None.
    """

    def __init__(
        self,
        path: str,
        layout: Literal["instructions", "wfdb", "ptbxl", "mimic", "challenge", "recordings"] = "instructions",
        task: Literal["chat", "caption", "classes", "signals"] = "chat",
        ecg_root: str | None = None,
        image_root: str | None = None,
        prompt: str = "Report this ECG.",
        train_folds: Sequence[int] | None = None,
        val_folds: Sequence[int] | None = None,
        val_share: float = 0.05,
        seed: int = 0,
        batch_size: int = 8,
        max_length: int = 4096,
        signal: bool = True,
        picture: Literal["none", "render", "read", "auto"] = "none",
        distort: float = 0.0,
        compat: bool = False,
        group_by_length: bool = True,
        lower: bool = False,
        workers: int = 0,
        cache: str | None = None,
        limit: int | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.path, self.layout, self.task, self.ecg_root, self.image_root = path, layout, task, ecg_root, image_root
        self.prompt, self.train_folds, self.val_folds, self.val_share = prompt, train_folds, val_folds, val_share
        self.seed, self.batch_size, self.max_length, self.signal, self.picture = (
            seed,
            batch_size,
            max_length,
            signal,
            picture,
        )
        self.distort = distort
        self.compat, self.group_by_length, self.lower, self.workers = compat, group_by_length, lower, workers
        self.cache, self.limit, self.classes = cache, limit, classes
        self.train: Examples | None = None
        self.val: Examples | None = None

    def setup(self, stage: str | None = None) -> None:
        """Read the tables and split; signals and pictures are read when their batch is made."""
        if self.train is not None:
            return
        folds = None if self.train_folds is None else [*self.train_folds, *(self.val_folds or ())]
        items = load_items(self.layout, self.path, self.ecg_root, self.image_root, self.prompt, folds)
        if self.task in ("chat", "caption"):
            items = [item for item in items if item.turns]
        if not items:
            raise GemInputError("no example has a text", where=self.path, remedy="use a layout with reports")
        if self.train_folds is not None:
            if not self.val_folds or set(self.train_folds) & set(self.val_folds):
                raise GemConfigError("train_folds need val_folds, and none in both")
            parts = [
                [item for item in items if item.fold in {None, *self.train_folds}],
                [item for item in items if item.fold in set(self.val_folds)],
            ]
        else:
            parts = list(split(items, self.val_share, self.seed))
        module: Any = self.trainer.lightning_module  # type: ignore[union-attr]
        self.train = Examples(parts[0][: self.limit], module.model, self)
        self.train.distorts = self.distort > 0
        self.val = Examples(parts[1], module.model, self)

    def train_dataloader(self) -> ResumableLoader:
        """Shuffled by seed and epoch; the last short global batch is left out."""
        assert self.train is not None  # for mypy: after setup
        return self.resumable(self._loader(self.train, True))

    def val_dataloader(self) -> Any:
        """In the order of the files; nothing where no patient validates."""
        assert self.val is not None  # for mypy: after setup
        return self._loader(self.val, False) if len(self.val) else []

    def _loader(self, examples: Examples, shuffle: bool) -> ResumableLoader:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if shuffle and len(examples) < world:
            raise GemInputError(f"{len(examples)} training examples for {world} processes")
        lengths = (
            [item_length(item) for item in examples.items]
            if self.group_by_length and self.task in ("chat", "caption")
            else None
        )
        batches = GlobalBatches(len(examples), self.batch_size, lengths, self.seed, rank, world, shuffle)
        return ResumableLoader(examples, batches, self.workers)


def item_length(item: Example) -> int:
    """Characters of an example's conversation: what batches are grouped by, since counting tokens would mean tokenising all."""
    return sum(len(question) + len(answer) for question, answer in item.turns)


class Examples(Dataset[dict[str, Any]]):
    """Prepared batches: index with a list.

    Args:
        items: the examples.
        model: its processor and config say how inputs are prepared.
        settings: the data module.
    """

    def __init__(self, items: Sequence[Example], model: Any, settings: EcgData) -> None:
        self.items, self.settings, self.processor = list(items), settings, model.processor
        if self.processor.tokenizer is None and settings.task in ("chat", "caption"):
            raise GemConfigError("the model came without a tokenizer", remedy="put its files into the model's folder")
        self.distorts = False
        self.text_only_prompt = getattr(model.config, "fusion", "tokens") == "prefix_kv"
        self.room = settings.max_length - (encoder_tokens(model, settings) if settings.task == "chat" else 0)
        names = settings.classes if settings.classes is not None else getattr(model.config, "class_names", [])
        self.classes = list(names)
        if settings.task == "classes" and not self.classes:
            raise GemConfigError("no classes to learn", remedy="give the data's classes")
        self.folder: Path | None = None
        if settings.cache is not None and self.processor.contract is not None:
            asked = json.dumps([self.processor.contract.to_dict(), settings.compat, str(Path(settings.path).resolve())])
            self.folder = Path(settings.cache) / f"signal-{hashlib.sha256(asked.encode()).hexdigest()[:16]}"

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, indices: Sequence[int]) -> dict[str, Any]:
        items = [self.items[i] for i in indices]
        batch: dict[str, Any] = {"ids": [item.id for item in items], **self._inputs(items, self._chance(indices))}
        if self.settings.task == "classes":
            batch["classes"] = torch.tensor([[float(c in item.labels) for c in self.classes] for item in items])
        elif self.settings.task == "caption":
            batch |= self._captions(items)
        elif self.settings.task == "chat":
            batch |= padded([self._row(item) for item in items], self.processor.tokenizer.pad_token_id or 0)
        return batch

    def _chance(self, indices: Sequence[int]) -> np.random.Generator | None:
        """What distorts this batch's pages; it follows from the seed and the batch, so that a resumed run sees the same ones."""
        return np.random.default_rng([self.settings.seed, *indices]) if self.distorts else None

    def _inputs(self, items: Sequence[Example], rng: np.random.Generator | None) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if self.settings.signal and self.processor.contract is not None:
            there = [item.record is not None for item in items]
            c = self.processor.contract
            empty = np.zeros((len(c.leads), c.n_samples), np.float32)
            rows = [self._signal(item) if item.record is not None else empty for item in items]
            out["ecg"] = torch.from_numpy(np.stack(rows))
            if not all(there):
                out["ecg_mask"] = torch.tensor(there)
        if self.settings.picture != "none" and self.processor.picture is not None:
            pictures = [self._picture(item, rng) for item in items]
            # records are passed as absent: the signal is prepared already
            made = self.processor(record=[None] * len(items), picture=pictures, compat=self.settings.compat)
            out |= {key: made[key] for key in ("pixel_values", "image_sizes", "pixel_mask") if key in made}
        if not out:
            raise GemConfigError("neither signal nor picture is prepared", remedy="set signal or picture in the data")
        return out

    def _signal(self, item: Example) -> NDArray[np.float32]:
        assert item.record is not None  # for mypy: checked by the caller
        if self.folder is None:
            return np.asarray(self.processor.signal(item.record(), self.settings.compat)[0])
        path = self.folder / f"{hashlib.sha256(item.id.encode()).hexdigest()[:24]}.npy"
        if path.is_file():
            return np.asarray(np.load(path))
        signal = np.asarray(self.processor.signal(item.record(), self.settings.compat)[0])
        save_array(path, signal)
        return signal

    def _picture(self, item: Example, rng: np.random.Generator | None) -> Image.Image | None:
        how = self.settings.picture
        if item.picture is not None and how in ("read", "auto"):
            try:
                with Image.open(item.picture) as image:
                    return image.convert("RGB")
            except OSError as error:
                raise GemInputError(f"the picture can't be read ({error})", where=item.picture) from None
        if how == "read" or item.record is None:
            return None
        from grounding import render

        page = render(item.record())
        return page if rng is None else distort(page, self.settings.distort, rng)

    def _captions(self, items: Sequence[Example]) -> dict[str, Tensor]:
        texts = [item.turns[-1][1].lower() if self.settings.lower else item.turns[-1][1] for item in items]
        rows = [list(self.processor.tokenizer(text)["input_ids"])[: self.room] for text in texts]
        pad = self.processor.tokenizer.pad_token_id or 0
        longest = max(map(len, rows))
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
        return {"input_ids": ids, "attention_mask": (ids != pad).long()}

    def _row(self, item: Example) -> tuple[list[int], list[int]]:
        turns = [(question, answer.lower() if self.settings.lower else answer) for question, answer in item.turns]
        ids, labels = encode_chat(self.processor, turns, self.text_only_prompt)
        if all(label == IGNORE for label in labels[: self.room]):
            raise GemInputError(
                f"the question and the encoder tokens leave no room for an answer in {self.settings.max_length} tokens",
                where=item.id,
                remedy="raise the data's max_length",
            )
        return ids[: self.room], labels[: self.room]


def encode_chat(
    processor: Any, turns: Sequence[tuple[str, str]], text_only: bool = False
) -> tuple[list[int], list[int]]:
    """Ids and labels of a conversation; only answers and the end mark behind each are trained.

    Args:
        processor: its conversation template wraps the first question; the part from ``USER:`` on wraps each later one.
        turns: (question, answer) pairs.
        text_only: leave the placeholder out (MEIT's fusion has none).

    Raises:
        GemConfigError: the tokenizer has no end mark.
    """
    tokenizer, template = processor.tokenizer, processor.conversation or "{prompt}"
    end = tokenizer.eos_token_id
    if end is None:
        raise GemConfigError("the tokenizer has no end mark (eos_token)")
    later = template[template.index("USER:") :] if "USER:" in template else template
    # a template that ends in white space has said where the answer begins
    gap = "" if template[-1:].isspace() else " "
    ids: list[int] = []
    labels: list[int] = []
    for n, (question, answer) in enumerate(turns):
        if n == 0 and not text_only:
            asked = list(processor.encode_prompt(question))
        else:
            asked = bare((template if n == 0 else later).replace("{prompt}", question), tokenizer, begin=n == 0)
        said = [*bare(gap + answer, tokenizer), end]
        ids += [*asked, *said]
        labels += [IGNORE] * len(asked) + said
    return ids, labels


def bare(text: str, tokenizer: Any, begin: bool = False) -> list[int]:
    """Ids of a text without the marks a tokenizer puts around it; ``begin`` keeps the one in front."""
    ids = list(tokenizer(text)["input_ids"])
    if ids and ids[-1] == tokenizer.eos_token_id:
        ids.pop()
    if ids and not begin and ids[0] == tokenizer.bos_token_id:
        ids.pop(0)
    return ids


def padded(rows: Sequence[tuple[list[int], list[int]]], pad: int) -> dict[str, Tensor]:
    """(ids, labels) rows to ``input_ids``, ``attention_mask`` and ``labels`` (B, L), padded on the right."""
    longest = max(len(ids) for ids, _ in rows)
    return {
        "input_ids": torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in rows]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows]),
        "labels": torch.tensor([labels + [IGNORE] * (longest - len(labels)) for _, labels in rows]),
    }


def encoder_tokens(model: Any, settings: EcgData) -> int:
    """Places a record's encoder tokens take in a row, at most: five tiles for ``anyres``."""
    if getattr(model.config, "fusion", "tokens") != "tokens":
        return 0
    count = int(model.ecg_encoder.n_tokens) if settings.signal and model.ecg_encoder is not None else 0
    if settings.picture != "none" and model.vision_encoder is not None:
        tiles = 5 if (model.config.picture or {}).get("mode") == "anyres" else 1
        count += tiles * int(model.vision_encoder.n_tokens)
    return count


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Written beside and renamed: a killed or parallel run leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial.npy")
    np.save(partial, array)
    partial.rename(path)
