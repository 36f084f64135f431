"""Contrastive and captioning pre-training of an ECG encoder on recordings with reports (ECG-CoCa)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..configuration import EcgCocaConfig
from ..errors import GemConfigError, GemInputError
from ..fusion.coca import EcgCocaModel, EcgCocaOutput
from .tuning import Tuning

MAX_LOGIT_SCALE = math.log(100)


class Contrastive(Tuning):
    """Trains the ECG tower, the caption decoder and the last layers of the text tower.

    Args:
        init: folder of an ECG-CoCa model, instead of ``model``.
        model: the arguments of ``EcgCocaConfig``; with ``text`` the text tower's sizes come from there.
        text: folder of a BERT as transformers saves it, with its tokenizer (ECG-Chat: MedCPT's query encoder).
        text_layers: number of the text tower's last layers that are trained; its projection always is.
        wander: probability that a recording gets baseline wander.
        gaps: probability that segments of a recording are set to zero.
        **kwargs: see ``gem.training.tuning.Tuning``.

    Raises:
        GemConfigError: the model has no text tower, or options that this training lacks.
    """

    def __init__(
        self,
        init: str | None = None,
        model: dict[str, Any] | None = None,
        text: str | None = None,
        text_layers: int = 2,
        wander: float = 0.5,
        gaps: float = 0.3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model, self.wander, self.gaps = start_coca(init, model, text), wander, gaps
        if self.model.text is None:
            raise GemConfigError("contrastive training needs a text tower", remedy="name text, or model.text")
        self.model.text.transformer.requires_grad_(False)
        layers = self.model.text.transformer.encoder.layer
        for layer in layers[max(0, len(layers) - text_layers) :]:
            layer.requires_grad_(True)
        if self.gradient_checkpointing or self.feature_cache is not None:
            raise GemConfigError("contrastive training has no gradient_checkpointing and no feature_cache")
        self.finish_setup(fresh=init is None)

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """Symmetric InfoNCE over the records of all processes, plus the weighted captioning loss.

        Args:
            batch: ``ecg``, ``input_ids`` and ``attention_mask``, in pairs.
        """
        out: EcgCocaOutput = self.model(batch["ecg"], batch["input_ids"], batch["attention_mask"])
        if self.trainer.world_size == 1:
            assert out.loss is not None  # for mypy: inputs come in pairs
            return out.loss
        # every process computes all pairs; all_gather sums the gradients over the processes
        gather: Any = self.all_gather
        ecg, text = (gather(x, sync_grads=True).flatten(0, 1) for x in (out.ecg_embeds, out.text_embeds))
        logits = self.model.logit_scale.exp() * ecg @ text.T
        target = torch.arange(len(logits), device=logits.device)
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        if out.caption_logits is not None:
            wanted = batch["input_ids"][:, 1:]
            caption = F.cross_entropy(out.caption_logits.flatten(0, 1).float(), wanted.flatten(), ignore_index=0)
            loss = loss + self.model.config.caption_weight * self.weighted_over_processes(caption, (wanted != 0).sum())
        return loss

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then clamp the scale of the similarities to 1-100, as CLIP and open_clip do, for stability.

        Args:
            *args: as in Lightning.
            **kwargs: as in Lightning.
        """
        super().optimizer_step(*args, **kwargs)
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """The loss on augmented recordings.

        Args:
            batch: see ``loss``.
            index: of the batch, not used.
        """
        if "ecg_mask" in batch:
            raise GemInputError("a text without its recording", where=str(batch["ids"]))
        ecg = zero_gaps(baseline_wander(batch["ecg"], self.wander), self.gaps)
        loss = self.loss({**batch, "ecg": ecg})
        self.log_figure("loss", loss, len(ecg))
        return loss

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        """Log the loss on validation recordings.

        Args:
            batch: see ``loss``.
            index: of the batch, not used.
        """
        self.log_figure("val_loss", self.loss(batch), len(batch["ids"]))

    def save(self, weights: dict[str, Tensor] | None = None) -> None:
        """Write weights, config and processor into a folder that ``gem.load`` reads.

        Args:
            weights: as in ``Tuning.save``.
        """
        self.model.save_pretrained(self.output, state_dict=weights)
        self.model.processor.save_pretrained(self.output)


def start_coca(init: str | None, model: dict[str, Any] | None, text: str | None) -> EcgCocaModel:
    """An ECG-CoCa model with its processor.

    Args:
        init: folder of an ECG-CoCa model, or None.
        model: the arguments of ``EcgCocaConfig``, or None.
        text: folder of a BERT with its tokenizer, or None.

    Raises:
        GemConfigError: both or neither of init and model are given, or a folder that does not fit.
    """
    from ..processing import GemProcessor
    from ..tokenizer import load_tokenizer

    if (init is None) == (model is None):
        raise GemConfigError("a run starts from init or from model", remedy="give exactly one of the two")
    if init is not None:
        from ..checkpoints import load

        loaded = load(init)
        if not isinstance(loaded, EcgCocaModel):
            raise GemConfigError("not an ECG-CoCa model", where=init)
        return loaded
    settings = dict(model or {})
    if text is None:
        from .start import corpus_tokenizer

        tokenizer: Any = corpus_tokenizer()
        if settings.get("text"):
            settings["text"] = {**settings["text"], "vocab_size": len(tokenizer)}
        if settings.get("decoder"):
            settings["decoder"] = {**settings["decoder"], "vocab_size": len(tokenizer)}
        built = EcgCocaModel(EcgCocaConfig(**settings))
    else:
        from transformers import AutoModel

        from ..untrusted import as_checkpoint_error
        from .parts import copy_weights

        with as_checkpoint_error(text, "not a text tower as transformers saves it"):
            body: Any = AutoModel.from_pretrained(text, add_pooling_layer=False, trust_remote_code=False)
        tokenizer = load_tokenizer(Path(text), body.config)
        if tokenizer is None:
            raise GemConfigError("no tokenizer", where=text, remedy="put its files beside the text tower's")
        kept = {key: value for key, value in body.config.to_dict().items() if key not in ("architectures", "dtype")}
        built = EcgCocaModel(EcgCocaConfig(**{**settings, "text": kept}))
        assert built.text is not None  # for mypy: a text tower was named
        copy_weights(built.text.transformer, body, "text")
    built.processor = GemProcessor(built.ecg.contract, tokenizer=tokenizer)
    return built


def baseline_wander(ecg: Tensor, chance: float, fs_hz: float = 500.0) -> Tensor:
    """Add three slow cosines (0.01-0.2 Hz, together up to 0.5 mV, scaled per lead) to some of the recordings.

    Args:
        ecg: (B, leads, samples), mV.
        chance: probability for each recording.
        fs_hz: sampling rate, Hz.
    """
    if chance == 0:
        return ecg
    batch, leads, samples = ecg.shape
    t = torch.arange(samples, device=ecg.device) / fs_hz
    hz = 0.01 + 0.19 * torch.rand(batch, 3, 1, device=ecg.device)
    phase, height = (
        2 * torch.pi * torch.rand(batch, 3, 1, device=ecg.device),
        torch.rand(batch, 3, 1, device=ecg.device),
    )
    waves = (0.5 / 3 * height * torch.cos(2 * torch.pi * hz * t + phase)).sum(1)
    factor = (1 + 0.5 * torch.randn(batch, leads, 1, device=ecg.device)) * (
        torch.rand(batch, 1, 1, device=ecg.device) < chance
    )
    return ecg + factor * waves[:, None]


def zero_gaps(ecg: Tensor, chance: float, fs_hz: float = 500.0, count: int = 3) -> Tensor:
    """Set segments of 0.08-0.18 s to zero in all leads, in some of the recordings.

    Args:
        ecg: (B, leads, samples).
        chance: probability for each recording.
        fs_hz: sampling rate, Hz.
        count: segments per recording.
    """
    if chance == 0:
        return ecg
    batch, _, samples = ecg.shape
    at = torch.arange(samples, device=ecg.device)
    length = (0.08 + 0.10 * torch.rand(batch, count, 1, device=ecg.device)) * fs_hz
    begin = torch.rand(batch, count, 1, device=ecg.device) * (samples - length).clamp(min=0)
    inside = ((at >= begin) & (at < begin + length)).any(1) & (torch.rand(batch, 1, device=ecg.device) < chance)
    return ecg.masked_fill(inside[:, None], 0.0)
