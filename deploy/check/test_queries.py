"""The dashboard and the alerts ask for what workers export: a real Prometheus scrapes a worker under load, and answers them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from conftest import EMULATOR, GRISTMILL, PLUGIN, ROOT, TARGET

DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
RULES = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())
SECONDS = 60.0
DATASET = "noaa-precipitation"

# What does not happen here: AWS neither throttles nor refuses, nobody publishes a bad version, and no table of a database is
# read. These counters appear with their first event.
NOT_HERE = {
    "gristmill_aws_throttles_total", "gristmill_aws_retries_total", "gristmill_protection_refused_total",
    "gristmill_versions_refused_total", "gristmill_batches_rolled_forward_total", "gristmill_window_late_rows_total",
}


def shown() -> dict[str, str]:
    """The dashboard's queries by panel, for all fleets and datasets."""
    queries = {
        f"{panel['title']} ({target['refId']})": target["expr"]
        for panel in DASHBOARD["panels"] for target in panel.get("targets", [])
    }
    return {title: query.replace("$job", ".*").replace("$dataset", ".*") for title, query in queries.items()}


def alerts() -> list[str]:
    return [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]


def names(query: str) -> set[str]:
    """The metrics of a query, without a histogram's parts, and without what the rules record themselves."""
    return {re.sub("_bucket$", "", name) for name in re.findall(r"(?<!:)\bgristmill_\w+", query) if ":" not in name}


def test_the_dashboard_asks_four_questions_and_can_be_imported() -> None:
    assert DASHBOARD["uid"] == "gristmill-fleet"
    assert [entry["name"] for entry in DASHBOARD["__inputs"]] == ["DS_PROMETHEUS"]
    panels = DASHBOARD["panels"]
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == ["Behind?", "Failing?", "Busy?", "Costly?"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [(x, y) for panel in panels for x, y in cells_of(panel["gridPos"])]
    assert len(set(cells)) == len(cells), "panels overlap"
    assert max(x for x, _ in cells) == 23


def cells_of(at: dict[str, int]) -> Iterator[tuple[int, int]]:
    return ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"]))


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], list[Any]]]:
    """Asks a Prometheus that scrapes a worker, which has done some batches, good and bad ones."""
    folder = tmp_path_factory.mktemp("scrape")
    emulator = subprocess.Popen(
        [sys.executable, EMULATOR / "aws.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert emulator.stdin and emulator.stdout
    endpoint = json.loads(emulator.stdout.readline())["endpoint"]
    queue = furnish(endpoint, folder)
    ports = free_ports(2)
    worker = start_worker(endpoint, queue, folder, ports[0])
    prometheus = start_prometheus(folder, *ports)

    def query(text: str) -> list[Any]:
        url = f"http://127.0.0.1:{ports[1]}/api/v1/query?" + urllib.parse.urlencode({"query": text})
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]["result"]

    try:
        # Counters that are seen to grow: batches of each kind, and once more when those have been scraped.
        kinds = [
            f'gristmill_batches_total{{dataset="{DATASET}",fate="acked"}}', 'gristmill_batches_total{fate="parked"}',
            f'gristmill_item_failures_total{{dataset="{DATASET}"}}',
        ]
        send(endpoint, queue)
        until(lambda: all(query(kind) for kind in kinds), folder)
        send(endpoint, queue)
        until(lambda: all(query(f"increase({kind}[1m]) > 0") for kind in kinds), folder)
        yield query
    finally:
        for process in (worker, prometheus):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=SECONDS)
        emulator.stdin.close()
        emulator.wait(timeout=10)


def furnish(endpoint: str, folder: Path) -> str:
    session = boto3.Session("test", "test", region_name="us-east-1")
    s3, dynamodb, sqs = (session.client(name, endpoint_url=endpoint) for name in ("s3", "dynamodb", "sqs"))
    s3.create_bucket(Bucket="ghcn")
    for file in (PLUGIN / "sample/csv/by_station").iterdir():
        s3.upload_file(str(file), "ghcn", f"csv/by_station/{file.name}")
    for table in (DATASET, "ledger"):
        dynamodb.create_table(
            TableName=table, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}])
    dead = sqs.create_queue(QueueName="dead-letters")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 10})
    publish(folder)
    return str(sqs.create_queue(QueueName="batches", Attributes={"RedrivePolicy": redrive})["QueueUrl"])


