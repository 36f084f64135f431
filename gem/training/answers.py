"""Tuning on questions: the decoder learns the forms of answers, and keeps writing explanations."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from grounding import Measurement, measure
from grounding.questions import ANSWER_TAGS

from ..data.ptbxl import load_ptbxl
from ..data.questions import answer_example
from ..fusion.losses import answer_loss
from .explanation import ExplanationTuning

PART = 14  # answers of one forward pass


class AnswerTuning(ExplanationTuning):
    """Trains the decoder on answers and on explanations; encoders, projectors and classification head are not changed.

    Answers are written without the encoders' tokens: what the encoders say is put in by code. So another signal
    encoder does not change them.

    Args:
        init: folder or name of a saved model; the tags of answers become new tokens of its tokenizer.
        model: with ``init`` None, the arguments of ``GemConfig``; see ``gem.training.start.start``.
        answers: questions in each step, beside the explanations of the batch.
        explanations: weight of the explanations' loss.
        recordings: number of training recordings that are measured, and in which a third of the questions is looked
            up; with 0, what is known is drawn at random for all.
        output: folder that the trained model is saved to.
        learning_rate: peak of the one-cycle schedule.
        strength: of the signal's augmentation, 0-1.
        seed: of the texts and of the random numbers of each step;
            that of ``lightning.seed_everything`` when None.
        half: save the weights as float16.
        feature_cache: as in ``ExplanationTuning``.
    """

    def __init__(
        self,
        init: str | None = "gem-nano",
        model: dict[str, Any] | None = None,
        answers: int = 56,
        explanations: float = 0.5,
        recordings: int = 100,
        output: str = "gem-nano",
        learning_rate: float = 1e-3,
        strength: float = 1.0,
        seed: int | None = None,
        half: bool = False,
        feature_cache: str | None = None,
    ) -> None:
        super().__init__(
            init=init,
            model=model,
            output=output,
            learning_rate=learning_rate,
            strength=strength,
            seed=seed,
            half=half,
            feature_cache=feature_cache,
        )
        self.answers, self.explanations = answers, explanations
        self.recordings = recordings
        self.measurements: list[Measurement] = []
        add_answer_tags(self.model)
        self.model.language_model.requires_grad_(True)

    def on_fit_start(self) -> None:
        """Measure the recordings in which questions are looked up."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        if self.recordings:
            samples = load_ptbxl(data.root, data.train_folds)
            chosen = random.Random(self.seed).sample(list(samples), min(self.recordings, len(samples)))
            self.measurements = [measure(sample.record) for sample in chosen]

    def loss(self, batch: dict[str, Any], pick: random.Random) -> Tensor:
        """Cross entropy of answers, plus that of the batch's explanations.

        Args:
            batch: ``ecg`` and ``pixel_values``, or one of them, and ``index``.
            pick: source of random numbers for the texts.
        """
        loss = self.answers_loss(
            sorted((answer_example(pick, self.measurements) for _ in range(self.answers)), key=_size)
        )
        return loss + self.explanations * super().loss(batch, pick) if self.explanations else loss

    def answers_loss(self, examples: Sequence[tuple[str, str]]) -> Tensor:
        """Mean cross entropy over the tokens of answers, in parts of similar length, so that little is padded.

        Args:
            examples: (prompt, answer), ordered by length.
        """
        processor, end = self.model.processor, self.model.config.text_config.eos_token_id
        total, count = torch.zeros((), device=self.model.device), 0
        for first in range(0, len(examples), PART):
            rows, starts = [], []
            for prompt, answer in examples[first : first + PART]:
                ids = processor.encode_text(prompt)
                rows.append([*ids, *processor.tokenizer(" " + answer)["input_ids"], end])
                starts.append(len(ids))
            tokens = sum(len(row) - start for row, start in zip(rows, starts, strict=True))
            total = total + tokens * answer_loss(self.model, rows, starts, [None] * len(rows))
            count += tokens
        return total / count


def _size(example: tuple[str, str]) -> int:
    return len(example[0]) + len(example[1])


def add_answer_tags(model: Any) -> None:
    """Make the tags of answers tokens of a model, in place; the new rows of the embedding are random.

    Args:
        model: with ``.processor``; one that knows them already is left as it is.
    """
    tokenizer = model.processor.tokenizer
    tokenizer.add_tokens(list(ANSWER_TAGS))
    if len(tokenizer) > model.config.text_config.vocab_size:
        model.language_model.resize_token_embeddings(len(tokenizer))
        model.config.text_config.vocab_size = len(tokenizer)
