"""The plugin in ordinary Python: fast, with a debugger, and without the sandbox."""

import pytest
from app import process

from gristmill import Reject
from gristmill.testing import run

ITEM = {"Key": "readings/x.csv"}


def of(text):
    return run(process, ITEM, batch_input={"Bucket": "data"}, objects={"s3://data/readings/x.csv": text})


def test_the_first_of_the_warmest_days_counts():
    result = of("station,day,temperature\nx,2026-01-01,1.5\nx,2026-01-02,\nx,2026-01-03,1.5\n")
    assert result.rows["stations"] == [{"pk": "x", "readings": 3, "warmest": 1.5, "day": "2026-01-01"}]


def test_what_is_no_number_rejects_the_item():
    with pytest.raises(Reject, match="BadValue.*line 2.*'warm'"):
        of("station,day,temperature\nx,2026-01-01,warm\n")
