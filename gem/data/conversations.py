"""Examples of any layout as batches for the model: prepared signals and pictures, tokenised conversations, labels."""

from __future__ import annotations

import copy
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
from ..pictures import rgb
from .augmentation import distort
from .batches import GlobalBatches, ResumableData, ResumableLoader, processes, shuffles
from .examples import Example, load_items, split
from .stamps import stamp


class EcgData(ResumableData):
    """Examples of one layout, split by patient, as batches.

    Args:
        path: folder or file, see ``gem.data.examples.load_items``.
        layout: ``instructions``, ``wfdb``, ``ptbxl``, ``mimic``, ``challenge`` or ``recordings``.
        task: ``"chat"`` (conversations whose answers are trained), ``"caption"`` (the last answer alone, for
            contrastive training), ``"classes"`` (label vectors) or ``"signals"`` (inputs only).
        ecg_root: folder that the ECG paths in instructions are relative to.
        image_root: folder that the picture paths in instructions are relative to.
        prompt: the question, for layouts that have reports but no questions.
        train_folds: for layouts with folds; without them ``val_share`` of the patients validate. Examples without a
            fold are used for training.
        val_folds: folds for validation, with ``train_folds``.
        val_share: fraction of the patients that validate.
        seed: of the split and of the order.
        batch_size: examples of one process's batch.
        max_length: tokens of a row, encoder tokens included; longer answers are cut.
        signal: whether the signal is prepared.
        picture: ``"none"``, ``"render"`` (drawn from the recording), ``"read"`` (the file that the example names) or
            ``"auto"`` (the file if there is one, else drawn).
        distort: how strongly pages that are drawn for training are distorted, 0-1, see
            ``gem.data.augmentation.distort``; 0 for clean pages.
        compat: prepare inputs as the published code does.
        group_by_length: batch texts of about the same length.
        lower: lower-case the answers (ECG-Chat, MEIT).
        workers: processes that prepare batches.
        cache: folder for prepared signals, which may be deleted at any time. None for no cache.
        limit: use only the first ``limit`` training examples.
        classes: labels of the class vectors; those of the classification head when None.

    Raises:
        GemConfigError: in ``setup``: settings that don't fit together or the model.
        GemInputError: in ``setup``: no example of this layout, or none with a text.
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
        """Read the tables and split; signals and pictures are read when their batch is made.

        Args:
            stage: not used.
        """
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
        """Batches shuffled by seed and epoch; an incomplete last global batch is left out."""
        assert self.train is not None  # for mypy: after setup
        return self.resumable_loader(self._loader(self.train, shuffles(self)))

    def val_dataloader(self) -> Any:
        """Batches in the order of the files; an empty list if no patient validates."""
        assert self.val is not None  # for mypy: after setup
        return self._loader(self.val, False) if len(self.val) else []

    def _loader(self, examples: Examples, shuffle: bool) -> ResumableLoader:
        rank, world = processes(self)
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
    """Characters of an example's conversation, by which batches are grouped; counting tokens would take much longer."""
    return sum(len(question) + len(answer) for question, answer in item.turns)


