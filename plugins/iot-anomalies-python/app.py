"""Sensor readings that leave their thresholds: one row for each reading.

An item is a file of readings (`{"uri": "s3://..."}`), which is cheap, or a reading itself, as Step Functions' own
readers of Parquet and CSV give it.
"""

from __future__ import annotations

from typing import Any

from items import file_of, reading_of
from logic import METRICS, Judge

from gristmill import Context, Output, Reject, plugin

COLUMNS = {"deviceid": "text", "timestamp": "text", **dict.fromkeys(METRICS, "float64?")}


def setting(default: float, description: str) -> dict[str, Any]:
    return {"type": "number", "default": default, "description": description}


@plugin(
    name="iot-anomalies-python",
    version="0.1.0",
    outputs={
        "readings": Output(
            {
                "deviceid": "text",
                "readingtimestamp": "text",
                "analysisdate": "date",
                "readingscount": "int64",
                "metrics": "json",
                "anomalies": "json",
                "anomalycount": "int64",
                "healthstatus": "text",
            },
            "What each reading says of its device's health.",
        )
    },
    settings={
        "temperature_max": setting(35, "The highest healthy temperature in °C."),
        "temperature_min": setting(-10, "The lowest healthy temperature in °C."),
        "humidity_max": setting(95, "The highest healthy humidity in %."),
        "humidity_min": setting(5, "The lowest healthy humidity in %."),
        "battery_min": setting(20, "The lowest healthy battery level in %."),
    },
)
def process(item: Any, ctx: Context) -> dict[str, int]:
    """Sensor readings that leave their thresholds."""
    judge = Judge(ctx.settings)
    uri = file_of(item)
    if uri is None:
        ctx.emit("readings", judge.summary(*reading_of(item)))
    else:
        for block in ctx.table(uri, COLUMNS):
            for reading in zip(*(block[name] for name in COLUMNS), strict=True):
                try:
                    ctx.emit("readings", judge.summary(*reading))
                except Reject as failure:
                    raise Reject(failure.code, f"{uri}, row {judge.readings + 1}: {failure.message}") from None
    return {"readings": judge.readings, "with_anomalies": judge.with_anomalies}
