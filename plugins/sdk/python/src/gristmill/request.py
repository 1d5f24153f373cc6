"""What is asked of a table: its columns and the rows that are wanted, checked before the host sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from .names import nearest

ValueType = Literal["boolean", "int64", "float64", "text", "binary", "date", "timestamp", "json"]
Comparison = Literal["==", "!=", "<", "<=", ">", ">=", "is null", "is not null"]
Scalar = bool | int | float | str
Format = Literal["parquet", "csv", "json_lines"]

VALUE_TYPES: tuple[ValueType, ...] = ("boolean", "int64", "float64", "text", "binary", "date", "timestamp", "json")
FORMATS: tuple[Format, ...] = ("parquet", "csv", "json_lines")
COMPARISONS: tuple[Comparison, ...] = ("==", "!=", "<", "<=", ">", ">=", "is null", "is not null")

Columns = Sequence[str] | Mapping[str, str]
Where = Mapping[str, Any] | Iterable[tuple[Any, ...]]


class Wanted(NamedTuple):
    """A column that is wanted."""

    name: str
    type: ValueType | None
    """None for the one that follows from the file."""
    optional: bool
    """Whether a file may lack it: then all its values are null."""


class Condition(NamedTuple):
    """A condition on one column."""

    column: str
    comparison: Comparison
    value: Scalar | None
    """None for `is null` and `is not null`."""


class Layout(NamedTuple):
    """How the bytes of a table are laid out."""

    format: Format | None = None
    """None for what the first bytes and the key's ending say."""
    header: tuple[str, ...] | None = None
    """The names of the columns of CSV; None where they are its first row."""
    delimiter: str = ","
    """Between fields of CSV."""


class Request(NamedTuple):
    """What is asked of one table."""

    columns: tuple[Wanted, ...] | None
    """None for all."""
    where: tuple[Condition, ...]
    block_rows: int
    """The most rows of a block; 0 leaves it to the host."""
    layout: Layout = Layout()


def layout(format: str | None, header: Sequence[str] | None, delimiter: str | None) -> Layout:
    """Reads what `Context.table` is given of the format."""
    found = next((known for known in FORMATS if known == format), None)
    if found is None and format is not None:
        raise ValueError(f"unknown format {format!r}; there are {', '.join(FORMATS)}")
    if found != "csv" and (header is not None or delimiter is not None):
        raise ValueError('`header` and `delimiter` belong to `format="csv"`')
    if isinstance(header, str) or (header is not None and not header):
        raise ValueError(f"header is a list of names, not {header!r}")
    return Layout(found, tuple(header) if header is not None else None, delimiter if delimiter is not None else ",")


def request(
    columns: Columns | None, where: Where | None, block_rows: int, laid_out: Layout = Layout()
) -> Request:
    """Reads what `Context.table` is given. What makes no sense is the plugin's mistake: a `ValueError`."""
    if isinstance(where, Mapping):
        where = [(column, "==", value) for column, value in where.items()]
    conditions = tuple(_condition(*condition) for condition in where or ())
    return Request(_columns(columns), conditions, block_rows, laid_out)


def _columns(columns: Columns | None) -> tuple[Wanted, ...] | None:
    if columns is None:
        return None
    if isinstance(columns, str):
        raise ValueError(f"columns are a list or a dict, not the text {columns!r}")
    if not isinstance(columns, Mapping):
        return tuple(Wanted(name, None, False) for name in columns)
    return tuple(_wanted(name, kind) for name, kind in columns.items())


def _wanted(name: str, kind: str) -> Wanted:
    bare = kind.removesuffix("?")
    found = next((known for known in VALUE_TYPES if known == bare), None)
    if found is None:
        near = nearest(bare, VALUE_TYPES)
        hint = f" (did you mean {near}?)" if near else ""
        raise ValueError(f"column {name}: unknown type {kind!r}{hint}; there are {', '.join(VALUE_TYPES)}")
    return Wanted(name, found, kind.endswith("?"))


def _condition(column: str, comparison: str, *values: Any) -> Condition:
    found = next((known for known in COMPARISONS if known == comparison), None)
    if found is None:
        raise ValueError(f"column {column}: no comparison {comparison!r}; there are {', '.join(COMPARISONS)}")
    if len(values) != (0 if found.startswith("is") else 1):
        raise ValueError(f"column {column}: {found} takes {'no' if found.startswith('is') else 'one'} value")
    return Condition(column, found, _literal(column, *values) if values else None)


def _literal(column: str, value: Any) -> Scalar:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"column {column}: {value} has no time zone; a timestamp is an instant (use datetime.UTC)")
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"column {column}: {value} has more than 64 bits")
    if isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"column {column}: compare it with a bool, a number, a text or a date, not {value!r}")
