"""Receipt handles that grow stale, as SQS's do.

Visibility time-outs, ApproximateReceiveCount and the move to a dead-letter queue are right in ministack 1.5.33. Wrong is
what happens to a handle once its message has become visible again, was received again, or is gone:

* DeleteMessage with a handle that was once valid succeeds on SQS, and need not delete anything. The emulator takes the
  unfriendlier choice: only the latest handle deletes. ministack refuses all but the latest handle.
* ChangeMessageVisibility acts on messages in flight only. ministack hides a message again that is visible already.
"""

from __future__ import annotations

import time
from typing import Any

from ministack.services import sqs

Queue = dict[str, Any]
Request = dict[str, Any]
Response = dict[str, Any]


def install() -> None:
    collect = sqs._collect_msgs

    def collect_and_remember(queue: Queue, max_messages: int, visibility_timeout: int) -> list[dict[str, Any]]:
        messages = collect(queue, max_messages, visibility_timeout)
        queue.setdefault("issued_handles", set()).update(m["receipt_handle"] for m in messages)
        return messages

    sqs._collect_msgs = collect_and_remember
    sqs._HANDLERS["DeleteMessage"] = _delete
    sqs._HANDLERS["DeleteMessageBatch"] = _delete_batch
    sqs._HANDLERS["ChangeMessageVisibility"] = _change_visibility
    sqs._HANDLERS["ChangeMessageVisibilityBatch"] = _change_visibility_batch


def _delete(request: Request, url: str) -> Response:
    if _was_issued(request, url):
        _drop(request, url)
        return {}
    return sqs._act_delete_message(request, url)


def _delete_batch(request: Request, url: str) -> Response:
    return _batch(request, url, "DeleteMessageBatchRequestEntry", _delete)


def _change_visibility(request: Request, url: str) -> Response:
    if _was_issued(request, url):
        message = _message(request, url)
        if message is None:
            raise sqs._Err(
                "InvalidParameterValue",
                f"Value {request['ReceiptHandle']} for parameter ReceiptHandle is invalid. "
                "Reason: Message does not exist or is not available for visibility timeout change.")
        if message["visible_at"] <= time.time():
            raise sqs._Err("MessageNotInflight", "The specified message isn't in flight.")
    return sqs._act_change_visibility(request, url)


def _change_visibility_batch(request: Request, url: str) -> Response:
    return _batch(request, url, "ChangeMessageVisibilityBatchRequestEntry", _change_visibility)


def _batch(request: Request, url: str, entry_name: str, action: Any) -> Response:
    """A batch action: its single action per entry, each with a fate of its own."""
    url = request.get("QueueUrl", url)
    entries = request.get("Entries", [])
    sqs._get_q(url)
    sqs._validate_batch_entries(entries, entry_name)
    done, failed = [], []
    for entry in entries:
        try:
            action({**entry, "QueueUrl": url}, url)
            done.append({"Id": entry["Id"]})
        except sqs._Err as error:
            failed.append({"Id": entry["Id"], "Code": error.code, "Message": error.message, "SenderFault": True})
    return {"Successful": done, "Failed": failed}


def _was_issued(request: Request, url: str) -> bool:
    return request.get("ReceiptHandle") in _queue(request, url).get("issued_handles", ())


def _message(request: Request, url: str) -> dict[str, Any] | None:
    handle = request["ReceiptHandle"]
    return next((m for m in _queue(request, url)["messages"] if m["receipt_handle"] == handle), None)


def _drop(request: Request, url: str) -> None:
    queue, handle = _queue(request, url), request["ReceiptHandle"]
    queue["messages"] = [m for m in queue["messages"] if m["receipt_handle"] != handle]


def _queue(request: Request, url: str) -> Queue:
    return sqs._get_q(request.get("QueueUrl", url))
