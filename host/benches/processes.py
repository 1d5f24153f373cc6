#!/usr/bin/env python3
"""Measures gristmill's processes from outside: `make bench-items`, `make bench-memory` and `make bench-worker` call it.

    processes.py items | memory | worker  [--data DIR]

Prints one line per figure: what, the target, what was measured, details, the machine and the date. Nothing is asserted. DIR holds
station files, <station>.csv. The worker needs target/venv-emulator (`make emulator`).
"""

import argparse
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRISTMILL = ROOT / "target/release/gristmill"
NOOP = ROOT / "plugins/noop/noop.wasm"
NOAA = ROOT / "plugins/noaa-precipitation/dataset.toml"
BUCKET = "bench"


def main() -> None:
    parts = {"items": items, "memory": memory, "worker": worker}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=parts)
    parser.add_argument("--data", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--gristmill", type=pathlib.Path, default=GRISTMILL)
    parser.add_argument("--before", type=pathlib.Path, metavar="GRISTMILL", help="another binary, measured beside it (items)")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "work/bench/scratch", help="emptied before and after")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    options.work = options.work.resolve()
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    try:
        parts[options.part](options)
    finally:
        shutil.rmtree(options.work, ignore_errors=True)


def items(options: argparse.Namespace) -> None:
    """No-op items through the whole embedded pipeline, from the start of the process to its end."""
    count, batch = 200_000, 100
    (options.work / "items.jsonl").write_text("".join(f'{{"n":{n}}}\n' for n in range(count)))
    dataset = options.work / "dataset.toml"
    dataset.write_text(
        f'dataset = "noop"\n[plugin]\ncomponent = {json.dumps(str(NOOP))}\n'
        f'[map]\nitem_reader = {{ json_lines = "s3://{BUCKET}/items.jsonl" }}\nmax_items_per_batch = {batch}\n'
    )

    def rate(gristmill: pathlib.Path, cores: set[int], slots: int) -> tuple[float, float]:
        """Items per second by the clock, and microseconds of CPU time per item."""
        local = fresh_local(options.work)
        (local / "s3" / BUCKET).mkdir(parents=True)
        os.link(options.work / "items.jsonl", local / "s3" / BUCKET / "items.jsonl")
        run = run_map(options, dataset, local, "--slots", str(slots), cores=cores, gristmill=gristmill)
        if run.summary["items"]["succeeded"] != count:
            sys.exit(f"processes: {run.summary['items']}")
        return count / run.seconds, run.cpu_seconds / count * 1e6

    # Two binaries take turns, so that a slow moment of the machine meets both.
    binaries = [options.gristmill, *([options.before] if options.before else [])]
    cores = sorted(os.sched_getaffinity(0))
    ways = [(1, 1), (2, 2), (2, 8)] if len(cores) > 1 else [(1, 1)]
    for binary in binaries:
        rate(binary, {cores[0]}, 1)
    measured: dict[tuple[pathlib.Path, int, int], list[tuple[float, float]]] = {}
    for _ in range(options.repeat):
        for used, slots in ways:
            for binary in binaries:
                measured.setdefault((binary, used, slots), []).append(rate(binary, set(cores[:used]), slots))
    targets = {
        (1, 1): ("one core, one slot", "at least 60,000/s", 60_000.0),
        (2, 2): ("two cores, two slots", "at least 1.8 times one core", 1.8),
        (2, 8): ("two cores, eight slots", "no less than two slots", 1.0),
    }
    for binary in reversed(binaries):
        before = f" (before: {binary})" if binary == options.before else ""
        clock: dict[tuple[int, int], float] = {}
        for way in ways:
            rounds = measured[binary, *way]
            clock[way] = statistics.median(rate for rate, _ in rounds)
            cpu = statistics.median(cpu for _, cpu in rounds)
            name, target, least = targets[way]
            beside = {(2, 2): (1, 1), (2, 8): (2, 2)}.get(way)
            ratio = clock[way] / clock[beside] if beside else None
            met = (ratio or clock[way]) >= least
            details = f"{cpu:.1f} us of CPU per item; {count:,} items in batches of {batch}, {options.repeat} rounds"
            shown = f"{clock[way]:,.0f}/s" + (f", {ratio:.2f} times" if ratio else "")
            figure(f"no-op items through the pipeline, {name}{before}", target, shown, met, details)


def memory(options: argparse.Namespace) -> None:
    """One object of 2 GiB through the NOAA plugin."""
    local = options.work / "local"
    folder = local / "s3" / BUCKET / "csv" / "by_station"
    folder.mkdir(parents=True)
    station = max(options.data.glob("*.csv"), key=lambda path: path.stat().st_size)
    size = write_repeated(station, folder / station.name, 2 << 30)
    peaks = []
    for _ in range(min(options.repeat, 3)):
        shutil.rmtree(local / ".gristmill", ignore_errors=True)
        (local / "tables.sqlite").unlink(missing_ok=True)
        peaks.append(run_map(options, NOAA, local))
    read = peaks[0].summary.get("bytes_read")
    if peaks[0].summary["items"]["succeeded"] != 1:
        sys.exit(f"processes: {peaks[0].summary}")
    peak = max(run.peak_mb for run in peaks)
    seconds = statistics.median(run.seconds for run in peaks)
    details = f"ru_maxrss of `map`, the worst of {len(peaks)} runs; {size / 1e9:.2f} GB in {seconds:.1f} s, {size / 1e9 / seconds:.2f} GB/s"
    figure("peak memory, one object of 2 GiB", "at most 150 MB", f"{peak:.0f} MB", peak <= 150, details)


