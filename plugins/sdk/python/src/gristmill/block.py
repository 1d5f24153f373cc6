"""Some rows of a table, column by column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .failure import Reject
from .flat import Damaged
from .layout import read
from .names import nearest
from .request import ValueType
from .values import Values, values


class Block:
    """Some rows of a table. `block["name"]` is a column, which is decoded when it is looked at first."""

    def __init__(self, columns: Mapping[str, ValueType], rows: int, load: Callable[[str], Values]) -> None:
        self.columns = columns
        """The names and types of the columns, in order."""
        self._rows = rows
        self._load = load
        self._loaded: dict[str, Values] = {}

    def __len__(self) -> int:
        return self._rows

    def __repr__(self) -> str:
        return f"<Block of {self._rows} rows: {', '.join(self.columns)}>"

    def __getitem__(self, column: str) -> Values:
        """A column's values: a `memoryview` of numbers without nulls, else a list, with None for null."""
        found = self._loaded.get(column)
        if found is None:
            if column not in self.columns:
                near = nearest(column, self.columns)
                hint = f", did you mean {near}?" if near else f", only {', '.join(self.columns)}"
                raise Reject("NoSuchColumn", f"there is no column {column}{hint}")
            found = self._loaded[column] = self._load(column)
        return found

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows as dicts. The columns themselves are cheaper."""
        names = tuple(self.columns)
        if not names:
            return ({} for _ in range(self._rows))
        return (dict(zip(names, row, strict=True)) for row in zip(*map(self.__getitem__, names), strict=True))


def arrow(content: bytes, columns: Mapping[str, ValueType], uri: str) -> Block:
    """The block that one Arrow IPC stream holds. Rejects with `TableInvalid` what is not one with these columns."""
    try:
        rows, found = read(content)
        if [(place.name, place.type) for place in found] != [(n, _as_stored(t)) for n, t in columns.items()]:
            raise Damaged("its columns are not those of the table")
    except Damaged as why:
        raise _invalid(uri, why) from None
    places = {place.name: place for place in found}

    def load(column: str) -> Values:
        try:
            return values(places[column], rows)
        except Damaged as why:
            raise _invalid(uri, why) from None

    return Block(columns, rows, load)


def _as_stored(kind: ValueType) -> ValueType:
    return "text" if kind == "json" else kind


def _invalid(uri: str, why: Damaged) -> Reject:
    return Reject("TableInvalid", f"{uri}: a block cannot be read: {why}")
