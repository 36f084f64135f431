"""Linear probe: one linear layer on the features of a frozen encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..encoders.registry import pooled
from ..errors import GemConfigError
from ..fusion.coca import EcgCocaModel
from ..metrics import MacroAUROC
from .contrastive import start_coca
from .start import start
from .tuning import Tuning


class Probe(Tuning):
    """One linear layer on frozen features, with a sigmoid for each class.

    The features are ECG-CoCa's embedding of length one, or the layer-normalised mean and maximum of another encoder's
    tokens.

    Args:
        classes: names of the labels, in the data's order.
        init: folder or name of a saved model, see ``gem.training.start.start``, or an ECG-CoCa folder.
        model: arguments of ``GemConfig``, see ``gem.training.start.start``.
        parts: folders of a model's parts, see ``gem.training.start.start``.
        coca: the arguments of ``EcgCocaConfig``, instead of the three.
        inputs: ``"signal"`` or ``"picture"``.
        **kwargs: see ``gem.training.tuning.Tuning``.

    Raises:
        GemConfigError: the model has no encoder for this input.
    """

    needs = ("classes", "ids")

    def __init__(
        self,
        classes: list[str],
        init: str | None = None,
        model: dict[str, Any] | None = None,
        parts: dict[str, str] | None = None,
        coca: dict[str, Any] | None = None,
        inputs: Literal["signal", "picture"] = "signal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = start_coca(None, coca, None) if coca is not None else start(init, model, parts)
        self.classes, self.inputs = classes, inputs
        self.is_coca = isinstance(self.model, EcgCocaModel)
        encoder = (
            self.model.ecg
            if self.is_coca
            else getattr(self.model, f"{'ecg' if inputs == 'signal' else 'vision'}_encoder")
        )
        if encoder is None or (self.is_coca and inputs == "picture"):
            raise GemConfigError(f"the model has no encoder for the {inputs}")
        self.encoder = [encoder]  # in a list, because it is registered as part of the model already
        width = self.model.config.embed_dim if self.is_coca else 2 * encoder.width
        self.model.requires_grad_(False)
        self.head = nn.Linear(width, len(classes))
        self.auc = MacroAUROC()
        self.finish_setup(fresh=init is None)

    def features(self, batch: dict[str, Any]) -> Tensor:
        """The frozen encoder's features.

        Args:
            batch: with ``ecg`` or ``pixel_values``, and ``ids``.

        Returns:
            (B, width), without a gradient.
        """
        self.announce_records(batch)
        with torch.no_grad():
            if self.is_coca:
                embeds: Tensor = self.model.encode_ecg(batch["ecg"]).ecg_embeds
                return embeds
            x = batch["ecg" if self.inputs == "signal" else "pixel_values"]
            vectors = pooled(self.encoder[0](x)).float()
            return F.layer_norm(vectors, vectors.shape[-1:])

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """Binary cross entropy over all classes.

        Args:
            batch: see ``features``, with ``classes``.
            index: of the batch, not used.
        """
        loss = F.binary_cross_entropy_with_logits(self.head(self.features(batch)), batch["classes"])
        self.log_figure("loss", loss, len(batch["ids"]))
        return loss

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        """Update the metric.

        Args:
            batch: see ``features``, with ``classes``.
            index: of the batch, not used.
        """
        self.auc.update(self.head(self.features(batch)).sigmoid(), batch["classes"])

    def on_validation_epoch_end(self) -> None:
        """Log the macro ROC-AUC over all processes, of the classes with positive and negative records, if any."""
        value = self.auc.compute()
        self.auc.reset()
        if not torch.isnan(value):
            self.log("val_macro_auc", value, prog_bar=True, rank_zero_only=True)

    def configure_model(self) -> None:
        """Refuse sharding, which is of no use for a linear layer.

        Raises:
            GemConfigError: the trainer has a strategy that shards.
        """
        if self.device_mesh is not None:
            raise GemConfigError("the probe does not run under ModelParallelStrategy", remedy="use ddp")

    def save(self, weights: dict[str, Tensor] | None = None) -> None:
        """Write ``probe.safetensors`` (head.weight, head.bias) and ``probe.json`` (classes).

        Args:
            weights: not used.
        """
        from safetensors.torch import save_file

        folder = Path(self.output)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {f"head.{k}": v.contiguous() for k, v in self.head.state_dict().items()}, folder / "probe.safetensors"
        )
        (folder / "probe.json").write_text(
            json.dumps({"classes": self.classes, "inputs": self.inputs}, indent=1) + "\n"
        )
