"""What the dataset is about, without a word of where the rows come from; the same as the Rust plugin's `logic.rs`."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gristmill import Reject
from gristmill.names import quoted

INT64 = range(-(2**63), 2**63)
MISSING = -9999
"""What NOAA's products write where nothing was measured. In a station's file there should be no row at all."""
_number_form = re.compile(r"([+-]?)0*([0-9]{1,19})").fullmatch
_day_form = re.compile(r"[0-9]{8}").fullmatch


class Precipitation(NamedTuple):
    """What one station's file holds."""

    prcp_rows: int
    """PRCP rows, those with a quality flag included."""
    flagged_skipped: int
    """PRCP rows that were passed over for their quality flag."""
    missing_skipped: int = 0
    """PRCP rows that were passed over because their value is `MISSING`."""
    station: str | None = None
    """None if no row counts; then there is no value either."""
    highest: int = 0
    """In tenths of a millimetre."""
    date: str = ""
    """The earliest day with that value, `YYYY-MM-DD`."""


def highest_precipitation(
    rows: Iterable[tuple[int, Sequence[str]]], name: str, *, include_flagged: bool
) -> Precipitation:
    """Goes through a file's PRCP rows: line number and ID, DATE, DATA_VALUE, Q_FLAG.

    Every row that counts must be sound, not just the one that wins. One that is passed over need not be.
    """
    count = skipped = missing = 0
    station: str | None = None
    highest, first_day = INT64.start - 1, ""
    # Looking up is cheaper than parsing: a station has few different values, and its rows go month by month.
    values: dict[str, int] = {}
    month: frozenset[str] = frozenset()
    for line, (row_station, day, text, flag) in rows:
        count += 1
        if flag and not include_flagged:
            skipped += 1
            continue
        value = values.get(text)
        if value is None:
            value = values[text] = _value(text, name, line)
        if value == MISSING:
            missing += 1
            continue
        if day not in month:
            month = _month_of(day, name, line)
        if value > highest or (value == highest and day < first_day):
            highest, first_day = value, day
        if row_station != station:
            if station is not None:
                raise _bad(name, line, "ID", row_station, f"{station}, the station of the rows before")
            station = row_station
    if station is None:
        return Precipitation(count, skipped, missing)
    return Precipitation(count, skipped, missing, station, highest, f"{first_day[:4]}-{first_day[4:6]}-{first_day[6:]}")


def _value(text: str, name: str, line: int) -> int:
    # `int` alone takes spaces and underscores, and no more than 4,300 digits, be they zeros.
    if (form := _number_form(text)) and (value := int(form[1] + form[2])) in INT64:
        return value
    raise _bad(name, line, "DATA_VALUE", text, "a whole number")


def _month_of(day: str, name: str, line: int) -> frozenset[str]:
    """All days of the month of a sound day."""
    if _day_form(day):
        year, month = int(day[:4]), int(day[4:6])
        if 1 <= month <= 12:
            days = frozenset(f"{day[:6]}{d:02}" for d in range(1, monthrange(year, month)[1] + 1))
            if day in days:
                return days
    raise _bad(name, line, "DATE", day, "a day as YYYYMMDD")


def _bad(name: str, line: int, column: str, found: str, expected: str) -> Reject:
    return Reject("BadValue", f"{name}: line {line} has {quoted(found)} as {column}, which is not {expected}")
