#!/usr/bin/env python3
"""Versions that change under a worker: `make bench-swap`.

    swap.py [latency | redeploy | dip | memory ...] [--rounds N] [--python-rounds N] [--swaps N]

A worker beside an emulated AWS follows a registry in S3 while `gristmill publish` and `gristmill promote` bring it one version after the
other; each is the same component with another version in it. Prints one line per figure: what, the target, what was measured, details,
the machine and the date. Nothing is asserted. Needs target/venv-emulator (`make emulator`) and the plugins (`make plugins`).

    latency   from `publish`, and from the end of `promote`, to the first batch that the new version answered
    redeploy  what a new component costs without a registry: the worker's process stopped and started with another file
    dip       items per second at full load: during swaps, and as often without one
    memory    what the worker's process holds after 10 swaps, and after 100
"""

import argparse
import contextlib
import copy
import datetime
import http.client
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import processes
import traffic

PLUGINS = processes.ROOT / "plugins"
RUST, PYTHON, NOOP = "noaa-precipitation", "noaa-precipitation-python", "noop"

# Items per batch at full load, so that nearly all CPU goes to items, and how many such batches wait.
FULL_BATCH = 10_000
AHEAD = 6

# Once a new version is in use, how long the window of a swap goes on: batches under way end on the old one.
TAIL = 2.0

# How long the windows beside it are at most, in seconds.
BESIDE = 15.0


def main() -> None:
    parts = {"latency": latency, "redeploy": redeploy, "dip": dip, "memory": memory}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], metavar="PART")
    parser.add_argument("--rounds", type=int, default=20, help="swaps of the Rust component whose latency or dip is measured")
    parser.add_argument("--python-rounds", type=int, default=5, help="the same of the Python component")
    parser.add_argument("--swaps", type=int, default=100, help="swaps between which memory is compared")
    parser.add_argument("--gristmill", type=pathlib.Path, default=processes.GRISTMILL)
    parser.add_argument("--work", type=pathlib.Path, default=processes.ROOT / "work/bench/swap", help="emptied before and after")
    options = parser.parse_args()
    options.work = options.work.resolve()
    for part in options.parts or parts:
        shutil.rmtree(options.work, ignore_errors=True)
        (options.work / "datasets").mkdir(parents=True)
        try:
            with processes.emulator() as endpoint:
                parts[part](options, traffic.Cloud(endpoint))
        finally:
            shutil.rmtree(options.work, ignore_errors=True)


def latency(options: argparse.Namespace, cloud: traffic.Cloud) -> None:
    """One swap after the other under a steady stream of small batches."""
    for plugin, rounds in ((RUST, options.rounds), (PYTHON, options.python_rounds)):
        versions = Versions(options, cloud.endpoint, plugin)
        versions.publish()
        versions.promote()
        found = []
        with follower(options, cloud, plugin) as worker, stream(cloud, plugin):
            worker.log.wait(answered_by(versions.last))
            for _ in range(rounds):
                began = time.time()
                versions.publish()
                published = time.time()
                versions.promote()
                promoted = time.time()
                in_use = worker.log.wait(says("this version is in use now", version=versions.last))
                first = worker.log.wait(answered_by(versions.last))
                found.append((at(first) - began, at(first) - promoted, published - began, in_use["compiled_millis"] / 1000))
        whole, after, publishing, compiling = zip(*found)
        size = (PLUGINS / plugin / f"{plugin}.wasm").stat().st_size / 1e6
        details = (
            f"worst {max(whole):.2f} s; `publish` itself {statistics.median(publishing):.2f} s; from the end of `promote` median "
            f"{statistics.median(after):.2f} s, worst {max(after):.2f} s, of which the compiler {statistics.median(compiling):.2f} s; "
            f"{rounds} swaps of a component of {size:.2f} MB, 20 batches per second"
        )
        target, met = ("seconds", statistics.median(whole) < 10) if plugin == RUST else ("none", True)
        processes.figure(f"`publish` to the first batch on the new version, {plugin}", target, f"median {statistics.median(whole):.2f} s", met, details)


