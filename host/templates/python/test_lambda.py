"""The ported handler in ordinary Python: fast, with a debugger, and without the sandbox or a mock of AWS."""

from app import process

from gristmill.testing import run

ITEM = {"Key": "readings/x.csv"}


def test_the_first_of_the_warmest_days_counts():
    text = "station,day,temperature\nx,2026-01-01,1.5\nx,2026-01-02,\nx,2026-01-03,1.5\n"
    result = run(process, ITEM, batch_input={"Bucket": "data"}, objects={"s3://data/readings/x.csv": text})
    day = {"pk": "readings/x.csv", "readings": 3, "warmest": 1.5, "day": "2026-01-01"}
    assert (result.rows["stations"], result.value) == ([day], {"readings": 3})
