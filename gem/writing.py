"""Run a model on recordings: each is prepared and encoded once, and the texts of several are decoded together."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from grounding import ECGRecord, Measurement
from grounding.facts import Fact, prompt

MAX_NEW_TOKENS = 320
SMALL_MODEL = 50_000_000  # parameters; below this, splitting a product between threads costs more than computing it
_lock, _active_callers, _threads_before = threading.Lock(), 0, 1


@dataclass
class EncodedRecords:
    """Recordings, prepared and encoded for a model.

    Attributes:
        model: the model.
        records: the recordings.
        inputs: the processor's tensors, on the model's device.
        encoded: what the model's encoders made of them; ``None`` for a model without ``encode``.
        measurements: of the recordings, if the model takes measured values; ``None`` if it does not.
        pictures: of the recordings, ``None`` for one that is drawn.
    """

    model: Any
    records: Sequence[ECGRecord]
    inputs: dict[str, Any]
    encoded: Any
    measurements: Sequence[Measurement] | None = None
    pictures: Sequence[Any] | None = None

    def probabilities(self) -> list[dict[str, float]]:
        """Class -> probability of the classification head, for each recording; empty where the model has none."""
        names = getattr(self.model.config, "class_names", None)
        if not names:
            return [{} for _ in self.records]
        with inference(self.model):
            inputs = self.inputs if self.encoded is None else {"encoded": self.encoded}
            probabilities = self.model.classify(**inputs).float().cpu()
        return [{name: round(float(value), 4) for name, value in zip(names, row, strict=True)} for row in probabilities]

    def write(self, items: Sequence[Sequence[Fact]]) -> list[str]:
        """The model's tagged texts; greedy decoding, so the same recording gives the same text.

        Args:
            items: the facts of each recording, from which its prompt is made.
        """
        return self._generated([prompt(facts) for facts in items], max_new_tokens=MAX_NEW_TOKENS)

    def answer(self, prompts: Sequence[str]) -> list[str]:
        """The model's free answers, decoded greedily in the family's own conversation, up to its own stop words.

        Args:
            prompts: one for each recording.
        """
        longest = max(len(self.model.processor.encode_prompt(text)) for text in prompts)
        return _stopped(self.model, self._generated(prompts, **_limits(self.model, longest)))

    def _generated(self, prompts: Sequence[str], **options: Any) -> list[str]:
        processor = self.model.processor
        if self.encoded is None:
            more: dict[str, Any] = {} if self.pictures is None else {"picture": list(self.pictures)}
            inputs = _prepared(self.model, self.records, self.measurements, prompt=list(prompts), **more)
            inputs = _to_device(self.model, inputs)
        else:
            inputs = _to_device(self.model, processor.encode_prompts(prompts)) | {"encoded": self.encoded}
        with inference(self.model):
            ids = self.model.generate(**inputs, do_sample=False, max_length=None, **options)
        start = inputs["input_ids"].shape[1]  # the prompt comes first
        return [str(processor.decode(row[start:])) for row in ids]


def _limits(model: Any, prompt_length: int) -> dict[str, Any]:
    """Options of ``generate`` for a family's free answers: how long they get, and where they stop."""
    asking, tokenizer = getattr(model.config, "asking", None) or {}, model.processor.tokenizer
    limits: dict[str, Any] = {"max_new_tokens": asking.get("max_new_tokens") or MAX_NEW_TOKENS}
    if asking.get("max_length"):  # counted with the prompt
        limits["max_new_tokens"] = max(1, asking["max_length"] - prompt_length)
    if tokenizer.eos_token_id is not None and model.generation_config.eos_token_id is None:
        limits["eos_token_id"] = tokenizer.eos_token_id
    if stop := list(asking.get("stop") or ()):
        limits["stopping_criteria"] = stop_at(stop, tokenizer)
    return limits


def _stopped(model: Any, texts: Sequence[str]) -> list[str]:
    """Answers up to the first of the family's stop words."""
    for word in (getattr(model.config, "asking", None) or {}).get("stop") or ():
        texts = [text.partition(word)[0] for text in texts]
    return [text.strip() for text in texts]


def converse(model: Any, messages: Sequence[Mapping[str, Any]]) -> str:
    """The next answer of a model that answers freely, in its family's own conversation; greedy decoding.

    Args:
        model: a model from ``gem.load``.
        messages: as for the processor's ``apply_chat_template``; several recordings where the family takes several.

    Raises:
        GemInputError: messages that the model can't take.
    """
    inputs = _to_device(model, dict(model.processor.apply_chat_template(list(messages), tokenize=True)))
    start = inputs["input_ids"].shape[1]
    with one_thread(model), inference(model):
        ids = model.generate(**inputs, do_sample=False, max_length=None, **_limits(model, start))
    return _stopped(model, [str(model.processor.decode(ids[0][start:]))])[0]