def redeploy(options: argparse.Namespace, cloud: traffic.Cloud) -> None:
    """The worker's process ends in order and another one starts with the new component beside the dataset file, as in a new container:
    nothing compiled before is there."""
    for plugin, rounds in ((RUST, options.python_rounds), (PYTHON, options.python_rounds)):
        versions, found = Versions(options, cloud.endpoint, plugin), []
        folder = options.work / "datasets" / plugin
        for number in range(rounds + 1):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(versions.make(), folder)
            shutil.rmtree(options.work / "cache", ignore_errors=True)
            with stream(cloud, plugin):
                with processes.started_worker(options, folder.parent, cloud.endpoint, cloud.queue, *ARGUMENTS, drain="25s") as (process, ready):
                    started = time.time() - ready
                    first = at(Log(options.work / "worker.log", process).wait(answered_by(versions.last)))
                    stopping = time.time()
                if number > 0:
                    found.append((time.time() - stopping, ready, first - started))
            drain(options, cloud, plugin)
        shutil.rmtree(folder)
        stop, ready, first = (statistics.median(column) for column in zip(*found))
        details = (
            f"SIGTERM to the end {stop:.2f} s, start to ready {ready:.2f} s, start to the first batch {first:.2f} s; median of {rounds} rounds. Not "
            "measured here, and what takes the time: build and push the image, the service's deployment, start of the task, pull of the image"
        )
        processes.figure(f"a redeployment's part on this machine, {plugin}", "none", f"{stop + first:.2f} s", True, details)


def dip(options: argparse.Namespace, cloud: traffic.Cloud) -> None:
    """No-op items keep all slots busy. Each swap changes that dataset's version and another one's, whose component has to be compiled."""
    for plugin, rounds in ((RUST, options.rounds), (PYTHON, options.python_rounds)):
        both = [Versions(options, cloud.endpoint, name, registry=plugin) for name in (plugin, NOOP)]
        # Publishing is another machine's work.
        for _ in range(rounds + 1):
            for versions in both:
                versions.publish()
        for versions in both:
            versions.promote(0)
        windows, held = [], []
        with follower(options, cloud, plugin) as worker, full_load(cloud):
            worker.log.wait(answered_by(both[1].made[0]))
            time.sleep(TAIL)
            for number in range(1, rounds + 1):
                cpu, since = cpu_seconds(worker.process.pid), time.time()
                for versions in both:
                    versions.promote(number)
                begin = at(worker.log.wait(says("the registry has changed", change=f"promote {plugin} {both[0].made[number]}")))
                lines = [worker.log.wait(says("this version is in use now", version=versions.made[number], dataset=versions.plugin)) for versions in both]
                end = max(map(at, lines)) + TAIL
                span = min(end - begin, BESIDE)
                # A window beside that of the swap, and then one without a swap, with a window on either side of it too.
                time.sleep(max(0.0, end + 4 * span - time.time()))
                windows.append((begin, end, lines[0]["compiled_millis"] / 1000))
                held.append(processes.status_mb(worker.process.pid, "VmRSS"))
                busy = (cpu_seconds(worker.process.pid) - cpu) / (time.time() - since)
            # What was under way in the last window has to be in the log.
            worker.log.wait(lambda line: line.get("message") == "batch" and at(line) - line["millis"] / 1000 > end + 4 * span)
            done = [line for line in worker.log.seen if line.get("message") == "batch" and line.get("fate") == "acked"]
        with_swap = [dip_of(done, begin, end) for begin, end, _ in windows]
        spans = [min(end - begin, BESIDE) for begin, end, _ in windows]
        without = [dip_of(done, end + 2 * span, end + 3 * span) for (_, end, _), span in zip(windows, spans)]
        lost, noise = statistics.median(with_swap), statistics.median(without)
        span = statistics.median(end - begin for begin, end, _ in windows)
        details = (
            f"median of {rounds} swaps ({min(with_swap):+.1%} to {max(with_swap):+.1%}), beside windows without a swap: median {noise:+.1%} "
            f"({min(without):+.1%} to {max(without):+.1%}); {span:.1f} s from the change to {TAIL:.0f} s after the switch, of which the compiler "
            f"{statistics.median(taken for *_, taken in windows):.1f} s; {rate(done, windows[0][0], windows[-1][1]):,.0f} items/s by {busy:.2f} cores of the worker; "
            f"VmRSS after each swap {', '.join(f'{mb:.0f}' for mb in held)} MB"
        )
        processes.figure(f"throughput that a swap costs at full load, {plugin}", "at most 10 %", f"{lost:.1%}", lost <= 0.10, details)


