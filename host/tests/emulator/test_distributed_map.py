"""Batches, child executions, tolerated failures, results."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conftest import Aws, distributed_map
from map_items import batches


def test_listed_objects_come_in_batches_with_batch_input(aws: Aws) -> None:
    bucket, queue = aws.bucket(*(f"stations/{n}.csv" for n in range(5)), "elsewhere.csv"), aws.queue()
    state = distributed_map(
        queue,
        Label="stations",
        ItemReader={
            "Resource": "arn:aws:states:::s3:listObjectsV2",
            "Parameters": {"Bucket.$": "$.bucket", "Prefix.$": "States.Format('{}/', $.folder)"},
        },
        ItemSelector={"Key.$": "$$.Map.Item.Value.Key", "Number.$": "$$.Map.Item.Index", "Run.$": "$.run"},
        ItemBatcher={"MaxItemsPerBatch": 2, "BatchInput": {"name.$": "States.Format('{}-{}', $.folder, $.run)", "fixed": 1}},
    )
    execution = aws.start(state, {"bucket": bucket, "folder": "stations", "run": 7})

    bodies = sorted(aws.bodies(queue, 3), key=lambda body: body["input"]["Items"][0]["Key"])
    for body in bodies:
        aws.succeed(body["token"], json.dumps({"keys": len(body["input"]["Items"])}))

    assert [len(body["input"]["Items"]) for body in bodies] == [2, 2, 1]
    assert bodies[0]["input"] == {
        "BatchInput": {"name": "stations-7", "fixed": 1},
        "Items": [{"Key": "stations/0.csv", "Number": 0, "Run": 7}, {"Key": "stations/1.csv", "Number": 1, "Run": 7}],
    }
    ended = aws.end(execution)
    assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", [{"keys": 2}, {"keys": 2}, {"keys": 1}])
    run = aws.map_run(execution)
    assert (run["itemCounts"]["succeeded"], run["executionCounts"]["succeeded"]) == (5, 3)


def test_children_have_executions_of_their_own(aws: Aws) -> None:
    queue = aws.queue()
    execution = aws.start(distributed_map(queue, Label="here", ItemsPath="$.items"), {"items": [1, 2]})
    bodies = aws.bodies(queue, 2)
    arns = {body["execution"] for body in bodies}
    run = aws.map_run(execution)
    children = aws.sfn.list_executions(mapRunArn=run["mapRunArn"])["executions"]
    assert arns == {child["executionArn"] for child in children} and len(arns) == 2
    assert all("/here:" in arn for arn in arns)
    for body in bodies:
        aws.succeed(body["token"])
    assert aws.end(execution)["status"] == "SUCCEEDED"


def test_the_same_in_jsonata(aws: Aws) -> None:
    bucket, queue = aws.bucket("in/a", "in/b", "in/c"), aws.queue()
    state = distributed_map(
        queue,
        ItemReader={
            "Resource": "arn:aws:states:::s3:listObjectsV2",
            "Arguments": {"Bucket": bucket, "Prefix": "{% $states.input.folder & '/' %}"},
        },
        ItemSelector={"Key": "{% $states.context.Map.Item.Value.Key %}"},
        ItemBatcher={"MaxItemsPerBatch": "{% $states.input.size %}", "BatchInput": {"of": "{% $states.input.folder %}"}},
    )
    task = state["ItemProcessor"]["States"]["Task"]
    task.pop("Parameters")
    task["Arguments"] = {
        "QueueUrl": queue, "MessageBody": {"token": "{% $states.context.Task.Token %}", "input": "{% $states.input %}"}}
    execution = aws.start(state, {"folder": "in", "size": 3}, QueryLanguage="JSONata")
    [body] = aws.bodies(queue, 1)
    aws.succeed(body["token"])
    assert body["input"] == {"BatchInput": {"of": "in"}, "Items": [{"Key": "in/a"}, {"Key": "in/b"}, {"Key": "in/c"}]}
    assert aws.end(execution)["status"] == "SUCCEEDED"


def test_batches_are_bounded_by_count_and_by_bytes() -> None:
    items = ["aaaa", "bbbb", "cccc", "dd"]  # 6 bytes of JSON each, the last one 4
    assert list(batches(items, 3, 1000, 0)) == [["aaaa", "bbbb", "cccc"], ["dd"]]
    assert list(batches(items, 9, 10 + 6 + 1 + 6, 10)) == [["aaaa", "bbbb"], ["cccc", "dd"]]
    assert list(batches(items, 9, 10 + 6 + 6, 10)) == [["aaaa"], ["bbbb"], ["cccc", "dd"]]
    assert list(batches(["é" * 50, "x"], 9, 50, 0)) == [["é" * 50], ["x"]]
    assert list(batches([], 9, 50, 0)) == []


@pytest.mark.parametrize(
    ("tolerance", "failing_batches", "status"),
    [
        ({}, 0, "SUCCEEDED"),
        ({}, 1, "FAILED"),
        # A failed batch counts all its items: two of eight.
        ({"ToleratedFailureCount": 2}, 1, "SUCCEEDED"),
        ({"ToleratedFailureCount": 1}, 1, "FAILED"),
        ({"ToleratedFailurePercentage": 25}, 1, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 24}, 1, "FAILED"),
        ({"ToleratedFailurePercentage": 25}, 2, "FAILED"),
        # Exceeding either one is too much.
        ({"ToleratedFailureCount": 1, "ToleratedFailurePercentage": 100}, 1, "FAILED"),
        ({"ToleratedFailureCount": 8, "ToleratedFailurePercentage": 10}, 1, "FAILED"),
    ],
)
def test_tolerated_failures(aws: Aws, tolerance: dict[str, Any], failing_batches: int, status: str) -> None:
    queue = aws.queue()
    state = distributed_map(queue, ItemsPath="$.items", ItemBatcher={"MaxItemsPerBatch": 2}, **tolerance)
    execution = aws.start(state, {"items": list(range(8))})
    bodies = aws.bodies(queue, 4)
    # Successes first: a failure too many ends the other children.
    for body in bodies[failing_batches:]:
        aws.succeed(body["token"])
    for body in bodies[:failing_batches]:
        aws.sfn.send_task_failure(taskToken=body["token"], error="Bad", cause="test")
    ended = aws.end(execution)
    assert ended["status"] == status
    assert ended.get("error") == ("States.ExceedToleratedFailureThreshold" if status == "FAILED" else None)
    counts = aws.map_run(execution)["itemCounts"]
    assert (counts["failed"], counts["succeeded"]) == (2 * failing_batches, 8 - 2 * failing_batches)


def test_a_failure_too_many_aborts_the_others(aws: Aws, error_code: Any) -> None:
    queue = aws.queue()
    execution = aws.start(distributed_map(queue, ItemsPath="$.items", MaxConcurrency=2), {"items": [1, 2, 3]})
    failing, running = aws.bodies(queue, 2)
    aws.sfn.send_task_failure(taskToken=failing["token"], error="Bad")
    assert aws.end(execution)["error"] == "States.ExceedToleratedFailureThreshold"
    counts = aws.map_run(execution)["itemCounts"]
    assert (counts["failed"], counts["aborted"], counts["pending"]) == (1, 2, 0)
    assert error_code(aws.sfn.send_task_heartbeat, taskToken=running["token"]) == "TaskTimedOut"
    assert aws.receive(queue, wait=0) == []


def test_max_concurrency(aws: Aws) -> None:
    queue = aws.queue()
    execution = aws.start(distributed_map(queue, ItemsPath="$.items", MaxConcurrency=2), {"items": [1, 2, 3]})
    first, second = aws.bodies(queue, 2)
    assert aws.receive(queue, wait=1) == []
    aws.succeed(first["token"])
    [third] = aws.bodies(queue, 1)
    aws.succeed(second["token"])
    aws.succeed(third["token"])
    assert aws.end(execution)["status"] == "SUCCEEDED"


def test_result_writer(aws: Aws) -> None:
    bucket, queue = aws.bucket(), aws.queue()
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": bucket, "Prefix": "results"}}
    state = distributed_map(queue, ItemsPath="$.items", ToleratedFailureCount=1, ResultWriter=writer)
    execution = aws.start(state, {"items": ["good", "bad"]})
    for body in aws.bodies(queue, 2):
        if body["input"] == "good":
            aws.succeed(body["token"], '"done"')
        else:
            aws.sfn.send_task_failure(taskToken=body["token"], error="Bad", cause="test")
    output = json.loads(aws.end(execution)["output"])

    def content(key: str) -> Any:
        return json.loads(aws.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    files = content(output["ResultWriterDetails"]["Key"])["ResultFiles"]
    [succeeded], [failed] = (content(files[status][0]["Key"]) for status in ("SUCCEEDED", "FAILED"))
    assert (succeeded["Input"], succeeded["Output"]) == ('"good"', '"done"')
    assert (failed["Input"], failed["Error"], failed["Cause"]) == ('"bad"', "Bad", "test")


def test_results_of_more_than_256_kib_need_a_result_writer(aws: Aws) -> None:
    queue = aws.queue()
    execution = aws.start(distributed_map(queue, ItemsPath="$.items"), {"items": [1, 2]})
    for body in aws.bodies(queue, 2):
        aws.succeed(body["token"], json.dumps("x" * 140_000))
    assert aws.end(execution)["error"] == "States.DataLimitExceeded"


def test_a_thousand_children_wait_at_once(aws: Aws) -> None:
    queue = aws.queue()
    execution = aws.start(distributed_map(queue, ItemsPath="$", ResultPath=None), list(range(1000)))
    bodies = aws.bodies(queue, 1000)
    for body in bodies:
        aws.succeed(body["token"])
    assert sorted(body["input"] for body in bodies) == list(range(1000))
    assert aws.end(execution)["status"] == "SUCCEEDED"
