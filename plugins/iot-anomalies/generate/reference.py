#!/usr/bin/env python3
"""Says what the plugin has to say of the files that generate.py wrote, by other means: pyarrow and plain Python.

    reference.py FILE... > golden/readings.jsonl
"""

import json
import math
import sys

import pyarrow.parquet as pq

THRESHOLDS = {
    "temperature": ("temperature_spike", 35, -10),
    "humidity": ("humidity_anomaly", 95, 5),
    "batterylevel": ("low_battery", math.inf, 20),
}


def summary(row: dict) -> dict:
    anomalies = []
    for name, (kind, high, low) in THRESHOLDS.items():
        value = row[name]
        if value is not None and not low <= value <= high:
            anomalies.append({"type": kind, "value": value, "threshold": float(high if value > high else low)})
    metrics = {name: value if value is None or name not in THRESHOLDS else round(value, 2) for name, value in row.items()}
    del metrics["deviceid"], metrics["timestamp"]
    return {
        "deviceid": row["deviceid"],
        "readingtimestamp": row["timestamp"],
        "analysisdate": row["timestamp"][:10],
        "readingscount": 1,
        "metrics": metrics,
        "anomalies": anomalies,
        "anomalycount": len(anomalies),
        "healthstatus": "anomalies_detected" if anomalies else "healthy",
    }


def main() -> None:
    rows = [row for path in sys.argv[1:] for row in pq.read_table(path).to_pylist()]
    for row in sorted(rows, key=lambda row: (row["deviceid"], row["timestamp"])):
        print(json.dumps(summary(row)))


if __name__ == "__main__":
    main()
