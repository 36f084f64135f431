"""Auto classes know our models after ``import gem``, yet ``import gem`` opens neither transformers nor torch.

When transformers is there already, our classes register at once; else when its auto modules get imported.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

# transformers' module -> ours, which register themselves when they are imported
_FOLLOWS = {
    "transformers.models.auto.configuration_auto": ("gem.configuration",),
    "transformers.models.auto.modeling_auto": ("gem.modeling", "gem.fusion.coca"),
    "transformers.models.auto.processing_auto": ("gem._auto_processor",),
}


class _Follow(importlib.abc.MetaPathFinder):
    """Lets an import happen as always, then imports our module after it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _FOLLOWS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _open(_FOLLOWS[fullname])

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _open(names: Sequence[str]) -> None:
    for name in names:
        importlib.import_module(name)


def follow_transformers() -> None:
    """Register now what transformers has opened, and the rest when it opens it."""
    sys.meta_path.insert(0, _Follow())
    for theirs, ours in _FOLLOWS.items():
        if theirs in sys.modules:
            _open(ours)
