"""A pretrained language model learns to read the encoders' tokens: alignment first, then tuning through LoRA."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from grounding.facts import TAGS

from ..checkpoints import load
from ..checkpoints.adapted import (
    DECODERS,
    EMBEDDINGS,
    LORA,
    NEW_ROWS,
    WEIGHTS,
    adapted_config,
    read_decoder,
    save_adapted,
)
from ..data.batches import run_seed
from ..data.readings import Reading, projected
from ..errors import GemConfigError
from ..extras import how_to_install
from ..fusion.losses import answer_loss
from .lora import add_lora, lora_settings
from .tuning import SeededSteps

CONVERSATION = "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
PROJECTOR = {"type": "mlp2x_gelu"}


class LanguageTuning(SeededSteps):
    """Trains projectors, new tokens and, in the second stage, LoRA; encoders and decoder are not changed.

    Args:
        decoder: of ``gem.checkpoints.adapted.DECODERS``, or a folder with a Llama and its tokenizer.
        encoders: name or folder of the model whose encoders are used.
        init: folder of an earlier stage; None starts anew.
        output: folder that is written.
        lora: ``{"r", "alpha", "dropout", "targets"}``.
        train_lora: whether LoRA is trained, or projectors and new tokens alone.
        learning_rate: peak of the one-cycle schedule.
        with_facts: probability of a prompt with the facts of the measurement.
        drop_ecg: probability that a record is shown without the signal's tokens.
        drop_picture: probability that it is shown without the picture's; never without both.
        seed: of the texts and of the random numbers of each step;
            that of ``lightning.seed_everything`` when None.
    """

    def __init__(
        self,
        decoder: str = "smollm2-135m-instruct",
        encoders: str = "gem-nano",
        init: str | None = None,
        output: str = "gem-135m",
        lora: dict[str, Any] | None = None,
        train_lora: bool = True,
        learning_rate: float = 1e-3,
        with_facts: float = 0.5,
        drop_ecg: float = 0.1,
        drop_picture: float = 0.6,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.decoder, self.encoders, self.output, self.seed = decoder, encoders, output, run_seed(seed)
        self.lora = lora_settings(lora or {}, 8, 16, 0.0)
        self.learning_rate, self.with_facts = learning_rate, with_facts
        self.drop_ecg, self.drop_picture = drop_ecg, drop_picture
        torch.manual_seed(self.seed)
        self.model, self.new_tokens, self.stored = build(decoder, encoders)
        add_lora(self.model, self.lora["targets"], self.lora["r"], self.lora["alpha"], self.lora["dropout"])
        split_new_rows(self.model, self.new_tokens)
        if init is not None:
            load_trained(self.model, init)
        self.model.requires_grad_(False)
        for name in ("ecg_projector", "vision_projector"):
            getattr(self.model, name).requires_grad_(True)
        for name, parameter in self.model.named_parameters():
            if train_lora and "lora_" in name:
                parameter.requires_grad_(True)
        self.model.get_input_embeddings().rows.requires_grad_(True)
        self.strict_loading = False  # checkpoints hold what is trained
        self.set_modes()

    def on_fit_start(self) -> None:
        """Make steps cheaper: attention over short rows on the CPU, and matrices that are rounded once.

        Under ``bf16-mixed`` the decoder's own matrices are kept in bfloat16 instead of rounded at each step.
        """
        if self.device.type == "cpu":
            self.model.language_model.set_attn_implementation("eager")
        if str(self.trainer.precision) == "bf16-mixed":
            for parameter in self.model.language_model.parameters():
                if parameter.dim() > 1 and not parameter.requires_grad and parameter.is_floating_point():
                    parameter.data = parameter.data.bfloat16()

    def on_train_epoch_start(self) -> None:
        """Set the modes again, which validation may have changed."""
        self.set_modes()

    def set_modes(self) -> None:
        """Encoders in eval mode, with their running statistics; the rest in train mode."""
        self.model.train()
        for name in ("ecg_encoder", "vision_encoder"):
            getattr(self.model, name).eval()

    def transfer_batch_to_device(self, batch: dict[str, Any], device: torch.device, dataloader_idx: int) -> Any:
        """Move the tensors alone: Lightning can't walk through readings.

        Args:
            batch: see ``loss``.
            device: of the model.
            dataloader_idx: not used.
        """
        return {**batch, "tokens": {name: value.to(device) for name, value in batch["tokens"].items()}}

    def loss(self, batch: dict[str, Any], pick: random.Random, both: bool = False) -> Tensor:
        """Cross entropy of the answers.

        Args:
            batch: ``tokens`` and ``readings``, see ``gem.data.readings``.
            pick: source of random numbers for texts and inputs.
            both: whether every record is shown with signal and picture.
        """
        blocks = projected(self.model, batch["tokens"])
        rows, starts, shown = [], [], []
        for place, reading in enumerate(batch["readings"]):
            ids, answer = token_row(self.model, reading, pick, self.with_facts)
            rows.append([*ids, *answer])
            starts.append(len(ids))
            chance = pick.random()
            parts = [blocks["ecg"][place], blocks["vision"][place]]
            if not both and chance < self.drop_ecg:
                parts = parts[1:]
            elif not both and chance < self.drop_ecg + self.drop_picture:
                parts = parts[:1]
            shown.append(torch.cat(parts))
        return answer_loss(self.model, rows, starts, list(shown))

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """The loss of one batch; its texts depend on the seed and the step alone.

        Args:
            batch: see ``loss``.
            index: of the batch, not used.
        """
        loss = self.loss(batch, random.Random(self.text_seed))
        self.log("loss", loss, prog_bar=True, batch_size=len(batch["index"]))
        return loss

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        """Log the loss; the texts are the same at every validation.

        Args:
            batch: see ``loss``.
            index: of the batch.
        """
        loss = self.loss(batch, random.Random(index), both=True)
        self.log("val_loss", loss, prog_bar=True, batch_size=len(batch["index"]))

    def configure_optimizers(self) -> Any:
        """AdamW without decay under a one-cycle schedule over the whole run."""
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        return self.one_cycle(parameters, 0.0, 0.1, (0.9, 0.95))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what is not trained.

        Args:
            checkpoint: as Lightning writes it.
        """
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: value for name, value in state.items() if name in trained}

    def on_fit_end(self) -> None:
        """Save what was trained, on the first process."""
        if self.writes_output:
            self.save()

    def save(self) -> None:
        """Write the adapted model's folder."""
        sizes = {name: self.lora[name] for name in ("r", "alpha")}
        save_adapted(self.output, self.model, self.encoders, self.decoder, self.new_tokens, sizes, self.stored)


