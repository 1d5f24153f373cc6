"""Partitions of the Glue Data Catalog, many at a time."""

from __future__ import annotations

import boto3
import pytest
from botocore.exceptions import ClientError

from conftest import Aws


def test_partitions_are_deleted_by_the_call(aws: Aws) -> None:
    glue = boto3.Session("test", "test", region_name="us-east-1").client("glue", endpoint_url=aws.sqs.meta.endpoint_url)
    table = {"DatabaseName": "lake", "TableName": "days"}
    glue.create_database(DatabaseInput={"Name": "lake"})
    with pytest.raises(ClientError, match="EntityNotFoundException"):
        glue.batch_create_partition(**table, PartitionInputList=[{"Values": ["1"]}])
    glue.create_table(DatabaseName="lake", TableInput={"Name": "days"})
    values = [{"Values": [str(n)]} for n in range(101)]
    with pytest.raises(ClientError, match="more than 100"):
        glue.batch_create_partition(**table, PartitionInputList=values)
    assert not glue.batch_create_partition(**table, PartitionInputList=values[:3]).get("Errors")
    with pytest.raises(ClientError, match="more than 25"):
        glue.batch_delete_partition(**table, PartitionsToDelete=values[:26])
    [error] = glue.batch_delete_partition(**table, PartitionsToDelete=[values[0], values[9]])["Errors"]
    assert (error["PartitionValues"], error["ErrorDetail"]["ErrorCode"]) == (["9"], "EntityNotFoundException")
    assert [found["Values"] for found in glue.get_partitions(**table)["Partitions"]] == [["1"], ["2"]]
