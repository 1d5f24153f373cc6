"""One emulator for all tests, a queue, a bucket and a machine per test."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

HERE = Path(__file__).parent
ROLE = "arn:aws:iam::000000000000:role/test"
SECONDS = 10.0

_numbers = itertools.count()


def launch(python: str, script: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
    """Starts an emulator: the process, and the endpoint of its ready line."""
    process = subprocess.Popen(
        [python, HERE / script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **environment})
    assert process.stdout
    return process, json.loads(process.stdout.readline())["endpoint"]


class Aws:
    """Clients of an emulator, and the few steps that most tests begin with."""

    def __init__(self, endpoint: str) -> None:
        session = boto3.Session("test", "test", region_name="us-east-1")
        config = Config(retries={"total_max_attempts": 1}, max_pool_connections=50)
        self.s3, self.sqs, self.sfn = (
            session.client(name, endpoint_url=endpoint, config=config) for name in ("s3", "sqs", "stepfunctions"))

    def bucket(self, *keys: str) -> str:
        name = f"bucket-{next(_numbers)}"
        self.s3.create_bucket(Bucket=name)
        for key in keys:
            self.s3.put_object(Bucket=name, Key=key, Body=b"x")
        return name

    def queue(self, **attributes: str) -> str:
        return self.sqs.create_queue(QueueName=f"queue-{next(_numbers)}", Attributes=attributes)["QueueUrl"]

    def receive(self, url: str, wait: int = 5, **more: Any) -> list[dict[str, Any]]:
        return self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait, AttributeNames=["All"], **more).get("Messages", [])

    def bodies(self, url: str, number: int) -> list[dict[str, Any]]:
        """The bodies of the next `number` messages, which are deleted."""
        bodies: list[dict[str, Any]] = []
        deadline = time.monotonic() + SECONDS
        while len(bodies) < number:
            assert time.monotonic() < deadline, f"only {len(bodies)} of {number} messages came"
            if messages := self.receive(url, wait=1):
                entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
                self.sqs.delete_message_batch(QueueUrl=url, Entries=entries)
                bodies += [json.loads(message["Body"]) for message in messages]
        return bodies

    def start(self, state: dict[str, Any], input: Any = None, **machine: str) -> str:
        """Starts a machine of this one state: the execution's ARN."""
        definition = {**machine, "StartAt": "State", "States": {"State": {**state, "End": True}}}
        arn = self.sfn.create_state_machine(
            name=f"machine-{next(_numbers)}", definition=json.dumps(definition), roleArn=ROLE)["stateMachineArn"]
        return self.sfn.start_execution(stateMachineArn=arn, input=json.dumps(input or {}))["executionArn"]

    def end(self, execution: str) -> dict[str, Any]:
        """The execution, once it has ended."""
        deadline = time.monotonic() + SECONDS
        while (described := self.sfn.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < deadline, "the execution did not end"
            time.sleep(0.02)
        return described

    def map_run(self, execution: str) -> dict[str, Any]:
        [run] = self.sfn.list_map_runs(executionArn=execution)["mapRuns"]
        return self.sfn.describe_map_run(mapRunArn=run["mapRunArn"])

    def succeed(self, token: str, output: str = "{}") -> None:
        self.sfn.send_task_success(taskToken=token, output=output)


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    # A hundredth of every Retry's interval.
    process, endpoint = launch(sys.executable, "aws.py", SFN_WAIT_SCALE="0.01")
    yield Aws(endpoint)
    assert process.stdin
    process.stdin.close()
    assert process.wait(timeout=SECONDS) == 0


@pytest.fixture
def error_code() -> Callable[..., str]:
    """The code of the error that an API call ends with."""

    def error_code(call: Callable[..., Any], **arguments: Any) -> str:
        from botocore.exceptions import ClientError

        with pytest.raises(ClientError) as caught:
            call(**arguments)
        return caught.value.response["Error"]["Code"]

    return error_code


def waiting_task(queue_url: str, **fields: Any) -> dict[str, Any]:
    """A Task state that sends its token to the queue and waits."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {
            "QueueUrl": queue_url,
            "MessageBody": {
                "token.$": "$$.Task.Token",
                "execution.$": "$$.Execution.Id",
                "attempt.$": "$$.State.RetryCount",
                "input.$": "$",
            },
        },
        **fields,
    }


def distributed_map(queue_url: str, **fields: Any) -> dict[str, Any]:
    """A Distributed Map of such tasks."""
    return {
        "Type": "Map",
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Task",
            "States": {"Task": {**waiting_task(queue_url), "End": True}},
        },
        **fields,
    }