class Examples(Dataset[dict[str, Any]]):
    """Prepared batches; an index is a list of positions.

    Args:
        items: the examples.
        model: its processor and config determine how inputs are prepared.
        settings: the data module.

    Raises:
        GemConfigError: the model has no tokenizer for texts, or there are no classes for labels.
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
            key = json.dumps([self.processor.contract.to_dict(), settings.compat])
            self.folder = Path(settings.cache) / f"signal-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def __getstate__(self) -> dict[str, Any]:
        """For workers that are started anew: without the trainer, and without what is not theirs."""
        settings = copy.copy(self.settings)
        settings.trainer = settings.train = settings.val = settings.loader = None
        return {**self.__dict__, "settings": settings}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, indices: Sequence[int]) -> dict[str, Any]:
        items = [self.items[i] for i in indices]
        batch: dict[str, Any] = {"ids": [item.id for item in items], **self._inputs(items, self._rng(indices))}
        if self.settings.task == "classes":
            batch["classes"] = torch.tensor([[float(c in item.labels) for c in self.classes] for item in items])
        elif self.settings.task == "caption":
            batch |= self._captions(items)
        elif self.settings.task == "chat":
            batch |= padded([self._row(item) for item in items], self.processor.tokenizer.pad_token_id or 0)
        return batch

    def _rng(self, indices: Sequence[int]) -> np.random.Generator | None:
        """Random numbers for this batch's distortions, from seed and indices: a resumed run gets the same pages."""
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
            if any(picture is not None for picture in pictures):
                # without records, because the signal is prepared already
                inputs = self.processor(record=[None] * len(items), picture=pictures, compat=self.settings.compat)
                out |= {key: inputs[key] for key in ("pixel_values", "image_sizes", "pixel_mask") if key in inputs}
            elif not out:
                raise GemInputError("no example of a batch has a picture", where=items[0].id, remedy='picture="auto"')
        if not out:
            raise GemConfigError("neither signal nor picture is prepared", remedy="set signal or picture in the data")
        return out

    def _signal(self, item: Example) -> NDArray[np.float32]:
        assert item.record is not None  # for mypy: checked by the caller
        if self.folder is None:
            return np.asarray(self.processor.signal(item.record(), self.settings.compat)[0])
        path = self.folder / f"{hashlib.sha256(json.dumps(stamp(item.record)).encode()).hexdigest()[:24]}.npy"
        if path.is_file():
            return np.asarray(np.load(path))
        signal = np.asarray(self.processor.signal(item.record(), self.settings.compat)[0])
        save_array(path, signal)
        return signal

    def _picture(self, item: Example, rng: np.random.Generator | None) -> Image.Image | None:
        source = self.settings.picture
        if item.picture is not None and source in ("read", "auto"):
            return rgb(item.picture)
        if source == "read" or item.record is None:
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
    """Tokenise a conversation; only the answers and the end token after each are trained.

    Args:
        processor: its conversation template wraps the first question; the part from ``USER:`` on wraps each later one.
        turns: (question, answer) pairs.
        text_only: leave the placeholder out (MEIT's fusion has none).

    Returns:
        Ids, and labels with ``IGNORE`` for the questions.

    Raises:
        GemConfigError: the tokenizer has no end token.
    """
    tokenizer, template = processor.tokenizer, processor.conversation or "{prompt}"
    end = tokenizer.eos_token_id
    if end is None:
        raise GemConfigError("the tokenizer has no end token (eos_token)")
    later = template[template.index("USER:") :] if "USER:" in template else template
    # a template that ends in white space already separates the answer
    gap = "" if template[-1:].isspace() else " "
    ids: list[int] = []
    labels: list[int] = []
    for n, (question, answer) in enumerate(turns):
        if n == 0 and not text_only:
            question_ids = list(processor.encode_prompt(question))
        else:
            text = (template if n == 0 else later).replace("{prompt}", question)
            question_ids = ids_of(text, tokenizer, begin=n == 0)
        answer_ids = [*ids_of(gap + answer, tokenizer), end]
        ids += [*question_ids, *answer_ids]
        labels += [IGNORE] * len(question_ids) + answer_ids
    return ids, labels


def ids_of(text: str, tokenizer: Any, begin: bool = False) -> list[int]:
    """Ids of a text without the begin and end tokens that a tokenizer adds.

    Args:
        text: any text.
        tokenizer: a transformers tokenizer.
        begin: keep the begin token.
    """
    ids = list(tokenizer(text)["input_ids"])
    if ids and ids[-1] == tokenizer.eos_token_id:
        ids.pop()
    if ids and not begin and ids[0] == tokenizer.bos_token_id:
        ids.pop(0)
    return ids


def padded(rows: Sequence[tuple[list[int], list[int]]], pad: int) -> dict[str, Tensor]:
    """Pad rows on the right.

    Args:
        rows: (ids, labels) of each example.
        pad: id of the padding.

    Returns:
        ``input_ids``, ``attention_mask`` and ``labels``, (B, L) each.
    """
    longest = max(len(ids) for ids, _ in rows)
    return {
        "input_ids": torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in rows]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows]),
        "labels": torch.tensor([labels + [IGNORE] * (longest - len(labels)) for _, labels in rows]),
    }


def encoder_tokens(model: Any, settings: EcgData) -> int:
    """Largest number of encoder tokens of a record in a row; ``anyres`` counts as five tiles.

    Args:
        model: the model.
        settings: which inputs are prepared.
    """
    if getattr(model.config, "fusion", "tokens") != "tokens":
        return 0
    count = int(model.ecg_encoder.n_tokens) if settings.signal and model.ecg_encoder is not None else 0
    if settings.picture != "none" and model.vision_encoder is not None:
        tiles = 5 if (model.config.picture or {}).get("mode") == "anyres" else 1
        count += tiles * int(model.vision_encoder.n_tokens)
    return count


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Save an array under a temporary name and rename it, so that no killed or parallel run leaves an incomplete file.

    Args:
        path: a ``.npy`` file; its folder is created if it does not exist.
        array: what to save.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial.npy")
    np.save(partial, array)
    partial.rename(path)
