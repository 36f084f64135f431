"""From recordings, pictures and prompts to the tensors that a model takes. Needs nothing of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from grounding import ECGRecord, Measurement, read_record
from grounding.measurement.gain import ISSUE, without_voltages

from . import measured as measuring
from .encoders.contract import SignalContract
from .errors import GemConfigError, GemInputError
from .messages import checked_prompts
from .pictures import drawn, prepare_picture, rgb
from .settings import check_names, check_picture, check_prompt

FILE = "gem_processor.json"
Recording = ECGRecord | str | Path
Picture = Image.Image | NDArray[np.uint8] | str | Path


class Preparer:
    """Executes the signal contract, prepares the picture, tokenises the prompt.

    Args:
        signal: as in ``gem.GemProcessor``.
        picture: likewise.
        tokenizer: a transformers tokenizer, that of ``gem.bundled``, or None.
        placeholder: likewise.
        placeholder_token_id: likewise.
        conversation: likewise.
        compat: likewise.
        measured: likewise.

    Raises:
        GemConfigError: a contract, picture settings, names or template that can't be used.
    """

    def __init__(
        self,
        signal: SignalContract | dict[str, Any] | None = None,
        picture: dict[str, Any] | None = None,
        tokenizer: Any = None,
        placeholder: str | None = "<ecg>",
        placeholder_token_id: int = -200,
        conversation: str | None = None,
        compat: bool = False,
        measured: Sequence[str] | None = None,
    ) -> None:
        self.contract = SignalContract.from_dict(signal) if isinstance(signal, dict) else signal
        if picture is not None:
            check_picture(picture)
        check_prompt(placeholder, conversation)
        if measured is not None:
            check_names(measured)
        self.measured = None if measured is None else tuple(measured)
        self.picture = picture
        self.tokenizer = tokenizer
        self.placeholder = placeholder
        self.placeholder_token_id = placeholder_token_id
        self.conversation = conversation
        self.compat = compat

    def __call__(
        self,
        record: Recording | Sequence[Recording | None] | None = None,
        picture: Picture | Sequence[Picture | None] | bool | None = None,
        prompt: str | Sequence[str] | None = None,
        compat: bool | None = None,
        int16: bool = False,
        measurement: Measurement | Sequence[Measurement | None] | bool | None = None,
    ) -> dict[str, Any]:
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

        Returns:
            Keyword arguments for the model: ``ecg`` (B, leads, samples), ``pixel_values``
            (B, 3, H, W) or B tensors (tiles, 3, H, W) with ``image_sizes``, ``measured`` (B, values), NaN where
            something was not measured, ``input_ids``, ``attention_mask`` (B, L), padded on the left, and
            ``ecg_mask``/``pixel_mask`` (B,) where some rows lack an input.

        Raises:
            GemInputError: nothing to look at, lists of different lengths, a recording outside the contract, or a
                measurement of another recording.
        """
        compat = self.compat if compat is None else compat
        many = [value for value in (record, picture, prompt, measurement) if isinstance(value, list | tuple)]
        size = len(many[0]) if many else 1
        if any(len(value) != size for value in many):
            raise GemInputError(f"lists of {' and '.join(str(len(v)) for v in many)} in one batch")
        records = [
            _with_its_gain(_record(item), known)
            for item, known in zip(_as_list(record, size), _as_list(measurement, size), strict=True)
        ]
        pictures = _as_list(picture, size)
        out: dict[str, Any] = {}
        if self.contract is not None and any(item is not None for item in records):
            execute: Any = self.contract.execute_int16 if int16 else self.contract.execute
            there = [None if item is None else execute(item, compat)[0] for item in records]
            empty = np.zeros_like(next(row for row in there if row is not None))
            rows = [empty if row is None else row for row in there]
            out["ecg"] = torch.from_numpy(np.stack(rows))
            if any(item is None for item in records):
                out["ecg_mask"] = torch.tensor([item is not None for item in records])
        if self.picture is not None and picture is not False:
            pages = [
                drawn(item) if image is None and item is not None else image
                for item, image in zip(records, pictures, strict=True)
            ]
            out |= self._pictures(pages, compat)
        if self.measured is not None and measurement is not False:
            out |= self._measured(records, _as_list(measurement, size))
        if not ("ecg" in out or "pixel_values" in out):
            raise GemInputError("neither a recording nor a picture that this model can look at")
        if prompt is not None:
            out |= self.encode_prompts(checked_prompts(_as_list(prompt, size)))
        return out

    def signal(self, record: ECGRecord, compat: bool = False) -> tuple[NDArray[np.float32], list[str]]:
        """The recording as the encoder expects it.

        Args:
            record: the recording.
            compat: as in the class.

        Returns:
            (leads, samples) as the signal contract says, and a line for each lead or stretch that was filled in or cut.

        Raises:
            GemConfigError: the model takes no signal.
            GemInputError: the recording does not fit the contract.
        """
        if self.contract is None:
            raise GemConfigError("this model has no signal contract", remedy="it looks at pictures only")
        return self.contract.execute(record, compat)

    def _measured(self, records: Sequence[Any], measurements: Sequence[Any]) -> dict[str, Tensor]:
        """``measured``; nothing where there is neither a recording nor a measurement."""
        assert self.measured is not None  # for mypy
        if all(item is None for item in (*records, *measurements)):
            return {}
        rows = []
        for record, measurement in zip(records, measurements, strict=True):
            if measurement is None and record is not None:
                rows.append(measuring.values_of_record(record, self.measured))
            elif measurement is None:
                rows.append(np.full(len(self.measured), np.nan, np.float32))
            elif record is not None and record.record_id != measurement.record_id:
                raise GemInputError(f"the measurement is of {measurement.record_id}", where=record.record_id)
            else:
                rows.append(measuring.measured_values(measurement, self.measured))
        return {"measured": torch.from_numpy(np.stack(rows))}

    def _pictures(self, images: Sequence[Any], compat: bool) -> dict[str, Any]:
        assert self.picture is not None  # for mypy
        if not any(image is not None for image in images):
            return {}
        mode = self.picture.get("mode", "letterbox")
        if compat:
            mode = self.picture.get("compat_mode", mode)
        ready = [None if image is None else prepare_picture(rgb(image), self.picture, mode) for image in images]
        empty = torch.zeros_like(next(item for item in ready if item is not None))
        rows = [empty if item is None else item for item in ready]
        out: dict[str, Any] = {"pixel_values": rows if mode == "anyres" else torch.cat(rows)}
        if mode == "anyres":
            out["image_sizes"] = [(1, 1) if image is None else rgb(image).size for image in images]
        if any(image is None for image in images):
            out["pixel_mask"] = torch.tensor([image is not None for image in images])
        return out

    def encode_prompts(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Tokenise prompts.

        Args:
            texts: one per row.

        Returns:
            ``input_ids`` and ``attention_mask`` (B, L), padded on the left.
        """
        return self.padded([self.encode_prompt(text) for text in texts])

    def padded(self, rows: Sequence[list[int]]) -> dict[str, Tensor]:
        """Rows of token ids as one batch.

        Args:
            rows: token ids of each text.

        Returns:
            ``input_ids`` and ``attention_mask`` (B, L), padded on the left.
        """
        longest, pad = max(map(len, rows)), self.tokenizer.pad_token_id or 0
        return {
            "input_ids": torch.tensor([[pad] * (longest - len(row)) + row for row in rows]),
            "attention_mask": torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows]),
        }

    def encode_text(self, text: str) -> list[int]:
        """Token ids of a text without the placeholder, for what is written without the encoders' tokens.

        Args:
            text: the prompt.

        Raises:
            GemConfigError: there is no tokenizer.
        """
        if self.tokenizer is None:
            raise GemConfigError("the model came without a tokenizer", remedy="set model.processor.tokenizer")
        return list(self.tokenizer(text)["input_ids"])

    def encode_prompt(self, text: str) -> list[int]:
        """Token ids of one prompt, with the placeholder's id in it once.

        Args:
            text: without the placeholder it gets it in front.

        Raises:
            GemConfigError: there is no tokenizer.
            GemInputError: more than one placeholder.
        """
        if self.tokenizer is None:
            raise GemConfigError(
                "the model came without a tokenizer", remedy="set model.processor.tokenizer, or pass input_ids yourself"
            )
        if self.placeholder is None:
            return self.encode_text(text if self.conversation is None else self.conversation.replace("{prompt}", text))
        if self.placeholder not in text:
            text = f"{self.placeholder}\n{text}"
        if self.conversation is not None:
            text = self.conversation.replace("{prompt}", text)
        places = text.count(self.placeholder)
        if places != 1:
            raise GemInputError(f"{places} placeholders {self.placeholder!r} in one prompt", remedy="use one")
        return self._ids(text)

    def _ids(self, text: str) -> list[int]:
        """Token ids of a whole text, with the placeholder's id wherever it stands."""
        if self.tokenizer is None:
            raise GemConfigError("the model came without a tokenizer", remedy="set model.processor.tokenizer")
        begin, end = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        parts = [text] if self.placeholder is None else text.split(self.placeholder)
        ids: list[int] = []
        for number, part in enumerate(parts):
            found = list(self.tokenizer(part)["input_ids"])
            # some tokenizers end every text with eos, which must not stand inside the prompt
            if found and end is not None and found[-1] == end and not part.endswith(str(self.tokenizer.eos_token)):
                found.pop()
            if number:
                ids.append(self.placeholder_token_id)
                found = found[1:] if found and begin is not None and found[0] == begin else found
            ids += found
        return ids

    def decode(self, ids: Tensor | Sequence[int], **options: Any) -> str:
        """Text of generated ids, without special tokens and the placeholder.

        Args:
            ids: (L,).
            **options: of the tokenizer's ``decode``.
        """
        values = ids.tolist() if isinstance(ids, Tensor) else list(ids)
        options = {"skip_special_tokens": True, **options}
        return str(self.tokenizer.decode([value for value in values if value >= 0], **options))

    def batch_decode(self, ids: Tensor | Sequence[Sequence[int]], **options: Any) -> list[str]:
        """``decode`` of each row.

        Args:
            ids: (B, L).
            **options: of the tokenizer's ``decode``.
        """
        return [self.decode(row, **options) for row in ids]


def _with_its_gain(record: ECGRecord | None, measurement: Any) -> ECGRecord | None:
    """The recording, without voltages where its measurement says that the gain can't be right."""
    if record is not None and ISSUE in getattr(measurement, "issues", ()):
        return without_voltages(record)
    return record


def _record(item: Any) -> ECGRecord | None:
    if item is None or isinstance(item, ECGRecord):
        return item
    if isinstance(item, str | Path):
        return read_record(item)
    raise GemInputError(
        f"a recording is {type(item).__name__}",
        where="record",
        remedy="pass a file, or grounding.ECGRecord.from_array(array, fs, leads)",
    )


def _as_list(value: Any, size: int) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value] * size
