"""Folders of models: as they are, or as the hub's local cache lays them out. Nothing is downloaded."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import GemCheckpointError

WEIGHTS = Path(__file__).parent / "weights"  # of the bundled models
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def _cache() -> Path:
    """The hub's cache, by the environment variables that its own library reads."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def local_folder(name: str | Path, cache_dir: str | Path | None = None, revision: str | None = None) -> Path:
    """The folder that a name stands for.

    Args:
        name: a folder; a folder of the hub's cache (``models--owner--name``); or ``owner/name`` of a repository in the
            cache.
        cache_dir: of the hub; its default when None.
        revision: branch, tag or commit in the cache; ``main`` when None.

    Returns:
        The folder with the files; ``name`` itself if it is nothing of the hub.

    Raises:
        GemCheckpointError: the cache holds no such revision.
    """
    path = Path(name)
    root = path if (path / "snapshots").is_dir() and (path / "refs").is_dir() else None
    if root is None and not path.exists() and _REPOSITORY.fullmatch(str(name)):
        kept = (Path(cache_dir) if cache_dir is not None else _cache()) / f"models--{str(name).replace('/', '--')}"
        root = kept if kept.is_dir() else None
    if root is None:
        return path
    wanted = revision or "main"
    ref = root / "refs" / wanted
    if "/" in wanted or ".." in wanted:
        raise GemCheckpointError(f"no revision is called {wanted!r}", where=str(root))
    folder = root / "snapshots" / (ref.read_text(encoding="utf-8").strip() if ref.is_file() else wanted)
    if not folder.is_dir():
        raise GemCheckpointError(
            f"the hub's cache holds no revision {wanted!r}", where=str(root), remedy="fetch it by the hub's own tools"
        )
    return folder


def find_folder(name_or_path: str | Path) -> Path:
    """The folder of a model.

    Args:
        name_or_path: as in ``gem.load``.

    Raises:
        GemCheckpointError: there is no such model.
    """
    folder = local_folder(name_or_path)
    if not folder.exists() and (WEIGHTS / str(name_or_path)).is_dir():
        folder = WEIGHTS / str(name_or_path)
    if not folder.is_dir():
        bundled = sorted(path.name for path in WEIGHTS.glob("*") if path.is_dir())
        raise GemCheckpointError(
            "no such model",
            where=str(name_or_path),
            remedy=f"give a folder, or one of the bundled models: {', '.join(bundled) or 'none'}",
        )
    return folder
