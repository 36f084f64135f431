"""Checks of the settings that a model's config and its processor share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .errors import GemConfigError
from .measured import NAMES
from .untrusted import check_arguments

PICTURE_MODES = ("letterbox", "pad", "ori", "anyres")
MAX_PIXELS = 8192  # per side


def check_picture(picture: dict[str, Any]) -> None:
    """Check picture settings against what ``gem.pictures.prepare_picture`` accepts.

    Args:
        picture: the settings, as in ``GemConfig.picture``.

    Raises:
        GemConfigError: an unknown setting or mode, or a size, colour or normalisation out of range.
    """
    check_arguments(_picture_settings, picture, "picture")
    for name in ("mode", "compat_mode"):
        if picture.get(name, "letterbox") not in PICTURE_MODES:
            raise GemConfigError(
                f"unknown picture {name} {picture[name]!r}", remedy=f"use one of {', '.join(PICTURE_MODES)}"
            )
    edges = [*picture.get("size", ()), *(edge for pair in picture.get("grid_pinpoints", ()) for edge in pair)]
    edges += [edge for edge in (picture.get("shortest_edge"),) if edge is not None]
    if any(not 1 <= edge <= MAX_PIXELS for edge in edges) or len(picture.get("grid_pinpoints", ())) > 100:
        raise GemConfigError("picture: a side is out of range", remedy=f"1 to {MAX_PIXELS} pixels")
    if any(not abs(value) < 1e6 for name in ("mean", "std") for value in picture.get(name, ())) or 0 in picture.get(
        "std", ()
    ):
        raise GemConfigError("picture: mean and std can't normalise", remedy="three numbers each, no std of 0")
    if any(not 0 <= value <= 255 for value in picture.get("background", ())):
        raise GemConfigError("picture: the background is not a colour", remedy="three numbers from 0 to 255")


def _picture_settings(
    mode: str = "letterbox",
    size: tuple[int, int] = (0, 0),
    mean: tuple[float, float, float] = (0, 0, 0),
    std: tuple[float, float, float] = (1, 1, 1),
    background: tuple[int, int, int] = (255, 255, 255),
    grid_pinpoints: Sequence[tuple[int, int]] = (),
    compat_mode: str = "letterbox",
    shortest_edge: int | None = None,
) -> None:
    """A signature for ``check_arguments``: the settings of ``picture`` and their types."""


def check_measured(measured: dict[str, Any]) -> None:
    """Check the names and sizes of a head on measured values.

    Args:
        measured: ``{"names", "trees", "leaves"}``.

    Raises:
        GemConfigError: an unknown setting, names that ``check_names`` refuses, or a size out of range.
    """
    check_arguments(_measured, measured, "measured")
    check_names(measured.get("names", ()))
    if not (1 <= measured.get("trees", 1) <= 10_000 and 2 <= measured.get("leaves", 2) <= 1_000):
        raise GemConfigError("measured: trees is at least 1, leaves at least 2")


def check_names(names: Sequence[str]) -> None:
    """Check names of measured values.

    Args:
        names: of ``gem.measured.NAMES``.

    Raises:
        GemConfigError: none, one that is unknown, or one there twice.
    """
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise GemConfigError(
            f"unknown measured value {', '.join(map(repr, unknown[:5]))}", remedy="gem.measured.NAMES lists them"
        )
    if not names or len(set(names)) < len(names):
        raise GemConfigError("measured: no names, or one of them twice", remedy="name each value once")


def _measured(names: Sequence[str] = (), trees: int = 200, leaves: int = 8) -> None:
    """The settings of ``measured`` and their types."""


def check_asking(asking: dict[str, Any]) -> None:
    """Check how a model is asked.

    Args:
        asking: as in ``GemConfig.asking``.

    Raises:
        GemConfigError: an unknown setting, or one of the wrong type or out of range.
    """
    check_arguments(_asking, asking, "asking")
    lengths = [asking[name] for name in ("max_new_tokens", "max_length") if asking.get(name) is not None]
    if any(not 1 <= length <= 1 << 20 for length in lengths) or "" in asking.get("stop", ()):
        raise GemConfigError("asking: a length below 1 or an empty stop word", remedy="1 or more tokens")


def check_votes(votes: dict[str, float]) -> None:
    """Check the names of the inputs that vote on the classes.

    Args:
        votes: as in ``GemConfig.class_votes``.

    Raises:
        GemConfigError: another input.
    """
    check_arguments(_votes, votes, "class_votes")


def _votes(ecg: float = 1.0, vision: float = 1.0, measured: float = 1.0) -> None:
    """The inputs of ``class_votes`` and the types of their weights."""


def _asking(
    prompt: str = "", stop: Sequence[str] = (), max_new_tokens: int | None = None, max_length: int | None = None
) -> None:
    """The settings of ``asking`` and their types."""


def check_prompt(placeholder: str | None, conversation: str | None) -> None:
    """Check the texts around a prompt.

    Args:
        placeholder: text that marks where the encoder tokens go; None where they don't go into the prompt.
        conversation: template with ``{prompt}`` in it, or None.

    Raises:
        GemConfigError: an empty placeholder, or a template without exactly one ``{prompt}``.
    """
    if placeholder == "":
        raise GemConfigError(
            "the placeholder is empty", remedy="it marks the recording's place in a prompt, e.g. <ecg>"
        )
    if conversation is not None and conversation.count("{prompt}") != 1:
        raise GemConfigError("the conversation has no place for the prompt", remedy="put {prompt} in it, once")
