"""GemProcessor: turns recordings, pictures and prompts into the tensors that a model takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from grounding import ECGRecord, Measurement

from . import measured as measuring
from .configuration import GemConfig, check_names, check_picture, check_prompt
from .encoders.contract import SignalContract
from .errors import GemConfigError, GemInputError
from .fusion.tiles import best_resolution
from .tokenizer import load_tokenizer
from .untrusted import as_checkpoint_error, check_arguments, check_numbers, read_json

FILE = "gem_processor.json"
Picture = Image.Image | NDArray[np.uint8]


class GemProcessor:
    """Executes the signal contract, prepares the picture, tokenises the prompt.

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

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``gem_processor.json`` and the tokenizer's files.

        Args:
            folder: created if it does not exist.
        """
        path = Path(folder)
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
    def from_pretrained(cls, folder: str | Path, **options: Any) -> GemProcessor:
        """Read what ``save_pretrained`` wrote.

        Args:
            folder: a local folder; nothing is downloaded.
            **options: accepted because ``AutoProcessor`` passes them, and not used.

        Raises:
            GemConfigError: the folder holds no processor.
            GemCheckpointError: its files can't be read, or hold settings that no processor has.
        """
        path = Path(folder)
        if not (path / FILE).is_file():
            raise GemConfigError(f"no {FILE}", where=str(path), remedy="save it with processor.save_pretrained")
        values = read_json(path / FILE)
        with as_checkpoint_error(path / FILE, "the processor can't be made"):
            check_arguments(cls, {**values, "tokenizer": None}, "the processor")
            check_numbers(values, "the processor")
            return cls(**values, tokenizer=load_tokenizer(path))

    def __call__(
        self,
        record: ECGRecord | Sequence[ECGRecord | None] | None = None,
        picture: Picture | Sequence[Picture | None] | bool | None = None,
        prompt: str | Sequence[str] | None = None,
        compat: bool | None = None,
        int16: bool = False,
        measurement: Measurement | Sequence[Measurement | None] | bool | None = None,
    ) -> dict[str, Any]:
        """Prepare one sample, or a batch given as lists.

        Args:
            record: recording(s); None where there is none.
            picture: picture(s); None draws the recording on ECG paper if the model takes pictures; False passes none.
            prompt: text(s); a text without the placeholder gets it in front.
            compat: overrides the processor's own setting.
            int16: give ``ecg`` in 16-bit uV, which the model decodes and normalises on its device: half the bytes to
                copy there.
            measurement: of the recording(s); None measures a recording if the model takes measured values; False
                passes none.

        Returns:
            Keyword arguments for the model: ``ecg`` (B, leads, samples), ``pixel_values`` (B, 3, H, W) or B tensors
            (tiles, 3, H, W) with ``image_sizes``, ``measured`` (B, values), NaN where something was not measured,
            ``input_ids``, ``attention_mask`` (B, L), padded on the left, and ``ecg_mask``/``pixel_mask`` (B,) where
            some rows lack an input.

        Raises:
            GemInputError: nothing to look at, lists of different lengths, a recording outside the contract, or a
                measurement of another recording.
        """
        compat = self.compat if compat is None else compat
        many = [value for value in (record, picture, prompt, measurement) if isinstance(value, list | tuple)]
        size = len(many[0]) if many else 1
        if any(len(value) != size for value in many):
            raise GemInputError(f"lists of {' and '.join(str(len(v)) for v in many)} in one batch")
        records = _as_list(record, size)
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
            drawn = [
                _draw(item) if image is None and item is not None else image
                for item, image in zip(records, pictures, strict=True)
            ]
            out |= self._pictures(drawn, compat)
        if self.measured is not None and measurement is not False:
            out |= self._measured(records, _as_list(measurement, size))
        if not ("ecg" in out or "pixel_values" in out):
            raise GemInputError("neither a recording nor a picture that this model can look at")
        if prompt is not None:
            out |= self.encode_prompts(_texts(_as_list(prompt, size)))
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
        ready = [None if image is None else prepare_picture(_rgb(image), self.picture, mode) for image in images]
        empty = torch.zeros_like(next(item for item in ready if item is not None))
        rows = [empty if item is None else item for item in ready]
        out: dict[str, Any] = {"pixel_values": rows if mode == "anyres" else torch.cat(rows)}
        if mode == "anyres":
            out["image_sizes"] = [(1, 1) if image is None else _rgb(image).size for image in images]
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
        rows = [self.encode_prompt(text) for text in texts]
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
        parts = text.split(self.placeholder)
        if len(parts) != 2:
            raise GemInputError(f"{len(parts) - 1} placeholders {self.placeholder!r} in one prompt", remedy="use one")
        first = list(self.tokenizer(parts[0])["input_ids"])
        second = list(self.tokenizer(parts[1])["input_ids"])
        begin, end = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        if first and end is not None and first[-1] == end:
            first.pop()  # some tokenizers end every text with eos, which must not stand inside the prompt
        if second and end is not None and second[-1] == end:
            second.pop()
        if second and begin is not None and second[0] == begin:
            second.pop(0)
        return [*first, self.placeholder_token_id, *second]

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

    def decode(self, ids: Tensor | Sequence[int]) -> str:
        """Text of generated ids, without special tokens and the placeholder.

        Args:
            ids: (L,).
        """
        values = ids.tolist() if isinstance(ids, Tensor) else list(ids)
        return str(self.tokenizer.decode([value for value in values if value >= 0], skip_special_tokens=True))


def _texts(prompts: Sequence[Any]) -> list[str]:
    for one in prompts:
        if isinstance(one, dict):
            raise GemInputError(
                "a message is not a prompt", where="prompt", remedy="use processor.apply_chat_template(messages)"
            )
        if not isinstance(one, str):
            raise GemInputError(f"a prompt is {type(one).__name__}", where="prompt", remedy="pass a str for each row")
    return list(prompts)


def prepare_picture(image: Image.Image, settings: dict[str, Any], mode: str) -> Tensor:
    """Resize, crop or tile a picture, and normalise it.

    Args:
        image: RGB.
        settings: ``size`` (H, W), ``mean``, ``std``, ``grid_pinpoints`` (width, height), ``background``, and CLIP's
            ``shortest_edge`` where it is not the height.
        mode: ``"letterbox"`` (whole picture, background bars), ``"pad"`` (a square on the mean colour, then CLIP's
            processing: LLaVA-1.5), ``"ori"`` (shortest side, centre crop: CLIP and the published GEM) or ``"anyres"``
            (LLaVA-1.6 tiles).

    Returns:
        (tiles, 3, H, W), one tile except for ``anyres``.
    """
    height, width = settings["size"]
    mean, std = settings["mean"], settings["std"]
    edge = int(settings.get("shortest_edge") or height)
    if mode == "ori":
        tiles = [_centre_crop(image, edge, height)]
    elif mode == "pad":
        tiles = [_centre_crop(_squared(image, tuple(int(255 * value) for value in mean)), edge, height)]
    elif mode == "anyres":
        tiles = [
            _centre_crop(tile, edge, height) for tile in _tiles(image, settings.get("grid_pinpoints", []), edge, height)
        ]
    else:
        tiles = [_letterbox(image, width, height, tuple(settings.get("background", (255, 255, 255))))]
    stacked = np.stack([np.asarray(tile, dtype=np.float32) for tile in tiles]) / np.float32(255)
    normal = (stacked - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(normal.transpose(0, 3, 1, 2), dtype=np.float32))


def _centre_crop(image: Image.Image, edge: int, size: int) -> Image.Image:
    """CLIP's own processing: the shortest side to ``edge``, then the middle ``size`` x ``size``."""
    width, height = image.size
    # CLIP rounds the longer side down
    wide, high = (edge, edge * height // width) if width <= height else (edge * width // height, edge)
    resized = image.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = (wide - size) // 2, (high - size) // 2
    return resized.crop((left, top, left + size, top + size))


def _squared(image: Image.Image, color: tuple[int, ...]) -> Image.Image:
    side = max(image.size)
    canvas = Image.new("RGB", (side, side), color)
    canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return canvas


def _letterbox(image: Image.Image, width: int, height: int, color: tuple[int, ...]) -> Image.Image:
    scale = min(width / image.width, height / image.height)
    wide, high = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    canvas = Image.new("RGB", (width, height), color)
    canvas.paste(image.resize((wide, high), Image.Resampling.BICUBIC), ((width - wide) // 2, (height - high) // 2))
    return canvas


def _tiles(image: Image.Image, pinpoints: Sequence[Sequence[int]], edge: int, side: int) -> list[Image.Image]:
    width, height = best_resolution(image.size, pinpoints)
    scale = min(width / image.width, height / image.height)
    by_width = width / image.width <= height / image.height
    wide = width if by_width else min(int(np.ceil(image.width * scale)), width)
    high = min(int(np.ceil(image.height * scale)), height) if by_width else height
    canvas = Image.new("RGB", (width, height), (0, 0, 0))
    # LLaVA-1.6 resizes with Pillow's default, bicubic
    canvas.paste(image.resize((wide, high), Image.Resampling.BICUBIC), ((width - wide) // 2, (height - high) // 2))
    boxes = [(x, y, x + side, y + side) for y in range(0, height, side) for x in range(0, width, side)]
    base = image.resize((edge, edge), Image.Resampling.BICUBIC)  # without keeping the aspect ratio
    return [base, *(canvas.crop(box) for box in boxes)]


def _rgb(image: Any) -> Image.Image:
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3):
            raise GemInputError(
                f"a picture of {image.dtype} with {image.ndim} axes",
                remedy="pass uint8, height x width x 3, or a PIL image",
            )
        image = Image.fromarray(image)
    if not isinstance(image, Image.Image):
        raise GemInputError(f"a picture is a PIL image or a uint8 array, not {type(image).__name__}")
    return image.convert("RGB")


def _draw(record: ECGRecord) -> Image.Image:
    from grounding import render

    drawn: Image.Image = render(record)
    return drawn


def _as_list(value: Any, size: int) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value] * size
