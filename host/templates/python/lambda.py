"""The warmest day of each weather station: a Lambda function's handler, ported line by line.

The handler, as the item processor of a Distributed Map with an `ItemBatcher`:

    import csv, io, os
    import boto3

    s3 = boto3.client("s3")                                                  # (1)
    table = boto3.resource("dynamodb").Table(os.environ["TABLE"])            # (2)

    def handler(event, context):
        for item in event["Items"]:                                          # (3)
            bucket = event["BatchInput"]["Bucket"]                           # (4)
            body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"]     # (5)
            readings, warmest, day = 0, None, None
            for row in csv.DictReader(io.TextIOWrapper(body)):               # (6)
                readings += 1
                if row["temperature"]:
                    value = float(row["temperature"])
                    if warmest is None or value > warmest:
                        warmest, day = value, row["day"]
            table.put_item(Item={                                            # (7)
                "pk": item["Key"], "readings": readings,
                "warmest": Decimal(str(warmest)), "day": day,
            })
            print(item["Key"], readings)                                     # (8)
        return {"done": len(event["Items"])}                                 # (9)
"""

from gristmill import plugin


# (1) There is no client: `[grants]` in dataset.toml says what may be read, and no credentials come in here.
# (2) Nor is there a table: an output is declared here, and `[[output]]` in dataset.toml says into which table it goes.
#     Variables of the environment are settings: `settings={...}` here, `[settings]` in dataset.toml, `ctx.settings["..."]`.
@plugin(
    name="@NAME@",
    version="0.1.0",
    outputs={"stations": {"pk": "text", "readings": "int64", "warmest": "float64?", "day": "date?"}},
)
# (3) The loop over `event["Items"]` is the host's: it calls this once for each item, so one bad item costs only itself.
def process(item, ctx):
    """The warmest day of each weather station."""
    # (4) `event["BatchInput"]` is `ctx.batch_input`; `ctx.uri(item)` puts its Bucket and the item's Key together.
    # (5) `get_object` is `ctx.open`. It is streamed, and a store that does not answer repeats the item by itself.
    body = ctx.open(ctx.uri(item))
    readings, warmest, day = 0, None, None
    # (6) `csv.DictReader(...)` is `.csv()`. Lines of text are `.lines()`, bytes are `.chunks()`, and .gz is unpacked.
    for row in body.csv():
        readings += 1
        if row["temperature"]:
            value = float(row["temperature"])
            if warmest is None or value > warmest:
                warmest, day = value, row["day"]
    # (7) `put_item` is `ctx.emit`. Rows appear when the whole batch is done, and numbers need no Decimal.
    ctx.emit("stations", {"pk": item["Key"], "readings": readings, "warmest": warmest, "day": day})
    # (8) `print` and `logging` go to the worker's log, with the item's name.
    print(item["Key"], readings)
    # (9) What is returned is the item's own entry in the batch's report. To fail one, raise Reject or Retry.
    return {"readings": readings}
