"""Polars: one lazy scan of all files, streaming engine."""

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

data, result = arguments()
value = pl.col("DATA_VALUE")
highest = (
    pl.scan_csv(data / "*.csv", schema=SCHEMA)
    .filter(pl.col("ELEMENT") == "PRCP", pl.col("Q_FLAG").is_null())
    .group_by("ID")
    .agg(value.max().alias("PRCP"), pl.col("DATE").filter(value == value.max()).min())
    .collect(engine="streaming")
)
commit(highest.iter_rows(), result)
