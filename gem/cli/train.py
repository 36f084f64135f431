"""``gem train CONFIG``: Lightning's command line over our modules."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path

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
    try:
        LightningCLI(
            save_config_kwargs={"overwrite": True},
            seed_everything_default=0,
            args=["fit", "--config", str(path), *args.overrides],
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