def memory(options: argparse.Namespace, cloud: traffic.Cloud) -> None:
    """Swap after swap of a component with some code, under a stream of small batches."""
    versions = Versions(options, cloud.endpoint, RUST)
    for _ in range(options.swaps + 1):
        versions.publish()
    versions.promote(0)
    rows = {}
    print(f"{'swaps':>10} {'memory MB':>10} {'files':>6} {'threads':>8} {'series':>7}", flush=True)
    with follower(options, cloud, RUST) as worker, stream(cloud, RUST):
        for number in range(1, options.swaps + 1):
            versions.promote(number)
            worker.log.wait(answered_by(versions.made[number]))
            if number % max(options.swaps // 10, 1) == 0:
                rows[number] = held = worker.held()
                print(f"{number:>10,} {held[0]:>10.1f} {held[1]:>6} {held[2]:>8} {held[3]:>7}", flush=True)
        failed = sum(line.get("fate") not in (None, "acked") for line in worker.log.seen)
    early, late = rows[options.swaps // 10], rows[options.swaps]
    growth = late[0] / early[0] - 1
    # A connection more or less is in the nature of a pool; a file, thread or series per swap is not.
    flat = growth <= 0.05 and not any(more > before + 8 for before, more in zip(early[1:], late[1:]))
    cached = sum(file.stat().st_size for file in (options.work / "cache").iterdir()) / 1e6
    details = (
        f"{early[0]:.1f} MB after {options.swaps // 10}, {late[0]:.1f} MB after {options.swaps}; files {early[1]} and {late[1]}, threads {early[2]} and "
        f"{late[2]}, series {early[3]} and {late[3]}; {failed} batches not answered at once; compiled code on disk {cached:.0f} MB"
    )
    processes.figure(f"memory after {options.swaps} swaps", "flat: at most 5 % more than after a tenth", f"{growth:+.1%}", flat, details)


class Versions:
    """Versions of one plugin, as its author's machine makes them."""

    def __init__(self, options: argparse.Namespace, endpoint: str, plugin: str, registry: str | None = None):
        self.plugin, self.registry = plugin, uri(registry or plugin)
        self.made: list[str] = []
        self.options = options
        self.environment = os.environ | {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.component = (PLUGINS / plugin / f"{plugin}.wasm").read_bytes()
        # What the plugin calls itself, and no version of an interface.
        places = [found.start() for found in re.finditer(rb"(?<![@\d.])0\.1\.0(?![-.\d])", self.component)]
        if len(places) != 1:
            sys.exit(f"swap: {plugin}.wasm names its version at {len(places)} places, expected one")
        self.place = places[0]

    @property
    def last(self) -> str:
        return self.made[-1]

    def make(self) -> pathlib.Path:
        """The plugin's folder with the next version in it: five characters, as in the component as it was built."""
        number = len(self.made)
        version = f"{1 + number // 100}.{number // 10 % 10}.{number % 10}"
        self.made.append(version)
        folder = self.options.work / "plugins" / self.plugin
        folder.mkdir(parents=True, exist_ok=True)
        component = self.component[: self.place] + version.encode() + self.component[self.place + 5 :]
        (folder / f"{self.plugin}.wasm").write_bytes(component)
        if self.plugin == NOOP:
            text = f'dataset = "{NOOP}"\n[plugin]\ncomponent = "{NOOP}.wasm"\n[map]\nitems = []\n[sample]\nitems = [1]\n'
        else:
            # No report: the plugin returns a value for each item, which would make an object of its own.
            lines = (PLUGINS / self.plugin / "dataset.toml").read_text().splitlines(True)
            text = "".join(line for line in lines if not line.startswith("reports")).replace("../noaa-precipitation/sample", "sample")
            shutil.copytree(PLUGINS / RUST / "sample", folder / "sample", dirs_exist_ok=True)
        (folder / "dataset.toml").write_text(text)
        return folder

    def publish(self) -> None:
        self.run("publish", str(self.make()))

    def promote(self, number: int = -1) -> None:
        self.run("promote", self.plugin, self.made[number])

    def run(self, *arguments: str) -> None:
        done = subprocess.run([self.options.gristmill, *arguments, "--registry", self.registry], env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"swap: gristmill {' '.join(arguments)}: {done.stderr}")


class Log:
    """A worker's log, read as it is written."""

    def __init__(self, path: pathlib.Path, process: subprocess.Popen):
        self.process = process
        self.file = path.open("rb")
        self.rest = b""
        self.seen: list[dict] = []

    def wait(self, fits: Callable[[dict], bool], patience: float = 900) -> dict:
        """The first line that fits, whenever it was written."""
        looked, deadline = 0, time.monotonic() + patience
        while True:
            *lines, self.rest = (self.rest + self.file.read()).split(b"\n")
            self.seen += map(json.loads, lines)
            for line in self.seen[looked:]:
                if fits(line):
                    return line
            looked = len(self.seen)
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"swap: the worker never said what was waited for; it said last:\n{self.seen[-5:]}")
            time.sleep(0.01)


ARGUMENTS = ("--ledger", "ledger", "--log-format", "json")


class Follower:
    """A worker that follows the registry."""

    def __init__(self, options: argparse.Namespace, process: subprocess.Popen, port: int):
        self.process, self.port = process, port
        self.log = Log(options.work / "worker.log", process)

    def held(self) -> tuple[float, int, int, int]:
        """Resident memory in MB, open files, threads, series of metrics."""
        memory = [processes.status_mb(self.process.pid, "VmRSS") for _ in range(10) if time.sleep(0.1) is None]
        folder = pathlib.Path(f"/proc/{self.process.pid}")
        files, threads = (len(list((folder / name).iterdir())) for name in ("fd", "task"))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/metrics")
        series = [line for line in connection.getresponse().read().decode().splitlines() if not line.startswith("#")]
        return statistics.median(memory), files, threads, len(series)


@contextlib.contextmanager
def follower(options: argparse.Namespace, cloud: traffic.Cloud, registry: str) -> Iterator[Follower]:
    with traffic.worker(options, cloud.endpoint, cloud.queue, *ARGUMENTS, "--registry", uri(registry), log="info") as (process, port):
        yield Follower(options, process, port)


@contextlib.contextmanager
def sending(cloud: traffic.Cloud, send: Callable[[traffic.Cloud], None]) -> Iterator[None]:
    """Calls `send` again and again, beside whatever is done meanwhile."""
    sender, stop = copy.copy(cloud), threading.Event()
    sender.connection = http.client.HTTPConnection(cloud.address.netloc)

    def run() -> None:
        while not stop.is_set():
            send(sender)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def stream(cloud: traffic.Cloud, plugin: str) -> contextlib.AbstractContextManager[None]:
    """20 batches of one item per second."""

    def send(sender: traffic.Cloud) -> None:
        sender.send(1, plugin)
        time.sleep(0.05)

    return sending(cloud, send)


def full_load(cloud: traffic.Cloud) -> contextlib.AbstractContextManager[None]:
    """There are always batches of no-op items that wait."""

    def send(sender: traffic.Cloud) -> None:
        if sender.waiting() < AHEAD:
            sender.send(2, NOOP, [1] * FULL_BATCH)
        time.sleep(0.1)

    return sending(cloud, send)


def drain(options: argparse.Namespace, cloud: traffic.Cloud, plugin: str) -> None:
    """Has what is left in the queue done."""
    folder = options.work / "datasets"
    with processes.started_worker(options, folder, cloud.endpoint, cloud.queue, *ARGUMENTS) as (process, _):
        traffic.drained(cloud, process)


def uri(registry: str) -> str:
    return f"s3://{processes.BUCKET}/registries/{registry}"


def says(message: str, **fields: str) -> Callable[[dict], bool]:
    return lambda line: line.get("message") == message and all(line.get(name) == value for name, value in fields.items())


def answered_by(version: str) -> Callable[[dict], bool]:
    return says("batch", version=version, fate="acked")


def at(line: dict) -> float:
    """When a line was written, as time.time() has it."""
    return datetime.datetime.fromisoformat(line["timestamp"]).timestamp()


def rate(batches: list[dict], begin: float, end: float) -> float:
    """Items per second, those of each batch spread over the time that it took."""
    items = 0.0
    for line in batches:
        stop = at(line)
        start = stop - max(line["millis"], 1) / 1000
        items += line["items"] * max(0.0, min(stop, end) - max(start, begin)) / (stop - start)
    return items / (end - begin)


def dip_of(batches: list[dict], begin: float, end: float) -> float:
    """By what part fewer items per second were done in a window than in the two beside it."""
    span = min(end - begin, BESIDE)
    beside = (rate(batches, begin - span, begin) + rate(batches, end, end + span)) / 2
    return 1 - rate(batches, begin, end) / beside


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
