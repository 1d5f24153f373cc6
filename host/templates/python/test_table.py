"""The plugin in ordinary Python: fast, with a debugger, and without the sandbox. Tables are given as rows."""

from app import process

from gristmill.testing import run

ITEM = {"Key": "readings/x.@ENDING@"}


def test_the_first_of_the_warmest_days_counts():
    days = [("2026-01-01", 1.5), ("2026-01-02", None), ("2026-01-03", 1.5)]
    readings = [{"station": "x", "day": day, "temperature": temperature} for day, temperature in days]
    result = run(process, ITEM, batch_input={"Bucket": "data"}, tables={"s3://data/readings/x.@ENDING@": readings})
    assert result.rows["stations"] == [{"pk": "x", "readings": 3, "warmest": 1.5, "day": "2026-01-01"}]
