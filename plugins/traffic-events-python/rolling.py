"""Averages over the last rows of a measuring point, and what they say; the same as the Rust plugin's `logic/rolling.rs`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from math import isfinite
from operator import add
from typing import TypeVar

Number = TypeVar("Number", int, float)
Speeds = list[float | None]

PRECEDING = 19
"""How many rows before a day its averages need."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def averages(speeds: Sequence[float | None], before: int) -> tuple[Speeds, Speeds]:
    """Those of a row and the 2 before it, and of a row and the 19 before it, of all rows but so many first ones."""
    sums = _windows([0.0 if speed is None else speed for speed in speeds])
    counts = _windows([0 if speed is None else 1 for speed in speeds])
    of_3, of_20 = (_means(of[before:], count[before:]) for of, count in zip(sums, counts, strict=True))
    return of_3, of_20


def jam(average: float | None) -> int:
    """Whether an average speed means a jam: 1 if it does, 0 if not, -1 if nobody knows."""
    if average is None or not 0 <= average <= 250:
        return -1
    return 1 if average <= 40 else 0


def change(previous: float | None, current: float | None) -> int:
    """Whether the speed went up (1), down (-1) or neither (0)."""
    if previous is None or current is None:
        return 0
    difference = current - previous
    return (difference >= 20) - (difference <= -20)


@cache
def instant(second: int) -> str:
    """A second since 1970 as text. Many points measure in the same second."""
    return (_EPOCH + timedelta(seconds=second)).isoformat()


def _windows(of_1: list[Number]) -> tuple[list[Number], list[Number]]:
    """The sums of the last 3 and the last 20 values, made of sums of 2, 4, 8 and 16.

    Each is one pass in C over all rows. Nothing adds up from row to row, as what is left of a running sum would.
    """
    of_2 = _added(of_1, of_1, 1)
    of_4 = _added(of_2, of_2, 2)
    of_8 = _added(of_4, of_4, 4)
    of_16 = _added(of_8, of_8, 8)
    return _added(of_2, of_1, 2), _added(of_16, of_4, 16)


def _added(values: list[Number], others: list[Number], before: int) -> list[Number]:
    """To each value what the others have so many rows before it."""
    return values[:before] + list(map(add, values[before:], others))


def _means(sums: Sequence[float], counts: Sequence[int]) -> Speeds:
    means = (total / count if count else None for total, count in zip(sums, counts, strict=True))
    return [mean if mean is not None and isfinite(mean) else None for mean in means]
