"""The linters accept what is right and find what is misspelt, at every level."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import distributed_map
from lint_asl import asl_validator, findings, main


def machine() -> dict[str, Any]:
    state = distributed_map(
        "http://127.0.0.1/queue",
        Label="stations",
        MaxConcurrency=10,
        ToleratedFailureCount=1,
        ToleratedFailurePercentage=5,
        ItemReader={
            "Resource": "arn:aws:states:::s3:listObjectsV2",
            "Parameters": {"Bucket": "data", "Prefix": "in/"},
            "ReaderConfig": {"MaxItems": 10},
        },
        ItemBatcher={"MaxItemsPerBatch": 10, "MaxInputBytesPerBatch": 1000, "BatchInput": {"a": 1}},
        End=True,
    )
    task = state["ItemProcessor"]["States"]["Task"]
    task.update(HeartbeatSeconds=30, TimeoutSeconds=60)
    task["Retry"] = [{"ErrorEquals": ["Gristmill.Retryable"], "IntervalSeconds": 1, "MaxAttempts": 3, "BackoffRate": 2.0}]
    return {"StartAt": "Map", "States": {"Map": state}}


def rename(part: dict[str, Any], old: str, new: str) -> None:
    part[new] = part.pop(old)


def task_of(state: dict[str, Any]) -> dict[str, Any]:
    return state["ItemProcessor"]["States"]["Task"]


def test_a_good_machine_passes_both_linters(tmp_path: Path) -> None:
    file = tmp_path / "machine.json"
    file.write_text(json.dumps(machine()))
    assert main([str(file)]) == 0


@pytest.mark.parametrize(
    ("misspell", "found"),
    [
        (lambda state: rename(state, "ToleratedFailureCount", "TolerateFailureCount"), "TolerateFailureCount"),
        (lambda state: rename(state["ItemBatcher"], "MaxItemsPerBatch", "MaxItemPerBatch"), "MaxItemPerBatch"),
        (lambda state: rename(state["ItemReader"]["ReaderConfig"], "MaxItems", "MaxItem"), "MaxItem"),
        (lambda state: state["ItemReader"]["ReaderConfig"].update(InputTyp="CSV"), "InputTyp"),
        (lambda state: rename(task_of(state), "HeartbeatSeconds", "HeartbeatSecond"), "HeartbeatSecond"),
        (lambda state: rename(task_of(state)["Retry"][0], "BackoffRate", "BackofRate"), "BackofRate"),
        (lambda state: state.update(ToleratedFailurePercentage=500), "ToleratedFailurePercentage"),
    ],
)
def test_a_misspelt_field_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], misspell: Callable[[dict[str, Any]], None], found: str,
) -> None:
    definition = machine()
    misspell(definition["States"]["Map"])
    file = tmp_path / "machine.json"
    file.write_text(json.dumps(definition))
    assert main([str(file)]) == 1
    assert found in capsys.readouterr().out


def test_a_misspelt_label_is_found_by_the_linter_that_knows_it(tmp_path: Path) -> None:
    definition = machine()
    rename(definition["States"]["Map"], "Label", "Lable")
    file = tmp_path / "machine.json"
    file.write_text(json.dumps(definition))
    assert asl_validator(file)
    assert {finding.split(":")[0] for finding in findings(file)} == {"asl-validator", "statelint"}


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_what_is_no_machine_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "machine.json"
    file.write_text(text)
    assert main([str(file)]) == 1
