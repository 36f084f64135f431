"""Cardiologists' statements as texts, beside what frozen encoders made of each record and what was measured in it."""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from torch.utils.data import Dataset

from grounding import EcgError, measure
from grounding.criteria import assess
from grounding.facts import Fact, compose, facts, prompt

from ..encoders.contract import SignalContract
from ..encoders.registry import weights_hash
from ..errors import GemInputError
from .batches import FoldData
from .ptbxl import load_ptbxl
from .samples import Sample
from .stamps import stamp

log = logging.getLogger(__name__)
QUESTION = "What does this ECG show?"
CACHED = ("tag", "text", "word", "kind", "label")


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    return dict(yaml.safe_load(Path(__file__).with_name("statement_words.yaml").read_text(encoding="utf-8")))


def statement_words() -> dict[str, str]:
    """SCP statement -> words, in the order in which an impression names them."""
    return {str(code): str(words) for code, words in _table()["words"].items()}


def superclasses_of(codes: Iterable[str]) -> frozenset[str]:
    """PTB-XL's diagnostic superclasses of SCP statements.

    Args:
        codes: the statements; those without a superclass, such as rhythms, add none.

    Example:
        >>> sorted(superclasses_of(["SR", "CLBBB", "LVH"]))
        ['CD', 'HYP']
    """
    named = set(codes)
    return frozenset(name for name, members in _table()["superclasses"].items() if named & set(members))


def impression_text(codes: Mapping[str, float]) -> str:
    """What a cardiologist stated, as a sentence.

    Args:
        codes: SCP statements of a record; statements without words are left out.

    Example:
        >>> impression_text({"CLBBB": 100.0, "SR": 0.0})
        'Impression: sinus rhythm, complete left bundle branch block.'
    """
    named = [words for code, words in statement_words().items() if code in codes]
    return f"Impression: {', '.join(named) or 'no statement'}."


def stated_codes(text: str) -> set[str]:
    """The SCP statements that a text's impression names; the inverse of ``impression_text``.

    Args:
        text: with a sentence that begins with ``Impression:``; without one nothing is found.

    Example:
        >>> sorted(stated_codes("The PR interval is <pr>. Impression: sinus rhythm, normal ECG."))
        ['NORM', 'SR']
    """
    _, there, said = text.partition("Impression:")
    named = {part.strip(" .").lower() for part in said.split(",")} if there else set()
    return {code for code, words in statement_words().items() if words.lower() in named}


@dataclass(frozen=True)
class Reading:
    """One record as a language model is taught it.

    Attributes:
        record_id: the record.
        codes: its SCP statements, with likelihoods.
        items: the facts of its measurement.
    """

    record_id: str
    codes: Mapping[str, float]
    items: tuple[Fact, ...]

    def example(self, pick: random.Random, with_facts: float) -> tuple[str, str]:
        """A prompt and its answer.

        Args:
            pick: source of random numbers.
            with_facts: probability of a prompt with the facts, whose answer then describes them before the impression.
        """
        said = impression_text(self.codes)
        if pick.random() >= with_facts:
            return QUESTION, said
        items = list(self.items)
        return prompt(items), f"{compose(items, seed=pick.randrange(2**31))} {said}".strip()


class ReadingData(FoldData):
    """Raw PTB-XL records of some folds, as ``{"tokens", "readings", "index"}`` batches.

    The encoders are frozen, so that each record is encoded and measured once.

    Args:
        root: a folder with PTB-XL, see ``gem.data.ptbxl.load_ptbxl``.
        train_folds: for training; a patient is in one fold only.
        val_folds: for validation.
        cache: folder for what the encoders made of the records, which may be deleted at any time.
        batch_size: records of a batch.
        limit: use only the first ``limit`` training records.
    """

    def __init__(
        self,
        root: str,
        train_folds: Sequence[int] = (1, 2, 3, 4, 5, 6, 7),
        val_folds: Sequence[int] = (8,),
        cache: str = "cache",
        batch_size: int = 8,
        limit: int | None = None,
    ) -> None:
        super().__init__(root, train_folds, val_folds, cache, batch_size, limit)

    def setup(self, stage: str | None = None) -> None:
        """Encode and measure the records, or read them from the cache.

        Args:
            stage: not used.
        """
        if self.train is not None:
            return
        model: Any = self.trainer.lightning_module.model  # type: ignore[union-attr]
        parts = (load_ptbxl(self.root, folds, ("raw",)) for folds in (self.train_folds, self.val_folds))
        train, val = parts
        self.train, self.val = (read_all(part, model, self.cache) for part in (train[: self.limit], val))


