"""gem-nano without transformers, whose import takes longer than everything that is done with the model.

``gem.load("gem-nano")`` gives the model as transformers knows it. This one has the same weights and gives the same
probabilities and tokens; all that it can do is encode, classify and write greedily, which is what ``gem.explain`` and
``gem.ask`` need of a model that they load by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from . import forking  # noqa: F401  (a forked child can use a model)
from .core import GemCore
from .decoding import decode
from .encoded import Encoded
from .errors import GemConfigError
from .preparing import FILE, Preparer
from .snapshots import WEIGHTS, find_folder
from .untrusted import as_checkpoint_error, read_json

NAME = "gem-nano"
DECODER = "language_model."


def is_bundled(name: str) -> bool:
    """Whether a name stands for the bundled model, and not for a folder of that name.

    Args:
        name: as for ``gem.load``.

    Raises:
        GemCheckpointError: there is no such model.
    """
    with as_checkpoint_error(name, "the folder can't be read"):
        return find_folder(name).resolve() == (WEIGHTS / NAME).resolve()


def load_bundled() -> BundledGem:
    """gem-nano on the CPU, in float32 and eval mode, with its ``.processor``.

    Raises:
        GemCheckpointError: its files are damaged.
    """
    folder = WEIGHTS / NAME
    with as_checkpoint_error(folder, "the bundled model can't be read"):
        tensors = load_file(folder / "model.safetensors")
        whole = {name: part.float() if part.is_floating_point() else part for name, part in tensors.items()}
        with torch.device("meta"):  # weights need no first values
            model = BundledGem(read_json(folder / "config.json"), read_json(folder / "generation_config.json"))
        decoder = {name.removeprefix(DECODER): part for name, part in whole.items() if name.startswith(DECODER)}
        others = {name: part for name, part in whole.items() if not name.startswith(DECODER)}
        model.load_state_dict(others, assign=True)
        decoder.setdefault("lm_head.weight", decoder["model.embed_tokens.weight"])  # stored once
        model.language_model = _Weights(decoder)
        model.language_model.config = SimpleNamespace(**model.config.text_config)
        model.processor = Preparer(**read_json(folder / FILE), tokenizer=_Tokenizer(folder))
    model.name_or_path = str(folder)
    return model.eval()


class BundledGem(GemCore):
    """The bundled model; weights come from ``load_bundled``.

    Args:
        config: of its ``config.json``.
        generation: of its ``generation_config.json``.
    """

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, config: Mapping[str, Any], generation: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = SimpleNamespace(**config, hidden_size=config["text_config"]["hidden_size"])
        self.generation_config = SimpleNamespace(**generation)
        self._build_parts(self.config)
        self.language_model: Any = None
        self.processor: Any = None
        self.name_or_path = NAME

    def _embed(self, input_ids: Tensor) -> Tensor:
        return F.embedding(input_ids.clamp(min=0), self.language_model.model.embed_tokens.weight)

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        max_new_tokens: int,
        encoded: Encoded | None = None,
        do_sample: bool = False,
        max_length: None = None,
    ) -> Tensor:
        """Write greedily.

        Args:
            input_ids: (B, L), with a placeholder where ``encoded`` goes.
            attention_mask: (B, L).
            max_new_tokens: most tokens of a text.
            encoded: of ``encode``; None writes without recordings.
            do_sample: False.
            max_length: None.

        Returns:
            (B, L + N): the prompts' ids, followed by the new ones.

        Raises:
            GemConfigError: sampling, or a ``max_length``.
            GemInputError: prompts that don't fit the recordings.
        """
        if do_sample or max_length is not None:
            raise GemConfigError("this form of gem-nano only writes greedily", remedy='take gem.load("gem-nano")')
        embeds, mask = self._prompt_vectors(input_ids, attention_mask, Encoded() if encoded is None else encoded)
        return torch.cat([input_ids, decode(self, embeds, mask, max_new_tokens)], dim=1)


class _Weights(nn.Module):
    """Weights under the names that they have in the file."""

    config: Any

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        below: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            first, _, rest = name.partition(".")
            if rest:
                below.setdefault(first, {})[rest] = tensor
            else:
                self.register_parameter(first, nn.Parameter(tensor))
        for first in sorted(below, key=lambda name: (len(name), name)):  # layers by their number
            self.add_module(first, _Weights(below[first]))

    def __iter__(self) -> Iterator[nn.Module]:
        return self.children()


class _Tokenizer:
    """The tokenizer's file, as far as a ``Preparer`` asks for it."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        settings = read_json(folder / "tokenizer_config.json")
        self.eos_token = settings["eos_token"]
        tokens = (settings["bos_token"], self.eos_token, settings["pad_token"])
        self.bos_token_id, self.eos_token_id, self.pad_token_id = map(self._tokenizer.token_to_id, tokens)

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": self._tokenizer.encode(text).ids}

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens))

    def get_vocab(self) -> dict[str, int]:
        return dict(self._tokenizer.get_vocab())
