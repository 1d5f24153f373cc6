"""A worker under load, without a state machine: messages straight into the queue, for `price.py`, `soak.py` and `swap.py`.

Nobody waits for these batches' answers: Step Functions says so to each (`InvalidToken`), which settles it, as it does for a batch whose
execution was stopped. All the rest is as in a Distributed Map.
"""

import argparse
import contextlib
import http.client
import http.server
import json
import pathlib
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import uuid
from collections import Counter
from collections.abc import Iterator

import processes

STATION = "ID,DATE,ELEMENT,DATA_VALUE,M_FLAG,Q_FLAG,S_FLAG,OBS_TIME\nBENCH000001,20200101,PRCP,12,,,C,0700\n"
DATASET = "noaa-precipitation"
ITEMS = [{"Key": "csv/by_station/a.csv"}]


class Cloud:
    """The emulator with a queue, an object, an output table and a ledger."""

    def __init__(self, endpoint: str):
        self.endpoint = endpoint
        self.address = urllib.parse.urlsplit(endpoint)
        self.connection = http.client.HTTPConnection(self.address.netloc)
        self.queue = self.call("sqs", "AmazonSQS.CreateQueue", QueueName="traffic", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
        for table in ("noaa-precipitation", "ledger"):
            self.call(
                "dynamodb",
                "DynamoDB_20120810.CreateTable",
                TableName=table,
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        for path, body in ((f"/{processes.BUCKET}", b""), (f"/{processes.BUCKET}/csv/by_station/a.csv", STATION.encode())):
            self.request("PUT", path, body, {"Authorization": authorization("s3")})

    def call(self, service: str, operation: str, **arguments) -> dict:
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": operation,
            "Authorization": authorization(service),
        }
        return json.loads(self.request("POST", "/", json.dumps(arguments).encode(), headers) or b"{}")

    def request(self, method: str, path: str, body: bytes, headers: dict) -> bytes:
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        answer = response.read()
        if response.status >= 300:
            raise SystemExit(f"traffic: {method} {path} {headers.get('X-Amz-Target', '')}: {response.status} {answer[:500]!r}")
        return answer

    def send(self, batches: int, dataset: str = DATASET, items: list = ITEMS) -> None:
        """So many messages with these items each, ten per request."""
        for start in range(0, batches, 10):
            entries = [{"Id": str(n), "MessageBody": message(dataset, items)} for n in range(start, min(start + 10, batches))]
            self.call("sqs", "AmazonSQS.SendMessageBatch", QueueUrl=self.queue, Entries=entries)

    def waiting(self) -> int:
        """Messages that are not deleted yet."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.call("sqs", "AmazonSQS.GetQueueAttributes", QueueUrl=self.queue, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)


def message(dataset: str, items: list) -> str:
    return json.dumps(
        {
            "gristmill": 1,
            "dataset": dataset,
            "task_token": "nobody",
            "execution": f"arn:aws:states:us-east-1:000000000000:execution:map/traffic:{uuid.uuid4()}",
            "state": "Batch",
            "attempt": 0,
            "input": {"BatchInput": {"Bucket": processes.BUCKET}, "Items": items},
        }
    )


def authorization(service: str) -> str:
    return f"AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request"


def datasets(options: argparse.Namespace) -> pathlib.Path:
    """A folder with the NOAA dataset, which has one output, a table."""
    folder = options.work / "datasets" / "noaa-precipitation"
    folder.mkdir(parents=True, exist_ok=True)
    component = processes.NOAA.parent / "noaa-precipitation.wasm"
    shutil.copy(component, folder)
    text = processes.NOAA.read_text()
    # No report: the plugin returns a value for each item, which would make an object of its own.
    (folder / "dataset.toml").write_text("".join(line for line in text.splitlines(True) if not line.startswith("reports")))
    return folder.parent


class Counting:
    """A proxy in front of the emulator that counts requests by operation."""

    def __init__(self, target: str):
        self.counts: Counter[str] = Counter()
        counts, netloc = self.counts, urllib.parse.urlsplit(target).netloc

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                self.upstream = http.client.HTTPConnection(netloc)

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                target = self.headers.get("X-Amz-Target")
                counts[target.rsplit(".", 1)[-1] if target else f"S3 {self.command}"] += 1
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"} | {"Host": netloc}
                self.upstream.request(self.command, self.path, body, headers)
                response = self.upstream.getresponse()
                answer = response.read()
                self.send_response_only(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)) if self.command != "HEAD" else response.getheader("Content-Length", "0"))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = forward

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()


@contextlib.contextmanager
def worker(options: argparse.Namespace, endpoint: str, queue: str, *more: str, log: str = "warn") -> Iterator[tuple[subprocess.Popen, int]]:
    """A worker that is ready, and its admin port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with processes.started_worker(options, options.work / "datasets", endpoint, queue, "--log", log, *more, port=port) as (process, _):
        yield process, port


def drained(cloud: Cloud, process: subprocess.Popen, most: int = 0) -> None:
    """Waits until no more than so many messages are left."""
    while cloud.waiting() > most:
        if process.poll() is not None:
            raise SystemExit(f"traffic: the worker ended with exit code {process.returncode}")
        time.sleep(0.02)
