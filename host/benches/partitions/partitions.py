#!/usr/bin/env python3
"""One batch of many rows into many partitions, sorted within them, beside DuckDB's COPY: `make bench-partitions` calls it.

    partitions.py --data DIR --devices N [--repeat 3]

DIR holds what inputs.py wrote. Sides take turns, and a first round does not count: in it, what DuckDB reads of both sides' files is compared
row by row, and that each file is sorted. Prints one line per figure: what, the target, what was measured, both sides, the machine and the date.
A target that is missed is no failure; an answer that differs is.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import duckdb

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import processes  # noqa: E402

ROOT, BUCKET = processes.ROOT, processes.BUCKET
PLUGIN = ROOT / "target/bench-copying/wasm32-wasip2/release/bench_copying.wasm"
MEMORY_MB = 512
ROW_BYTES = 12 + 4 + 8 + 3 * 8  # of a row in memory: a text of 12 characters with its offset, an instant, three numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--devices", required=True, type=int)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--gristmill", type=pathlib.Path, default=processes.GRISTMILL)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "work/bench/partitions", help="emptied before and after")
    options = parser.parse_args()
    options.data, options.work = options.data.resolve(), options.work.resolve()
    ours, theirs, peak = [], [], 0.0
    try:
        for round in range(options.repeat + 1):
            shutil.rmtree(options.work, ignore_errors=True)
            options.work.mkdir(parents=True)
            seconds, megabytes = grind(options)
            other, _ = measured([sys.executable, HERE / "duckdb_copy.py", options.data, options.work / "duckdb"])
            if round == 0:
                rows = compare(options)
                continue
            ours.append(seconds)
            theirs.append(other)
            peak = max(peak, megabytes)
    finally:
        shutil.rmtree(options.work, ignore_errors=True)
    what = f"{rows:,} rows ({rows * ROW_BYTES / 1e9:.1f} GB) in one batch into {options.devices:,} partitions"
    ratio = statistics.median(ours) / statistics.median(theirs)
    took = [f"{name} {statistics.median(of):.2f} s ({min(of):.2f} to {max(of):.2f})" for name, of in (("gristmill", ours), ("DuckDB", theirs))]
    processes.figure(what, "within 2 times DuckDB's time", f"{ratio:.2f} times", ratio <= 2, "; ".join(took))
    most = MEMORY_MB * 1.048576 + 300
    processes.figure(f"{what}: peak memory", f"`--memory` {MEMORY_MB} MiB + 300 MB", f"{peak:.0f} MB", peak <= most, f"at most {most:.0f} MB")


def grind(options: argparse.Namespace) -> tuple[float, float]:
    local = options.work / "gristmill"
    (local / "s3" / BUCKET).mkdir(parents=True)
    (local / "s3" / BUCKET / "in").symlink_to(options.data)
    files = [{"uri": f"s3://{BUCKET}/in/{file.name}"} for file in sorted(options.data.glob("*.parquet"))]
    (local / "s3" / BUCKET / "items.json").write_text(json.dumps(files))
    dataset = options.work / "dataset.toml"
    dataset.write_text(f"""
        dataset = "readings"
        [plugin]
        component = {json.dumps(str(PLUGIN))}
        max_output = "64 MiB"
        [grants]
        read = ["s3://{BUCKET}/in/"]
        [map]
        item_reader = {{ json = "s3://{BUCKET}/items.json" }}
        max_items_per_batch = {len(files)}
        [[output]]
        name = "readings"
        prefix = "s3://{BUCKET}/out/"
        format = "parquet"
        partition_by = ["deviceid"]
        sort_by = ["measured"]
    """)
    command = [options.gristmill, "map", dataset, "--local", local, "--memory", f"{MEMORY_MB} MiB", "--quiet"]
    return measured([*command, "--cache", ROOT / "work/bench/components"])


def measured(command: list) -> tuple[float, float]:
    """Seconds, and the peak of memory in MB."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([str(word) for word in command], stdout=said, stderr=subprocess.STDOUT)
        peak = 0
        while process.poll() is None:
            # Not what the kernel says at the end: there the memory of this process counts, too, from before the other program began.
            peak = max(peak, high_water(process.pid))
            time.sleep(0.05)
        seconds = time.monotonic() - start
        if process.returncode != 0:
            said.seek(0)
            sys.exit(f"{' '.join(map(str, command))} failed:\n{said.read().decode()}")
    return seconds, peak / 1e6


def high_water(pid: int) -> int:
    """The most memory that a process has had so far, in bytes."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def compare(options: argparse.Namespace) -> int:
    """Both have the same rows, and each partition of gristmill's is one sorted file."""
    both = {"gristmill": options.work / f"gristmill/s3/{BUCKET}/out", "duckdb": options.work / "duckdb"}
    for name, folder in both.items():
        duckdb.sql(
            f"CREATE OR REPLACE VIEW {name} AS SELECT deviceid, measured::TIMESTAMP AS measured, temperature, humidity, batterylevel, filename, file_row_number "
            f"FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true, filename = true, file_row_number = true)"
        )
    duckdb.sql("SET TimeZone = 'UTC'")
    sums = "count(*), count(DISTINCT deviceid), sum(hash(deviceid::VARCHAR, measured, temperature, humidity, batterylevel)::HUGEINT)"
    found = {name: duckdb.sql(f"SELECT {sums} FROM {name}").fetchall()[0] for name in both}
    if found["gristmill"] != found["duckdb"]:
        sys.exit(f"the rows differ: {found}")
    unsorted = "SELECT count(*) FROM (SELECT measured < lag(measured) OVER (PARTITION BY filename ORDER BY file_row_number) AS wrong FROM gristmill) WHERE wrong"
    ((wrong,),) = duckdb.sql(unsorted).fetchall()
    files = len(list(both["gristmill"].glob("*/*.parquet")))
    if wrong or files != options.devices:
        sys.exit(f"{wrong} rows are out of order; {files} files for {options.devices} partitions")
    return found["gristmill"][0]


if __name__ == "__main__":
    main()
