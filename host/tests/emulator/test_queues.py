"""Redelivery, dead letters, and stale receipt handles."""

from __future__ import annotations

import json
from typing import Any

from conftest import Aws


def receive_count(message: dict[str, Any]) -> int:
    return int(message["Attributes"]["ApproximateReceiveCount"])


def test_a_message_not_deleted_comes_back(aws: Aws) -> None:
    url = aws.queue(VisibilityTimeout="2")
    aws.sqs.send_message(QueueUrl=url, MessageBody="work")
    [first] = aws.receive(url)
    assert aws.receive(url, wait=0) == [], "in flight, hence hidden"
    [second] = aws.receive(url)
    assert first["MessageId"] == second["MessageId"] and first["ReceiptHandle"] != second["ReceiptHandle"]
    assert (receive_count(first), receive_count(second)) == (1, 2)
    aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"])
    assert aws.receive(url, wait=3) == []


def test_extended_visibility_hides_a_message_longer(aws: Aws) -> None:
    url = aws.queue(VisibilityTimeout="2")
    aws.sqs.send_message(QueueUrl=url, MessageBody="work")
    [message] = aws.receive(url)
    entry = {"Id": "0", "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 30}
    answer = aws.sqs.change_message_visibility_batch(QueueUrl=url, Entries=[entry])
    assert [done["Id"] for done in answer["Successful"]] == ["0"]
    assert aws.receive(url, wait=3) == []


def test_a_message_received_too_often_goes_to_the_dead_letter_queue(aws: Aws) -> None:
    dead_letters = aws.queue()
    arn = aws.sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    url = aws.queue(RedrivePolicy=json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2}))
    aws.sqs.send_message(QueueUrl=url, MessageBody="poison")
    for count in (1, 2):
        [message] = aws.receive(url, VisibilityTimeout=0)
        assert receive_count(message) == count
    assert aws.receive(url, wait=0) == []
    [dead] = aws.receive(dead_letters)
    assert (dead["Body"], dead["MessageId"]) == ("poison", message["MessageId"])


def test_stale_receipt_handles(aws: Aws, error_code: Any) -> None:
    url = aws.queue()
    aws.sqs.send_message(QueueUrl=url, MessageBody="work")
    [first] = aws.receive(url, VisibilityTimeout=0)
    stale, change = first["ReceiptHandle"], aws.sqs.change_message_visibility
    visible_again = error_code(change, QueueUrl=url, ReceiptHandle=stale, VisibilityTimeout=30)
    assert visible_again.endswith("MessageNotInflight")
    [second] = aws.receive(url)
    handle = second["ReceiptHandle"]

    # Accepted, and without effect.
    aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=stale)
    change(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=30)

    entries = [{"Id": "latest", "ReceiptHandle": handle}, {"Id": "forged", "ReceiptHandle": "no such handle"}]
    answer = aws.sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    assert [done["Id"] for done in answer["Successful"]] == ["latest"]
    assert [(failed["Id"], failed["Code"]) for failed in answer["Failed"]] == [("forged", "ReceiptHandleIsInvalid")]
    aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
    gone = error_code(change, QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=30)
    assert gone.endswith("InvalidParameterValue")
