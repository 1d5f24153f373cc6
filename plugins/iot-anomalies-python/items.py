"""What an item may be: a file of readings, or one reading, as Step Functions' own readers give it."""

from __future__ import annotations

import json
import re
from sys import float_info
from typing import Any

from logic import METRICS

from gristmill import Reject

_number_form = re.compile(
    r"[+-]?(?:inf|infinity|nan|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)", re.IGNORECASE
).fullmatch


def file_of(item: Any) -> str | None:
    """The file's URI; none for a reading."""
    if not isinstance(item, dict):
        raise _bad(f"it is no object but {_json(item)}")
    if "uri" not in item:
        return None
    if not isinstance(item["uri"], str):
        raise _bad(f"`uri` is no text but {_json(item['uri'])}")
    return item["uri"]


def reading_of(item: dict[str, Any]) -> tuple[str | None, str | None, *tuple[float | None, ...]]:
    """A reading as `Judge.summary` takes it."""
    if "deviceid" not in item and "timestamp" not in item:
        raise _bad("it is neither a file (`uri`) nor a reading (`deviceid`, `timestamp`)")
    return _text(item, "deviceid"), _text(item, "timestamp"), *(_number(item, name) for name in METRICS)


def _text(item: dict[str, Any], name: str) -> str | None:
    found = item.get(name)
    if found is None or isinstance(found, str):
        return found
    raise _bad(f"`{name}` is no text but {_json(found)}")


def _number(item: dict[str, Any], name: str) -> float | None:
    """A number. The rows of a CSV file have texts, which are empty where there is no value."""
    match item.get(name):
        case None | "":
            return None
        case bool():
            pass
        case int() | float() as number if abs(number) <= float_info.max:
            return float(number)
        # `float` alone takes spaces and underscores.
        case str() as text if _number_form(text):
            return float(text)
    raise _bad(f"`{name}` is no number but {_json(item[name])}")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _bad(message: str) -> Reject:
    return Reject("BadItem", message)
