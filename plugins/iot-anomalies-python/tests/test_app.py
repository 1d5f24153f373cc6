"""The plugin as a whole, held to the Rust plugin's golden rows: one dataset, whatever the language and the items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from app import process

from gristmill import ObjectInvalid, Reject
from gristmill.testing import Result, run

URI = "s3://data/unload/part-0"
GOLDEN = Path(__file__).parents[2] / "iot-anomalies" / "golden" / "readings.jsonl"
METRIC_OF = {"temperature_spike": "temperature", "humidity_anomaly": "humidity", "low_battery": "batterylevel"}
READING = {"deviceid": "d", "timestamp": "2026-02-28T01:02:03Z"}


def golden() -> list[Any]:
    return [json.loads(line) for line in GOLDEN.read_text().splitlines()]


def measured(row: Any) -> dict[str, Any]:
    """A reading of which this is the row; its anomalies have the values as they were measured."""
    unrounded = {METRIC_OF[anomaly["type"]]: anomaly["value"] for anomaly in row["anomalies"]}
    return {"deviceid": row["deviceid"], "timestamp": row["readingtimestamp"], **row["metrics"], **unrounded}


def file_with(*readings: dict[str, Any], **settings: Any) -> Result:
    return run(process, {"uri": URI}, settings=settings, tables={URI: readings})


def test_a_file_gives_the_golden_rows() -> None:
    rows = golden()
    assert len(rows) == 80
    result = file_with(*map(measured, rows))
    # As texts, so that -0.0 is not 0.0 and 1 is not 1.0.
    assert list(map(repr, result.rows["readings"])) == list(map(repr, rows))
    assert result.value == {"readings": 80, "with_anomalies": sum(row["anomalycount"] > 0 for row in rows)}


def test_readings_as_items_give_the_golden_rows() -> None:
    for row in golden():
        assert repr(run(process, measured(row)).rows["readings"]) == repr([row])


def test_a_file_may_lack_metrics_but_not_the_key() -> None:
    (row,) = file_with({**READING, "temperature": 1}).rows["readings"]
    none = dict.fromkeys(("humidity", "batterylevel", "latitude", "longitude"))
    assert row["metrics"] == {"temperature": 1.0, **none}
    with pytest.raises(ObjectInvalid, match="deviceid"):
        file_with({"timestamp": "2026-02-28"})


def test_settings_say_what_is_healthy() -> None:
    (row,) = file_with({**READING, "temperature": 30.5}, temperature_max=30).rows["readings"]
    assert repr(row["anomalies"]) == "[{'type': 'temperature_spike', 'value': 30.5, 'threshold': 30.0}]"
    assert row["healthstatus"] == "anomalies_detected"


def test_a_bad_reading_is_named_by_its_row() -> None:
    with pytest.raises(Reject) as caught:
        file_with(READING, {"deviceid": None, "timestamp": "2026-02-28"})
    assert (caught.value.code, caught.value.message) == ("BadReading", f"{URI}, row 2: it has no `deviceid`")
    with pytest.raises(Reject, match="^BadReading: it has no `timestamp`"):
        run(process, {"deviceid": "d", "timestamp": None})


def test_a_row_is_the_same_reading_from_parquet_and_from_csv() -> None:
    parquet = {**READING, "temperature": 1.5, "humidity": None, "batterylevel": 20}
    csv = {**READING, "temperature": "1.5", "humidity": "", "batterylevel": "20"}
    assert run(process, parquet) == run(process, csv)
    (row,) = run(process, {**READING, "temperature": "-inf", "humidity": "NaN"}).rows["readings"]
    assert row["metrics"]["temperature"] is None


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("s3://b/k", 'it is no object but "s3://b/k"'),
        ({"Key": "k"}, "it is neither a file (`uri`) nor a reading (`deviceid`, `timestamp`)"),
        ({"uri": 1}, "`uri` is no text but 1"),
        ({"deviceid": 1}, "`deviceid` is no text but 1"),
        ({"deviceid": "d", "humidity": "wet"}, '`humidity` is no number but "wet"'),
        ({"deviceid": "d", "humidity": "1_0"}, '`humidity` is no number but "1_0"'),
        ({"deviceid": "d", "humidity": True}, "`humidity` is no number but true"),
        ({"deviceid": "d", "humidity": 10**400}, f"`humidity` is no number but {10**400}"),
    ],
)
def test_what_is_no_item_is_said_to_be_none(item: Any, message: str) -> None:
    with pytest.raises(Reject) as caught:
        run(process, item)
    assert (caught.value.code, caught.value.message) == ("BadItem", message)


def test_the_schema_refuses_unknown_settings() -> None:
    assert process.settings_schema["additionalProperties"] is False
    assert {s["default"] for s in process.settings_schema["properties"].values()} == {35, -10, 95, 5, 20}
