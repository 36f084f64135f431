"""Base of the training modules: trained parts, learning rates, seeds, feature caches, checkpoints, saving."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from torch import Tensor, nn

from ..data.batches import ResumableData, run_seed
from ..data.conversations import save_array
from ..data.resume import set_progress
from ..encoders import Encoder
from ..encoders.registry import weights_hash
from ..errors import GemConfigError, GemInputError
from .schedules import OneCycle, Schedule

PARTS = (
    "ecg_encoder",
    "vision_encoder",
    "ecg_projector",
    "vision_projector",
    "image_newline",
    "language_model",
    "class_head",
)
FORWARD = "forward"
HALF = (torch.float16, torch.bfloat16)


class SeededSteps(lightning.LightningModule):
    """Seeds each step from seed, epoch, batch and process, so that a resumed run equals an uninterrupted one."""

    seed: int
    learning_rate: float
    needs: Sequence[str] = ()  # keys that every batch has

    @property
    def writes_output(self) -> bool:
        """Whether this process saves the trained model: the first one does, and none in a trial run."""
        return self.trainer.is_global_zero and not self.trainer.fast_dev_run  # type: ignore[attr-defined]

    @property
    def text_seed(self) -> int:
        """Seed of a step's texts, from seed, step and process."""
        return (self.global_rank * 1_000_003 + self.seed) * 1_000_003 + self.global_step

    @property
    def planned_steps(self) -> int:
        """Optimiser steps of the whole run.

        Raises:
            GemConfigError: it has no end, and so no schedule.
        """
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise GemConfigError(
                "a run without end has no schedule of learning rates", remedy="set max_epochs or max_steps"
            )
        return int(steps)

    def one_cycle(
        self,
        parameters: Iterable[nn.Parameter],
        weight_decay: float,
        warm: float,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> Any:
        """AdamW under a one-cycle schedule over the whole run, with ``learning_rate`` as its peak.

        Args:
            parameters: what is trained.
            weight_decay: of AdamW.
            warm: fraction of the run in which the learning rate rises.
            betas: of AdamW.
        """
        optimizer = torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=weight_decay, betas=betas)
        schedule = OneCycle(optimizer, self.learning_rate, total_steps=self.planned_steps, pct_start=warm)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def setup(self, stage: str) -> None:
        """Train in float32, also weights of files in 16 bits, whose steps would be lost in rounding.

        Parts that are not trained keep their 16 bits where the precision is mixed. A precision such as ``bf16-true``
        is as it says.

        Args:
            stage: not used.
        """
        precision, model = str(self.trainer.precision), getattr(self, "model", self)
        if precision.endswith("16-true"):
            return
        for part in model.children():
            trained = any(one.requires_grad and one.dtype in HALF for one in part.parameters())
            if trained or precision == "32-true":
                part.float()
        for one in model.parameters(recurse=False):
            one.data = one.data.float()

    def on_before_backward(self, loss: Tensor) -> None:
        """Stop where the loss is not a number, before the weights are none either.

        Args:
            loss: of the step.

        Raises:
            GemConfigError: it is not finite.
        """
        if not torch.isfinite(loss):
            raise GemConfigError(
                f"the loss is {float(loss.detach())} at step {self.global_step}",
                remedy="a lower learning_rate, or --trainer.precision=32-true; the last checkpoint is from before",
            )

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """See ``check_batch``."""
        self.check_batch(batch)

    def check_batch(self, batch: Any) -> None:
        """Name what a batch of one's own data lacks.

        Args:
            batch: should be a dictionary with ``needs``.

        Raises:
            GemInputError: it is not.
        """
        absent = [name for name in self.needs if not isinstance(batch, Mapping) or name not in batch]
        if absent:
            there = f"it has {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else type(batch).__name__
            raise GemInputError(
                f"a batch without {', '.join(absent)} ({there})",
                where=type(self).__name__,
                remedy="a batch is a dictionary, as those of gem.data are",
            )

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the step.

        Args:
            batch: see ``check_batch``.
            batch_idx: its position in the epoch.
        """
        self.check_batch(batch)
        key = ((self.seed * 1_000_003 + self.current_epoch) * 1_000_003 + batch_idx) * 1024 + self.global_rank
        torch.manual_seed(key % 2**63)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Resume at the batch that the data module's state names.

        Args:
            checkpoint: as Lightning loads it.
        """
        data = getattr(self._trainer, "datamodule", None)
        if isinstance(data, ResumableData):  # its own state is restored later
            set_progress(checkpoint, checkpoint.get(type(data).__qualname__, {}))