class SplitEmbedding(nn.Module):
    """Rows of the decoder's own tokens, which stay, and rows of new tokens, so that these alone have gradients.

    Args:
        weight: (tokens, hidden) of all.
        new_tokens: number of new ones, the last rows.
    """

    def __init__(self, weight: Tensor, new_tokens: int) -> None:
        super().__init__()
        self.own = nn.Parameter(weight[: len(weight) - new_tokens].detach().clone(), requires_grad=False)
        self.rows = nn.Parameter(weight[len(weight) - new_tokens :].detach().clone())

    @property
    def weight(self) -> Tensor:
        """(tokens, hidden) of all."""
        return torch.cat([self.own.to(self.rows.dtype), self.rows])

    def forward(self, ids: Tensor) -> Tensor:
        """(..., L) -> (..., L, hidden)."""
        old = len(self.own)
        out = nn.functional.embedding(ids.clamp(max=old - 1), self.own).to(self.rows.dtype)
        new = ids >= old
        return out.masked_scatter(new[..., None], self.rows[ids[new] - old])


class SplitHead(nn.Module):
    """Logits of the decoder's own tokens and of new ones, tied to the embeddings.

    Args:
        embedding: of the decoder.
    """

    def __init__(self, embedding: SplitEmbedding) -> None:
        super().__init__()
        self.tied = [embedding]  # in a list, so that its parameters are not counted twice

    def forward(self, states: Tensor) -> Tensor:
        """(..., hidden) -> (..., tokens)."""
        tied = self.tied[0]
        return torch.cat([nn.functional.linear(states, part) for part in (tied.own, tied.rows)], -1)


def split_new_rows(model: Any, new_tokens: int) -> None:
    """Put ``SplitEmbedding`` and ``SplitHead`` into a decoder whose head is tied to its embeddings.

    Args:
        model: changed in place.
        new_tokens: number of new tokens, the last rows.
    """
    embedding = SplitEmbedding(model.get_input_embeddings().weight, new_tokens)
    model.set_input_embeddings(embedding)
    model.set_output_embeddings(SplitHead(embedding))


def token_row(model: Any, reading: Reading, pick: random.Random, with_facts: float) -> tuple[list[int], list[int]]:
    """Token ids of a prompt and of its answer.

    Args:
        model: with its processor.
        reading: of the record.
        pick: source of random numbers.
        with_facts: as in ``Reading.example``.
    """
    asked, answer = reading.example(pick, with_facts)
    tokenizer = model.processor.tokenizer
    return model.processor.encode_prompt(asked), [*tokenizer(answer)["input_ids"], tokenizer.eos_token_id]


