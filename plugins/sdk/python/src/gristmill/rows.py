"""Rows on their way out: buffered and sent as blocks of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from .failure import Reject
from .names import nearest
from .plugin import Shape

BLOCK = 256 * 1024
"""Bytes after which a block is sent: large enough that crossing the sandbox's border costs nothing."""


class RowBuffer:
    """The rows of one output."""

    def __init__(self, shape: Shape, send: Callable[[str, bytes], None]) -> None:
        self._shape = shape
        self._columns = {column.name for column in shape.columns}
        self._send = send
        self._lines: list[bytes] = []
        self._size = 0
        self._sent = 0

    def add(self, row: Mapping[str, Any]) -> None:
        if not row.keys() <= self._columns:
            self._refuse_unknown(row)
        try:
            line = _encode(row).encode()
        except (TypeError, ValueError) as error:
            raise self._bad(str(error)) from None
        self._lines.append(line)
        self._size += len(line)
        if self._size >= BLOCK:
            self.flush()

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


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError(f"{value} has no time zone; a timestamp is an instant (use datetime.UTC)")
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} does not go into JSON; convert it first")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode
