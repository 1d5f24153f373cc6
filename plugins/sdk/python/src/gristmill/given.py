"""Tables that a test gives at the desk as plain Python values, in place of what the host would decode."""

from __future__ import annotations

import json
import operator
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from .block import Block
from .failure import ObjectInvalid
from .host import Tabular
from .request import Condition, Request, ValueType, Wanted
from .values import CODES, Values

Given = Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]
"""Rows as dicts, or columns as lists. None is null."""

BLOCK_ROWS = 16 * 1024
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NATURAL: tuple[tuple[type, ValueType], ...] = (
    # bool before int, datetime before date: the first is also the second to Python.
    (bool, "boolean"),
    (int, "int64"),
    (float, "float64"),
    (str, "text"),
    (bytes, "binary"),
    (datetime, "timestamp"),
    (date, "date"),
    (list, "json"),
    (dict, "json"),
)


def scan(uri: str, given: Given, request: Request) -> Tabular:
    """The table as the host would give it: of the types, columns and rows that are asked for."""
    there = _by_column(given)
    count = max(map(len, there.values()), default=0)
    wanted = request.columns if request.columns is not None else [Wanted(name, None, False) for name in there]
    types = {column.name: column.type for column in wanted}
    columns: dict[str, ValueType] = {}
    values: dict[str, list[Any]] = {}
    for column in wanted:
        if column.name not in there and column.optional:
            columns[column.name], values[column.name] = column.type or "text", [None] * count
        else:
            columns[column.name], values[column.name] = _column(uri, there, column.name, column.type)
    kept = list(range(count))
    for condition in request.where:
        if condition.column in values:
            kind, tested = columns[condition.column], values[condition.column]
        else:
            kind, tested = _column(uri, there, condition.column, types.get(condition.column))
        meets = _test(uri, condition, kind)
        kept = [row for row in kept if meets(tested[row])]
    return Tabular(columns, _blocks(columns, values, kept, request.block_rows or BLOCK_ROWS))


def _by_column(given: Given) -> Mapping[str, Sequence[Any]]:
    if isinstance(given, Mapping):
        if len({len(column) for column in given.values()}) > 1:
            raise ValueError("the columns of a table must have the same length")
        return given
    names = dict.fromkeys(name for row in given for name in row)
    return {name: [row.get(name) for row in given] for name in names}


def _column(
    uri: str, there: Mapping[str, Sequence[Any]], name: str, kind: ValueType | None
) -> tuple[ValueType, list[Any]]:
    if name not in there:
        raise ObjectInvalid(f"{uri}: it has no column `{name}`")
    found = there[name]
    if kind is None:
        kinds = {_natural(value) for value in found if value is not None}
        kind = "float64" if kinds == {"int64", "float64"} else kinds.pop() if len(kinds) == 1 else "text"
    try:
        return kind, [None if value is None else _cast(value, kind) for value in found]
    except (ValueError, TypeError, OverflowError) as error:
        raise ObjectInvalid(f"{uri}: column `{name}`: {error}") from None


def _natural(value: Any) -> ValueType:
    return next((kind for python, kind in _NATURAL if isinstance(value, python)), "text")


def _cast(value: Any, kind: ValueType) -> Any:
    """A value as a column of this type has it, of those that the host can cast."""
    match kind, value:
        case ("boolean", bool()) | ("binary", bytes()) | ("text", str()):
            return value
        case ("int64", int()) | ("float64", float() | int() | str()) if not isinstance(value, bool):
            return array(CODES[kind], [float(value) if kind == "float64" else value])[0]
        case "int64", str():
            return _cast(int(value), kind)
        case "date", date() if not isinstance(value, datetime):
            return (value - date(1970, 1, 1)).days
        case "timestamp", datetime():
            if value.tzinfo is None:
                raise ValueError(f"{value} has no time zone (use datetime.UTC)")
            return (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        case "date", str():
            return _cast(date.fromisoformat(value), kind)
        case "timestamp", str():
            return _cast(datetime.fromisoformat(value), kind)
        case "json", str():
            json.loads(value)
            return value
        case "json", _:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        case "text", int() | float() if not isinstance(value, bool):
            return str(value)
        case "text", datetime() | date():
            return value.isoformat().replace("+00:00", "Z")
    raise ValueError(f"{value!r} is no {kind}")


def _test(uri: str, condition: Condition, kind: ValueType) -> Callable[[Any], bool]:
    if condition.comparison == "is null":
        return lambda value: value is None
    if condition.comparison == "is not null":
        return lambda value: value is not None
    try:
        literal, sign = _cast(condition.value, kind), _SIGNS[condition.comparison]
    except (ValueError, TypeError, OverflowError) as error:
        raise ObjectInvalid(f"{uri}: the condition on column `{condition.column}`: {error}") from None
    return lambda value: value is not None and sign(value, literal)


def _blocks(
    columns: Mapping[str, ValueType], values: Mapping[str, list[Any]], kept: Sequence[int], most: int
) -> Iterator[Block]:
    for start in range(0, len(kept), most):
        rows = kept[start : start + most]

        def load(name: str, rows: Sequence[int] = rows) -> Values:
            found = [values[name][row] for row in rows]
            code = CODES.get(columns[name])
            # As in the component: numbers without nulls are a view.
            return found if code is None or None in found else memoryview(array(code, found))

        yield Block(columns, len(rows), load)
