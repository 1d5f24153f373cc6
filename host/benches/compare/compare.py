#!/usr/bin/env python3
"""Times gristmill against what a data engineer would reach for, side by side on the same files, and checks that all answers are equal.

    compare.py --data DIR [--gristmill COMMAND] [--repeat 3] [--json FILE]

DIR holds station files, <station>.csv. COMMAND is a gristmill call in which {local} stands for the local directory of the round, such as
`target/release/gristmill map plugins/noaa-precipitation/dataset.toml --local {local}`; it finds DATA_BUCKET in its environment and
the files under s3://$DATA_BUCKET/csv/by_station/. A time goes from the start of a process, interpreter and imports included, to its end, with
the answer committed to a SQLite table. Rounds are interleaved, so that a slow minute of the machine meets everyone; a first round
warms the page cache and whatever else is cached, and does not count. Exit code 1 when a contender fails or an answer differs.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shlex
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field

from stations import TABLE

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BUCKET = "bench"
GRISTMILL = "gristmill"
OPPONENTS = {
    "Polars, one scan": "polars_one_scan.py",
    "Polars, scan per file": "polars_per_file.py",
    "DuckDB": "duckdb_glob.py",
    "pandas": "pandas_pool.py",
    "csv.DictReader": "csv_pool.py",
}

Answer = dict[str, tuple[int, int]]  # station → value, date


@dataclass
class Contender:
    name: str
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_mb: float = 0.0  # of the largest process: a pool's processes share pages, so that a sum would count them twice


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--gristmill", metavar="COMMAND")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", action="append", choices=list(OPPONENTS), help="an opponent; repeat for several (default: all)")
    parser.add_argument("--python", type=pathlib.Path, default=ROOT / "target/venv-bench/bin/python", help="of the opponents; see setup.sh")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target/compare", help="scratch, emptied every round")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()

    size, count = warm_page_cache(options.data)
    contenders = [Contender(name) for name in ([GRISTMILL] if options.gristmill else []) + (options.only or list(OPPONENTS))]
    reference: tuple[str, Answer] | None = None
    for number in range(options.repeat + 1):
        for contender in contenders:
            answer = run(contender, options, counts=number > 0)
            reference = reference or (contender.name, answer)
            require_equal(*reference, contender.name, answer)
            print(f"round {number or 'warm-up'}: {contender.name}", f"{contender.seconds[-1]:.2f} s" if number else "", file=sys.stderr)
    report(contenders, size, count, len(reference[1]), options)


def warm_page_cache(data: pathlib.Path) -> tuple[int, int]:
    """Reads every file once; returns their bytes and their number."""
    files = sorted(data.glob("*.csv"))
    if not files:
        sys.exit(f"compare: no *.csv in {data}")
    return sum(len(path.read_bytes()) for path in files), len(files)


def run(contender: Contender, options: argparse.Namespace, counts: bool) -> Answer:
    """One timed process, in a fresh directory."""
    shutil.rmtree(options.work, ignore_errors=True)
    if contender.name == GRISTMILL:
        lay_out_bucket(options.data, options.work)
        command = [part.replace("{local}", str(options.work)) for part in shlex.split(options.gristmill)]
        result = options.work / "tables.sqlite"
    else:
        options.work.mkdir(parents=True)
        result = options.work / "result.sqlite"
        command = [str(options.python), str(HERE / OPPONENTS[contender.name]), str(options.data.resolve()), str(result)]

    log = options.work / "log"
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=os.environ | {"DATA_BUCKET": BUCKET})
        # wait4, because it alone knows the resources of one child and of what that child waited for.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"compare: {contender.name} ended with exit code {process.returncode}:\n{log.read_text(errors='replace')[-2000:]}")
    if counts:
        contender.seconds.append(seconds)
        contender.cpu_seconds.append(usage.ru_utime + usage.ru_stime)
        contender.peak_mb = max(contender.peak_mb, usage.ru_maxrss * 1024 / 1e6)
    return read_answer(result)


def lay_out_bucket(data: pathlib.Path, local: pathlib.Path) -> None:
    """The files where `--local` expects a bucket's objects: as links, which share the page cache with the opponents' files."""
    folder = local / "s3" / BUCKET / "csv" / "by_station"
    folder.mkdir(parents=True)
    for path in data.glob("*.csv"):
        try:
            os.link(path, folder / path.name)
        except OSError:  # another file system
            shutil.copy2(path, folder / path.name)


def read_answer(result: pathlib.Path) -> Answer:
    """The committed rows. Dates may be written with or without dashes; that is not what is compared."""
    try:
        with sqlite3.connect(f"file:{result}?mode=ro", uri=True) as database:
            rows = database.execute(f'SELECT pk, PRCP, DATE FROM "{TABLE}"').fetchall()
    except sqlite3.Error as error:
        sys.exit(f"compare: no answer in table {TABLE} of {result}: {error}")
    return {station: (int(value), int(str(date).replace("-", ""))) for station, value, date in rows}


def require_equal(first: str, expected: Answer, second: str, answer: Answer) -> None:
    differing = [key for key in expected.keys() | answer.keys() if expected.get(key) != answer.get(key)]
    if differing or not answer:
        key = min(differing, default=None)
        sys.exit(
            f"compare: answers differ in {len(differing)} stations ({len(answer)} in all), such as {key}: "
            f"{first} {expected.get(key)}, {second} {answer.get(key)}"
        )


def report(contenders: list[Contender], size: int, count: int, rows: int, options: argparse.Namespace) -> None:
    """A Markdown table: the fastest first, ratios to gristmill's median."""
    medians = {contender.name: statistics.median(contender.seconds) for contender in contenders}
    machine = f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.release()}"
    print(f"{count} files, {size / 1e6:.0f} MB, {rows} rows, all answers equal; {options.repeat} rounds, warm page cache")
    print(f"{machine}, {datetime.date.today()}, load {os.getloadavg()[0]:.1f}\n")
    print("| contender | median s | best s | MB/s | × gristmill's time | CPU s | peak MB (largest process) |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    figures = []
    for contender in sorted(contenders, key=lambda one: medians[one.name]):
        median = medians[contender.name]
        ratio = median / medians[GRISTMILL] if GRISTMILL in medians else None
        cpu = statistics.median(contender.cpu_seconds)
        print(
            f"| {contender.name} | {median:.2f} | {min(contender.seconds):.2f} | {size / 1e6 / median:.0f} "
            f"| {f'{ratio:.2f}' if ratio else '–'} | {cpu:.2f} | {contender.peak_mb:.0f} |"
        )
        figures.append({"name": contender.name, "seconds": contender.seconds, "cpu_seconds": contender.cpu_seconds, "peak_mb": contender.peak_mb})
    if options.json:
        facts = {"machine": machine, "date": str(datetime.date.today()), "files": count, "bytes": size, "rows": rows, "contenders": figures}
        options.json.write_text(json.dumps(facts, indent=2) + "\n")


def cpu_model() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
