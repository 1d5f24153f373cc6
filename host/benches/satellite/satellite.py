#!/usr/bin/env python3
"""Points out of satellite images, measured beside Python's netCDF4: `make bench-satellite` calls it.

    satellite.py --data DIR [--repeat 3]

DIR is a bucket as plugins/satellite-timeseries/generate/generate.py writes it. Times go from the start of a process to its end with the
answer in files; sides take turns, and a first round does not count. In that round every row of every answer is compared. gristmill runs
twice: with a day as an item, and with a file as one. Prints one line per figure: what, the target, what was measured, both sides, the
machine and the date. A target that is missed is no failure; an answer that differs is.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow.dataset

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import processes  # noqa: E402

ROOT, BUCKET = processes.ROOT, processes.BUCKET
PLUGIN = ROOT / "plugins/satellite-timeseries/satellite-timeseries.wasm"
IMAGES = "MSG/MDSSFTD/NETCDF"


@dataclass
class Side:
    """One way to an answer, and what it took."""

    name: str
    run: Callable[["Side"], pathlib.Path]
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    def median(self) -> float:
        return statistics.median(self.seconds)

    def took(self) -> str:
        rounds = f"{min(self.seconds):.2f} to {max(self.seconds):.2f}"
        return f"{self.name} {self.median():.2f} s ({rounds}; {statistics.median(self.cpu_seconds):.1f} s of CPU)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--gristmill", type=pathlib.Path, default=processes.GRISTMILL)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "work/bench/satellite", help="emptied before and after")
    options = parser.parse_args()
    options.work, options.data = options.work.resolve(), options.data.resolve()
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    try:
        compare(options)
    finally:
        shutil.rmtree(options.work, ignore_errors=True)


def compare(options: argparse.Namespace) -> None:
    files = sorted(options.data.rglob("*.nc"))
    megabytes = sum(len(file.read_bytes()) for file in files) / 1e6  # which warms the page cache, too
    days = sorted({"".join(file.relative_to(options.data / IMAGES).parts[:3]) for file in files})
    by_day = f"items = {json.dumps(days)}\nmax_items_per_batch = 1"
    by_file = f'item_reader = {{ list_objects = "s3://{BUCKET}/{IMAGES}/" }}\nbatch_input = {{ Bucket = "{BUCKET}" }}\nmax_items_per_batch = 24'
    file, day = (
        Side(f"gristmill, an item per {what}", lambda side, items=items: grind(options, side, items))
        for what, items in (("file", by_file), ("day", by_day))
    )
    whole, sparing = (
        Side(name, lambda side, script=script: oppose(options, side, script))
        for name, script in (("netCDF4, whole variables", "whole.py"), ("netCDF4, point by point", "points.py"))
    )
    rows = rounds(options, [day, file, whole, sparing])
    load = os.getloadavg()[0]
    print(f"{len(files)} files of {len(days)} days, {megabytes:.0f} MB, {rows:,} rows, all answers equal; {options.repeat} rounds, load {load:.1f}")
    for other, least in ((whole, 10.0), (sparing, 3.0)):
        for side in (day, file):
            ratio = other.median() / side.median()
            what = f"{len(files)} images, points of: {side.name}, beside {other.name}"
            processes.figure(what, f"ahead by {least:.0f} times", f"{ratio:.2f} times", ratio >= least, f"{side.took()}, {other.took()}")


def rounds(options: argparse.Namespace, sides: list[Side]) -> int:
    """Lets all sides take turns; the number of rows of the answer, which they have in common."""
    expected = None
    for number in range(options.repeat + 1):
        for side in sides:
            answer = side.run(side)
            if number == 0:
                found = rows_of(answer)
                expected = expected or (side.name, found)
                if found != expected[1]:
                    sys.exit(f"satellite: the answers differ: {expected[0]} and {side.name}")
                side.seconds, side.cpu_seconds = [], []
            shutil.rmtree(answer)
            took = f"{side.seconds[-1]:.2f} s" if number else "its answer is as expected"
            print(f"round {number or 'warm-up'}: {side.name}, {took}", file=sys.stderr)
    return len(expected[1])


def rows_of(answer: pathlib.Path) -> list[tuple]:
    table = pyarrow.dataset.dataset(answer, format="parquet").to_table(["time", "point_id", "DSSF_TOT", "FRACTION_DIFFUSE"])
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True), key=lambda row: row[:2])


def grind(options: argparse.Namespace, side: Side, items: str) -> pathlib.Path:
    """`gristmill map` over the images; the folder of its answer."""
    local = options.work / "local"
    shutil.rmtree(local, ignore_errors=True)
    bucket = local / "s3" / BUCKET
    shutil.copytree(options.data, bucket, copy_function=os.link)
    dataset = options.work / "dataset.toml"
    dataset.write_text(
        f'dataset = "bench"\n[plugin]\ncomponent = {json.dumps(str(PLUGIN))}\ntimeout = "10m"\nmax_output = "64 MiB"\n'
        f'[settings]\nimages = "s3://{BUCKET}/{IMAGES}/"\npoints = "s3://{BUCKET}/points.csv"\nunreadable = "reject"\n'
        f'[grants]\nread = ["s3://{BUCKET}/"]\n[map]\n{items}\n'
        f'[[output]]\nname = "values"\nprefix = "s3://{BUCKET}/answer/"\nformat = "parquet"\ncompression = "snappy"\n'
        f'[[output]]\nname = "series"\nprefix = "s3://{BUCKET}/nothing/"\nformat = "parquet"\n'
    )
    run = processes.run_map(options, dataset, local)
    if run.summary["status"] != "succeeded" or run.summary["items"]["succeeded"] != run.summary["items"]["total"]:
        sys.exit(f"satellite: {json.dumps(run.summary)[:2000]}")
    side.seconds.append(run.seconds)
    side.cpu_seconds.append(run.cpu_seconds)
    return bucket / "answer"


def oppose(options: argparse.Namespace, side: Side, script: str) -> pathlib.Path:
    """Python over all files; the folder of its answer."""
    answer, log = options.work / "answer", options.work / "log"
    shutil.rmtree(answer, ignore_errors=True)
    command = [sys.executable, HERE / script, options.data / IMAGES, options.data / "points.csv", answer]
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output)
        # wait4, because it alone knows the resources of one child and of what that child waited for.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"satellite: {side.name} ended with exit code {process.returncode}:\n{log.read_text(errors='replace')[-2000:]}")
    side.seconds.append(seconds)
    side.cpu_seconds.append(usage.ru_utime + usage.ru_stime)
    return answer


if __name__ == "__main__":
    main()
