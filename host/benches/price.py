#!/usr/bin/env python3
"""What the ledger and the commit cost per batch: `make bench-price`.

    price.py [--batches N] [--repeat N]

A worker beside an emulated AWS works on batches of one item and one table output, with and without `--ledger`: the requests of each
batch by operation, and the time. Prints one line per figure; nothing is asserted. Needs target/venv-emulator (`make emulator`).
"""

import argparse
import os
import pathlib
import shutil
import statistics
import time
from collections import Counter

import processes
import traffic

LEDGER = ("--ledger", "ledger")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--gristmill", type=pathlib.Path, default=processes.GRISTMILL)
    parser.add_argument("--work", type=pathlib.Path, default=processes.ROOT / "work/bench/price", help="emptied before and after")
    options = parser.parse_args()
    options.work = options.work.resolve()
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    try:
        traffic.datasets(options)
        with processes.emulator() as endpoint:
            cloud = traffic.Cloud(endpoint)
            requests(options, cloud)
            times(options, cloud)
    finally:
        shutil.rmtree(options.work, ignore_errors=True)


def requests(options: argparse.Namespace, cloud: traffic.Cloud) -> None:
    """Requests per batch, counted by a proxy."""
    for arguments in (LEDGER, ()):
        proxy = traffic.Counting(cloud.endpoint)
        batches = options.batches // 2
        queue = cloud.queue.replace(cloud.endpoint, proxy.endpoint)
        cloud.send(batches)
        with traffic.worker(options, proxy.endpoint, queue, *arguments) as (process, _):
            # What a worker asks once, when it starts and at its first batch, is no price of a batch.
            traffic.drained(cloud, process)
            before = Counter(proxy.counts)
            cloud.send(batches)
            traffic.drained(cloud, process)
            counts = proxy.counts - before
        proxy.close()
        per_batch = {operation: count / batches for operation, count in sorted(counts.items())}
        text = ", ".join(f"{operation} {count:.2f}" for operation, count in per_batch.items())
        ledger, callback = per_batch.get("UpdateItem", 0), sum(count for name, count in per_batch.items() if name.startswith("SendTask"))
        target = 2 if arguments else 0
        processes.figure(
            f"requests per batch {'with' if arguments else 'without'} a ledger",
            f"at most {target} ledger writes, the row writes, 1 callback, a share of receive and delete",
            f"{sum(per_batch.values()):.2f}",
            round(ledger, 2) <= target and round(callback, 2) <= 1,
            f"{text}; {batches} batches of one item and one row",
        )


def times(options: argparse.Namespace, cloud: traffic.Cloud) -> None:
    """Time per batch, with and without by turns."""
    taken: dict[tuple, list[tuple[float, float]]] = {LEDGER: [], (): []}
    for number in range(options.repeat + 1):
        for arguments, times in taken.items():
            with traffic.worker(options, cloud.endpoint, cloud.queue, *arguments) as (process, _):
                cloud.send(20)
                traffic.drained(cloud, process)
                cpu, start = cpu_seconds(process.pid), time.perf_counter()
                cloud.send(options.batches)
                traffic.drained(cloud, process)
                spent = (time.perf_counter() - start, cpu_seconds(process.pid) - cpu)
            if number > 0:
                times.append(spent)
    medians = {arguments: [statistics.median(column) * 1e6 / options.batches for column in zip(*times)] for arguments, times in taken.items()}
    (clock, cpu), (clock_without, cpu_without) = medians[LEDGER], medians[()]
    processes.figure(
        "ledger and commit, per batch",
        "none",
        f"{cpu - cpu_without:,.0f} us of the worker's CPU",
        True,
        f"{cpu:,.0f} us with, {cpu_without:,.0f} us without; by the clock, which is the emulator's more than the worker's: "
        f"{clock:,.0f} us with, {clock_without:,.0f} us without; median of {options.repeat} rounds of {options.batches} batches each",
    )


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
