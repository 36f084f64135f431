"""``gem train CONFIG``: Lightning's command line over our modules."""

from __future__ import annotations

import argparse
import difflib
import json
import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml

from grounding import EcgError

from ..errors import GemConfigError

CONFIGS = Path(__file__).parents[1] / "training" / "configs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gem train``."""
    bundled = ", ".join(sorted(path.stem for path in CONFIGS.glob("*.yaml")))
    parser.add_argument("config", help=f"a YAML file, or the name of a bundled one ({bundled})")
    parser.add_argument(
        "overrides",
        nargs=argparse.REMAINDER,
        help="anything of LightningCLI: --trainer.max_epochs=5 --data.root=ROOT --print_config --ckpt_path=last",
    )


def find_config(name: str) -> Path:
    """Find a config.

    Args:
        name: path of a YAML file, or name of a bundled config.

    Raises:
        GemConfigError: there is no such file.
    """
    for path in (Path(name), CONFIGS / f"{name}.yaml"):
        if path.is_file():
            return path
    bundled = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
    near = difflib.get_close_matches(Path(name).stem, bundled, n=3)
    remedy = f"did you mean {' or '.join(near)}?" if near else f"give a YAML file or one of: {', '.join(bundled)}"
    raise GemConfigError("no such training config", where=name, remedy=remedy)


def with_siblings(config: Path, overrides: Sequence[str]) -> list[str]:
    """Overrides of a value deep in a dictionary as overrides of the dictionary, so that its other values stay.

    The parser behind ``gem train`` takes ``--model.init_args.model.ecg_projector.type=linear`` for the whole
    ``ecg_projector``.

    Args:
        config: the YAML file.
        overrides: ``--KEY=VALUE``, or ``--KEY`` and ``VALUE``.

    Returns:
        The same, in the same order.
    """
    try:
        state = read_yaml(config.read_text(encoding="utf-8"))
    except yaml.YAMLError:  # the parser says what is wrong with it
        return list(overrides)
    out: list[str] = []
    words = iter(overrides)
    for word in words:
        key, joined, value = word.partition("=")
        path = key.removeprefix("--").split(".")
        if path[0] not in ("model", "data") or len(path) < 2 or key.endswith("+") or path[1] in ("class_path", "help"):
            out.append(word)
            continue
        if not joined:
            value = next(words, "")
        path = path if path[1] == "init_args" else [path[0], "init_args", *path[1:]]
        part: dict[str, Any] = state if isinstance(state, dict) else {}
        for name in path[:-1]:
            if not isinstance(part.get(name), dict):
                part[name] = {}
            part = part[name]
        try:
            part[path[-1]] = read_yaml(value)
        except yaml.YAMLError:
            part[path[-1]] = value
        if len(path) > 4:  # below a key of an argument's dictionary
            key = f"--{'.'.join(path[:4])}"
            value = json.dumps(state[path[0]]["init_args"][path[2]][path[3]])
        out.append(f"{key}={value}")
    return out


def read_yaml(text: str) -> Any:
    """YAML in which ``1e-3`` is a number, as the parser reads it.

    Args:
        text: of a file or a value.
    """
    return yaml.load(text, Loader=_Loader)


def check_checkpoint(overrides: Sequence[str]) -> None:
    """Refuse ``--ckpt_path`` of a file that is not there, before the data is prepared.

    Args:
        overrides: of the command line.

    Raises:
        GemConfigError: there is no such file.
    """
    for word, following in zip_longest(overrides, overrides[1:], fillvalue=""):
        key, joined, value = word.partition("=")
        path = Path(value if joined else following)
        if key == "--ckpt_path" and path.suffix and not path.exists():
            raise GemConfigError("no such checkpoint", where=str(path), remedy="--ckpt_path=last takes the last one")


class _Loader(yaml.SafeLoader):
    """A safe loader of YAML 1.2's numbers."""


_NUMBER = r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+"
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(rf"^{_NUMBER}$"), list("-+.0123456789"))


def run(args: argparse.Namespace) -> int:
    """Train by a config.

    Args:
        args: of the command line.

    Returns:
        0.

    Raises:
        GemConfigError: there is no such config, or a package is missing.
        EcgError: the model or the data don't accept the config's values.
    """
    path = find_config(args.config)
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise GemConfigError("the config is not a text file", where=str(path), remedy="give a YAML file") from None
    try:
        import jsonargparse  # noqa: F401
        from lightning.pytorch.cli import LightningCLI
    except ImportError:
        raise GemConfigError(
            "training needs packages that are not installed", remedy='pip install "gem-ecg[train]"'
        ) from None
    if not any(word.startswith("--print_config") for word in args.overrides):
        check_checkpoint(args.overrides)
    try:
        LightningCLI(
            save_config_kwargs={"overwrite": True},
            seed_everything_default=0,
            args=["fit", "--config", str(path), *with_siblings(path, args.overrides)],
        )
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):  # Lightning ends a stopped run with status 1
            raise KeyboardInterrupt from None
        raise
    except ValueError as error:  # Lightning's parser wraps the errors of our classes
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, EcgError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise cause from None
    return 0
