"""pandas: one file at a time, with a process per core; where it can, for all rows of a file at once."""

import json
import multiprocessing
import os
import pathlib

import pandas as pd
from readings import PLACES, THRESHOLDS, arguments


def judge(path: str) -> None:
    frame = pd.read_parquet(path)
    found = [[] for _ in range(len(frame))]
    for name, (kind, high, low) in THRESHOLDS.items():
        values = frame[name]
        for side, threshold in ((values > high, high), (values < low, low)) if high is not None else ((values < low, low),):
            for row in side.to_numpy().nonzero()[0]:
                found[row].append({"type": kind, "value": float(values.iat[row]), "threshold": threshold})
    metrics = pd.concat([frame[list(THRESHOLDS)].round(2), frame[list(PLACES)]], axis=1)
    counts = pd.Series([len(anomalies) for anomalies in found], dtype="int64")
    answer = pd.DataFrame(
        {
            "deviceid": frame["deviceid"],
            "readingtimestamp": frame["timestamp"],
            "analysisdate": pd.to_datetime(frame["timestamp"].str[:10], format="%Y-%m-%d").dt.date,
            "readingscount": 1,
            "metrics": metrics.to_json(orient="records", lines=True, double_precision=15).splitlines(),
            "anomalies": [json.dumps(anomalies) for anomalies in found],
            "anomalycount": counts,
            "healthstatus": counts.map(lambda count: "anomalies_detected" if count else "healthy"),
        }
    )
    answer.to_parquet(RESULT / f"{pathlib.Path(path).name}.parquet", compression="zstd", compression_level=1)


DATA, RESULT = arguments()

if __name__ == "__main__":
    RESULT.mkdir()
    files = sorted(str(path) for path in DATA.iterdir())
    with multiprocessing.Pool(len(os.sched_getaffinity(0))) as pool:
        for _ in pool.imap_unordered(judge, files, chunksize=4):
            pass
