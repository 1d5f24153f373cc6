#!/usr/bin/env python3
"""Traffic events that arrive late to rows by the hour, with averages over the last rows, beside DuckDB's window functions:
`make bench-traffic` calls it.

    windows.py --data DIR --points N [--repeat 3]

DIR holds what generate.py wrote with `--parquet`. gristmill lands the files by day and then rolls the days, in two stages; DuckDB does all of
it in one statement. Sides take turns, and a first round does not count: in it, what both wrote is compared row by row. Prints one line per
figure: what, the target, what was measured, both sides, the machine and the date. A target that is missed is no failure; an answer that differs is.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys

import duckdb

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "partitions")]
import processes  # noqa: E402
from partitions import measured  # noqa: E402

ROOT = processes.ROOT
PLUGIN = ROOT / "plugins/traffic-events"
BUCKET = "traffic"
COLUMNS = ("uniqueId", "currentSpeed", "bezettingsgraad", "previousSpeed", "trafficJamIndicator", "trafficJamIndicatorLong", "speedDiffIndicator", "avgSpeed3Minutes", "avgSpeed20Minutes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--points", required=True, type=int)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--gristmill", type=pathlib.Path, default=processes.GRISTMILL)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "work/bench/traffic", help="emptied before and after")
    options = parser.parse_args()
    options.data, options.work = options.data.resolve(), options.work.resolve()
    ours: list[float] = []
    theirs: list[float] = []
    peaks: list[tuple[float, float]] = []
    try:
        for round in range(options.repeat + 1):
            shutil.rmtree(options.work, ignore_errors=True)
            options.work.mkdir(parents=True)
            took, peak = grind(options)
            other, of_other = measured([sys.executable, HERE / "duckdb_windows.py", options.data, options.work / "duckdb"])
            if round == 0:
                rows, files = compare(options)
                continue
            ours.append(took)
            theirs.append(other)
            peaks.append((peak, of_other))
    finally:
        shutil.rmtree(options.work, ignore_errors=True)
    what = f"{rows:,} traffic events of {options.points:,} points, landed and rolled into {files} hours"
    ratio = statistics.median(ours) / statistics.median(theirs)
    parts = [f"{name} {statistics.median(of):.2f} s ({min(of):.2f} to {max(of):.2f})" for name, of in (("gristmill", ours), ("DuckDB", theirs))]
    processes.figure(what, "within DuckDB's time", f"{ratio:.2f} times", ratio <= 1, "; ".join(parts))
    ours_mb, theirs_mb = (max(of) for of in zip(*peaks, strict=True))
    processes.figure(f"{what}: peak memory", "less than DuckDB's", f"{ours_mb:.0f} MB", ours_mb <= theirs_mb, f"DuckDB {theirs_mb:.0f} MB")


def grind(options: argparse.Namespace) -> tuple[float, float]:
    """Seconds and peak memory of both stages."""
    local = options.work / "gristmill"
    bucket = local / "s3" / BUCKET
    bucket.mkdir(parents=True)
    (bucket / "arrived").symlink_to(options.data)
    command = [options.gristmill, "map", dataset(options), "--local", local, "--set", f"DATA_BUCKET={BUCKET}", "--quiet"]
    return measured([*command, "--input", '{"arrived": "year="}', "--cache", ROOT / "work/bench/components"])


def dataset(options: argparse.Namespace) -> pathlib.Path:
    """The plugin's own file with as many points as there are, and with room for as large days."""
    text = (PLUGIN / "dataset.toml").read_text()
    start, end = text.index("points = ["), text.index("]\n", text.index("points = [")) + 2
    points = json.dumps([str(3000 + number) for number in range(options.points)])
    text = f"{text[:start]}points = {points}\n{text[end:]}".replace('"traffic-events.wasm"', json.dumps(str(PLUGIN / "traffic-events.wasm")))
    text = text.replace('max_output = "1 GiB"', 'max_output = "2 GiB"').replace('memory     = "512 MiB"', 'memory     = "1 GiB"')
    text = text.replace('folder = "sample"', f"folder = {json.dumps(str(PLUGIN / 'sample'))}")
    file = options.work / "dataset.toml"
    file.write_text(text)
    return file


def compare(options: argparse.Namespace) -> tuple[int, int]:
    """Both wrote the same rows into the same folders."""
    both = {"gristmill": options.work / f"gristmill/s3/{BUCKET}/output/traffic", "duckdb": options.work / "duckdb"}
    values = ", ".join(f'"{name}"' for name in COLUMNS)
    sums = f'count(*), count(DISTINCT (year, month, day, hour)), sum(hash(year, month, day, hour, epoch_us("recordTimestamp"), {values})::HUGEINT)'
    found = {}
    for name, folder in both.items():
        files = f"read_parquet('{folder}/year=*/month=*/day=*/hour=*/*.parquet', hive_partitioning = true, hive_types_autocast = false)"
        found[name] = duckdb.sql(f"SELECT {sums} FROM {files}").fetchall()[0]
    if found["gristmill"] != found["duckdb"]:
        sys.exit(f"the rows differ: {found}")
    return found["gristmill"][0], found["gristmill"][1]


if __name__ == "__main__":
    main()
