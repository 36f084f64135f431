"""Tables that become a DataFrame when someone asks for one: making it takes longer than computing what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import pandas as pd

Columns = Mapping[str, Any]


class DeferredColumns(Mapping[str, Any]):
    """Columns of which some are computed when they are first asked for.

    Args:
        columns: name -> values of each row.
        later: name -> a function that gives them.
    """

    def __init__(self, columns: Columns, later: Mapping[str, Callable[[], Any]]) -> None:
        self._known, self._later = dict(columns), later
        self._names = (*columns, *later)

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._later[name]()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class DeferredTable:
    """The columns of a table that is not yet a DataFrame.

    Args:
        columns: name -> values of each row, an array or a list; or a function that gives this, which is called when
            the columns are first asked for, or pickled.
    """

    def __init__(self, columns: Columns | Callable[[], Columns]) -> None:
        self._columns = columns

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self.columns),)

    @property
    def columns(self) -> Columns:
        """Name -> values of each row."""
        if callable(self._columns):
            self._columns = self._columns()
        return self._columns

    def frame(self) -> pd.DataFrame:
        """The DataFrame."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns))


Table = Any  # a DeferredTable or a DataFrame: both have ``columns``, and DataFrames have no type without pandas


def values_of(table: Table, name: str) -> list[Any]:
    """A column as Python values.

    Args:
        table: a ``DeferredTable`` or a DataFrame.
        name: of the column.
    """
    column = table.columns[name] if isinstance(table, DeferredTable) else table[name]
    values: list[Any] = column if isinstance(column, list) else column.tolist()
    return values


class WithTables:
    """What has DataFrames that are made when they are first asked for: most of them never are."""

    @classmethod
    def deferred(cls, tables: Mapping[str, DeferredTable], **others: Any) -> Self:
        """The object, with its DataFrames still to be made.

        Args:
            tables: name of the attribute -> table.
            others: the other attributes.
        """
        made = cls(**dict.fromkeys(tables), **others)
        for name in tables:
            del made.__dict__[name]
        made.__dict__["_tables"] = dict(tables)
        return made

    def __getattr__(self, name: str) -> Any:
        attributes = self.__dict__
        table = attributes.get("_tables", {}).get(name)
        if table is not None:
            attributes[name] = table.frame()
            attributes["_tables"] = {key: one for key, one in attributes["_tables"].items() if key != name}
        elif name not in attributes:  # else another thread has made it just now
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return attributes[name]

    def table(self, name: str) -> Table:
        """A table as it is: a DataFrame where someone asked for that, else a ``DeferredTable``.

        Args:
            name: of the attribute.
        """
        made = self.__dict__.get(name)
        if made is None:
            made = self.__dict__.get("_tables", {}).get(name)
        return getattr(self, name) if made is None else made

    def column(self, table: str, name: str) -> list[Any]:
        """A column of a table as Python values; it is not to be changed.

        Args:
            table: name of the attribute.
            name: of the column.
        """
        return values_of(self.table(table), name)

    def n_rows(self, table: str) -> int:
        """The number of rows of a table.

        Args:
            table: name of the attribute.
        """
        found = self.table(table)
        return len(next(iter(found.columns.values()), ())) if isinstance(found, DeferredTable) else len(found)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table, each a dictionary of Python values.

        Args:
            table: name of the attribute.
        """
        names = list(self.table(table).columns)
        return [dict(zip(names, row, strict=True)) for row in zip(*(self.column(table, n) for n in names), strict=True)]
