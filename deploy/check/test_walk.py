"""deploy/README.md, followed from an empty account to a run and away again, on an emulator.

The commands are those of the document, typed in a shell. `stand_in.py` says what the emulator cannot do. Where ECS would start
a task, a worker of this machine gets the very environment of the task definition.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from conftest import EMULATOR, GRISTMILL, PLUGIN, ROOT, TARGET
from document import commands

SECONDS = 60.0
SET_UP = ["1. What stays", "2. The image", "3. The workers"]
MORE = ["4. Scaling", "5. Alarms and a dashboard", "6. A dataset", "7. A run"]
REGION = "us-east-1"


class Desk:
    """A checkout and a shell, whose variables stay from one step to the next."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder = folder
        self.left_out = folder / "left-out"
        self._variables = folder / "variables"
        for name in ("deploy", "plugins/noaa-precipitation"):
            (folder / name).mkdir(parents=True)
        for file in (ROOT / "deploy").glob("*.*"):
            shutil.copy(file, folder / "deploy")
        shutil.copytree(PLUGIN / "sample", folder / "plugins/noaa-precipitation/sample")
        for name in ("dataset.toml", "noaa-precipitation.wasm"):
            shutil.copy(PLUGIN / name, folder / "plugins/noaa-precipitation")
        tools = folder / "bin"
        tools.mkdir()
        self._tool(tools / "aws", f'exec {sys.executable} -S -E {ROOT}/deploy/check/ask.py "$@"')
        self._tool(tools / "docker", f'cat >/dev/null <&- ; echo "docker $*" >> {self.left_out}')
        (tools / "gristmill").symlink_to(GRISTMILL)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GRISTMILL_", "MAKE"))}
        self.environment = kept | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LEFT_OUT": str(self.left_out),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_PAGER": "",
            "GRISTMILL_CACHE": str(folder / "cache"),
        }

    def _tool(self, file: Path, script: str) -> None:
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def type(self, step: str) -> str:
        """Everything that the document has below this heading: what it prints."""
        before = f". {self._variables}\n" if self._variables.exists() else ""
        script = f"set -eu\n{before}{commands()[step]}\nexport -p > {self._variables}\n"
        ran = subprocess.run(
            ["sh", "-c", script], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"{step}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def client(self, service: str) -> Any:
        session = boto3.Session("test", "test", region_name=REGION)
        return session.client(service, endpoint_url=self.environment["AWS_ENDPOINT_URL"])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    emulator = subprocess.Popen(
        [sys.executable, EMULATOR / "aws.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "SFN_WAIT_SCALE": "0.01"})
    assert emulator.stdin and emulator.stdout
    desk = Desk(tmp_path, json.loads(emulator.stdout.readline())["endpoint"])
    # A socket's path is short, and pytest's folders may not be.
    with tempfile.TemporaryDirectory() as short:
        desk.environment["STAND_IN"] = f"{short}/aws"
        stand_in = subprocess.Popen(
            [TARGET / "venv-deploy/bin/python", ROOT / "deploy/check/stand_in.py", f"{short}/aws"],
            env=desk.environment, stdout=subprocess.PIPE, text=True)
        assert stand_in.stdout
        while stand_in.stdout.readline() not in ("ready\n", ""):
            pass
        yield desk
        stand_in.kill()
        stand_in.wait()
    emulator.stdin.close()
    emulator.wait(timeout=10)


def start_worker(desk: Desk) -> subprocess.Popen[str]:
    """What ECS would start: the container of the task definition that the service has."""
    ecs = desk.client("ecs")
    [service] = ecs.describe_services(cluster="gristmill", services=["gristmill-workers"])["services"]
    task = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    [container] = task["containerDefinitions"]
    variables = {variable["name"]: variable["value"] for variable in container["environment"]}
    assert variables["GRISTMILL_SLOTS"] == "2" and container["memory"] == 4096
    # The image's own variables, but for the port, and the address of the emulator.
    environment = desk.environment | variables | {"GRISTMILL_ADMIN": "127.0.0.1:0", "GRISTMILL_LOG_FORMAT": "text"}
    log = (desk.folder / "worker.log").open("w")
    return subprocess.Popen([GRISTMILL, "worker"], cwd=desk.folder, env=environment, stdout=log, stderr=log, text=True)


def end_of_run(desk: Desk) -> str:
    states = desk.client("stepfunctions")
    [machine] = states.list_state_machines()["stateMachines"]
    [run] = states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    deadline = time.monotonic() + SECONDS
    while (status := states.describe_execution(executionArn=run["executionArn"])["status"]) == "RUNNING":
        assert time.monotonic() < deadline, (desk.folder / "worker.log").read_text()[-5000:]
        time.sleep(0.1)
    return str(status)


def test_the_document_leads_to_a_run_and_away_again(desk: Desk) -> None:
    for step in SET_UP:
        desk.type(step)

    # It starts with nothing to do: the registry is still empty.
    worker = start_worker(desk)
    try:
        for step in MORE:
            desk.type(step)
        assert end_of_run(desk) == "SUCCEEDED", (desk.folder / "worker.log").read_text()[-5000:]
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=SECONDS) == 0

    # The machine that went into the stack, in the eyes of two linters.
    linted = subprocess.run(
        [sys.executable, EMULATOR / "lint_asl.py", desk.folder / "deploy/machine.json"],
        capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout

    stations = len(list((PLUGIN / "sample/csv/by_station").iterdir()))
    rows = desk.client("dynamodb").scan(TableName="noaa-precipitation")["Items"]
    assert 0 < len(rows) <= stations
    reports = desk.client("s3").list_objects_v2(Bucket="gristmill-000000000000-us-east-1", Prefix="reports/")
    assert reports["KeyCount"] >= 1
    done = desk.client("dynamodb").scan(TableName="gristmill-ledger")["Items"]
    assert done, "the worker did not use the ledger"
    assert desk.client("cloudwatch").describe_alarms(AlarmNames=["gristmill-dead-letters"])["MetricAlarms"]

    desk.type("How the fleet follows the queue")
    desk.type("8. Away again")
    for url in desk.client("sqs").list_queues().get("QueueUrls", []):
        assert "gristmill" not in url
    assert desk.client("dynamodb").list_tables()["TableNames"] == []
    assert desk.client("stepfunctions").list_state_machines()["stateMachines"] == []

    # The document's own list of what was not tried says the same.
    left_out = desk.left_out.read_text().splitlines()
    assert sorted(line.split()[0] for line in left_out) == sorted(
        ["docker"] * 3 + ["ecr", "cloudformation", "logs"] + ["watch.yaml"] * 4), left_out
