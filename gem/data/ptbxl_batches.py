"""PTB-XL as batches: records are prepared once by the model's processor and kept in a cache."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ..encoders import SignalContract
from ..errors import GemInputError
from .batches import FoldData
from .conversations import save_array
from .corpus import labels_of
from .measured import NAMES, measured, standardize
from .ptbxl import load_ptbxl
from .samples import Sample
from .stamps import stamp

log = logging.getLogger(__name__)


class PtbxlData(FoldData):
    """Records of some folds, as ``{"ecg", "pixel_values", "classes", "index"}`` batches.

    Args:
        root: a folder with PTB-XL, see ``gem.data.ptbxl.load_ptbxl``.
        train_folds: for training; a patient is in one fold only.
        val_folds: for validation.
        signal: whether signals are prepared.
        picture: whether pictures are prepared.
        measured: whether batches hold the measurements of each training record, as ``"measured"``, see
            ``gem.data.measured``.
        cache: folder for the prepared records, which may be deleted at any time.
        batch_size: records of a batch.
        limit: use only the first ``limit`` training records, for example to let a model overfit.
    """

    def __init__(
        self,
        root: str,
        train_folds: Sequence[int] = (1, 2, 3, 4, 5, 6, 7),
        val_folds: Sequence[int] = (8,),
        signal: bool = True,
        picture: bool = False,
        measured: bool = False,
        cache: str = "cache",
        batch_size: int = 32,
        limit: int | None = None,
    ) -> None:
        super().__init__(root, train_folds, val_folds, cache, batch_size, limit)
        self.signal, self.picture, self.measured = signal, picture, measured

    def setup(self, stage: str | None = None) -> None:
        """Prepare the records, or read them from the cache.

        Args:
            stage: not used.
        """
        if self.train is not None:
            return
        model: Any = self.trainer.lightning_module.model  # type: ignore[union-attr]
        train, val = load_ptbxl(self.root, self.train_folds)[: self.limit], load_ptbxl(self.root, self.val_folds)
        unit = "mV" if sees_millivolts(model) else "zscore"
        classes = model.config.class_names
        inputs = self._arrays(train, model)
        if self.measured:
            inputs["measured"] = standardize(self._cached("measured", train, model, [*NAMES, unit]))
        self.train, self.val = Records(inputs, train, classes), Records(self._arrays(val, model), val, classes)

    def _arrays(self, samples: Sequence[Sample], model: Any) -> dict[str, NDArray[Any]]:
        """Signals (n, leads, samples) and pictures (n, 3, H, W), float16."""
        asked = {
            "ecg": (self.signal, model.config.signal),
            "pixel_values": (self.picture, model.config.picture),
        }
        return {name: self._cached(name, samples, model, about) for name, (wanted, about) in asked.items() if wanted}

    def _cached(self, name: str, samples: Sequence[Sample], model: Any, contract: Any) -> NDArray[Any]:
        content = {"name": name, "records": [stamp(sample.read) for sample in samples], "contract": contract}
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
        path = self.cache / f"{name}-{key}.npy"
        if path.is_file():
            return np.asarray(np.load(path))
        log.info("preparing %d records for %s", len(samples), path)
        rows = np.stack([self._prepare(name, sample, model) for sample in samples])
        save_array(path, rows)
        return rows

    @staticmethod
    def _prepare(name: str, sample: Sample, model: Any) -> NDArray[Any]:
        if name == "measured":
            return measured(sample, sees_millivolts(model))
        if name == "ecg":
            return SignalContract.from_dict(model.config.signal).execute(sample.record)[0].astype(np.float16)
        encoded = model.processor(record=sample.record, measurement=False)
        return np.asarray(encoded["pixel_values"][0], np.float16)


def sees_millivolts(model: Any) -> bool:
    """Whether the signal encoder's input is in mV."""
    return bool((model.config.signal or {}).get("normalization") == "none")


class Records(Dataset[dict[str, Any]]):
    """Prepared records, their classes and their positions in the list; an index is a list of positions.

    Args:
        inputs: key of a batch -> (n, ...) array.
        samples: the n records.
        class_names: labels of the classification head, see ``labels_of``.

    Raises:
        GemInputError: no input.
    """

    def __init__(self, inputs: dict[str, NDArray[Any]], samples: Sequence[Sample], class_names: Sequence[str]) -> None:
        if not inputs:
            raise GemInputError("neither signal nor picture is prepared", remedy="set signal or picture in the data")
        self.inputs = inputs
        labels = [labels_of(sample) for sample in samples]
        self.classes = torch.tensor([[float(name in row) for name in class_names] for row in labels])

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, index: list[int]) -> dict[str, Any]:
        """A batch; ``index`` stays a list because it is used on the host."""
        row = {name: torch.from_numpy(array[index].astype(np.float32)) for name, array in self.inputs.items()}
        return {**row, "classes": self.classes[index], "index": index}
