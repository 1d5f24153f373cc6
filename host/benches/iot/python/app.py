"""The same sums of the same file, over its columns or over its rows as dicts."""

from gristmill import plugin

COLUMNS = {"deviceid": "text", "temperature": "float64?", "humidity": "float64?", "batterylevel": "float64?"}
NUMBERS = ("temperature", "humidity", "batterylevel")


@plugin(
    name="bench-columns",
    version="0.1.0",
    outputs={"sums": {"uri": "text", "rows": "int64", "values": "int64", "total": "float64"}},
    settings={"how": {"enum": ["columns", "rows"], "default": "columns"}},
)
def process(item, ctx):
    """Adds up columns of numbers."""
    table = ctx.table(item["uri"], COLUMNS)
    rows = values = 0
    total = 0.0
    if ctx.settings["how"] == "columns":
        for block in table:
            rows += len(block)
            for name in NUMBERS:
                there = [value for value in block[name] if value is not None]
                values += len(there)
                total += sum(there)
    else:
        for row in table.rows():
            rows += 1
            for name in NUMBERS:
                value = row[name]
                if value is not None:
                    values += 1
                    total += value
    ctx.emit("sums", {"uri": item["uri"], "rows": rows, "values": values, "total": round(total, 3)})
