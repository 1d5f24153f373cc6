#!/usr/bin/env python3
"""Prints rows of a zone as JSON lines, as DuckDB reads them: read.py ZONE COLUMNS ORDER"""

import sys

import duckdb

zone, columns, order = sys.argv[1:]
rows = duckdb.sql(
    f"SELECT to_json(row) FROM (SELECT {columns} FROM read_parquet('{zone}/**/*.parquet', hive_partitioning = true) ORDER BY {order}) AS row"
)
for (row,) in rows.fetchall():
    print(row)
