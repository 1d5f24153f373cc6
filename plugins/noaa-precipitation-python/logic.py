"""What the dataset is about, without a word of where the rows come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from gristmill import Reject

NUMBER = re.compile(r"[+-]?[0-9]{1,18}").fullmatch
DATE = re.compile(r"[0-9]{8}").fullmatch


class Precipitation(NamedTuple):
    """What one station's file holds."""

    rows: int
    """PRCP rows, those with a quality flag included."""
    flagged: int
    """PRCP rows with a quality flag."""
    station: str | None = None
    highest: int | None = None
    """In tenths of a millimetre."""
    date: date | None = None
    """The earliest day with that value."""


def highest_precipitation(
    rows: Iterable[tuple[int, Sequence[str]]], name: str, *, include_flagged: bool
) -> Precipitation:
    """Goes through a file's PRCP rows: line number and ID, DATE, DATA_VALUE, Q_FLAG."""
    count = flagged = 0
    best: tuple[int, Sequence[str]] | None = None
    highest = -(10**18)
    day = ""
    known: dict[str, int] = {}  # A station has few different values: looking one up is cheaper than parsing it.
    for count, (line, row) in enumerate(rows, 1):
        _, when, text, flag = row
        if flag:
            flagged += 1
            if not include_flagged:
                continue
        value = known.get(text)
        if value is None:
            value = known[text] = _number(text, name, line)
        if value > highest or (value == highest and when < day):
            highest, day, best = value, when, (line, row)
    if best is None:
        return Precipitation(count, flagged)
    line, (station, when, _, _) = best
    return Precipitation(count, flagged, station, highest, _date(when, name, line))


def _number(text: str, name: str, line: int) -> int:
    if not NUMBER(text):
        raise Reject("BadValue", f"{name}: line {line} has {text[:80]!r} as DATA_VALUE, which is not a whole number")
    return int(text)


def _date(text: str, name: str, line: int) -> date:
    try:
        if DATE(text):
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        pass
    raise Reject("BadDate", f"{name}: line {line} has {text[:80]!r} as DATE, which is not a day (YYYYMMDD)")
