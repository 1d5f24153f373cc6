"""Writes blocks as the host does, in the plainest way: the other half of what the package reads."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

KINDS: dict[str, tuple[int, dict[int, Any]]] = {
    "int64": (2, {0: struct.pack("<i", 64), 1: b"\1"}),
    "float64": (3, {0: struct.pack("<h", 2)}),
    "binary": (4, {}),
    "text": (5, {}),
    "boolean": (6, {}),
    "date": (8, {0: struct.pack("<h", 0)}),
    "timestamp": (10, {0: struct.pack("<h", 2), 1: "UTC"}),
}
"""The number of each type in Arrow's `Schema.fbs`, and its table."""

FORMS = {"int64": "q", "float64": "d", "date": "i", "timestamp": "q"}
END = b"\xff\xff\xff\xff\0\0\0\0"


def block(columns: Mapping[str, tuple[str, Sequence[Any]]], **options: Any) -> bytes:
    """A block with these columns: for each name a type and the values."""
    rows = max((len(values) for _, values in columns.values()), default=0)
    fields, nodes, buffers, body = [], [], [], b""
    for name, (kind, values) in columns.items():
        number, detail = KINDS[kind]
        fields.append({0: name, 1: b"\1", 2: bytes([number]), 3: detail, 5: []})
        nodes.append(struct.pack("<qq", len(values), sum(value is None for value in values)))
        for buffer in _buffers(kind, values):
            buffers.append(struct.pack("<qq", len(body), len(buffer)))
            body += buffer + bytes(-len(buffer) % 8)
    schema = _message(1, {1: fields, **options.get("schema", {})}, b"")
    batch = {0: struct.pack("<q", rows), 1: nodes, 2: buffers, **options.get("batch", {})}
    return schema + _message(3, batch, body) + END


def _buffers(kind: str, values: Sequence[Any]) -> list[bytes]:
    nulls = None in values
    validity = _bits([value is not None for value in values]) if nulls else b""
    if kind == "boolean":
        return [validity, _bits([bool(value) for value in values])]
    if kind in FORMS:
        numbers = (0 if value is None else value for value in values)
        return [validity, struct.pack(f"<{len(values)}{FORMS[kind]}", *numbers)]
    pieces = [value.encode() if isinstance(value, str) else value or b"" for value in values]
    ends = [0]
    for piece in pieces:
        ends.append(ends[-1] + len(piece))
    return [validity, struct.pack(f"<{len(ends)}i", *ends), b"".join(pieces)]


def _bits(values: Sequence[bool]) -> bytes:
    return sum(value << place for place, value in enumerate(values)).to_bytes(-(-len(values) // 8), "little")


def _message(kind: int, header: dict[int, Any], body: bytes) -> bytes:
    out = bytearray(4)
    root = _table(out, {0: struct.pack("<h", 4), 1: bytes([kind]), 2: header, 3: struct.pack("<q", len(body))})
    out[0:4] = struct.pack("<I", root)
    out += bytes(-len(out) % 8)
    return struct.pack("<iI", -1, len(out)) + out + body


def _table(out: bytearray, fields: Mapping[int, Any]) -> int:
    """Appends a table, with eight bytes for every field, and then what its fields point to."""
    count = max(fields, default=-1) + 1
    out += bytes(-len(out) % 8)
    vtable = len(out)
    out += struct.pack("<HH", 4 + 2 * count, 8 + 8 * count)
    out += struct.pack(f"<{count}H", *(8 + 8 * field if field in fields else 0 for field in range(count)))
    out += bytes(-len(out) % 8)
    at = len(out)
    out += struct.pack("<ii", at - vtable, 0) + bytes(8 * count)
    for field, value in fields.items():
        place = at + 8 + 8 * field
        if isinstance(value, bytes):
            out[place : place + len(value)] = value
        else:
            _point(out, place, _append(out, value))
    return at


def _append(out: bytearray, value: Any) -> int:
    if isinstance(value, Mapping):
        return _table(out, value)
    # The length of a vector stands before its first element, which is aligned.
    out += bytes((4 - len(out)) % 8)
    at = len(out)
    out += struct.pack("<I", len(value.encode() if isinstance(value, str) else value))
    if isinstance(value, str):
        out += value.encode() + b"\0"
    elif value and isinstance(value[0], bytes):
        out += b"".join(value)
    else:
        out += bytes(4 * len(value))
        for place, element in enumerate(value):
            _point(out, at + 4 + 4 * place, _append(out, element))
    return at


def _point(out: bytearray, place: int, to: int) -> None:
    out[place : place + 4] = struct.pack("<I", to - place)
