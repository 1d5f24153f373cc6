"""Where the columns of a block lie: one schema and one record batch of an Arrow IPC stream (see wit/tables.wit)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .flat import Damaged, Flat, take
from .request import ValueType

SCHEMA, BATCH = 1, 3
"""Kinds of messages, as Arrow's `Message.fbs` numbers them."""
END = b"\xff\xff\xff\xff\0\0\0\0"
"""What a stream may end with."""

VARIABLE = ("text", "binary")
WIDTHS = {"int64": 8, "float64": 8, "timestamp": 8, "date": 4}


class Place(NamedTuple):
    """One column's buffers. Nothing is copied."""

    name: str
    type: ValueType
    """A JSON text cannot be told from another: both are `text` here."""
    nulls: int
    validity: memoryview
    """A bit for each row. Of no importance where there are no nulls."""
    offsets: memoryview
    """The ends of texts and bytes; empty for the other types."""
    values: memoryview


def read(content: bytes) -> tuple[int, list[Place]]:
    """The number of rows and the columns. Raises `Damaged` where the bytes are no block."""
    block = memoryview(content)
    schema, _, rest = _message(block, 0, SCHEMA)
    fields = list(_fields(schema))
    batch, body, rest = _message(block, rest, BATCH)
    if block[rest:].tobytes() not in (b"", END):
        raise Damaged("something follows its record batch")
    if batch.table(3) is not None:
        raise Damaged("its buffers are compressed")
    rows = batch.scalar(0, "<q")
    if not 0 <= rows < 2**31:
        raise Damaged("it has an impossible number of rows")
    nodes, places = batch.structs(1, "<qq"), batch.structs(2, "<qq")
    if nodes is None or places is None or len(nodes) != len(fields):
        raise Damaged("it has not one node for each column")
    buffers = (_buffer(body, *place) for place in places)
    columns = []
    for (name, kind), (length, nulls) in zip(fields, nodes, strict=True):
        if length != rows:
            raise Damaged("its columns are not of one length")
        validity, offsets = _next(buffers), _next(buffers) if kind in VARIABLE else body[:0]
        column = Place(name, kind, nulls, validity, offsets, _next(buffers))
        _check(column, rows)
        columns.append(column)
    if next(buffers, None) is not None:
        raise Damaged("it has more buffers than its columns need")
    return rows, columns


def _message(block: memoryview, at: int, kind: int) -> tuple[Flat, memoryview, int]:
    """A message's header, its body, and where the next message begins."""
    mark, size = take(block, at, "<II")
    if mark != 0xFFFFFFFF:
        raise Damaged("a message does not begin as one")
    start = at + 8
    end = start + size
    if end > len(block):
        raise Damaged("it is cut off")
    root = Flat.root(block[start:end])
    if root.scalar(1, "B") != kind:
        raise Damaged("it is not one schema and one record batch")
    length = root.scalar(3, "<q")
    if not 0 <= length <= len(block) - end:
        raise Damaged("it is cut off")
    header = root.table(2)
    if header is None:
        raise Damaged("a message has no header")
    return header, block[end : end + length], end + length


def _fields(schema: Flat) -> Iterator[tuple[str, ValueType]]:
    if schema.scalar(0, "<h") != 0:
        raise Damaged("it is big-endian")
    fields = schema.tables(1)
    if fields is None:
        raise Damaged("its schema has no columns")
    for field in fields:
        if field.table(4) is not None:
            raise Damaged("a column has a dictionary")
        name, kind = field.text(0), _kind(field)
        if name is None:
            raise Damaged("a column has no name")
        if kind is None:
            raise Damaged(f"column {name} is of a type that blocks do not have")
        yield name, kind


def _kind(field: Flat) -> ValueType | None:
    """The numbers are those of Arrow's `Schema.fbs`."""
    detail = field.table(3)
    if detail is None:
        return None
    match field.scalar(2, "B"):
        case 2 if detail.scalar(0, "<i") == 64 and detail.scalar(1, "B") == 1:
            return "int64"
        case 3 if detail.scalar(0, "<h") == 2:
            return "float64"
        case 4:
            return "binary"
        case 5:
            return "text"
        case 6:
            return "boolean"
        case 8 if detail.scalar(0, "<h", 1) == 0:
            return "date"
        case 10 if detail.scalar(0, "<h") == 2:
            return "timestamp"
    return None


def _buffer(body: memoryview, start: int, length: int) -> memoryview:
    if start < 0 or length < 0 or start + length > len(body):
        raise Damaged("a buffer lies outside of it")
    return body[start : start + length]


def _next(buffers: Iterator[memoryview]) -> memoryview:
    found = next(buffers, None)
    if found is None:
        raise Damaged("a buffer is missing")
    return found


def _check(column: Place, rows: int) -> None:
    bits = (rows + 7) // 8
    if column.type in VARIABLE:
        # Without rows even the first of the offsets may be missing.
        enough = len(column.offsets) >= 4 * (rows + 1) or rows == 0
    else:
        enough = len(column.values) >= (bits if column.type == "boolean" else WIDTHS[column.type] * rows)
    if not enough or (column.nulls and len(column.validity) < bits):
        raise Damaged("a buffer is shorter than its rows")
    if column.nulls:
        valid = int.from_bytes(column.validity[:bits], "little") & ((1 << rows) - 1)
        if valid.bit_count() != rows - column.nulls:
            raise Damaged(f"column {column.name} has another number of nulls than it says")
