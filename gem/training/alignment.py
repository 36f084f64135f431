"""Alignment: the projectors alone learn to put encoder tokens where the language model understands them (LLaVA's first stage)."""

from __future__ import annotations

from typing import Any

from .instruction import Instruction


class Alignment(Instruction):
    """Instruction tuning in which only the projectors learn.

    Args:
        init, model, parts: see ``gem.training.start.start``.
        kwargs: see ``gem.training.tuning.Tuning`` and ``gem.training.instruction.Instruction``.
    """

    def __init__(
        self,
        init: str | None = None,
        model: dict[str, Any] | None = None,
        parts: dict[str, str] | None = None,
        pack_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        from .start import start

        made = start(init, model, parts)
        names = [name for name in ("ecg_projector", "vision_projector") if getattr(made, name) is not None]
        fresh = init is None and parts is None
        super().__init__(train=names, pack_length=pack_length, built=(made, fresh), **kwargs)
