"""Import a user's file or module, whose encoders, readers, metrics and benchmarks are then registered like ours."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from .errors import GemInputError


def load_extension(name: str) -> ModuleType | None:
    """Import a Python file or a module. A file runs once per process, however often it is named.

    Args:
        name: path of a ``.py`` file, a module's dotted name, or a ``.yaml`` file of findings (see
            ``grounding.criteria.add_findings``).

    Returns:
        The module; None for findings.

    Raises:
        GemInputError: it does not exist, or raises an error while it is imported.
        CriterionError: a finding is not valid.
    """
    module = _load(name)
    loaded[_key(name)] = None
    return module


loaded: dict[str, None] = {}  # the names, in order: worker processes load the same


def load_extensions(names: Iterable[str]) -> None:
    """Load those that this process has not loaded: in a worker, what its parent had loaded.

    Args:
        names: as in ``load_extension``.
    """
    for name in names:
        if _key(name) not in loaded:
            load_extension(name)


def _key(name: str) -> str:
    """A file's whole path, so that a worker, or this process in another folder, finds it again."""
    return str(Path(name).resolve()) if Path(name).suffix in (".py", ".yaml", ".yml") else name


def _load(name: str) -> ModuleType | None:
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        from grounding.criteria import add_findings

        add_findings(path)
        return None
    if path.suffix != ".py":
        try:
            return importlib.import_module(name)
        except Exception as error:
            raise GemInputError(
                f"it can't be imported ({type(error).__name__}: {error})",
                where=name,
                remedy="give a .py file, or a module that is installed",
            ) from error
    if not path.is_file():
        raise GemInputError("no such file", where=name, remedy="check the path after --import")
    path = path.resolve()
    key = path.stem
    known = sys.modules.get(key)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    other = importlib.util.find_spec(key) if known is None else known.__spec__
    if known is not None or (other is not None and other.origin != str(path)):
        raise GemInputError(f"a module {key} is there already", where=name, remedy="call the file something else")
    spec = importlib.util.spec_from_file_location(key, path)
    assert spec is not None  # for mypy: a .py file has one
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module  # so that its classes can be pickled, and a config can name them
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[key]
        raise GemInputError(
            f"it raises while it is imported ({type(error).__name__}: {error})", where=name, remedy="run it alone first"
        ) from error
    return module
