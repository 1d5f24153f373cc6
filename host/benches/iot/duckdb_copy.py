"""DuckDB: one query over all files, on all cores, a file of the answer per thread."""

import os

import duckdb
from readings import PLACES, THRESHOLDS, arguments


def anomaly(name: str, kind: str, high: float | None, low: float) -> str:
    found = "{{'type': '{}', 'value': {}, 'threshold': {}::DOUBLE}}".format
    above = f"WHEN {name} > {high} THEN {found(kind, name, high)} " if high is not None else ""
    return f"CASE {above}WHEN {name} < {low} THEN {found(kind, name, low)} END"


data, result = arguments()
result.mkdir()
anomalies = ", ".join(anomaly(name, *limits) for name, limits in THRESHOLDS.items())
metrics = ", ".join([f"'{name}': round({name}, 2)" for name in THRESHOLDS] + [f"'{name}': {name}" for name in PLACES])
database = duckdb.connect(config={"threads": len(os.sched_getaffinity(0)), "preserve_insertion_order": False})
database.execute(f"""
    COPY (
        SELECT
            deviceid, timestamp AS readingtimestamp, CAST(timestamp[:10] AS DATE) AS analysisdate, 1::BIGINT AS readingscount,
            CAST(to_json({{{metrics}}}) AS VARCHAR) AS metrics, CAST(to_json(anomalies) AS VARCHAR) AS anomalies,
            len(anomalies) AS anomalycount, CASE len(anomalies) WHEN 0 THEN 'healthy' ELSE 'anomalies_detected' END AS healthstatus
        FROM (SELECT *, list_filter([{anomalies}], lambda one: one IS NOT NULL) AS anomalies FROM read_parquet('{data}/*'))
    ) TO '{result}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PER_THREAD_OUTPUT, OVERWRITE)
""")
