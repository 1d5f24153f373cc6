"""The values of one column, by functions written in C: a loop over values in Python costs more than everything else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice, pairwise
from typing import Any, Literal

from .flat import Damaged
from .layout import WIDTHS, Place

Values = Sequence[Any]
"""A `memoryview` of numbers that lie where the host put them, or a list."""

CODES: dict[str, Literal["q", "d", "i"]] = {"int64": "q", "float64": "d", "timestamp": "q", "date": "i"}
"""The formats of memoryviews. Blocks are little-endian, as is WebAssembly."""

_BITS = [tuple(bool(byte >> bit & 1) for bit in range(8)) for byte in range(256)]


def values(place: Place, rows: int) -> Values:
    """All values in order, None for null. Raises `Damaged` where a text is no text."""
    if rows and place.nulls == rows:
        return [None] * rows
    found: Values
    match place.type:
        case "boolean":
            found = _bits(place.values, rows)
        case "text" | "binary":
            found = _pieces(place, rows)
        case fixed:
            found = place.values[: rows * WIDTHS[fixed]].cast(CODES[fixed])
    if not place.nulls:
        return found
    return [value if valid else None for value, valid in zip(found, _bits(place.validity, rows), strict=True)]


def _bits(buffer: memoryview, rows: int) -> list[bool]:
    return list(islice(chain.from_iterable(map(_BITS.__getitem__, buffer)), rows))


def _pieces(place: Place, rows: int) -> Values:
    if not rows:
        return []
    ends = place.offsets[: 4 * (rows + 1)].cast("i").tolist()
    # Sorting what is sorted already is one pass in C.
    if ends[0] < 0 or ends[-1] > len(place.values) or ends != sorted(ends):
        raise Damaged(f"column {place.name}: a value lies outside of its buffer")
    content = bytes(place.values[: ends[-1]])
    if place.type == "binary":
        return [content[start:end] for start, end in pairwise(ends)]
    if content.isascii():
        # Every byte is a letter: one decoding does for all.
        text = content.decode("ascii")
        return [text[start:end] for start, end in pairwise(ends)]
    try:
        return [content[start:end].decode() for start, end in pairwise(ends)]
    except UnicodeDecodeError:
        raise Damaged(f"column {place.name}: a text is not UTF-8") from None
