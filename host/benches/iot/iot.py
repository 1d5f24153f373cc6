#!/usr/bin/env python3
"""Columns, measured side by side on sensors' readings in Parquet: `make bench-iot` calls it.

    iot.py --data DIR [--only PART]... [--repeat 3]

DIR is a bucket as plugins/iot-anomalies/generate/generate.py writes it. Times go from the start of a process to its end with the answer in
files; sides take turns, so that a slow minute of the machine meets all of them, and a first round does not count. In that round every
row of every answer is compared. Prints one line per figure: what, the target, what was measured, both sides, the machine and the date.
A target that is missed is no failure; an answer that differs is.
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

import answers
import inputs

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import processes  # noqa: E402

ROOT, BUCKET = processes.ROOT, processes.BUCKET
PLUGIN = ROOT / "plugins/iot-anomalies/iot-anomalies.wasm"
DECODING = ROOT / "target/bench-decoding/wasm32-wasip2/release/bench_decoding.wasm"
COLUMNS = ROOT / "target/bench-columns.wasm"
OPPONENTS = {"DuckDB": "duckdb_copy.py", "Polars": "polars_sink.py", "pandas": "pandas_pool.py"}


@dataclass
class Side:
    """One way to an answer, and what it took."""

    name: str
    run: Callable[["Side"], pathlib.Path]
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    bytes_read: int = 0

    def median(self) -> float:
        return statistics.median(self.seconds)

    def took(self) -> str:
        rounds = f"{min(self.seconds):.2f} to {max(self.seconds):.2f}"
        return f"{self.name} {self.median():.2f} s ({rounds}; {statistics.median(self.cpu_seconds):.1f} s of CPU)"

    def count(self, seconds: float, cpu_seconds: float) -> None:
        self.seconds.append(seconds)
        self.cpu_seconds.append(cpu_seconds)


def main() -> None:
    parts = {"tools": tools, "lines": lines, "guest": guest, "pruning": pruning, "python": python}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--only", action="append", choices=parts)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--gristmill", type=pathlib.Path, default=processes.GRISTMILL)
    parser.add_argument("--before", type=pathlib.Path, metavar="GRISTMILL", help="another binary, measured beside it (tools)")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "work/bench/iot", help="emptied before and after")
    options = parser.parse_args()
    options.work, options.data = options.work.resolve(), options.data.resolve()
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    try:
        for name in options.only or parts:
            parts[name](options)
    finally:
        shutil.rmtree(options.work, ignore_errors=True)


def tools(options: argparse.Namespace) -> None:
    """All readings, beside what a data engineer would reach for."""
    files = inputs.files(options.data)
    megabytes = sum(len(file.read_bytes()) for file in files) / 1e6  # which warms the page cache, too
    sides = [Side("gristmill", lambda side: grind(options, side, PLUGIN, files))]
    if options.before:
        sides.append(Side("before", lambda side: grind(options, side, PLUGIN, files, gristmill=options.before)))
    for name, script in OPPONENTS.items():
        sides.append(Side(name, lambda side, script=script: oppose(options, side, script)))
    rows = rounds(options, sides, answers.readings)
    print(f"{len(files)} files, {megabytes:.0f} MB, {rows:,} rows, all answers equal; {options.repeat} rounds, load {os.getloadavg()[0]:.1f}")
    for side in sides[1:]:
        beside("readings judged and written", sides[0], side, 1.0, "ahead of")


def lines(options: argparse.Namespace) -> None:
    """The same plugin, and one that only reads, over Parquet and over JSON lines of the same rows."""
    files = inputs.files(options.data)[:100]
    texts = inputs.json_lines(files, options.work / "lines")
    sizes = [sum(file.stat().st_size for file in some) / 1e6 for some in (files, texts)]
    for what, plugin, check in (("judged and written", PLUGIN, answers.readings), ("only read", DECODING, answers.sums)):
        sides = [
            Side("Parquet", lambda side: grind(options, side, plugin, files)),
            Side("JSON lines", lambda side: grind(options, side, plugin, texts)),
        ]
        rows = rounds(options, sides, check)
        what = f"{what}, {rows:,} rows of {sizes[0]:.0f} MB of Parquet and {sizes[1]:.0f} MB of JSON lines"
        beside(what, *sides, 5.0, "at least 5 times")


def guest(options: argparse.Namespace) -> None:
    """Decoded by the host, and by Parquet's own library in the guest."""
    files = inputs.files(options.data)
    sides = [
        Side("tables", lambda side: grind(options, side, DECODING, files, {"how": "tables"})),
        Side("in the guest", lambda side: grind(options, side, DECODING, files, {"how": "guest"})),
    ]
    rounds(options, sides, answers.sums)
    beside(f"five columns of {len(files)} files decoded", *sides, 2.0, "at least 2 times")


