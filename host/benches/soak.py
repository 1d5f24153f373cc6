#!/usr/bin/env python3
"""Many small batches through one worker process, and what it holds meanwhile: `make soak`.

    soak.py [--batches N]

The worker works beside an emulated AWS on batches of one item and one row, with a ledger. After every tenth of the batches its resident
memory, open files, threads and series of metrics are noted. Exit code 1 when the last tenth holds more than 5 % more memory than the
second, or more files, threads or series. Needs target/venv-emulator (`make emulator`).
"""

import argparse
import pathlib
import shutil
import statistics
import sys
import time
import urllib.request

import processes
import traffic

# Messages in the queue at a time: enough to keep the worker busy, and no more than the emulator holds with ease.
AHEAD = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=200_000)
    parser.add_argument("--gristmill", type=pathlib.Path, default=processes.GRISTMILL)
    parser.add_argument("--work", type=pathlib.Path, default=processes.ROOT / "work/bench/soak", help="emptied before and after")
    options = parser.parse_args()
    options.work = options.work.resolve()
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    try:
        flat = soak(options)
    finally:
        shutil.rmtree(options.work, ignore_errors=True)
    sys.exit(0 if flat else 1)


def soak(options: argparse.Namespace) -> bool:
    traffic.datasets(options)
    tenth = options.batches // 10
    print(f"{'batches':>10} {'seconds':>8} {'memory MB':>10} {'files':>6} {'threads':>8} {'series':>7}", flush=True)
    tenths = []
    with processes.emulator() as endpoint:
        cloud = traffic.Cloud(endpoint)
        with traffic.worker(options, endpoint, cloud.queue, "--ledger", "ledger") as (process, port):
            start = time.perf_counter()
            for number in range(1, 11):
                memory = []
                sent = 0
                while sent < tenth:
                    cloud.send(min(AHEAD, tenth - sent))
                    sent += AHEAD
                    traffic.drained(cloud, process, AHEAD // 2 if sent < tenth else 0)
                    memory.append(processes.status_mb(process.pid, "VmRSS"))
                folder = pathlib.Path(f"/proc/{process.pid}")
                files, threads = (len(list((folder / name).iterdir())) for name in ("fd", "task"))
                series = metrics(port)
                tenths.append((statistics.median(memory), files, threads, len(series)))
                seconds = time.perf_counter() - start
                print(f"{number * tenth:>10,} {seconds:>8.0f} {tenths[-1][0]:>10.1f} {files:>6} {threads:>8} {len(series):>7}", flush=True)
            acked = sum(int(float(value)) for name, value in series.items() if name.startswith("gristmill_batches_total") and 'fate="acked"' in name)
    (before, *counts), (after, *counts_after) = tenths[1], tenths[-1]
    growth = after / before - 1
    # A connection more or less is in the nature of a pool; a file per batch is not.
    grown = any(late > early + 8 for early, late in zip(counts, counts_after))
    flat = growth <= 0.05 and not grown and acked >= tenth * 10
    processes.figure(
        f"soak: {tenth * 10:,} batches in one worker",
        "the last tenth holds at most 5 % more memory than the second, and no more files, threads or series",
        f"{growth:+.1%}",
        flat,
        f"{before:.1f} MB, then {after:.1f} MB; {acked:,} batches acked",
    )
    return flat


def metrics(port: int) -> dict[str, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        lines = response.read().decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


if __name__ == "__main__":
    main()
