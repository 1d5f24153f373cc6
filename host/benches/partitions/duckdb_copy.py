"""DuckDB's side: one statement, all cores. duckdb_copy.py FOLDER INTO"""

import sys

import duckdb

folder, into = sys.argv[1:]
duckdb.sql("SET preserve_insertion_order = false")
duckdb.sql(f"""
    COPY (SELECT * FROM read_parquet('{folder}/*.parquet') ORDER BY deviceid, measured)
    TO '{into}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (deviceid))
""")
