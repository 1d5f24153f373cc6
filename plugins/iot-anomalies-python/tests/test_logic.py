"""The logic alone: what is healthy, and what is no reading."""

from __future__ import annotations

import math
import random
from datetime import date
from typing import Any

import pytest
from logic import Judge

from gristmill import Reject

HEALTHY = {"temperature_max": 35, "temperature_min": -10, "humidity_max": 95, "humidity_min": 5, "battery_min": 20}


def judged(*values: float | None) -> Any:
    return Judge(HEALTHY).summary("d", "2026-02-28T01:02:03Z", *values, *[None] * (5 - len(values)))


def test_only_what_leaves_a_threshold_is_an_anomaly() -> None:
    assert judged(35.0, 95.0, 20.0)["anomalies"] == judged(-10.0, 5.0)["anomalies"] == []
    nothing = judged(math.nan, math.inf)
    assert (nothing["metrics"]["temperature"], nothing["healthstatus"]) == (None, "healthy")
    row = judged(-10.004, 95.5, 19.999)
    assert row["anomalies"] == [
        {"type": "temperature_spike", "value": -10.004, "threshold": -10.0},
        {"type": "humidity_anomaly", "value": 95.5, "threshold": 95.0},
        {"type": "low_battery", "value": 19.999, "threshold": 20.0},
    ]
    assert (row["anomalycount"], row["healthstatus"]) == (3, "anomalies_detected")
    assert row["metrics"]["temperature"] == -10.0


@pytest.mark.parametrize("seed", range(20))
def test_it_agrees_with_the_plainest_way_to_say_it(seed: int) -> None:
    chance = random.Random(seed)
    judge = Judge(HEALTHY)
    unhealthy = 0
    for _ in range(50):
        values = [None if chance.random() < 0.1 else chance.gauss(30, 40) for _ in range(5)]
        row = judge.summary("d", "2026-02-28", *values)
        bounds = ((-10, 35), (5, 95), (20, math.inf))
        count = sum(v is not None and not low <= v <= high for v, (low, high) in zip(values, bounds, strict=False))
        unhealthy += count > 0
        assert (row["anomalycount"], row["healthstatus"] == "healthy") == (count, count == 0)
        expected = [v if v is None else float(f"{v:.2f}") for v in values[:3]] + values[3:]
        assert repr(list(row["metrics"].values())) == repr(expected)
    assert (judge.readings, judge.with_anomalies) == (50, unhealthy)


@pytest.mark.parametrize("value", [-0.001, -0.0, 0.005, 2.675, 1e300, 5e-324, 1.005, 0.125, -0.375])
def test_two_decimals_are_those_that_printing_gives(value: float) -> None:
    assert repr(judged(value)["metrics"]["temperature"]) == repr(float(f"{value:.2f}"))


@pytest.mark.parametrize(
    ("deviceid", "timestamp", "message"),
    [
        (None, "2026-02-28", "it has no `deviceid`"),
        ("", "2026-02-28", "it has no `deviceid`"),
        ("d", None, "it has no `timestamp`"),
        ("d", "", "it has no `timestamp`"),
        *[
            ("d", text, f'its timestamp "{text}" does not begin with a date')
            for text in ("2026-02-29T00:00:00Z", "2026-2-28", "20260228", "2026-02-28x", "2026-02-2é", "2026-W01-1")
        ],
    ],
)
def test_a_reading_without_its_key_is_rejected(deviceid: str | None, timestamp: str | None, message: str) -> None:
    judge = Judge(HEALTHY)
    judge.summary("d", "2026-02-28", *[None] * 5)
    with pytest.raises(Reject) as caught:
        judge.summary(deviceid, timestamp, *[None] * 5)
    assert (caught.value.code, caught.value.message) == ("BadReading", message)


def test_every_date_is_one() -> None:
    judge = Judge(HEALTHY)
    for ordinal in range(date(1999, 12, 1).toordinal(), date(2001, 2, 1).toordinal()):
        day = date.fromordinal(ordinal).isoformat()
        assert judge.summary("d", f"{day} 00:00", *[None] * 5)["analysisdate"] == day
