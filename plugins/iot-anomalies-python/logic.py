"""What the dataset is about, wherever the readings come from; the same as the Rust plugin's `logic.rs`."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from math import isfinite
from typing import Any

from gristmill import Reject
from gristmill.names import quoted

METRICS = ("temperature", "humidity", "batterylevel", "latitude", "longitude")
"""What a device measures."""

_date_form = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})").fullmatch


class Judge:
    """Sums readings up, one row for each, and counts them."""

    def __init__(self, settings: Mapping[str, float]) -> None:
        self._limits = {name: float(value) for name, value in settings.items()}
        # Looking up is cheaper than parsing: readings go day by day.
        self._dates: set[str] = set()
        self.readings = 0
        """All readings."""
        self.with_anomalies = 0
        """Those with an anomaly at least."""

    def summary(self, deviceid: str | None, timestamp: str | None, *values: float | None) -> dict[str, Any]:
        """A reading's row: its device, when it measured, and what (`METRICS`).

        Rejects a reading without a device, or without a timestamp that begins with a date.
        """
        if not deviceid:
            raise Reject("BadReading", "it has no `deviceid`")
        if not timestamp:
            raise Reject("BadReading", "it has no `timestamp`")
        date = self._date(timestamp)
        # JSON has no NaN. It is no anomaly either, because it compares with nothing.
        temperature, humidity, batterylevel, latitude, longitude = (
            value if value is not None and isfinite(value) else None for value in values
        )
        anomalies = self._anomalies(temperature, humidity, batterylevel)
        self.readings += 1
        self.with_anomalies += bool(anomalies)
        return {
            "deviceid": deviceid,
            "readingtimestamp": timestamp,
            "analysisdate": date,
            "readingscount": 1,
            "metrics": {
                "temperature": _rounded(temperature),
                "humidity": _rounded(humidity),
                "batterylevel": _rounded(batterylevel),
                "latitude": latitude,
                "longitude": longitude,
            },
            "anomalies": anomalies,
            "anomalycount": len(anomalies),
            "healthstatus": "anomalies_detected" if anomalies else "healthy",
        }

    def _anomalies(
        self, temperature: float | None, humidity: float | None, batterylevel: float | None
    ) -> list[dict[str, Any]]:
        limits = self._limits
        found = []
        if temperature is not None:
            if temperature > limits["temperature_max"]:
                found.append(_anomaly("temperature_spike", temperature, limits["temperature_max"]))
            elif temperature < limits["temperature_min"]:
                found.append(_anomaly("temperature_spike", temperature, limits["temperature_min"]))
        if humidity is not None:
            if humidity > limits["humidity_max"]:
                found.append(_anomaly("humidity_anomaly", humidity, limits["humidity_max"]))
            elif humidity < limits["humidity_min"]:
                found.append(_anomaly("humidity_anomaly", humidity, limits["humidity_min"]))
        if batterylevel is not None and batterylevel < limits["battery_min"]:
            found.append(_anomaly("low_battery", batterylevel, limits["battery_min"]))
        return found

    def _date(self, timestamp: str) -> str:
        """The date that an ISO 8601 timestamp begins with."""
        date = timestamp[:10]
        if (date in self._dates or _is_date(date)) and timestamp[10:11] in ("", "T", " "):
            self._dates.add(date)
            return date
        raise Reject("BadReading", f"its timestamp {quoted(timestamp)} does not begin with a date")


def _anomaly(kind: str, value: float, threshold: float) -> dict[str, Any]:
    return {"type": kind, "value": value, "threshold": threshold}


def _rounded(value: float | None) -> float | None:
    return value if value is None else round(value, 2)


def _is_date(text: str) -> bool:
    form = _date_form(text)
    if not form:
        return False
    year, month, day = map(int, form.groups())
    return 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]
