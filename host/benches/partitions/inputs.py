#!/usr/bin/env python3
"""Writes readings of many devices as Parquet, each file a mixture of all devices: inputs.py FOLDER --devices N --rows N --files N"""

import argparse
import pathlib

import duckdb

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--devices", type=int, required=True)
parser.add_argument("--rows", type=int, required=True, help="in all files together")
parser.add_argument("--files", type=int, required=True)
options = parser.parse_args()
options.folder.mkdir(parents=True, exist_ok=True)
each = options.rows // options.files
for n in range(options.files):
    # A multiplication by a prime takes the devices in an order that looks like none, and is the same each time.
    duckdb.sql(f"""
        COPY (
            SELECT format('sensor-{{:05}}', (i * 7919) % {options.devices}) AS deviceid,
                   TIMESTAMP '2026-01-01' + to_seconds(((i * 104729) % {options.rows})::BIGINT) AS measured,
                   (i * 31 % 4000) / 100.0::DOUBLE AS temperature,
                   (i * 37 % 10000) / 100.0::DOUBLE AS humidity,
                   (i * 41 % 10000) / 100.0::DOUBLE AS batterylevel
            FROM range({n * each}, {(n + 1) * each}) AS numbers(i)
        ) TO '{options.folder / f"part-{n:03}.parquet"}' (FORMAT parquet, COMPRESSION snappy)
    """)
