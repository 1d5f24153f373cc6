"""Polars: one lazy scan per file, many of them collected together over the cores."""

import polars as pl
from stations import arguments, commit

SCHEMA = {
    "ID": pl.String,
    "DATE": pl.Int32,
    "ELEMENT": pl.String,
    "DATA_VALUE": pl.Int32,
    "M_FLAG": pl.String,
    "Q_FLAG": pl.String,
    "S_FLAG": pl.String,
    "OBS_TIME": pl.String,
}
TOGETHER = 64


def highest(path: str) -> pl.LazyFrame:
    value = pl.col("DATA_VALUE")
    return (
        pl.scan_csv(path, schema=SCHEMA)
        .filter(pl.col("ELEMENT") == "PRCP", pl.col("Q_FLAG").is_null())
        .select(pl.col("ID").first(), value.max().alias("PRCP"), pl.col("DATE").filter(value == value.max()).min())
    )


data, result = arguments()
scans = [highest(path) for path in sorted(data.glob("*.csv"))]
# All at once is slower, and Polars warns of its number of threads.
frames = [frame for start in range(0, len(scans), TOGETHER) for frame in pl.collect_all(scans[start : start + TOGETHER])]
# The highest of no value is a row of nulls.
commit((row for frame in frames for row in frame.iter_rows() if row[1] is not None), result)