class Readings(Dataset[dict[str, Any]]):
    """Encoded records and their readings; an index is a list of positions.

    Args:
        tokens: ``"ecg"`` and ``"vision"`` -> (n, tokens, width), what the encoders made of the records.
        readings: of the n records.
    """

    def __init__(self, tokens: dict[str, NDArray[Any]], readings: Sequence[Reading]) -> None:
        self.tokens, self.readings = tokens, list(readings)

    def __len__(self) -> int:
        return len(self.readings)

    def __getitem__(self, index: list[int]) -> dict[str, Any]:
        """A batch."""
        import torch

        tokens = {name: torch.from_numpy(array[index].astype(np.float32)) for name, array in self.tokens.items()}
        return {"tokens": tokens, "readings": [self.readings[place] for place in index], "index": index}


def projected(model: Any, tokens: Mapping[str, Any]) -> dict[str, Any]:
    """Encoder tokens in the decoder's width.

    Args:
        model: with ``ecg_projector`` and ``vision_projector``.
        tokens: ``"ecg"`` and ``"vision"`` -> (B, tokens, width).

    Returns:
        The same keys -> (B, tokens, hidden).
    """
    return {
        name: getattr(model, f"{name}_projector")(value.to(model.device, model.dtype)) for name, value in tokens.items()
    }


def encode_all(samples: Sequence[Sample], model: Any) -> Readings:
    """Encode and measure records.

    Args:
        samples: the records; those that can't be read or measured are left out.
        model: with its processor, ``ecg_encoder`` and ``vision_encoder``.

    Raises:
        GemInputError: no record can be used.
    """
    rows = []
    for number, sample in enumerate(samples):
        if number % 100 == 0:
            log.info("encoding record %d of %d", number, len(samples))
        try:
            rows.append(encode_sample(sample, model))
        except EcgError as error:
            log.warning("%s is left out: %s", sample.record_id, error)
    if not rows:
        raise GemInputError("no record can be used", where=f"{len(samples)} records")
    tokens = {name: np.stack([arrays[name] for _, arrays in rows]) for name in rows[0][1]}
    return Readings(tokens, [reading for reading, _ in rows])


def read_all(samples: Sequence[Sample], model: Any, cache: Path) -> Readings:
    """Encode and measure records, or read what was kept of them.

    Args:
        samples: the records; those that can't be read or measured are left out.
        model: with ``ecg_encoder`` and ``vision_encoder``, whose weights are part of the kept file's name.
        cache: folder of what is kept.

    Raises:
        GemInputError: no record can be used.
    """
    encoders = {name: getattr(model, f"{name}_encoder") for name in ("ecg", "vision")}
    about = [[stamp(sample.read) for sample in samples], [weights_hash(part) for part in encoders.values()]]
    path = cache / f"readings-{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]}.npz"
    if not path.is_file():
        write_cache(path, encode_all(samples, model))
    with np.load(path) as kept:
        texts = json.loads(str(kept["readings"]))
        tokens = {name: kept[name] for name in encoders}
    readings = [
        Reading(one["record_id"], one["codes"], tuple(Fact(evidence=(), **fact) for fact in one["items"]))
        for one in texts
    ]
    return Readings(tokens, readings)


def write_cache(path: Path, data: Readings) -> None:
    """Keep encoded records.

    Args:
        path: ending in ``.npz``.
        data: the records.
    """
    texts = [
        {
            "record_id": reading.record_id,
            "codes": dict(reading.codes),
            "items": [{name: getattr(fact, name) for name in CACHED} for fact in reading.items],
        }
        for reading in data.readings
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    # written under a temporary name and renamed, so that a killed run leaves no incomplete file
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, readings=np.array(json.dumps(texts)), **data.tokens)  # type: ignore[arg-type]
    partial.rename(path)


def encode_sample(sample: Sample, model: Any) -> tuple[Reading, dict[str, NDArray[Any]]]:
    """A record's reading, and its encoder tokens (tokens, width) as float16.

    Args:
        sample: the record.
        model: with its processor, ``ecg_encoder`` and ``vision_encoder``.

    Raises:
        EcgError: it can't be read or measured.
    """
    import torch

    record = sample.record
    measurement = measure(record)
    items = facts(measurement, tuple(assess(measurement).findings.values()), {})
    signal = SignalContract.from_dict(model.config.signal).execute(record)[0]
    page = model.processor(record=record, measurement=False)["pixel_values"]
    with torch.inference_mode():
        tokens = {
            "ecg": model.ecg_encoder(torch.from_numpy(signal.astype(np.float32))[None].to(model.device)),
            "vision": model.vision_encoder(page.to(model.device)),
        }
    arrays = {name: value[0].half().cpu().numpy() for name, value in tokens.items()}
    return Reading(sample.record_id, sample.scp_codes, tuple(items)), arrays
