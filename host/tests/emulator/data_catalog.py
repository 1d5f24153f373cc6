"""Partitions of the Glue Data Catalog that are deleted many at a time, and how many one call takes.

ministack 1.5.33 has no BatchDeletePartition, takes any number of partitions in a call, and creates them in tables that are not
there. AWS takes 100 to create and to update, 1,000 to read and 25 to delete.
"""

from __future__ import annotations

import json
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import glue

LIMITS = {
    "BatchCreatePartition": ("PartitionInputList", 100),
    "BatchUpdatePartition": ("Entries", 100),
    "BatchGetPartition": ("PartitionsToGet", 1000),
    "BatchDeletePartition": ("PartitionsToDelete", 25),
}


def install() -> None:
    handle = glue._handle_request_sync

    def handle_within_limits(method: str, path: str, headers: dict[str, str], body: Any, query_params: Any) -> Any:
        action = headers.get("x-amz-target", "").removeprefix("AWSGlue.")
        if action in LIMITS:
            data = json.loads(body)
            refusal = _refusal(data, *LIMITS[action])
            if refusal:
                return refusal
            if action == "BatchDeletePartition":
                return _batch_delete_partition(data)
        return handle(method, path, headers, body, query_params)

    glue._handle_request_sync = handle_within_limits


def _refusal(data: dict[str, Any], field: str, most: int) -> Any:
    if len(data.get(field, [])) > most:
        return error_response_json("ValidationException", f"{field} has more than {most} members", 400)
    database, table = data.get("DatabaseName"), data.get("TableName")
    if f"{database}/{table}" not in glue._tables:
        return error_response_json("EntityNotFoundException", f"Table {table} not found in {database}", 400)
    return None


def _batch_delete_partition(data: dict[str, Any]) -> Any:
    key = f"{data['DatabaseName']}/{data['TableName']}"
    errors = []
    for values in (entry["Values"] for entry in data["PartitionsToDelete"]):
        known = glue._partitions.get(key, [])
        left = [partition for partition in known if partition.get("Values") != values]
        if len(left) == len(known):
            why = {"ErrorCode": "EntityNotFoundException", "ErrorMessage": "Partition not found"}
            errors.append({"PartitionValues": values, "ErrorDetail": why})
        glue._partitions[key] = left
    return json_response({"Errors": errors})
