"""Rows on their way out: buffered and sent as blocks of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from json.encoder import encode_basestring
from typing import Any

from .failure import Reject
from .names import nearest
from .plugin import ColumnType, Shape

BLOCK = 256 * 1024
"""Bytes after which a block is sent: large enough that crossing the sandbox's border costs nothing."""
BLOCK_ROWS = 4096
"""Rows of columns that are made text at once."""


class RowBuffer:
    """The rows of one output."""

    def __init__(self, shape: Shape, send: Callable[[str, bytes], None]) -> None:
        self._shape = shape
        self._columns = {column.name: column.type for column in shape.columns}
        self._send = send
        self._lines: list[bytes] = []
        self._size = 0
        self._sent = 0

    def add(self, row: Mapping[str, Any]) -> None:
        if not row.keys() <= self._columns.keys():
            self._refuse_unknown(row)
        try:
            line = _encode(row).encode()
        except (TypeError, ValueError) as error:
            raise self._bad(str(error)) from None
        self._lines.append(line)
        self._size += len(line)
        if self._size >= BLOCK:
            self.flush()

    def add_columns(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Adds many rows: in each step a whole column is made text by functions written in C."""
        if not columns.keys() <= self._columns.keys():
            self._refuse_unknown(columns)
        lengths = {name: len(values) for name, values in columns.items()}
        count = max(lengths.values(), default=0)
        short = next((name for name, length in lengths.items() if length < count), None)
        if short is not None:
            raise self._bad(f"the column {short} has {lengths[short]} values where another has {count}")
        for start in range(0, count, BLOCK_ROWS):
            part = {name: values[start : start + BLOCK_ROWS] for name, values in columns.items()}
            try:
                block = "\n".join(self._lines_of(part)).encode()
            except (TypeError, ValueError):
                # Row by row it is said which one is wrong.
                for row in zip(*part.values(), strict=True):
                    self.add(dict(zip(part, row, strict=True)))
                continue
            self.flush()
            self._sent += min(BLOCK_ROWS, count - start)
            self._send(self._shape.name, block)

    def _lines_of(self, columns: Mapping[str, Sequence[Any]]) -> Iterable[str]:
        form = ",".join(f"{encode_basestring(name)}:".replace("%", "%%") + "%s" for name in columns)
        texts = (_texts(values, self._columns[name]) for name, values in columns.items())
        return map(f"{{{form}}}".__mod__, zip(*texts, strict=True))

    def flush(self) -> None:
        if self._lines:
            self._sent += len(self._lines)
            self._lines.append(b"")
            self._send(self._shape.name, b"\n".join(self._lines))
            self._lines.clear()
            self._size = 0

    def _refuse_unknown(self, row: Mapping[str, Any]) -> None:
        extra = next(key for key in row if key not in self._columns)
        near = nearest(extra, self._columns)
        hint = f", did you mean {near}?" if near else f"; there are {', '.join(sorted(self._columns))}"
        raise self._bad(f"{extra!r} is no column of this output{hint}")

    def _bad(self, what: str) -> Reject:
        return Reject("OutputInvalid", f"output {self._shape.name}, row {self._sent + len(self._lines) + 1}: {what}")


def _texts(values: Sequence[Any], kind: ColumnType) -> Iterable[str]:
    """Each value as JSON."""
    match kind:
        case "boolean" | "int64" | "float64":
            # None of these has a comma. What does not belong there makes a column of another length, which is noticed.
            return _encode(list(values))[1:-1].split(",")
        case "text" if None not in values:
            return map(encode_basestring, values)
    return map(_encode, values)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError(f"{value} has no time zone; a timestamp is an instant (use datetime.UTC)")
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} does not go into JSON; convert it first")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode
