"""Heartbeats, time-outs, retries, and the errors of SendTask*."""

from __future__ import annotations

import time
from typing import Any

import pytest
from conftest import Aws, waiting_task
from error_names import matches


def test_each_attempt_has_a_token_of_its_own(aws: Aws, error_code: Any) -> None:
    queue = aws.queue()
    retry = [{"ErrorEquals": ["Gristmill.Retryable"], "MaxAttempts": 1, "IntervalSeconds": 1}]
    execution = aws.start(waiting_task(queue, Retry=retry))
    [first] = aws.bodies(queue, 1)
    aws.sfn.send_task_failure(taskToken=first["token"], error="Gristmill.Retryable", cause="test")
    [second] = aws.bodies(queue, 1)
    assert (first["attempt"], second["attempt"]) == (0, 1)
    assert first["token"] != second["token"]
    assert error_code(aws.sfn.send_task_success, taskToken=first["token"], output="{}") == "TaskTimedOut"
    aws.sfn.send_task_failure(taskToken=second["token"], error="Gristmill.Retryable", cause="again")
    ended = aws.end(execution)
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "Gristmill.Retryable", "again")


def test_silence_ends_a_task(aws: Aws, error_code: Any) -> None:
    queue = aws.queue()
    execution = aws.start(waiting_task(queue, HeartbeatSeconds=1, TimeoutSeconds=30))
    [body] = aws.bodies(queue, 1)
    assert aws.end(execution)["error"] == "States.HeartbeatTimeout"
    assert error_code(aws.sfn.send_task_heartbeat, taskToken=body["token"]) == "TaskTimedOut"


def test_a_retry_on_timeout_takes_silence_too(aws: Aws) -> None:
    queue = aws.queue()
    retry = [{"ErrorEquals": ["States.Timeout"], "MaxAttempts": 1}]
    execution = aws.start(waiting_task(queue, HeartbeatSeconds=1, TimeoutSeconds=30, Retry=retry))
    aws.bodies(queue, 1)
    [second] = aws.bodies(queue, 1)
    aws.succeed(second["token"])
    assert (second["attempt"], aws.end(execution)["status"]) == (1, "SUCCEEDED")


@pytest.mark.parametrize(
    ("error_equals", "error", "matched"),
    [
        ("Gristmill.Retryable", "Gristmill.Retryable", True),
        ("Gristmill.Retryable", "Gristmill.HostFault", False),
        ("States.Timeout", "States.HeartbeatTimeout", True),
        ("States.HeartbeatTimeout", "States.Timeout", False),
        ("States.TaskFailed", "Gristmill.HostFault", True),
        ("States.TaskFailed", "States.HeartbeatTimeout", False),
        ("States.ALL", "States.HeartbeatTimeout", True),
        ("States.ALL", "States.DataLimitExceeded", False),
        ("States.DataLimitExceeded", "States.DataLimitExceeded", True),
    ],
)
def test_error_names(error_equals: str, error: str, matched: bool) -> None:
    assert matches([error_equals], error) is matched


def test_heartbeats_keep_a_task(aws: Aws) -> None:
    queue = aws.queue()
    execution = aws.start(waiting_task(queue, HeartbeatSeconds=2, TimeoutSeconds=30))
    [body] = aws.bodies(queue, 1)
    for _ in range(5):
        time.sleep(0.5)
        aws.sfn.send_task_heartbeat(taskToken=body["token"])
    aws.succeed(body["token"], '"late"')
    assert aws.end(execution)["output"] == '"late"'


def test_a_task_ends_at_its_time_out_heartbeats_or_not(aws: Aws, error_code: Any) -> None:
    queue = aws.queue()
    execution = aws.start(waiting_task(queue, TimeoutSeconds=1))
    [body] = aws.bodies(queue, 1)
    aws.sfn.send_task_heartbeat(taskToken=body["token"])
    assert aws.end(execution)["error"] == "States.Timeout"
    for call in (
        lambda: error_code(aws.sfn.send_task_success, taskToken=body["token"], output="{}"),
        lambda: error_code(aws.sfn.send_task_failure, taskToken=body["token"], error="Late"),
        lambda: error_code(aws.sfn.send_task_heartbeat, taskToken=body["token"]),
    ):
        assert call() == "TaskTimedOut"


def test_errors_of_the_answers(aws: Aws, error_code: Any) -> None:
    queue = aws.queue()
    execution = aws.start(waiting_task(queue))
    [body] = aws.bodies(queue, 1)
    token, sfn = body["token"], aws.sfn
    assert error_code(sfn.send_task_success, taskToken="no such token", output="{}") == "InvalidToken"
    assert error_code(sfn.send_task_success, taskToken=token, output="no JSON") == "InvalidOutput"
    assert error_code(sfn.send_task_failure, taskToken=token, error="e" * 257) == "ValidationException"
    assert error_code(sfn.send_task_failure, taskToken=token, cause="c" * 32_769) == "ValidationException"
    # None of them has answered the task.
    aws.succeed(token, '"good"')
    assert error_code(sfn.send_task_success, taskToken=token, output="{}") == "TaskTimedOut"
    assert aws.end(execution)["output"] == '"good"'


def test_stopping_an_execution_ends_its_tasks(aws: Aws, error_code: Any) -> None:
    queue = aws.queue()
    execution = aws.start(waiting_task(queue))
    [body] = aws.bodies(queue, 1)
    aws.sfn.stop_execution(executionArn=execution)
    assert error_code(aws.sfn.send_task_heartbeat, taskToken=body["token"]) == "TaskTimedOut"
    assert aws.end(execution)["status"] == "ABORTED"
