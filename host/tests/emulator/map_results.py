"""The ResultWriter: the children's fates as files on S3, and a manifest that names them."""

from __future__ import annotations

import json
from typing import Any

import ministack.services.stepfunctions as sfn
from ministack.services import s3

from fields import Fields, Json

Record = dict[str, Any]


def write_results(fields: Fields, run: Record, children: list[Record]) -> Json | None:
    """What the Map state returns in place of the children's outputs; None if it has no ResultWriter, or none with a place."""
    writer = fields.state.get("ResultWriter") or {}
    place = fields.evaluate(writer.get("Arguments") or writer.get("Parameters") or {})
    if not place:
        return None
    bucket, prefix = place["Bucket"], place.get("Prefix", "").strip("/")
    folder = "/".join(part for part in (prefix, run["mapRunArn"].split(":")[-1]) if part)
    files = {
        status: _write_file(bucket, f"{folder}/{status}_0.json", [_entry(c) for c in children if c["status"] == status])
        for status in ("FAILED", "PENDING", "SUCCEEDED")
    }
    manifest = {"DestinationBucket": bucket, "MapRunArn": run["mapRunArn"], "ResultFiles": files}
    _put(bucket, f"{folder}/manifest.json", manifest)
    return {
        "MapRunArn": run["mapRunArn"],
        "ResultWriterDetails": {"Bucket": bucket, "Key": f"{folder}/manifest.json"},
    }


def _write_file(bucket: str, key: str, entries: list[Json]) -> list[Json]:
    if not entries:
        return []
    return [{"Key": key, "Size": _put(bucket, key, entries)}]


def _entry(child: Record) -> Json:
    entry = {
        "ExecutionArn": child["executionArn"],
        "Input": child["input"],
        "InputDetails": {"Included": True},
        "Name": child["name"],
        "Output": child["output"],
        "OutputDetails": {"Included": True},
        "StartDate": child["startDate"],
        "StateMachineArn": child["stateMachineArn"],
        "Status": child["status"],
        "StopDate": child["stopDate"],
    }
    if child["status"] == "FAILED":
        entry.update(Error=child["error"], Cause=child["cause"])
    return entry


def _put(bucket: str, key: str, content: Json) -> int:
    body = json.dumps(content).encode()
    status, _headers, answer = s3._put_object(bucket, key, body, {})
    if status != 200:
        raise sfn._ExecutionError("States.ResultWriterFailed", f"s3://{bucket}/{key}: {status} {answer!r}")
    return len(body)
