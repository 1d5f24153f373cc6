#!/usr/bin/env python3
"""Stands in for `aws` where the emulator has no answer; everything else is the AWS CLI itself (target/venv-deploy).

* scaling.yaml: the emulator knows no Application Auto Scaling. Nothing is done, and that is said.
* watch.yaml: it refuses alarms that compute. Those are left out of the template.
* `logs tail` and `ecr get-login-password`: nobody logs in here, and no image is pulled.

What was left out is a line in the file LEFT_OUT, which the test reads. And the CLI asks the emulator every fraction of a second
whether a stack is there, instead of every half a minute.

    stand_in.py SOCKET

It stays, and does each call in a fork of itself: the CLI takes a second of CPU to start. `ask.py` is what the shell calls.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Never

from awscli.clidriver import main as aws

PAUSE = 0.3  # seconds


def main() -> Never:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen()
    # Whatever the CLI imports late is there for every call.
    run(["sts", "get-caller-identity"])
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        # A child of a child, for which nobody has to wait.
        if (child := os.fork()) == 0:
            if os.fork() == 0:
                answer(connection)
            os._exit(0)
        os.waitpid(child, 0)
        connection.close()


def answer(connection: socket.socket) -> Never:
    """One call, with the caller's files, folder and variables: its exit code."""
    message, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    call = json.loads(message)
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    os.chdir(call["folder"])
    data = os.environ["AWS_DATA_PATH"]  # which the CLI sets when it is imported
    os.environ.clear()
    os.environ.update(call["variables"], AWS_DATA_PATH=data)
    code = 1
    try:
        code = run(call["words"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.send(bytes([code & 255]))
        os._exit(0)


def run(words: list[str]) -> int:
    if words[:2] in (["logs", "tail"], ["ecr", "get-login-password"]) or "deploy/scaling.yaml" in words:
        left_out(" ".join(words))
        return 0
    if "deploy/watch.yaml" in words:
        words[words.index("deploy/watch.yaml")] = without_computing_alarms(Path("deploy/watch.yaml"))
    if words[0] == "sqs":
        # Version 1 of the CLI, which is the one that comes from PyPI, has a host of its own for queues in us-east-1.
        words += ["--endpoint-url", os.environ["AWS_ENDPOINT_URL"]]
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, PAUSE))
    sys.argv[1:] = words
    return aws()


def without_computing_alarms(file: Path) -> str:
    lines = file.read_text().splitlines(keepends=True)
    # By lines, because the tags of the short form are not YAML's own: a resource begins at two blanks.
    starts = [
        number for number, line in enumerate(lines)
        if line[:2] == "  " and line[2:3].isalpha() and line.rstrip().endswith(":")]
    section = next(number for number, line in enumerate(lines) if line.startswith("Resources:"))
    end = next(number for number, line in enumerate(lines) if line.startswith("Outputs:"))
    starts = [number for number in starts if section < number < end] + [end]
    for first, last in reversed(list(zip(starts, starts[1:]))):
        if any(line.startswith("      Metrics:") for line in lines[first:last]):
            left_out(f"{file.name} {lines[first].strip().rstrip(':')}")
            del lines[first:last]
    kept = Path(os.environ["LEFT_OUT"]).with_name("watch.yaml")
    kept.write_text("".join(lines))
    return str(kept)


def left_out(what: str) -> None:
    with open(os.environ["LEFT_OUT"], "a") as file:
        print(what, file=file)


if __name__ == "__main__":
    main()