class Tuning(SeededSteps):
    """Base of the modules that train some parts of a model.

    Subclasses build ``self.model`` and call ``train_only`` and ``finish_setup``.

    Args:
        learning_rate: peak learning rate.
        rates: part -> its own peak learning rate.
        weight_decay: of AdamW.
        betas: of AdamW.
        eps: of AdamW.
        schedule: of the learning rate after the warm-up.
        warmup_ratio: fraction of the run for the warm-up, if ``warmup_steps`` is not given.
        warmup_steps: optimiser steps of the warm-up.
        gradient_checkpointing: recompute the activations of the decoder's layers instead of storing them.
        compile: backend of ``torch.compile`` (``"inductor"``) for each encoder and each of the decoder's layers; None
            for no compilation. See docs/training.md for where it is faster.
        feature_cache: folder for the outputs of frozen encoders, which are computed once per record. It may be deleted
            at any time.
        output: folder that the trained model is saved to.
        seed: of the random numbers of each step (dropout, augmentation), together with epoch and batch, so that a
            resumed run equals an uninterrupted one;
            that of ``lightning.seed_everything`` when None.
    """

    model: Any

    def __init__(
        self,
        learning_rate: float = 2e-5,
        rates: dict[str, float] | None = None,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        schedule: Literal["cosine", "linear", "constant"] = "cosine",
        warmup_ratio: float = 0.03,
        warmup_steps: int | None = None,
        gradient_checkpointing: bool = False,
        compile: str | None = None,
        feature_cache: str | None = None,
        output: str = "runs/model",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.learning_rate, self.rates, self.weight_decay = learning_rate, rates or {}, weight_decay
        self.betas, self.eps, self.schedule = betas, eps, schedule
        self.warmup_ratio, self.warmup_steps = warmup_ratio, warmup_steps
        self.gradient_checkpointing, self.feature_cache = gradient_checkpointing, feature_cache
        self.output, self.seed, self.backend = output, run_seed(seed), compile
        self.fresh = True
        self.caches: list[CachedForward] = []
        self.strict_loading = False

    def train_only(self, names: Sequence[str], model_parts: Sequence[str] = PARTS) -> None:
        """Freeze all parts of the model but these.

        Args:
            names: the parts that are trained.
            model_parts: all parts that a model may have.

        Raises:
            GemConfigError: a name or a learning rate of a part that the model does not have.
        """
        there = [name for name in model_parts if getattr(self.model, name, None) is not None]
        unknown = [name for name in [*names, *self.rates] if name not in there]
        if unknown:
            raise GemConfigError(f"this model has no part {', '.join(unknown)}", remedy=f"it has {', '.join(there)}")
        self.model.requires_grad_(False)
        self.names = list(names)
        for name in names:
            getattr(self.model, name).requires_grad_(True)

    def finish_setup(self, fresh: bool) -> None:
        """Called by subclasses when the model is built and its trained parts are chosen.

        Args:
            fresh: the weights are random and not from files, so that checkpoints must hold the frozen ones too.

        Raises:
            GemConfigError: a feature cache without a frozen encoder.
        """
        self.fresh = fresh
        if self.gradient_checkpointing:
            self.model.language_model.gradient_checkpointing_enable({"use_reentrant": False})
        if self.feature_cache is not None:
            for name, key in (("ecg_encoder", "ecg"), ("vision_encoder", "vision")):
                encoder = getattr(self.model, name, None)
                if encoder is not None and not any(p.requires_grad for p in encoder.parameters()):
                    self.caches.append(CachedForward(encoder, Path(self.feature_cache), key))
            if not self.caches:
                raise GemConfigError("a feature cache needs a frozen encoder", remedy="leave feature_cache out")
        if self.backend is not None:
            for module in self.model.modules():
                whole = isinstance(module, Encoder) or type(module).__name__ in self.model._no_split_modules
                # in place, so that names in checkpoints don't change; cached encoders need no compilation
                if whole and not isinstance(module.__dict__.get(FORWARD), CachedForward):
                    module.compile(backend=self.backend, dynamic=True)
        self.set_modes()

    def set_modes(self) -> None:
        """Train mode for trained modules, eval mode for frozen ones: fixed batch norm statistics and no dropout."""
        self.model.train()
        for module in self.model.modules():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()

    def on_train_epoch_start(self) -> None:
        """Set the modes again, which validation may have changed."""
        self.set_modes()

    def announce_records(self, batch: dict[str, Any]) -> None:
        """Give the ids of a batch's records to the feature caches.

        Args:
            batch: with ``ids``.
        """
        for cache in self.caches:
            cache.ids = batch["ids"]

    def with_all_parts(self, loss: Tensor) -> Tensor:
        """The loss, with every trained part outside the decoder in it.

        DDP waits for the gradients of all of them, and a batch of one process may have no picture.

        Args:
            loss: scalar.
        """
        if self.trainer.world_size == 1 or getattr(self, "_sharded", False):
            return loss
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad and not name.startswith("language_model."):
                loss = loss + 0.0 * parameter.sum()
        return loss

    def weighted_over_processes(self, mean: Tensor, count: Tensor) -> Tensor:
        """Weight a mean of this process so that the gradient is that of the mean over the items of all processes.

        Args:
            mean: scalar.
            count: number of items of this mean.
        """
        if self.trainer.world_size == 1:
            return mean
        counts: Any = self.all_gather(count.float())
        total: Tensor = counts.sum()
        return mean * count * self.trainer.world_size / total

    def log_figure(self, name: str, value: Tensor, size: int) -> None:
        """Log a metric, averaged over processes: ``loss`` at each step, others at the end of the epoch.

        Args:
            name: of the metric.
            value: scalar.
            size: examples of the batch.
        """
        training = name == "loss"
        self.log(name, value, prog_bar=True, on_step=training, on_epoch=not training, sync_dist=True, batch_size=size)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Optimiser groups by learning rate and weight decay; norms, biases and other vectors are not decayed.

        Raises:
            GemConfigError: no parameter is trained.
        """
        groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                part = next((p for p in self.rates if f".{p}." in f".{name}."), "")
                groups.setdefault((part, parameter.dim() > 1), []).append(parameter)
        if not groups:
            raise GemConfigError("no parameter is trained", remedy="name the parts to train")
        return [
            {
                "params": parameters,
                "lr": self.rates.get(part, self.learning_rate),
                "weight_decay": self.weight_decay if decayed else 0.0,
            }
            for (part, decayed), parameters in groups.items()
        ]

    def configure_optimizers(self) -> Any:
        """AdamW; warm-up, then the schedule over the whole run."""
        optimizer = torch.optim.AdamW(self.parameter_groups(), lr=self.learning_rate, betas=self.betas, eps=self.eps)
        steps = self.planned_steps
        warm = self.warmup_steps if self.warmup_steps is not None else math.ceil(self.warmup_ratio * steps)
        factor = Schedule(self.schedule, warm, steps)
        # a plain function, because the attributes of other callables go into checkpoints, the number of steps with them
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_model(self) -> None:
        """Under FSDP2 (``ModelParallelStrategy``): shard each transformer layer, then the rest.

        Raises:
            GemConfigError: rows are packed.
        """
        if self.device_mesh is None or getattr(self, "_sharded", False):
            return
        if getattr(self, "pack_length", None) is not None:  # it encodes outside of the model's forward pass
            raise GemConfigError(
                "packed rows can't be trained with FSDP2", remedy="--model.init_args.pack_length=null, or ddp"
            )
        from torch.distributed.fsdp import fully_shard

        self._sharded = True
        mesh = self.device_mesh["data_parallel"]
        for module in self.model.modules():
            if type(module).__name__ in self.model._no_split_modules:
                fully_shard(module, mesh=mesh)
        fully_shard(self.model, mesh=mesh)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out frozen weights that the model's files hold, except in sharded checkpoints, which must be complete.

        Args:
            checkpoint: as Lightning saves it.
        """
        if self.fresh or getattr(self, "_sharded", False):
            return
        frozen = {name for name, parameter in self.named_parameters() if not parameter.requires_grad}
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k not in frozen}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Resume at the checkpoint's position; refuse a checkpoint that lacks trained weights.

        Args:
            checkpoint: as Lightning loads it.

        Raises:
            GemConfigError: it was written with another config.
        """
        super().on_load_checkpoint(checkpoint)
        if "state_dict" not in checkpoint:
            return  # sharded: its tensors are read later, where a missing one is an error
        needed = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        missing = sorted(needed - set(checkpoint["state_dict"]))
        if missing:
            raise GemConfigError(
                f"the checkpoint lacks {len(missing)} trained tensors, {missing[0]} first",
                remedy="resume with the config that wrote it",
            )

    def on_fit_end(self) -> None:
        """Save on the first process, which gathers sharded weights first, while the others wait."""
        self.finish()
        whole: Any = None
        if getattr(self, "_sharded", False):
            from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

            whole = get_model_state_dict(self.model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
        if self.writes_output:
            self.save(whole)
        self.trainer.strategy.barrier("saved")

    def finish(self) -> None:
        """Called on every process before the weights are saved; does nothing here."""

    def save(self, weights: dict[str, Tensor] | None = None) -> None:
        """Write the trained model to ``output``.

        Args:
            weights: to write instead of the model's, which are only this process's part if they are sharded.
        """
        raise NotImplementedError


class CachedForward:
    """Replaces the forward of a frozen encoder: each record is encoded once, and later read from a folder.

    Args:
        encoder: the encoder; its weights are part of the folder's name.
        folder: of the cache.
        key: ``"ecg"`` or ``"vision"``.
    """

    def __init__(self, encoder: nn.Module, folder: Path, key: str) -> None:
        self.original, self.ids = encoder.forward, list[str]()
        self.folder = folder / f"{key}-{weights_hash(encoder)}"
        self.runs = 0
        setattr(encoder, FORWARD, self)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, tokens, width); with tiles there are more rows than records, and nothing is cached."""
        import hashlib

        import numpy as np

        if len(x) != len(self.ids):
            out: Tensor = self.original(x)
            return out
        # the input is part of the file's name, in case an id has another signal later
        names = [
            hashlib.sha256(name.encode() + row.detach().float().cpu().numpy().tobytes()).hexdigest()[:24]
            for name, row in zip(self.ids, x, strict=True)
        ]
        paths = [self.folder / f"{name}.npy" for name in names]
        missing = [i for i, path in enumerate(paths) if not path.is_file()]
        if missing:
            # always all rows, because sums over fewer rows may differ in their last bits, and a killed run that had
            # saved some of them must give the same result
            self.runs += len(x)
            tokens = self.original(x).float().cpu().numpy()
            for i in missing:
                save_array(paths[i], tokens[i])
        return torch.from_numpy(np.stack([np.load(path) for path in paths])).to(x.device, x.dtype)
