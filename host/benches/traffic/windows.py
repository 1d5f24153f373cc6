#!/usr/bin/env python3
"""Traffic events that arrive late to rows by the hour, with averages over the last rows, beside DuckDB's window functions:
`make bench-traffic` calls it.

    windows.py --data DIR --points N [--repeat 3]

DIR holds what generate.py wrote with `--parquet`. gristmill lands the files by day and then rolls the days, which is two runs; DuckDB does all
of it in one statement. Sides take turns, and a first round does not count: in it, what both wrote is compared row by row. Prints one line per
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
    stages: list[tuple[float, float]] = []
    theirs: list[float] = []
    peaks: list[tuple[float, float]] = []
    try:
        for round in range(options.repeat + 1):
            shutil.rmtree(options.work, ignore_errors=True)
            options.work.mkdir(parents=True)
            (land, of_land), (roll, of_roll) = grind(options)
            other, of_other = measured([sys.executable, HERE / "duckdb_windows.py", options.data, options.work / "duckdb"])
            if round == 0:
                rows, files = compare(options)
                continue
            stages.append((land, roll))
            theirs.append(other)
            peaks.append((max(of_land, of_roll), of_other))
    finally:
        shutil.rmtree(options.work, ignore_errors=True)
    what = f"{rows:,} traffic events of {options.points:,} points, landed and rolled into {files} hours"
    ours = [land + roll for land, roll in stages]
    ratio = statistics.median(ours) / statistics.median(theirs)
    took = [f"{name} {statistics.median(of):.2f} s ({min(of):.2f} to {max(of):.2f})" for name, of in (("gristmill", ours), ("DuckDB", theirs))]
    parts = ", ".join(f"{name} {statistics.median(of):.2f} s" for name, of in zip(("land", "roll"), zip(*stages, strict=True), strict=True))
    processes.figure(what, "within DuckDB's time", f"{ratio:.2f} times", ratio <= 1, "; ".join([*took, parts]))
    ours_mb, theirs_mb = (max(of) for of in zip(*peaks, strict=True))
    processes.figure(f"{what}: peak memory", "less than DuckDB's", f"{ours_mb:.0f} MB", ours_mb <= theirs_mb, f"DuckDB {theirs_mb:.0f} MB")


def grind(options: argparse.Namespace) -> list[tuple[float, float]]:
    """Seconds and peak memory of the two stages."""
    local = options.work / "gristmill"
    bucket = local / "s3" / BUCKET
    bucket.mkdir(parents=True)
    (bucket / "arrived").symlink_to(options.data)
    stages = []
    for name, given in (("land", ["--input", '{"arrived": "year="}']), ("roll", [])):
        if name == "roll":
            days = subprocess.run([sys.executable, PLUGIN / "generate/days.py", bucket, "output/landed"], check=True, capture_output=True)
            (bucket / "days.jsonl").write_bytes(days.stdout)
        command = [options.gristmill, "map", dataset(options, name), "--local", local, "--set", f"DATA_BUCKET={BUCKET}", "--quiet", *given]
        stages.append(measured([*command, "--cache", ROOT / "work/bench/components"]))
    return stages


def dataset(options: argparse.Namespace, name: str) -> pathlib.Path:
    """The plugin's own file with as many points as there are, and with room for as large days."""
    text = (PLUGIN / f"{name}.toml").read_text()
    start, end = text.index("points = ["), text.index("]\n", text.index("points = [")) + 2
    points = json.dumps([str(3000 + number) for number in range(options.points)])
    text = f"{text[:start]}points = {points}\n{text[end:]}".replace('"traffic-events.wasm"', json.dumps(str(PLUGIN / "traffic-events.wasm")))
    if name == "roll":
        text = text.replace('"512 MiB"', '"1 GiB"').replace('max_output = "1 GiB"', 'max_output = "2 GiB"')
    file = options.work / f"{name}.toml"
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