def build(decoder: str, encoders: str) -> tuple[Any, int, dict[str, Any]]:
    """A model of a decoder and another model's encoders, with new projectors and the facts' tags as new tokens.

    Args:
        decoder: as in ``LanguageTuning``.
        encoders: likewise.

    Returns:
        The model with its processor, the number of new tokens, and the arguments of ``GemConfig`` to store.

    Raises:
        GemConfigError: the encoders' model lacks one of the two, or the decoder's head is not tied to its embeddings.
    """
    from ..modeling import GemForConditionalGeneration
    from ..processing import GemProcessor

    source: Any = load(encoders)
    if source.ecg_encoder is None or source.vision_encoder is None:
        raise GemConfigError("a signal and a picture encoder are needed", where=encoders)
    text, tensors = read_decoder(decoder)
    if not text.get("tie_word_embeddings"):
        raise GemConfigError("the decoder's head is not tied to its embeddings", where=decoder)
    tokenizer = read_tokenizer(decoder)
    new = [tag for tag in TAGS if tag not in tokenizer.get_vocab()]
    tokenizer.add_tokens(new)
    stored: dict[str, Any] = {
        "ecg_projector": PROJECTOR,
        "vision_projector": PROJECTOR,
        "conversation": CONVERSATION,
    }
    config = adapted_config(source.config.to_dict(), text, len(new), stored)
    model: Any = GemForConditionalGeneration(config)
    model.ecg_encoder.load_state_dict(source.ecg_encoder.state_dict())
    model.vision_encoder.load_state_dict(source.vision_encoder.state_dict())
    tensors = {f"language_model.{key}": value for key, value in tensors.items()}
    tensors[EMBEDDINGS] = torch.cat([tensors[EMBEDDINGS], new_rows(tensors[EMBEDDINGS], tokenizer, new)])
    model.load_state_dict(tensors, strict=False)
    model.language_model.tie_weights()
    model.processor = GemProcessor.from_config(config, tokenizer)
    return model, len(new), stored


def new_rows(embeddings: Tensor, tokenizer: Any, tags: Sequence[str]) -> Tensor:
    """Embeddings of the tags: the mean of the pieces that their names are made of, and some noise to tell them apart.

    Args:
        embeddings: (tokens, hidden) of the decoder.
        tokenizer: of the decoder, with the tags.
        tags: the new tokens.

    Returns:
        (tags, hidden).
    """
    means = torch.zeros(len(tags), embeddings.shape[1])
    for row, tag in zip(means, tags, strict=True):
        row.copy_(embeddings[tokenizer(f" {tag.strip('<>').replace('_', ' ')}")["input_ids"]].mean(0))
    return means + 0.1 * float(embeddings.std()) * torch.randn_like(means)


def read_tokenizer(decoder: str) -> Any:
    """The tokenizer of a decoder, as transformers reads it from its package or folder.

    Args:
        decoder: as in ``LanguageTuning``.

    Raises:
        GemConfigError: it is not on this machine.
    """
    from transformers import AutoTokenizer

    from ..snapshots import local_folder

    known = DECODERS.get(decoder)
    if known is None:
        return AutoTokenizer.from_pretrained(decoder, local_files_only=True)
    file = known.packaged()
    if file is not None:
        return AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
    folder = local_folder(known.repository)
    if not folder.is_dir():
        raise GemConfigError("the decoder is not on this machine", where=decoder, remedy=how_to_install(known.package))
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@torch.no_grad()
def load_trained(model: Any, folder: str) -> None:
    """Copy what an earlier stage trained.

    Args:
        model: with LoRA layers and ``split_new_rows``, changed in place.
        folder: of the earlier stage.

    Raises:
        GemConfigError: it holds something that the model has no place for.
    """
    from safetensors.torch import load_file

    state: dict[str, Tensor] = model.state_dict()
    for key, value in load_file(Path(folder) / WEIGHTS).items():
        if key == NEW_ROWS:
            model.get_input_embeddings().rows.copy_(value)
            continue
        if key.startswith(LORA):
            stem, letter = key.removeprefix(LORA).rsplit(".", 1)
            key = f"language_model.{stem}.lora_{letter}.default.weight"
        if key not in state or state[key].shape != value.shape:
            raise GemConfigError(f"{key} doesn't fit the model", where=folder, remedy="use the same sizes")
        state[key].copy_(value)
