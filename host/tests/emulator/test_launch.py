"""How the emulators come and go."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import HERE, SECONDS, Aws, launch, waiting_task

MOTO_PYTHON = Path(sys.prefix).parent / "venv-moto" / "bin" / "python"


@pytest.mark.parametrize(("python", "script"), [(sys.executable, "aws.py"), (MOTO_PYTHON, "moto.py")])
def test_an_emulator_ends_on_sigterm(python: str, script: str) -> None:
    process, endpoint = launch(str(python), script)
    assert endpoint.startswith("http://127.0.0.1:")
    process.terminate()
    assert process.wait(timeout=SECONDS) == -signal.SIGTERM


def test_a_running_execution_does_not_keep_the_emulator_when_its_starter_dies() -> None:
    process, endpoint = launch(sys.executable, "aws.py")
    aws = Aws(endpoint)
    queue = aws.queue()
    aws.start(waiting_task(queue))
    aws.bodies(queue, 1)
    assert process.stdin
    process.stdin.close()
    assert process.wait(timeout=SECONDS) == 0


def test_the_second_opinion_runs_ready_made_batches() -> None:
    process, endpoint = launch(str(MOTO_PYTHON), "moto.py")
    try:
        aws = Aws(endpoint)
        bucket, queue = aws.bucket(), aws.queue()
        batches = [{"BatchInput": {"a": 1}, "Items": [n]} for n in range(2)]
        aws.s3.put_object(Bucket=bucket, Key="batches.json", Body=json.dumps(batches))
        processor = {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Task",
            "States": {"Task": {**waiting_task(queue), "End": True}},
        }
        reader = {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Parameters": {"Bucket": bucket, "Key": "batches.json"},
        }
        execution = aws.start({"Type": "Map", "ItemReader": reader, "ItemProcessor": processor})
        bodies = aws.bodies(queue, 2)
        for body in bodies:
            aws.succeed(body["token"])
        assert sorted(body["input"]["Items"] for body in bodies) == [[0], [1]]
        assert aws.end(execution)["status"] == "SUCCEEDED"
    finally:
        process.kill()
        process.wait()


def test_setup_is_idempotent_and_names_what_is_missing(tmp_path: Path) -> None:
    target = Path(sys.prefix).parent
    subprocess.run([HERE / "setup.sh", target], check=True, timeout=5)

    # A machine with a shell and nothing else, whose user is not root.
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("dirname", "mkdir", "cksum", "cat", "rm"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    (tools / "id").write_text("#!/bin/sh\necho 1000\n")
    (tools / "id").chmod(0o755)
    bare = subprocess.run(
        ["/bin/sh", HERE / "setup.sh", tmp_path / "target"], env={"PATH": str(tools)}, capture_output=True, text=True, timeout=5)
    assert (bare.returncode, bare.stderr) == (1, "gristmill: python3 is missing: apt-get install python3\n")