def pruning(options: argparse.Namespace) -> None:
    """A file of which a condition wants a twentieth, by its row groups and by its pages."""
    for what, groups in (("row groups", 200), ("pages of one row group", 1)):
        file, before = inputs.in_order(inputs.files(options.data)[:100], options.work / "ordered", groups)
        side = Side("read", lambda side: grind(options, side, DECODING, [file], {"before": before}))
        rounds(options, [side], answers.sums)
        part, size = side.bytes_read / file.stat().st_size, file.stat().st_size
        details = f"{side.bytes_read:,} of {size:,} bytes; {side.took()}"
        processes.figure(f"bytes read, a condition that prunes 95 % of the {what}", "under 10 %", f"{part:.1%}", part < 0.1, details)


def python(options: argparse.Namespace) -> None:
    """A Python plugin over columns, and over rows."""
    files = inputs.files(options.data)[:100]
    sides = [
        Side(how, lambda side: grind(options, side, COLUMNS, files, {"how": side.name})) for how in ("columns", "rows")
    ]
    rounds(options, sides, answers.python_sums)
    beside(f"Python, {len(files)} files", *sides, 5.0, "at least 5 times")


def rounds(options: argparse.Namespace, sides: list[Side], check: Callable[[pathlib.Path], answers.Answer]) -> int:
    """Lets all sides take turns; the number of rows of the answer, which they have in common."""
    expected: tuple[str, answers.Answer] | None = None
    for number in range(options.repeat + 1):
        for side in sides:
            answer = side.run(side)
            if number == 0:
                found = check(answer)
                expected = expected or (side.name, found)
                if found != expected[1]:
                    sys.exit(f"iot: the answers differ: {expected[0]} {expected[1]}, {side.name} {found}")
                side.seconds, side.cpu_seconds = [], []
            shutil.rmtree(answer)
            took = f"{side.seconds[-1]:.2f} s" if number else "its answer is as expected"
            print(f"round {number or 'warm-up'}: {side.name}, {took}", file=sys.stderr)
    return expected[1].rows


def grind(
    options: argparse.Namespace,
    side: Side,
    component: pathlib.Path,
    files: list[pathlib.Path],
    settings: dict[str, str] | None = None,
    gristmill: pathlib.Path | None = None,
) -> pathlib.Path:
    """`gristmill map` over these files; the folder of its answer."""
    local = options.work / "local"
    shutil.rmtree(local, ignore_errors=True)
    bucket = local / "s3" / BUCKET
    (bucket / "unload").mkdir(parents=True)
    for file in files:
        os.link(file, bucket / "unload" / file.name)
    (bucket / "manifest.csv").write_text("".join(f"s3://{BUCKET}/unload/{file.name}\n" for file in files))
    output = "readings" if component == PLUGIN else "sums"
    dataset = options.work / "dataset.toml"
    settings = {DECODING: {"how": "tables", "before": ""}}.get(component, {}) | (settings or {})
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    dataset.write_text(
        f'dataset = "bench"\n[plugin]\ncomponent = {json.dumps(str(component))}\ntimeout = "10m"\nmax_output = "256 MiB"\n'
        "[settings]\n" + "\n".join(lines) + f'\n[grants]\nread = ["s3://{BUCKET}/"]\n'
        f'[map]\nitem_reader = {{ athena_files = "s3://{BUCKET}/manifest.csv" }}\nmax_items_per_batch = 20\n'
        f'[[output]]\nname = "{output}"\nprefix = "s3://{BUCKET}/answer/"\nformat = "parquet"\n'
    )
    run = processes.run_map(options, dataset, local, gristmill=gristmill)
    if run.summary["items"]["succeeded"] != len(files):
        sys.exit(f"iot: {json.dumps(run.summary)[:2000]}")
    side.count(run.seconds, run.cpu_seconds)
    side.bytes_read = run.summary["bytes_read"]
    return bucket / "answer"


def oppose(options: argparse.Namespace, side: Side, script: str) -> pathlib.Path:
    """Another tool over all files; the folder of its answer."""
    answer, log = options.work / "answer", options.work / "log"
    shutil.rmtree(answer, ignore_errors=True)
    with log.open("wb") as output:
        started = time.perf_counter()
        command = [sys.executable, str(HERE / script), str(options.data / "unload"), str(answer)]
        process = subprocess.Popen(command, stdout=output, stderr=output)
        # wait4, because it alone knows the resources of one child and of what that child waited for.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"iot: {side.name} ended with exit code {process.returncode}:\n{log.read_text(errors='replace')[-2000:]}")
    side.count(seconds, usage.ru_utime + usage.ru_stime)
    return answer


def beside(what: str, side: Side, other: Side, least: float, target: str) -> None:
    ratio = other.median() / side.median()
    processes.figure(f"{what}: {side.name} beside {other.name}", f"{target}", f"{ratio:.2f} times", ratio > least, f"{side.took()}, {other.took()}")


if __name__ == "__main__":
    main()
