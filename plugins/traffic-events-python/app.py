"""Traffic events in two stages. An item says by its shape which one is meant.

*Land*: an object of arrival (`{"Key": ...}` or `{"uri": ...}`), as JSON lines or Parquet. Its events go to the output
`events`, which the dataset file divides by the day of the event.

*Roll*: a day of landed events with the day before (`{"partition": ..., "files": [...], "before": [...]}`). Its rows go
to the output `traffic`, with averages over the last rows of each measuring point, across midnight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

from arrival import OCCUPANCY, POINT, SPEED, TIME, Arrival, Bad
from day import Day
from items import Partition, item_of
from rolling import averages, change, instant, jam

from gristmill import Context, Output, Reject, plugin

PARQUET = (".parquet", ".pq")
JSON_LINES = (".jsonl", ".json", ".ndjson", ".gz", ".zst", ".bz2")


@plugin(
    name="traffic-events-python",
    version="0.1.0",
    outputs={
        "events": Output(
            {
                POINT: "text",
                TIME: "int64",
                SPEED: "float64?",
                OCCUPANCY: "float64?",
                "recordTimestamp": "timestamp",
            },
            "What has arrived, under the names that it came with.",
        ),
        "traffic": Output(
            {
                "uniqueId": "text",
                "recordTimestamp": "timestamp",
                "currentSpeed": "float64?",
                "bezettingsgraad": "float64?",
                "previousSpeed": "float64?",
                "trafficJamIndicator": "int64",
                "trafficJamIndicatorLong": "int64",
                "speedDiffIndicator": "int64",
                "avgSpeed3Minutes": "float64?",
                "avgSpeed20Minutes": "float64?",
            },
            "Each event with the averages over the last rows of its measuring point.",
        ),
    },
    settings={
        "points": {
            "type": ["array", "null"],
            "default": None,
            "items": {"type": "string", "minLength": 1},
            "minItems": 1,
            "description": "The measuring points whose events are kept, as `unieke_id` has them. Without it all are.",
        }
    },
)
def process(item: Any, ctx: Context) -> dict[str, int]:
    """Traffic events by the day on which they happened, with rolling speeds of each measuring point."""
    match item_of(item):
        case Partition() as partition:
            return roll(partition, ctx)
        case str() as uri:
            return land(uri, ctx)
        case None:
            return land(ctx.uri(item), ctx)


def land(uri: str, ctx: Context) -> dict[str, int]:
    """Reads an object of arrival, judges its events and emits those that are kept."""
    arrival = Arrival(ctx.settings["points"])
    columns = {POINT: "text", TIME: "text", SPEED: "float64", OCCUPANCY: "float64"}
    before = 0
    for block in ctx.table(uri, columns, format=_format(uri, ctx)):
        points, speeds, occupancies = block[POINT], block[SPEED], block[OCCUPANCY]
        try:
            rows, seconds = arrival.take(points, occupancies, block[TIME])
        except Bad as bad:
            raise Reject("BadEvent", f"{uri}, row {before + bad.row + 1}: {bad}") from None
        before += len(block)
        ctx.emit_columns(
            "events",
            {
                POINT: [points[row] for row in rows],
                TIME: seconds,
                SPEED: _finite([speeds[row] for row in rows]),
                OCCUPANCY: _finite([occupancies[row] for row in rows]),
                "recordTimestamp": list(map(instant, seconds)),
            },
        )
    for name, count in arrival.counts.items():
        ctx.count("traffic_events_landed" if name == "events" else f"traffic_events_{name}", count)
    return arrival.counts


def roll(partition: Partition, ctx: Context) -> dict[str, int]:
    """Reads a day of landed events, and emits its rows with what went before."""
    day = Day(partition.first)
    for uri in partition.files:
        for name, points, seconds, speeds, occupancies in _events(uri, ctx, (OCCUPANCY,)):
            with name:
                day.add(points, seconds, speeds, occupancies)
    for uri in partition.before:
        for name, points, seconds, speeds in _events(uri, ctx, ()):
            with name:
                day.precede(points, seconds, speeds)
    rows = 0
    for point, seconds, events, before in day.points():
        speeds = [speed for speed, _ in events]
        known = before + speeds
        previous = ([None] + known)[len(before) : len(known)]
        of_3, of_20 = averages(known, len(before))
        ctx.emit_columns(
            "traffic",
            {
                "uniqueId": [point] * len(events),
                "recordTimestamp": list(map(instant, seconds)),
                "currentSpeed": speeds,
                "bezettingsgraad": [occupancy for _, occupancy in events],
                "previousSpeed": previous,
                "trafficJamIndicator": list(map(jam, of_3)),
                "trafficJamIndicatorLong": list(map(jam, of_20)),
                "speedDiffIndicator": list(map(change, previous, speeds)),
                "avgSpeed3Minutes": of_3,
                "avgSpeed20Minutes": of_20,
            },
        )
        rows += len(events)
    ctx.count("traffic_events_duplicate", day.duplicates)
    return {"rows": rows, "points": day.count, "duplicates": day.duplicates}


class _Place:
    """Where a block lies: what is bad in it gets the file and the row."""

    def __init__(self, uri: str, before: int) -> None:
        self._uri, self._before = uri, before

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, Bad):
            raise Reject("BadEvent", f"{self._uri}, row {self._before + error.row + 1}: {error}") from None


def _events(uri: str, ctx: Context, more: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The columns of a landed file, block by block. Of a day before nobody needs the occupancy."""
    before = 0
    columns = {POINT: "text", TIME: "int64", SPEED: "float64", **dict.fromkeys(more, "float64")}
    for block in ctx.table(uri, columns):
        numbers = [_finite(block[name]) for name in (SPEED, *more)]
        yield _Place(uri, before), block[POINT], block[TIME], *numbers
        before += len(block)


def _finite(values: Sequence[float | None]) -> list[float | None]:
    """What is not finite is null."""
    return [value if value is not None and isfinite(value) else None for value in values]


def _format(uri: str, ctx: Context) -> str:
    """What is no Parquet has JSON lines: Firehose gives its objects no ending."""
    if uri.endswith(JSON_LINES):
        return "json_lines"
    return "parquet" if uri.endswith(PARQUET) or ctx.open(uri).read(0, 4) == b"PAR1" else "json_lines"
