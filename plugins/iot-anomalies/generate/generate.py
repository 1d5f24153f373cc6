#!/usr/bin/env python3
"""Writes sensor readings as Athena's UNLOAD does: Parquet files without an ending, and the manifest of the query.

    generate.py FOLDER [--bucket NAME] [--files N] [--rows N] [--devices N] [--seed N]

FOLDER stands for the bucket. The same arguments give the same values.
"""

import argparse
import os
import random
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [("deviceid", pa.string()), ("timestamp", pa.string())]
    + [(name, pa.float64()) for name in ("temperature", "humidity", "batterylevel", "latitude", "longitude")]
)
START = datetime(2026, 1, 1, tzinfo=UTC)
ROW_GROUPS = 4


def readings(rows: int, first: int, devices: int, dice: random.Random) -> pa.Table:
    """Rows whose device and minute no other row has. A hundredth of the values is missing."""

    def column(mean: float, spread: float, low: float, high: float) -> list[float | None]:
        gauss, chance = dice.gauss, dice.random
        return [None if chance() < 0.01 else min(max(gauss(mean, spread), low), high) for _ in range(rows)]

    numbers = range(first, first + rows)
    minutes = [(START + timedelta(minutes=number // devices)).strftime("%Y-%m-%dT%H:%M:%SZ") for number in numbers]
    return pa.table(
        [
            [f"sensor-{number % devices:05}" for number in numbers],
            minutes,
            column(18, 8, -40, 60),
            column(55, 18, 0, 100),
            column(60, 25, 0, 100),
            [round(52 + (number % devices) / 10_000, 5) for number in numbers],
            [round(4 + (number % devices) / 10_000, 5) for number in numbers],
        ],
        schema=SCHEMA,
    )


def write(path: Path, number: int, given: argparse.Namespace) -> None:
    """One file. What is in it follows from its number and the seed alone."""
    dice = random.Random(f"{given.seed} {number}")
    table = readings(given.rows, number * given.rows, given.devices, dice)
    pq.write_table(table, path, compression="snappy", row_group_size=-(-given.rows // ROW_GROUPS))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--bucket", help="the name that the manifest has; default: that of the folder")
    arguments.add_argument("--files", type=int, default=100)
    arguments.add_argument("--rows", type=int, default=10_000, help="of a file")
    arguments.add_argument("--devices", type=int, default=1_000)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    bucket = given.bucket or given.folder.resolve().name
    unload, results = given.folder / "unload", given.folder / "results"
    unload.mkdir(parents=True, exist_ok=True)
    results.mkdir(exist_ok=True)
    kind = "sample" if given.files < 10 else "readings"
    names = [f"20260101_000000_00001_{kind}_{number}" for number in range(given.files)]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        written = [pool.submit(write, unload / name, number, given) for number, name in enumerate(names)]
        for one in written:
            one.result()
    (results / "readings-manifest.csv").write_text("".join(f"s3://{bucket}/unload/{name}\n" for name in names))
    print(f"{given.files} files with {given.rows} readings each under {unload}")


if __name__ == "__main__":
    main()
