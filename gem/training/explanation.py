"""Tuning on explanations: the decoder learns to describe a prompt's facts and the diagnosis in the encoders' tokens."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.augmentation import augment
from ..data.batches import run_seed
from ..data.corpus import explanation, impression
from ..fusion.losses import answer_loss
from .start import copy_picture_parts, save, start, without_picture
from .tuning import CachedForward, SeededSteps


class ExplanationTuning(SeededSteps):
    """Trains the decoder; encoders, projectors and classification head are not changed.

    A text ends with the diagnoses of the classification head for the same augmented input, so that "the encoders
    suggest" is true of the text, also for a single input.

    Args:
        init: folder or name of a saved model, see ``gem.training.start.start``.
        model: arguments of ``GemConfig``, see ``gem.training.start.start``.
        picture_from: folder of a model whose picture encoder, projector and head are copied.
        output: folder that the trained model is saved to.
        learning_rate: peak of the one-cycle schedule.
        strength: of the signal's augmentation, 0-1.
        modality_dropout: probability that a record with both inputs loses one of them.
        without_facts: fraction of prompts without facts.
        seed: of the texts and of the random numbers of each step, so that a resumed run equals an uninterrupted one;
            that of ``lightning.seed_everything`` when None.
        half: save the weights as float16, for distribution.
        feature_cache: folder for the picture encoder's tokens of each page, which are computed once because it is
            frozen and pages are not augmented. It may be deleted at any time.
        signal_only: save the model without the picture's encoder, projector and head, if these are not trained.
    """

    def __init__(
        self,
        init: str | None = None,
        model: dict[str, Any] | None = None,
        picture_from: str | None = None,
        output: str = "gem-nano",
        learning_rate: float = 2e-3,
        strength: float = 1.0,
        modality_dropout: float = 0.5,
        without_facts: float = 0.15,
        seed: int | None = None,
        half: bool = False,
        feature_cache: str | None = None,
        signal_only: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.model = start(init, model)
        if picture_from is not None:
            copy_picture_parts(self.model, picture_from)
        self.model.config.modality_dropout = modality_dropout
        self.model.requires_grad_(False)
        self.model.language_model.requires_grad_(True)
        self.output, self.learning_rate, self.strength = output, learning_rate, strength
        self.without_facts, self.seed, self.half_precision = without_facts, run_seed(seed), half
        self.signal_only = signal_only
        self.cache: CachedForward | None = None
        if feature_cache is not None and self.model.vision_encoder is not None:
            self.cache = CachedForward(self.model.vision_encoder, Path(feature_cache), "vision")
        # here too, because on_train_epoch_start is not called when a run resumes in the middle of an epoch
        self.set_modes()

    def on_train_epoch_start(self) -> None:
        """Set the modes again, which validation may have changed."""
        self.set_modes()

    def set_modes(self) -> None:
        """Frozen parts in eval mode, with their running statistics; the rest, with modality dropout, in train mode."""
        self.model.train()
        for name in ("ecg_encoder", "vision_encoder", "class_head"):
            part = getattr(self.model, name)
            if part is not None:
                part.eval()

    def loss(self, batch: dict[str, Any], pick: random.Random) -> Tensor:
        """Cross entropy of texts with the diagnoses of the classification head.

        Args:
            batch: ``ecg`` and ``pixel_values``, or one of them, and ``index``.
            pick: source of random numbers for the texts.
        """
        model, inputs = self.model, {key: batch[key] for key in ("ecg", "pixel_values") if key in batch}
        if self.cache is not None:
            self.cache.ids = [str(place) for place in batch["index"]]
        with torch.no_grad():
            encoded = model.encode(**inputs)
            blocks = encoded.blocks()
            assert encoded.class_logits is not None  # for mypy: one input is always there
            scores = encoded.class_logits.float().sigmoid().tolist()
        rows, starts = [], []
        for score in scores:
            diagnoses = impression(
                dict(zip(model.config.class_names, score, strict=True)), getattr(model.config, "class_thresholds", None)
            )
            prompt, text = explanation(diagnoses, pick, self.without_facts)
            ids, config = model.processor.encode_prompt(prompt), model.config.text_config
            assert config is not None  # for mypy: every model writes
            rows.append([*ids, *model.processor.tokenizer(" " + text)["input_ids"], config.eos_token_id])
            starts.append(len(ids))
        return answer_loss(model, rows, starts, blocks)

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """The loss of one batch; its texts depend on the seed and the step alone.

        Args:
            batch: see ``loss``.
            index: of the batch, not used.
        """
        if "ecg" in batch:
            batch = {**batch, "ecg": augment(batch["ecg"], self.strength)}
        loss = self.loss(batch, random.Random(self.text_seed))
        self.log("loss", loss, prog_bar=True, batch_size=len(batch["index"]))
        return loss

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        """Log the loss; the texts are the same at every validation.

        Args:
            batch: see ``loss``.
            index: of the batch.
        """
        loss = self.loss(batch, random.Random(index))
        self.log("val_loss", loss, prog_bar=True, batch_size=len(batch["index"]))

    def configure_optimizers(self) -> Any:
        """AdamW under a one-cycle schedule over the whole run."""
        return self.one_cycle(self.model.language_model.parameters(), 0.01, 0.15, (0.9, 0.95))

    def on_fit_end(self) -> None:
        """Save the trained model, on the first process."""
        if not self.writes_output:
            return
        model: Any = without_picture(self.model) if self.signal_only else self.model
        save(model.half() if self.half_precision else model, self.output)