def stop_at(words: Sequence[str], tokenizer: Any) -> Any:
    """Stopping criteria for ``generate``: a row ends where one of some words is written.

    Args:
        words: such as ``"</s>"``.
        tokenizer: of the model.
    """
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    last = max(map(len, words)) + 4  # a token has at least one character

    class StopWords(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **options: Any) -> Any:
            tails = [tokenizer.decode([one for one in row[-last:].tolist() if one >= 0]) for row in input_ids]
            return torch.tensor([any(word in tail for word in words) for tail in tails], device=input_ids.device)

    return StoppingCriteriaList([StopWords()])


def encode_records(
    model: Any,
    records: Sequence[ECGRecord],
    measurements: Sequence[Measurement] | None = None,
    pictures: Sequence[Any] | None = None,
) -> EncodedRecords:
    """Prepare recordings for a model, and encode them once for classification and text if it has ``encode``.

    Args:
        model: a model from ``gem.load``.
        records: the recordings of one batch.
        measurements: of these recordings; a model that takes measured values measures them itself when None.
        pictures: of these recordings, as they were taken; None draws them on ECG paper if the model takes pictures.
    """
    measurements = measurements if getattr(model.processor, "measured", None) else None
    more: dict[str, Any] = {} if pictures is None else {"picture": list(pictures)}
    inputs = _to_device(model, _prepared(model, records, measurements, **more))
    encoded = None
    if hasattr(model, "encode") and getattr(model.config, "fusion", "none") != "none":
        with inference(model):
            encoded = model.encode(**inputs)
    return EncodedRecords(model, records, inputs, encoded, measurements, pictures)


def write_answers(model: Any, prompts: Sequence[str]) -> list[str]:
    """The model's tagged answers to prompts with questions, without the encoders' tokens; greedy decoding.

    Args:
        model: a model from ``gem.load`` that knows the tags of answers.
        prompts: from ``grounding.questions.question_prompt``.
    """
    processor = model.processor
    inputs = processor.padded([processor.encode_text(text) for text in prompts])
    with inference(model):
        ids = model.generate(**_to_device(model, inputs), max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
    return [str(processor.decode(row[inputs["input_ids"].shape[1] :])).strip() for row in ids]


def _prepared(
    model: Any, records: Sequence[ECGRecord], measurements: Sequence[Measurement] | None, **more: Any
) -> dict[str, Any]:
    """The processor's tensors; a processor of other models need not know of measurements."""
    if measurements is not None:
        more["measurement"] = list(measurements)
    inputs: dict[str, Any] = model.processor(record=list(records), **more)
    return inputs


def _to_device(model: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    return {key: value.to(model.device) if hasattr(value, "to") else value for key, value in inputs.items()}


@contextmanager
def in_eval_mode(model: Any) -> Iterator[None]:
    """Run a model as it was trained to be used, also in the middle of a training: no dropout, fixed batch norms.

    Args:
        model: any; the modules that were in train mode are in it again afterwards.
    """
    trained = [module for module in model.modules() if module.training] if hasattr(model, "modules") else []
    for module in trained:
        module.training = False
    try:
        yield
    finally:
        for module in trained:
            module.training = True


@contextmanager
def inference(model: Any) -> Iterator[None]:
    """Run a model in eval mode without recording gradients.

    Args:
        model: any.
    """
    import torch

    with in_eval_mode(model), torch.inference_mode():
        yield


@contextmanager
def one_thread(model: Any) -> Iterator[None]:
    """Run a small model on the CPU with one thread.

    A number of threads that the user has set (``OMP_NUM_THREADS``, or ``torch.set_num_threads`` to another number than
    torch's default) stays.

    Args:
        model: the model; larger ones, and those on a GPU, are left alone.
    """
    import torch

    global _active_callers, _threads_before
    parameters = getattr(model, "parameters", None)
    small = parameters is not None and sum(part.numel() for part in parameters()) <= SMALL_MODEL
    adjustable = os.environ.get("OMP_NUM_THREADS") is None and str(getattr(model, "device", "cpu")) == "cpu"
    if not (small and adjustable):
        yield
        return
    with _lock:
        if not _active_callers:
            _threads_before = torch.get_num_threads()
            if _threads_before in default_thread_counts():
                torch.set_num_threads(1)
        _active_callers += 1
    try:
        yield
    finally:
        with _lock:
            _active_callers -= 1
            if not _active_callers:
                torch.set_num_threads(_threads_before)


def default_thread_counts() -> tuple[int, int]:
    """Torch's possible default numbers of threads: one per logical core of this process, or one per two (SMT)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores, max(1, cores // 2)
