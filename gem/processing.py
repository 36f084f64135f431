"""GemProcessor: turns recordings, pictures and prompts into the tensors that a model takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import BatchFeature, ProcessorMixin

from grounding import Measurement

from .configuration import GemConfig
from .errors import GemConfigError, GemInputError
from .messages import by_our_names, read_messages, refuse_options, rendered
from .preparing import FILE, Picture, Preparer, Recording
from .snapshots import local_folder
from .tokenizer import load_tokenizer
from .untrusted import as_checkpoint_error, check_arguments, check_numbers, read_json


class GemProcessor(Preparer, ProcessorMixin):  # type: ignore[misc,unused-ignore]
    """Executes the signal contract, prepares the picture, tokenises the prompt, in transformers' form.

    Args:
        signal: contract of the ECG encoder, or None.
        picture: ``{"mode", "size", "mean", "std", "background", "grid_pinpoints"}``, or None.
        tokenizer: a transformers tokenizer, or None for encoders alone.
        placeholder: text that marks where the encoder tokens go; None where they don't go into the prompt (MEIT).
        placeholder_token_id: its id.
        conversation: template around a prompt, with ``{prompt}`` in it; None for no template.
        compat: do what the published code does: rows in file order, no resampling, centre crop.
        measured: names of the measured values that the model takes (``gem.measured.NAMES``), or None.

    Raises:
        GemConfigError: a contract, picture settings, names or template that can't be used.
    """

    chat_template = None  # of transformers' own processors; ours is ``conversation``

    @classmethod
    def from_config(cls, config: GemConfig, tokenizer: Any = None, compat: bool = False) -> GemProcessor:
        """The processor that fits a model's config.

        Args:
            config: the model's.
            tokenizer: a transformers tokenizer, or None.
            compat: as in the class.
        """
        return cls(
            config.signal if config.ecg_encoder else None,
            config.picture if config.vision_encoder else None,
            tokenizer,
            None if config.fusion == "prefix_kv" else config.placeholder,
            config.placeholder_token_id,
            config.conversation,
            compat,
            config.measured["names"] if config.measured else None,
        )

    def __repr__(self) -> str:
        """The steps that it takes, a line each."""
        lines = ["GemProcessor"]
        if self.contract is not None:
            lines += [f"  signal, {name}: {what}" for name, what in self.contract.steps()]
        if self.picture is not None:
            size = "x".join(map(str, self.picture["size"]))
            lines.append(f"  picture: {self.picture.get('mode', 'letterbox')} to {size}")
        if self.measured is not None:
            lines.append(f"  measured: {len(self.measured)} values, {self.measured[0]!r} to {self.measured[-1]!r}")
        if self.tokenizer is not None:
            lines.append(f"  text: {type(self.tokenizer).__name__}, {len(self.tokenizer)} tokens, {self.placeholder!r}")
        return "\n".join(lines)

    def save_pretrained(  # type: ignore[override,unused-ignore]
        self, save_directory: str | Path, push_to_hub: bool = False, **options: Any
    ) -> None:
        """Write ``gem_processor.json`` and the tokenizer's files.

        Args:
            save_directory: created if it does not exist.
            push_to_hub: not done here.
            **options: accepted because transformers' ``Trainer`` passes them, and not used.

        Raises:
            GemConfigError: ``push_to_hub``.
        """
        if push_to_hub:
            raise GemConfigError(
                "nothing is sent from here", remedy="save to a folder, and upload it by the hub's tools"
            )
        path = Path(save_directory)
        path.mkdir(parents=True, exist_ok=True)
        values = {
            "signal": self.contract.to_dict() if self.contract else None,
            "picture": self.picture,
            "compat": self.compat,
            "placeholder": self.placeholder,
            "placeholder_token_id": self.placeholder_token_id,
            "conversation": self.conversation,
            "measured": None if self.measured is None else list(self.measured),
        }
        (path / FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(path)

    @classmethod
    def from_pretrained(  # type: ignore[override,unused-ignore]
        cls, pretrained_model_name_or_path: str | Path, **options: Any
    ) -> GemProcessor:
        """Read what ``save_pretrained`` wrote.

        Args:
            pretrained_model_name_or_path: a folder, or a repository in the hub's local cache; nothing is downloaded.
            **options: ``cache_dir`` and ``revision`` of the cache; others, which ``AutoProcessor`` passes, are unused.

        Raises:
            GemConfigError: the folder holds no processor.
            GemCheckpointError: its files can't be read, or hold settings that no processor has.
        """
        names = ("cache_dir", "revision")
        path = local_folder(pretrained_model_name_or_path, **{name: options.get(name) for name in names})
        if not (path / FILE).is_file():
            raise GemConfigError(f"no {FILE}", where=str(path), remedy="save it with processor.save_pretrained")
        values = read_json(path / FILE)
        with as_checkpoint_error(path / FILE, "the processor can't be made"):
            check_arguments(cls, {**values, "tokenizer": None}, "the processor")
            check_numbers(values, "the processor")
            return cls(**values, tokenizer=load_tokenizer(path))

    def __call__(  # type: ignore[override,unused-ignore]
        self,
        record: Recording | Sequence[Recording | None] | None = None,
        picture: Picture | Sequence[Picture | None] | bool | None = None,
        prompt: str | Sequence[str] | None = None,
        compat: bool | None = None,
        int16: bool = False,
        measurement: Measurement | Sequence[Measurement | None] | bool | None = None,
        **options: Any,
    ) -> BatchFeature:
        """Prepare one sample, or a batch given as lists.

        Args:
            record: recording(s), or files of recordings; None where there is none.
            picture: picture(s), or files of pictures; None draws the recording on paper if the model takes pictures;
                False passes none.
            prompt: text(s); a text without the placeholder gets it in front.
            compat: overrides the processor's own setting.
            int16: give ``ecg`` in 16-bit uV, which the model decodes and normalises on its device: half the bytes to
                copy there.
            measurement: of the recording(s); None measures a recording if the model takes measured values; False
                passes none.
            **options: ``images`` and ``text``, transformers' names of ``picture`` and ``prompt``; ``return_tensors``,
                which is ``"pt"``.

        Returns:
            Keyword arguments for the model, as a ``BatchFeature``: ``ecg`` (B, leads, samples), ``pixel_values``
            (B, 3, H, W) or B tensors (tiles, 3, H, W) with ``image_sizes``, ``measured`` (B, values), NaN where
            something was not measured, ``input_ids``, ``attention_mask`` (B, L), padded on the left, and
            ``ecg_mask``/``pixel_mask`` (B,) where some rows lack an input.

        Raises:
            GemInputError: nothing to look at, lists of different lengths, a recording outside the contract, or a
                measurement of another recording.
        """
        picture, prompt = by_our_names(picture, prompt, options)
        return BatchFeature(super().__call__(record, picture, prompt, compat, int16, measurement))

    def apply_chat_template(  # type: ignore[override,unused-ignore]
        self,
        conversation: Any,
        tokenize: bool = False,
        add_generation_prompt: bool = True,
        return_dict: bool = True,
        return_tensors: str | None = "pt",
        compat: bool | None = None,
        **options: Any,
    ) -> Any:
        """Messages with ECGs and pictures as a text in the family's template, or as what the model takes.

        Args:
            conversation: messages (``{"role", "content"}``), or a list of conversations. Content is a str, or a list of
                parts: ``{"type": "text", "text": ...}``, ``{"type": "ecg", "ecg": ...}`` (a record, path or array),
                ``{"type": "image", "image": ...}`` (a PIL picture or path); several of them in one conversation, too.
            tokenize: whether to prepare inputs, instead of the text.
            add_generation_prompt: the model is to answer; False for a conversation that ends with an answer.
            return_dict: with ``tokenize``, all inputs, and not the ids alone.
            return_tensors: ``"pt"``.
            compat: as in ``__call__``.
            **options: of transformers' templates; none of them (``tools``, ``documents``, ...) is supported.

        Returns:
            A str (or a list of them), a ``BatchFeature`` for ``model.generate``, or ids (B, L).

        Raises:
            GemInputError: messages of another form, or parts that the model can't look at.
        """
        refuse_options(options, return_tensors)
        several = (
            isinstance(conversation, Sequence) and bool(conversation) and isinstance(conversation[0], list | tuple)
        )
        place, end = self.placeholder or "<ecg>", getattr(self.tokenizer, "eos_token", None) or ""
        rows = [read_messages(one, place) for one in (conversation if several else [conversation])]
        texts = [rendered(messages, self.conversation, end, add_generation_prompt) for messages in rows]
        shown = [[pair for message in messages for pair in message.shown] for messages in rows]
        if self.placeholder is None:
            if any(len(pairs) > 1 for pairs in shown):
                raise GemInputError("several ECGs", where="messages", remedy="this family takes one for a conversation")
            texts = [text.replace(f"{place}\n", "") for text in texts]
        if not tokenize:
            return texts if several else texts[0]
        ids = self.padded([self._ids(text) for text in texts])
        pairs = [pair for row in shown for pair in row]
        if not return_dict:
            return ids["input_ids"]
        if not pairs:
            return BatchFeature(ids)
        self._check_shown(pairs)
        records, pictures = (list(one) for one in zip(*pairs, strict=True))
        picture = pictures if any(one is not None for one in pictures) else None
        return BatchFeature({**self(records, picture, compat=compat, measurement=False), **ids})

    def _check_shown(self, pairs: Sequence[tuple[Any, Any]]) -> None:
        for record, picture in pairs:
            if picture is not None and self.picture is None and record is None:
                raise GemInputError("this model takes no pictures", where="messages", remedy="show it the ECG")

    def texts(self, texts: Sequence[str], longest: int = 77) -> dict[str, Tensor]:
        """Tokenise texts for ECG-CoCa's text tower: lower case, padded with 0 on the right.

        Args:
            texts: one per row.
            longest: tokens that are kept of a text.

        Returns:
            ``input_ids`` and ``attention_mask`` (N, L).

        Raises:
            GemConfigError: there is no tokenizer.
        """
        if self.tokenizer is None:
            raise GemConfigError(
                "the model came without a tokenizer",
                remedy="put the text tower's tokenizer files into the folder, or set model.processor.tokenizer",
            )
        rows = [list(self.tokenizer(text.lower())["input_ids"]) for text in texts]
        # a text that is too long keeps its closing token
        rows = [row if len(row) <= longest else [*row[: longest - 1], row[-1]] for row in rows]
        width = max(map(len, rows))
        return {
            "input_ids": torch.tensor([row + [0] * (width - len(row)) for row in rows]),
            "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
        }

    def post_process_image_text_to_text(  # type: ignore[override,unused-ignore]
        self, generated_outputs: Any, skip_special_tokens: bool = True, **options: Any
    ) -> list[str]:
        """``batch_decode``, as transformers' pipeline calls it.

        Args:
            generated_outputs: (B, L) ids.
            skip_special_tokens: as in the tokenizer's ``decode``.
            **options: likewise.
        """
        return self.batch_decode(generated_outputs, skip_special_tokens=skip_special_tokens, **options)
