"""The logic of a gristmill dataset, written in Python: one function from an item to rows.

    from gristmill import plugin, Reject

    @plugin(
        name="rain", version="1.0.0",
        outputs={"stations": {"pk": "text", "PRCP": "int64"}},
        settings={"limit": 100},
    )
    def process(item, ctx):
        highest = 0
        for row in ctx.open(ctx.uri(item)).csv():
            highest = max(highest, int(row["PRCP"]))
        if highest > ctx.settings["limit"]:
            raise Reject("TooMuchRain", f"{item['Key']}: {highest}")
        ctx.emit("stations", {"pk": item["Key"], "PRCP": highest})

`python -m gristmill build app.py -o app.wasm` makes a component of it; `gristmill.testing` runs it on local files, in
ordinary Python, for pytest.
"""

from .block import Block
from .context import Context
from .failure import (
    DatabaseDenied,
    DatabaseInvalid,
    DatabaseTooLarge,
    DatabaseUnavailable,
    Failure,
    ObjectChanged,
    ObjectDenied,
    ObjectInvalid,
    ObjectNotFound,
    ObjectTooLarge,
    ObjectUnavailable,
    Reject,
    Retry,
)
from .objects import Object
from .plugin import Output, Plugin, plugin
from .scan import Scan
from .table import Table

__all__ = [
    "Block",
    "Context",
    "DatabaseDenied",
    "DatabaseInvalid",
    "DatabaseTooLarge",
    "DatabaseUnavailable",
    "Failure",
    "Object",
    "ObjectChanged",
    "ObjectDenied",
    "ObjectInvalid",
    "ObjectNotFound",
    "ObjectTooLarge",
    "ObjectUnavailable",
    "Output",
    "Plugin",
    "Reject",
    "Retry",
    "Scan",
    "Table",
    "plugin",
]
