#!/usr/bin/env python3
"""An author's first minutes: `make bench-authors`.

    authors.py [--language rust|python]... [--repeat N]

`plugin new` from an empty folder to rows, for every template; and in `plugin dev` a save to the rows that it changed. Tools are
installed and the dependencies of the Rust SDK are compiled by a first plugin that is not measured. Prints one line per figure; a plugin
that does not work ends it.
"""

import argparse
import pathlib
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

import processes

TEMPLATES = {"rust": ["csv", "parquet", "json"], "python": ["csv", "parquet", "json", "lambda"]}
# In seconds: from nothing to rows, from a save to rows.
TARGETS = {"rust": (60, 5), "python": (30, 10)}
EDITS = {"rust": ("src/lib.rs", "value > warmest", "value < warmest"), "python": ("app.py", "value > warmest", "value < warmest")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", choices=TEMPLATES, action="append")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--gristmill", type=pathlib.Path, default=processes.GRISTMILL)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="gristmill-authors-"))
    try:
        for language in options.language or TEMPLATES:
            new(options, folder, language, "csv", "warm")
            target, edited = TARGETS[language]
            for template in TEMPLATES[language]:
                seconds = [new(options, folder, language, template, f"{template}{n}") for n in range(options.repeat)]
                say(f"plugin new --lang {language} --from {template}: nothing to rows", seconds, target)
            say(f"plugin dev, {language}: a save to its rows", saves(options, folder / "csv0", language), edited)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new(options: argparse.Namespace, folder: pathlib.Path, language: str, template: str, name: str) -> float:
    """Makes a plugin and looks at its last line."""
    shutil.rmtree(folder / name, ignore_errors=True)
    command = [options.gristmill.resolve(), "plugin", "new", name, "--lang", language, "--from", template]
    start = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    took = time.monotonic() - start
    if done.returncode != 0 or " works: 3 items gave 3 rows" not in done.stdout:
        raise SystemExit(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return took


def saves(options: argparse.Namespace, plugin: pathlib.Path, language: str) -> list[float]:
    """How long `plugin dev` takes from a save to the rows that it changed, there and back."""
    file, one, other = EDITS[language]
    dev = subprocess.Popen(
        [options.gristmill.resolve(), "plugin", "dev", plugin], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    took = []
    try:
        until(dev, "└")
        for _ in range(options.repeat):
            for before, after in ((one, other), (other, one)):
                code = (plugin / file).read_text()
                start = time.monotonic()
                (plugin / file).write_text(code.replace(before, after))
                until(dev, "  rows ")
                took.append(time.monotonic() - start)
    finally:
        dev.send_signal(signal.SIGINT)
        dev.wait()
    return took


def until(dev: subprocess.Popen[str], text: str) -> None:
    for line in dev.stdout or ():
        if line.startswith(text):
            return
    raise SystemExit(f"plugin dev ended before `{text}`")


def say(what: str, seconds: list[float], target: float) -> None:
    median = statistics.median(seconds)
    details = f"median of {len(seconds)}, {min(seconds):.1f} to {max(seconds):.1f} s"
    processes.figure(what, f"≤ {target} s", f"{median:.1f} s", median <= target, details)


if __name__ == "__main__":
    main()
