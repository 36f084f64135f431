"""The registry class for everything that is selected by name: readers, delineators, encoders, kernels, benchmarks."""

from __future__ import annotations

import difflib
import fnmatch
import importlib.metadata
import warnings
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from .errors import EcgRegistryError

T = TypeVar("T")


class Registry(Generic[T]):
    """Named entries, added by a decorator.

    The entry's name is the name of the decorated function or class unless one is given. Registering a name again warns
    and replaces the entry; an unknown name raises an error that lists the most similar ones.

    Args:
        kind: what an entry is, for messages.
        group: entry-point group of installed packages, e.g. ``"gem.encoders"``. The entry points are imported, and so
            register themselves, when an unknown name is requested or all names are listed. One that can't be imported
            is left out with a warning.

    Example:
        >>> shapes = Registry("shape")
        >>> @shapes.register
        ... def square(): return 4
        >>> shapes["square"]()
        4
        >>> shapes.list("sq*")
        ['square']
    """

    def __init__(self, kind: str, group: str | None = None) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}
        self._group = group

    def register(self, entry: T | None = None, *, name: str | None = None) -> T | Callable[[T], T]:
        """Add an entry; use as ``@registry.register`` or ``@registry.register(name="...")``.

        Args:
            entry: the function or class.
            name: of the entry; by default ``entry.__name__``.

        Returns:
            The entry itself, or a decorator where ``entry`` is not given.
        """

        def add(value: T) -> T:
            key = name or getattr(value, "__name__", None)
            if not key:
                raise TypeError(f"a {self.kind} without a __name__ needs register(name=...)")
            if key in self._entries and self._entries[key] is not value:
                warnings.warn(f"{self.kind} {key!r} replaces the one registered before", stacklevel=3)
            self._entries[key] = value
            return value

        return add if entry is None else add(entry)

    def load_plugins(self) -> bool:
        """Import the entry points of installed packages, once.

        Returns:
            Whether there were any.
        """
        if self._group is None:
            return False
        group, self._group = self._group, None
        plugins = importlib.metadata.entry_points(group=group)
        for plugin in plugins:
            try:
                plugin.load()
            except Exception as error:  # an error in another package must not break this one
                warnings.warn(f"{self.kind} {plugin.name!r} of {plugin.value} can't be imported: {error}", stacklevel=2)
        return bool(plugins)

    def __getitem__(self, name: str) -> T:
        if isinstance(name, str) and name not in self._entries:
            self.load_plugins()
        try:
            return self._entries[name]
        except (KeyError, TypeError):  # TypeError: the name is not hashable
            near = difflib.get_close_matches(str(name), self._entries, n=3, cutoff=0.4) or sorted(self._entries)
            raise EcgRegistryError(f"no {self.kind} is called {name!r}", remedy=f"nearest: {', '.join(near)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def list(self, pattern: str = "*") -> list[str]:
        """Sorted names.

        Args:
            pattern: shell-style pattern that they match.
        """
        self.load_plugins()
        return sorted(fnmatch.filter(self._entries, pattern))
