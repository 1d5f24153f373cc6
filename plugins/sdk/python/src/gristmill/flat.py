"""Just enough of FlatBuffers to read Arrow's metadata. Every look is checked: what lies outside is damage."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any


class Damaged(Exception):
    """Bytes that are not what they should be, in the end of a sentence."""


class Flat:
    """A table of FlatBuffers: the place of its fields is looked up in its vtable."""

    def __init__(self, buffer: memoryview, at: int) -> None:
        self._buffer = buffer
        self._at = at

    @classmethod
    def root(cls, buffer: memoryview) -> Flat:
        return cls(buffer, _follow(buffer, 0))

    def scalar(self, field: int, form: str, default: int = 0) -> int:
        """A number in `struct`'s form; one that was left out has its default."""
        place = self._place(field)
        return default if place is None else int(take(self._buffer, place, form)[0])

    def table(self, field: int) -> Flat | None:
        place = self._place(field)
        return None if place is None else Flat(self._buffer, _follow(self._buffer, place))

    def text(self, field: int) -> str | None:
        found = self._vector(field)
        if found is None:
            return None
        start, length = found
        try:
            return bytes(self._slice(start, length)).decode()
        except UnicodeDecodeError:
            raise Damaged("a name is not UTF-8") from None

    def structs(self, field: int, form: str) -> list[tuple[int, ...]] | None:
        """A vector of structs."""
        found = self._vector(field)
        if found is None:
            return None
        start, count = found
        return list(struct.iter_unpack(form, self._slice(start, count * struct.calcsize(form))))

    def tables(self, field: int) -> Iterator[Flat] | None:
        """A vector of tables."""
        found = self._vector(field)
        if found is None:
            return None
        start, count = found
        return (Flat(self._buffer, _follow(self._buffer, start + 4 * index)) for index in range(count))

    def _place(self, field: int) -> int | None:
        vtable = self._at - take(self._buffer, self._at, "<i")[0]
        slot = 4 + 2 * field
        if slot + 2 > take(self._buffer, vtable, "<H")[0]:
            return None
        offset = take(self._buffer, vtable + slot, "<H")[0]
        return self._at + offset if offset else None

    def _slice(self, start: int, length: int) -> memoryview:
        if start + length > len(self._buffer):
            raise Damaged("it is cut off")
        return self._buffer[start : start + length]

    def _vector(self, field: int) -> tuple[int, int] | None:
        place = self._place(field)
        if place is None:
            return None
        start = _follow(self._buffer, place)
        return start + 4, take(self._buffer, start, "<I")[0]


def take(buffer: memoryview, at: int, form: str) -> tuple[Any, ...]:
    """What lies at a place, in `struct`'s form."""
    # A place before the start would count from the end.
    if at < 0 or at + struct.calcsize(form) > len(buffer):
        raise Damaged("it is cut off")
    return struct.unpack_from(form, buffer, at)


def _follow(buffer: memoryview, at: int) -> int:
    return int(at + take(buffer, at, "<I")[0])