def write_repeated(station: pathlib.Path, path: pathlib.Path, size: int) -> int:
    """A station's header, and its rows over and over until there are so many bytes."""
    header, rows = station.read_bytes().split(b"\n", 1)
    with path.open("wb") as file:
        file.write(header + b"\n")
        while file.tell() < size:
            file.write(rows)
        return file.tell()


def worker(options: argparse.Namespace) -> None:
    """A worker beside an emulated AWS: how soon it is ready, and what it holds while there is nothing to do."""
    datasets = options.work / "datasets" / "noaa-precipitation"
    datasets.mkdir(parents=True)
    for name in ("dataset.toml", "noaa-precipitation.wasm"):
        shutil.copy(NOAA.parent / name, datasets)
    with emulator() as endpoint:
        queue = create_queue(endpoint)
        starts = []
        # The first start compiles the component.
        for number in range(options.repeat * 2 + 2):
            with started_worker(options, datasets.parent, endpoint, queue) as (process, seconds):
                if number > 0:
                    starts.append(seconds * 1000)
                if number == options.repeat * 2 + 1:
                    time.sleep(3)
                    resident, peak = (status_mb(process.pid, key) for key in ("VmRSS", "VmHWM"))
    ready = statistics.median(starts)
    details = f"median of {len(starts)} starts, {min(starts):.0f} to {max(starts):.0f} ms; compiled component cached"
    figure("worker, start to ready", "at most 150 ms", f"{ready:.0f} ms", ready <= 150, details)
    figure("worker, idle", "at most 60 MB", f"{resident:.0f} MB", resident <= 60, f"VmRSS 3 s after it was ready; VmHWM {peak:.0f} MB")


@contextlib.contextmanager
def emulator() -> Iterator[str]:
    """The endpoint of an emulated AWS, which ends with its standard input."""
    launcher = ROOT / "host/tests/emulator/aws.py"
    python = ROOT / "target/venv-emulator/bin/python"
    with subprocess.Popen([python, launcher], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield json.loads(process.stdout.readline())["endpoint"]
        finally:
            process.stdin.close()
            process.terminate()


def create_queue(endpoint: str) -> str:
    request = urllib.request.Request(endpoint, json.dumps({"QueueName": "bench"}).encode())
    request.add_header("Content-Type", "application/x-amz-json-1.0")
    request.add_header("X-Amz-Target", "AmazonSQS.CreateQueue")
    request.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request")
    with urllib.request.urlopen(request) as response:
        return json.load(response)["QueueUrl"]


@contextlib.contextmanager
def started_worker(
    options: argparse.Namespace, datasets: pathlib.Path, endpoint: str, queue: str, *more: str, port: int = 0, drain: str = "0s"
) -> Iterator[tuple[subprocess.Popen, float]]:
    """A worker that is ready, and how many seconds that took."""
    if port == 0:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    command = [options.gristmill, "worker", "--queue", queue, "--datasets", datasets, "--cache", options.work / "cache", "--drain", drain, *more]
    environment = os.environ | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "DATA_BUCKET": BUCKET,
    }
    log = options.work / "worker.log"
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen([*command, "--admin", f"127.0.0.1:{port}"], env=environment, stdout=output, stderr=output)
        try:
            while not is_ready(port):
                if process.poll() is not None or time.perf_counter() - started > 120:
                    sys.exit(f"processes: the worker did not become ready:\n{log.read_text()[-2000:]}")
                time.sleep(0.001)
            yield process, time.perf_counter() - started
        finally:
            process.terminate()
            process.wait()


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class Run:
    """A finished `gristmill map`."""

    def __init__(self, seconds: float, usage, summary: dict):
        self.seconds = seconds
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        self.peak_mb = usage.ru_maxrss * 1024 / 1e6
        self.summary = summary


def run_map(
    options: argparse.Namespace,
    dataset: pathlib.Path,
    local: pathlib.Path,
    *more: str,
    cores: set[int] | None = None,
    gristmill: pathlib.Path | None = None,
) -> Run:
    command = [gristmill or options.gristmill, "map", dataset, "--local", local, "--cache", options.work / "cache", "--json", *more]
    prepare: Callable[[], None] | None = (lambda: os.sched_setaffinity(0, cores)) if cores else None
    answer = options.work / "summary.json"
    with answer.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, env=os.environ | {"DATA_BUCKET": BUCKET}, preexec_fn=prepare)
        # wait4, because it alone knows the resources of one child.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"processes: gristmill ended with exit code {process.returncode}: {answer.read_text()[-2000:]}")
    return Run(seconds, usage, json.loads(answer.read_text()))


def fresh_local(work: pathlib.Path) -> pathlib.Path:
    local = work / "local"
    shutil.rmtree(local, ignore_errors=True)
    local.mkdir()
    return local


def status_mb(pid: int, key: str) -> float:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise KeyError(key)


def figure(name: str, target: str, measured: str, met: bool, details: str) -> None:
    machine = f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores, {datetime.date.today()}"
    print(f"{name} | target {target} | measured {measured} ({'met' if met else 'missed'}) | {details} | {machine}", flush=True)


def cpu_model() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
