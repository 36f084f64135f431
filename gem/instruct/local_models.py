"""A local teacher: any causal language model that transformers can load. torch is imported with the first answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gem.instruct.lessons import Lesson
from gem.instruct.teachers import Teacher, TeacherConfigError, chat, teachers

from ..errors import GemInputError


@dataclass(frozen=True)
class TransformersTeacher:
    """Answers lessons with a local model, greedily. Each worker process loads its own copy.

    Attributes:
        model: name or folder, as for ``AutoModelForCausalLM.from_pretrained``.
        max_tokens: of an answer.
        device: ``"cpu"``, ``"cuda"``, ...; when ``None`` the first GPU, or the CPU without one.
    """

    model: str
    max_tokens: int = 512
    device: str | None = None
    name: str = "transformers"
    concurrency: int = 1

    def describe(self) -> dict[str, Any]:
        """See ``Teacher``."""
        return {"teacher": self.name, "model": self.model, "max_tokens": self.max_tokens}

    def answer(self, lesson: Lesson) -> list[str]:
        """One generation per turn; see ``gem.instruct.teachers.Teacher``."""
        written: list[str] = []
        for _ in lesson.turns:
            written.append(self._generate(chat(lesson, written)))
        return written

    def _generate(self, messages: list[dict[str, str]]) -> str:
        import torch

        tokenizer, model = _loaded(self.model, self.device)
        if tokenizer.chat_template:
            prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        else:  # a language model without chat template gets the texts one after the other
            prompt = "\n\n".join(message["content"] for message in messages) + "\n\nAnswer:"
        inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=not tokenizer.chat_template)
        inputs = {name: inputs[name].to(model.device) for name in ("input_ids", "attention_mask")}
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        with torch.inference_mode():
            out = model.generate(**inputs, max_new_tokens=self.max_tokens, do_sample=False, pad_token_id=pad)
        return str(tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


@lru_cache(maxsize=1)
def _loaded(name: str, device: str | None) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        about = " ".join(str(error).split())[:200]
        raise TeacherConfigError(f"the model can't be loaded ({about})", where=name, remedy="check --model") from error
    loaded: Any = model
    return tokenizer, loaded.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()


@teachers.register
def transformers(*, model: str | None = None, max_tokens: int = 512, **_: Any) -> Teacher:
    """A local language model (--model)."""
    if not model:
        raise GemInputError(
            "a local teacher needs a model", where="--teacher transformers", remedy="give --model NAME_OR_FOLDER"
        )
    return TransformersTeacher(model, max_tokens)
