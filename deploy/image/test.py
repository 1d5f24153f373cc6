#!/usr/bin/env python3
"""The image does a batch: built, started, and given one message by an emulator of AWS on this machine.

    target/venv-emulator/bin/python deploy/image/test.py

`build-and-start.sh` builds and starts; while the worker runs it calls this script again as `test.py probe`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "plugins/noaa-precipitation"
TABLE = "noaa-precipitation"
KEY = "csv/by_station/TEST0000001.csv"
STATION = b"""ID,DATE,ELEMENT,DATA_VALUE,M_FLAG,Q_FLAG,S_FLAG,OBS_TIME
TEST0000001,20240101,PRCP,12,,,E,
TEST0000001,20240102,PRCP,34,,,E,
"""
PATIENCE = 60  # seconds until the row must be there


def main() -> int:
    launcher = [sys.executable, ROOT / "host/tests/emulator/aws.py"]
    with tempfile.TemporaryDirectory() as datasets, subprocess.Popen(
        launcher, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as emulator:
        os.environ |= {
            "AWS_ENDPOINT_URL": json.loads(emulator.stdout.readline())["endpoint"],
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "GRISTMILL_LEDGER": "ledger",
            "DATA_BUCKET": "ghcn",
            "PASS": "DATA_BUCKET",
            "DATASETS": datasets,
        }
        # The container's user is none of this machine's.
        os.chmod(datasets, 0o755)
        for file in (PLUGIN / "dataset.toml", PLUGIN / "noaa-precipitation.wasm"):
            os.chmod(shutil.copy(file, datasets), 0o644)
        os.environ["GRISTMILL_QUEUE"] = furnish()
        build = [ROOT / "deploy/image/build-and-start.sh", "worker", "--", sys.executable, __file__, "probe"]
        code = subprocess.run(build, check=False).returncode
        emulator.stdin.close()
    return code


def furnish() -> str:
    """Makes what the worker needs, and gives back the queue's URL."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="ghcn")
    s3.put_object(Bucket="ghcn", Key=KEY, Body=STATION)
    for table in (TABLE, "ledger"):
        boto3.client("dynamodb").create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    return boto3.client("sqs").create_queue(QueueName="batches")["QueueUrl"]


def probe() -> int:
    """Sends one batch, and waits for its row. Nobody waits for the answer; that settles a batch too."""
    message = {
        "gristmill": 1,
        "dataset": TABLE,
        "task_token": "nobody",
        "execution": "arn:aws:states:us-east-1:000000000000:execution:image/test:1",
        "state": "Batch",
        "attempt": 0,
        "input": {"BatchInput": {"Bucket": "ghcn"}, "Items": [{"Key": KEY}]},
    }
    boto3.client("sqs").send_message(QueueUrl=os.environ["GRISTMILL_QUEUE"], MessageBody=json.dumps(message))
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        rows = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
        if rows:
            print("image: the worker's row:", json.dumps(rows[0], sort_keys=True))
            return 0 if rows[0]["PRCP"] == {"N": "34"} else 1
        time.sleep(0.2)
    print(f"image: no row after {PATIENCE} s", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(probe() if sys.argv[1:] == ["probe"] else main())
