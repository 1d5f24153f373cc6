"""The highest daily precipitation of each weather station (GHCN-Daily), one CSV object per station."""

from __future__ import annotations

from typing import Any

from logic import highest_precipitation

from gristmill import Context, plugin


@plugin(
    name="noaa-precipitation-python",
    version="0.1.0",
    outputs={"stations": {"pk": "text", "PRCP": "int64", "DATE": "date"}},
    settings={
        "include_flagged": {
            "type": "boolean",
            "default": False,
            "description": "Whether values that failed one of NOAA's quality checks (Q_FLAG) count too.",
        }
    },
)
def process(item: Any, ctx: Context) -> dict[str, int]:
    """The highest daily precipitation of each weather station, in tenths of a millimetre, with its first date."""
    table = ctx.open(ctx.uri(item)).csv(where={"ELEMENT": "PRCP"})
    rows = table.rows("ID", "DATE", "DATA_VALUE", "Q_FLAG")
    found = highest_precipitation(rows, table.uri, include_flagged=ctx.settings["include_flagged"])
    if found.station is not None:
        ctx.emit("stations", {"pk": found.station, "PRCP": found.highest, "DATE": found.date})
    return {
        "rows": table.seen,
        "prcp_rows": found.prcp_rows,
        "flagged_skipped": found.flagged_skipped,
        "missing_skipped": found.missing_skipped,
    }
