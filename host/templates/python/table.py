"""The warmest day of each weather station. An item is a @KIND@ object, and one row comes of it."""

from gristmill import plugin


@plugin(
    name="@NAME@",
    version="0.1.0",
    outputs={"stations": {"pk": "text", "readings": "int64", "warmest": "float64?", "day": "date?"}},
)
def process(item, ctx):
    """The warmest day of each weather station."""
    pk, readings, warmest, day = None, 0, None, None
    # The host decodes the object, and reads only the columns that are asked for.
    for block in ctx.table(ctx.uri(item), {"station": "text", "day": "text", "temperature": "float64"}):
        for station, date, temperature in zip(block["station"], block["day"], block["temperature"], strict=True):
            pk, readings = pk or station, readings + 1
            # None is a day without a measurement.
            if temperature is not None and (warmest is None or temperature > warmest):
                warmest, day = temperature, date
    if readings:
        ctx.emit("stations", {"pk": pk, "readings": readings, "warmest": warmest, "day": day})
