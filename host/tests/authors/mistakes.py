"""What goes wrong while a plugin is written, an item for each. The sentences that its author sees are a snapshot."""

import os
import threading
import time

import columns
import handler

from gristmill import Reject, plugin

seen = 0


@plugin(
    name="mistakes",
    version="0.1.0",
    outputs={
        "rows": {"key": "text", "n": "int64", "x": "float64?"},
        "stations": {"pk": "text", "readings": "int64", "warmest": "float64?", "day": "date?"},
    },
)
def process(item, ctx):
    """Makes one mistake."""
    global seen
    key = item["Key"]
    # Two templates, so that they run in the sandbox and nothing is built for them alone.
    if key.startswith("readings/"):
        return (handler if key.endswith(".csv") else columns).process(item, ctx)
    match key:
        case "good":
            ctx.emit("rows", {"key": key, "n": 1})
        case "typo-in-output":
            ctx.emit("row", {"key": key, "n": 1})
        case "typo-in-column":
            ctx.emit("rows", {"key": key, "m": 1})
        case "wrong-type":
            ctx.emit("rows", {"key": key, "n": "1"})
        case "fraction":
            ctx.emit("rows", {"key": key, "n": 1.5})
        case "column-left-out":
            ctx.emit("rows", {"key": key})
        case "not-a-number":
            ctx.emit("rows", {"key": key, "n": 1, "x": float("nan")})
        case "another-items-key":
            ctx.emit("rows", {"key": "good", "n": 1})
        case "no-grant":
            ctx.open("s3://elsewhere/a.csv")
        case "no-object":
            ctx.open("s3://data/nope.csv")
        case "no-uri":
            ctx.open("data/a.csv")
        case "not-csv-column":
            list(ctx.open("s3://data/a.csv").csv().rows("temprature"))
        case "exception":
            {}["missing"]
        case "endless-loop":
            while True:
                pass
        case "too-much-memory":
            bytearray(1 << 30)
        case "late-import":
            import wsgiref.util
        case "a-file":
            open("/etc/hosts")
        case "environment":
            os.environ["TABLE"]
        case "setting":
            ctx.settings["limit"]
        case "a-thread":
            threading.Thread(target=print).start()
        case "large-result":
            return "x" * 5000
        case "no-json":
            return {1, 2}
        case "bad-code":
            raise Reject("bad header", "no")
        case "the-clock":
            ctx.emit("rows", {"key": key, "n": int(time.time())})
        case "state":
            seen += 1
            ctx.emit("rows", {"key": key, "n": seen})
        case "swallowed":
            try:
                n = sum(1 for _ in ctx.open("s3://data/a.csv").csv())
            except Exception:
                n = 0
            ctx.emit("rows", {"key": key, "n": n})
        case "made-a-reject":
            try:
                n = sum(1 for _ in ctx.open("s3://data/a.csv").csv())
            except Exception as error:
                raise Reject("Bad", str(error)) from None
            ctx.emit("rows", {"key": key, "n": n})
