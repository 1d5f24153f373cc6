"""What is asked of a database: a statement and its parameters, checked before the host sees them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

Parameter = bool | int | float | str | bytes | None

_INT64 = range(-(2**63), 2**63)


class Statement(NamedTuple):
    """A statement, its parameters being `$1`, `$2`, and so on."""

    connection: str
    text: str
    parameters: tuple[Parameter, ...]
    block_rows: int


def statement(connection: str, text: str, parameters: Sequence[Any], block_rows: int) -> Statement:
    """What the plugin asks, in the few types that the host takes: the server reads a text as whatever it wants there."""
    if isinstance(parameters, str | bytes):
        raise TypeError("the parameters of a statement are a list or a tuple")
    bound = tuple(_parameter(place, value) for place, value in enumerate(parameters, 1))
    return Statement(connection, text, bound, block_rows)


def _parameter(place: int, value: Any) -> Parameter:
    match value:
        case None | bool() | float() | str():
            return value
        case int():
            return value if value in _INT64 else str(value)
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case Decimal() | UUID():
            return str(value)
        # A datetime is a date, too.
        case date() | time():
            return value.isoformat()
    raise TypeError(f"parameter ${place} is of type {type(value).__name__}, which no database knows: give a text")
