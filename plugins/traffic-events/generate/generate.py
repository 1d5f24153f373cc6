#!/usr/bin/env python3
"""Writes traffic events as Kinesis Firehose lands them: objects below `year=/month=/day=/hour=` of their arrival, in UTC.

    generate.py FOLDER [--points N] [--first TIME] [--hours N] [--step MINUTES] [--late HOURS] [--seed N]
    generate.py FOLDER --parquet --events N [--points N] [--seed N]

The same arguments give the same values. Each measuring point measures every `--step` minutes, beginning with `--first`, but for
two: one that does so every 90 minutes, and one that is silent every other day. For ten configured points there is one that is not.
Some events come up to `--late` hours later, some come twice, and some again with other values.

Objects take turns to be JSON lines without an ending, the same compressed, Parquet, and both with times as text. With `--parquet`
there is nothing but Parquet with numbers, and no point is ever silent; `--events` says how many hours there are.
"""

import argparse
import gzip
import json
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

HOUR = 3600
RARELY = 90
NAMES = ["unieke_id", "tijd_waarneming", "voertuigsnelheid_rekenkundig_klasse2", "rekendata_bezettingsgraad"]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--points", type=int, default=20, help="that are configured")
    # The clocks of Europe go forward on the 29th.
    arguments.add_argument("--first", default="2026-03-28T00:00:00", help="the first minute, in UTC")
    arguments.add_argument("--hours", type=int, default=72)
    arguments.add_argument("--step", type=int, default=1)
    arguments.add_argument("--late", type=int, default=30)
    arguments.add_argument("--events", type=int, help="about so many, instead of --hours")
    arguments.add_argument("--parquet", action="store_true")
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    if given.events:
        given.hours = max(given.events * given.step // (given.points * 60), 1)
    first = int(datetime.fromisoformat(given.first).replace(tzinfo=UTC).timestamp()) // HOUR
    road = Road(given)
    waiting: dict[int, list[pa.Table]] = defaultdict(list)
    files = rows = 0
    hour = first
    while hour < first + given.hours or waiting:
        if hour < first + given.hours:
            for late, events in road.measured(hour):
                waiting[hour + late].append(events)
        if hour in waiting:
            events = pa.concat_tables(waiting.pop(hour))
            write(given.folder, hour, hour - first, events, given)
            files, rows = files + 1, rows + len(events)
        hour += 1
    print(f"{rows:,} events of {given.points} measuring points and some others in {files} objects under {given.folder}")


class Road:
    """The measuring points, and what they measure in an hour."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        others = max(given.points // 10, 1)
        self._count = given.points + others
        names = [str(3000 + number) for number in range(given.points)] + [str(9000 + number) for number in range(others)]
        minutes = [minute for minute in range(60) if minute % given.step == 0]
        self._minutes = pa.array([minute for minute in minutes for _ in names], pa.int64())
        numbers = pa.array(list(range(len(names))) * len(minutes), pa.int32())
        self._numbers = numbers
        self._names = pc.take(pa.array(names), numbers)
        self._kinds = pc.take(pa.array([number % 5 for number in range(len(names))]), numbers)

    def measured(self, hour: int) -> list[tuple[int, pa.Table]]:
        """The events of an hour, by how many hours later they arrive."""
        given, rows = self._given, len(self._numbers)

        def dice(number: int, size: int = rows) -> pa.Array:
            return pc.random(size, initializer=(given.seed * 1_000_003 + hour * 32 + number) % 2**63)

        chance, speeds = dice(0), self._speeds(hour, dice)
        occupancy = pc.floor(pc.multiply(dice(1), 25.0))
        occupancy = pc.if_else(pc.less(chance, 0.01), -1.0, occupancy)
        occupancy = pc.if_else(pc.greater(chance, 0.995), None, occupancy)
        seconds = pc.add(pc.multiply(self._minutes, 60), hour * HOUR)
        all_of_them = pa.table([self._names, seconds, speeds, occupancy], names=NAMES)
        is_there, lot = self._is_there(hour), dice(2)
        late = pc.if_else(pc.less(lot, 0.03), pc.cast(pc.ceil(pc.multiply(dice(3), float(given.late))), pa.int64()), 0)
        sent = []
        for hours in range(given.late + 1):
            events = all_of_them.filter(pc.and_(is_there, pc.equal(late, hours)))
            if len(events):
                sent.append((hours, events))
        again = all_of_them.filter(pc.and_(is_there, pc.greater(lot, 0.99)))
        if len(again):
            sent.append((hour % 3, again))
        other = all_of_them.filter(pc.and_(is_there, pc.and_(pc.greater(lot, 0.98), pc.less(lot, 0.983))))
        if len(other):
            values = pc.add(pc.floor(pc.multiply(dice(4, len(other)), 100.0)), 0.5)
            sent.append((hour % 2, other.set_column(2, NAMES[2], values)))
        return sent

    def _speeds(self, hour: int, dice) -> pa.Array:
        """In eighths of km/h, whose sums are exact. Every fifth point has 40, and every fifth lies between 40 and 41. One in five
        is broken: before midnight it measures what nobody drives, and from one o'clock on nothing."""
        slow = hour % 24 in (6, 7, 15, 16)
        noise = pc.subtract(pc.add(pc.add(dice(5), dice(6)), dice(7)), 1.5)
        near = pc.add(pc.multiply(noise, 30.0), 42.0 if slow else 88.0)
        eighths = pc.divide(pc.floor(pc.multiply(pc.max_element_wise(near, 0.0), 8.0)), 8.0)
        between = pc.add(pc.divide(pc.floor(pc.multiply(dice(8), 8.0)), 8.0), 40.0)
        speeds = pc.if_else(pc.equal(self._kinds, 0), 40.0, pc.if_else(pc.equal(self._kinds, 1), between, eighths))
        is_broken = pc.equal(self._kinds, 2)
        if hour % 24 == 23:
            speeds = pc.if_else(is_broken, 255.0, speeds)
        is_missing = pc.greater(dice(9), 0.95)
        if hour % 24 == 1:
            is_missing = pc.or_(is_missing, is_broken)
        return pc.if_else(is_missing, None, speeds)

    def _is_there(self, hour: int) -> pa.Array:
        if self._given.parquet:
            return pc.is_valid(self._numbers)
        last = self._given.points - 1
        minutes = [minute for minute in range(60) if (hour * 60 + minute) % RARELY == 0]
        is_rare_minute = pc.is_in(self._minutes, value_set=pa.array(minutes, pa.int64()))
        measures = pc.or_(pc.not_equal(self._numbers, last), is_rare_minute)
        if hour // 24 % 2:
            measures = pc.and_(measures, pc.not_equal(self._numbers, last - 1))
        return measures


def write(folder: Path, hour: int, number: int, events: pa.Table, given: argparse.Namespace) -> None:
    arrived = datetime.fromtimestamp(hour * HOUR, UTC)
    into = folder / f"{arrived:year=%Y/month=%m/day=%d/hour=%H}"
    into.mkdir(parents=True, exist_ok=True)
    name = f"traffic-1-{arrived:%Y-%m-%d-%H-05-00}-{given.seed:04x}{number:04x}"
    as_text = not given.parquet and number % 8 >= 4
    if as_text:
        events = events.set_column(1, NAMES[1], pc.cast(events[NAMES[1]], pa.string()))
    if given.parquet or number % 4 == 2:
        pq.write_table(events, into / f"{name}.parquet", compression="snappy")
    elif number % 4 == 3:
        # It says by its first bytes what it is.
        pq.write_table(events, into / name, compression="gzip")
    else:
        lines = "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events.to_pylist()).encode()
        if number % 4:
            # Without the time, so that the same events are the same bytes.
            (into / f"{name}.gz").write_bytes(gzip.compress(lines, mtime=0))
        else:
            (into / name).write_bytes(lines)


if __name__ == "__main__":
    main()
