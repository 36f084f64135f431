"""BERTScore of a text by torchmetrics, with a model from a local folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import GemInputError

MAX_TOKENS = 512  # of a text, where the tokenizer names no limit
VALUES = ("precision", "recall", "f1")
_REMEDY = "save a BERT-like model there, with its tokenizer and safetensors: model.save_pretrained(FOLDER)"


class BertScorer:
    """Compares a text with a reference by the vectors of their tokens, without weights of rarity and rescaling.

    Texts are compared one by one: of several at once torchmetrics mixes up the order (1.9). Longer texts than the model
    takes are cut.

    Args:
        place: folder of a model and its tokenizer in transformers' layout, with ``.safetensors``. ``FOLDER:LAYER``
            compares the vectors after that layer; the last one otherwise.

    Raises:
        GemInputError: no such model, or no such layer.
    """

    def __init__(self, place: str | Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        folder, separator, layer = str(place).rpartition(":")
        if not separator or not layer.isdecimal() or Path(place).exists():
            folder, layer = str(place), ""
        self._folder = Path(folder)
        weights = sorted(self._folder.glob("*.safetensors"))
        if not weights:
            raise GemInputError("no model for BERTScore", where=folder, remedy=_REMEDY)
        kept: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._model: Any = AutoModel.from_pretrained(folder, use_safetensors=True, **kept).eval()
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, **kept)
        except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
            words = f"the model for BERTScore can't be read ({type(error).__name__}: {str(error)[:200]})"
            raise GemInputError(words, where=folder, remedy=_REMEDY) from None
        layers = int(self._model.config.num_hidden_layers)
        self._layer = int(layer) if layer else layers
        if not 1 <= self._layer <= layers:
            raise GemInputError(f"no layer {layer}", where=folder, remedy=f"name one from 1 to {layers}")
        digest = hashlib.sha256()
        for path in weights:
            digest.update(path.read_bytes())
        self._digest = digest.hexdigest()

    def settings(self) -> dict[str, Any]:
        """What decides about the values: the folder's name, the layer and the digest of the weights."""
        return {"model": self._folder.name, "layer": self._layer, "weights_sha256": self._digest}

    def __call__(self, said: str, true: str) -> dict[str, float]:
        """Precision, recall and F1, each at most 1; 0 for a text without tokens.

        Args:
            said: a text.
            true: its reference.
        """
        from torchmetrics.functional.text.bert import bert_score

        limit = min(self._tokenizer.model_max_length, MAX_TOKENS)
        lengths = [len(ids) for ids in self._tokenizer([said, true], truncation=True, max_length=limit)["input_ids"]]
        if min(lengths) <= self._tokenizer.num_special_tokens_to_add():
            return dict.fromkeys(VALUES, 0.0)
        found: Mapping[str, Any] = bert_score(
            [said],
            [true],
            model=self._model,
            user_tokenizer=self._tokenizer,
            num_layers=self._layer,
            max_length=max(lengths),
            truncation=True,
            device=self._model.device,
        )
        return {name: float(found[name]) for name in VALUES}
