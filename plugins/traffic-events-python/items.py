"""What an item may be: an object of arrival, or a day of landed events with the day before."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from gristmill import Reject


class Partition(NamedTuple):
    """A day of landed events."""

    first: int
    """Its first second."""
    files: list[str]
    before: list[str]


def item_of(item: Any) -> Partition | str | None:
    """A day, or an object's URI; none for an object of a listing."""
    if not isinstance(item, dict):
        raise _bad(f"it is no object but {json.dumps(item)}")
    if "partition" in item:
        return Partition(_first(item["partition"]), _uris(item, "files"), _uris(item, "before"))
    if "uri" in item:
        if not isinstance(item["uri"], str):
            raise _bad(f"`uri` is no text but {json.dumps(item['uri'])}")
        return item["uri"]
    if "Key" not in item:
        raise _bad("it is neither an object (`Key`, `uri`) nor a day of landed events (`partition`, `files`)")
    return None


def _first(partition: Any) -> int:
    values = [partition.get(name) for name in ("year", "month", "day")] if isinstance(partition, dict) else [None]
    if not all(isinstance(value, str) and value.isascii() and value.isdigit() for value in values):
        raise _bad(f"`partition` has no `year`, `month` and `day` in digits but is {json.dumps(partition)}")
    year, month, day = values
    try:
        return int(datetime(int(year), int(month), int(day), tzinfo=UTC).timestamp())
    except ValueError:
        raise _bad(f"there is no day year={year}/month={month}/day={day}") from None


def _uris(item: dict[str, Any], name: str) -> list[str]:
    uris = item.get(name, [] if name == "before" else None)
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        raise _bad(f"`{name}` is no list of texts but {json.dumps(uris)}")
    return uris


def _bad(message: str) -> Reject:
    return Reject("BadItem", message)
