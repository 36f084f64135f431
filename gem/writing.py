"""A model at work on recordings: each is prepared and encoded once, and the texts of several are decoded together."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from grounding import ECGRecord
from grounding.facts import Fact, prompt

MAX_NEW_TOKENS = 320
SMALL = 50_000_000  # parameters: below, sharing out a product between threads costs more than computing it
_lock, _inside, _before = threading.Lock(), 0, 1


@dataclass
class Seen:
    """Recordings as a model sees them; ``encoded`` is what its encoders made of them, ``None`` for a model that has no ``encode``."""

    model: Any
    records: Sequence[ECGRecord]
    inputs: dict[str, Any]
    encoded: Any

    def probabilities(self) -> list[dict[str, float]]:
        """Class -> probability of the classification head, for each recording; empty where the model has none."""
        import torch

        names = getattr(self.model.config, "class_names", None)
        if not names:
            return [{} for _ in self.records]
        with torch.inference_mode():
            given = self.inputs if self.encoded is None else {"encoded": self.encoded}
            chances = self.model.classify(**given).float().cpu()
        return [{name: round(float(value), 4) for name, value in zip(names, row, strict=True)} for row in chances]

    def write(self, items: Sequence[Sequence[Fact]]) -> list[str]:
        """The model's tagged text about the facts of each recording; greedy, so the same record gives the same text."""
        import torch

        processor, prompts = self.model.processor, [prompt(some) for some in items]
        if self.encoded is None:
            inputs = _on(self.model, processor(record=list(self.records), prompt=prompts))
        else:
            inputs = _on(self.model, processor.encode_prompts(prompts)) | {"encoded": self.encoded}
        with torch.inference_mode():
            ids = self.model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
        start = inputs["input_ids"].shape[1]  # the prompt comes first
        return [str(processor.decode(row[start:])) for row in ids]


def look(model: Any, records: Sequence[ECGRecord]) -> Seen:
    """Prepare recordings for a model, and encode them where it lets that be done once for all uses."""
    import torch

    inputs = _on(model, model.processor(record=list(records)))
    encoded = None
    if hasattr(model, "encode") and getattr(model.config, "fusion", "none") != "none":
        with torch.inference_mode():
            encoded = model.encode(**inputs)
    return Seen(model, records, inputs, encoded)


def _on(model: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs on the model's device."""
    return {key: value.to(model.device) if hasattr(value, "to") else value for key, value in inputs.items()}


@contextmanager
def one_thread(model: Any) -> Iterator[None]:
    """Let a small model on the processor work on one thread.

    Where the user has set a number of threads (``OMP_NUM_THREADS``, or ``torch.set_num_threads`` to another than
    torch's own), that number stays.
    """
    import torch

    global _inside, _before
    parameters = getattr(model, "parameters", None)
    small = parameters is not None and sum(part.numel() for part in parameters()) <= SMALL
    own = os.environ.get("OMP_NUM_THREADS") is None and str(getattr(model, "device", "cpu")) == "cpu"
    if not (small and own):
        yield
        return
    with _lock:
        if not _inside:
            _before = torch.get_num_threads()
            if _before in torchs_own_threads():
                torch.set_num_threads(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                torch.set_num_threads(_before)


def torchs_own_threads() -> tuple[int, int]:
    """How many threads torch takes where nobody says: one for each core that this process may use, or for each two where they are one core's."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores, max(1, cores // 2)