def publish(folder: Path) -> None:
    """A registry, because only what comes from one has versions."""
    (folder / "registry").mkdir()
    for words in (["publish", PLUGIN], ["promote", DATASET, "0.1.0"]):
        command = [GRISTMILL, *words, "--registry", folder / "registry"]
        environment = {**os.environ, "GRISTMILL_CACHE": str(folder / "cache")}
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def send(endpoint: str, queue: str) -> None:
    """Batches of a station each, one of a station that is not there, and what is no batch."""
    sqs = boto3.Session("test", "test", region_name="us-east-1").client("sqs", endpoint_url=endpoint)
    keys = [f"csv/by_station/{file.name}" for file in (PLUGIN / "sample/csv/by_station").iterdir()]
    for key in [*keys, "csv/by_station/MISSING.csv"]:
        body = {
            "gristmill": 1, "dataset": DATASET, "task_token": f"nobody-{time.monotonic_ns()}", "attempt": 0, "state": "Batch",
            "execution": f"arn:aws:states:us-east-1:000000000000:execution:scrape/test:{time.monotonic_ns()}",
            "input": {"BatchInput": {"Bucket": "ghcn"}, "Items": [{"Key": key}]},
        }
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(body))
    sqs.send_message(QueueUrl=queue, MessageBody="no batch")


def start_worker(endpoint: str, queue: str, folder: Path, port: int) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GRISTMILL_"))}
    environment = kept | {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
        "GRISTMILL_QUEUE": queue, "GRISTMILL_LEDGER": "ledger", "GRISTMILL_REGISTRY": str(folder / "registry"),
        "GRISTMILL_CACHE": str(folder / "cache"), "GRISTMILL_ADMIN": f"127.0.0.1:{port}", "DATA_BUCKET": "ghcn",
    }
    log = (folder / "worker.log").open("wb")
    return subprocess.Popen([GRISTMILL, "worker"], env=environment, stdout=log, stderr=log)


def start_prometheus(folder: Path, worker: int, port: int) -> subprocess.Popen[bytes]:
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "deploy/prometheus/rules.yaml")],
        "scrape_configs": [{"job_name": "gristmill", "static_configs": [{"targets": [f"127.0.0.1:{worker}"]}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    log = (folder / "prometheus.log").open("wb")
    return subprocess.Popen(
        [TARGET / "prometheus/usr/bin/prometheus", f"--config.file={folder / 'prometheus.yaml'}",
         f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)


def free_ports(number: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def until(holds: Callable[[], Any], folder: Path | None = None) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            if holds():
                return
        except OSError:
            pass  # it has not started yet
        assert time.monotonic() < deadline, folder and (folder / "worker.log").read_text()[-3000:]
        time.sleep(0.2)


def test_every_panel_shows_something(ask: Callable[[str], list[Any]]) -> None:
    empty = [title for title, query in shown().items() if not names(query) & NOT_HERE and not ask(query)]
    assert empty == []
    assert len(shown()) > 30


def test_every_alert_asks_for_what_is_there(ask: Callable[[str], list[Any]]) -> None:
    """Alerts are empty while nothing is wrong; their metrics are not, nor the labels that they ask for."""
    selectors = {found for query in alerts() for found in re.findall(r"(?<![\w:])gristmill_\w+(?:\{[^}]*\})?", query)}
    kinds = {selector for selector in selectors if "kind=~" in selector}  # leases are not lost here
    empty = [selector for selector in selectors - kinds if not names(selector) & NOT_HERE and not ask(selector)]
    assert sorted(empty) == []
    assert len(selectors) > 10


def test_the_rules_are_evaluated(ask: Callable[[str], list[Any]]) -> None:
    [found] = ask("count(max_over_time(prometheus_rule_evaluation_failures_total[1m]) > 0) or vector(0)")
    assert found["value"][1] == "0"
    until(lambda: ask('job_dataset:gristmill_unsuccessful_deliveries:ratio_rate5m{dataset=""} > 0'))
