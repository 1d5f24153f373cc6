"""The warmest day of each weather station. An item is a CSV object, and one row comes of it."""

from gristmill import Reject, plugin


@plugin(
    name="@NAME@",
    version="0.1.0",
    outputs={"stations": {"pk": "text", "readings": "int64", "warmest": "float64?", "day": "date?"}},
)
def process(item, ctx):
    """The warmest day of each weather station."""
    table = ctx.open(ctx.uri(item)).csv()
    pk, readings, warmest, day = None, 0, None, None
    for line, (station, date, temperature) in table.rows("station", "day", "temperature"):
        pk, readings = pk or station, readings + 1
        # An empty field is a day without a measurement.
        if not temperature:
            continue
        value = number(temperature, f"{table.uri}: line {line}")
        if warmest is None or value > warmest:
            warmest, day = value, date
    if readings:
        ctx.emit("stations", {"pk": pk, "readings": readings, "warmest": warmest, "day": day})


def number(text, where):
    try:
        return float(text)
    except ValueError:
        raise Reject("BadValue", f"{where} has the temperature {text!r}, which is no number") from None
