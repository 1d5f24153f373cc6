"""The logic against the plainest way to say the same."""

from __future__ import annotations

import random

import pytest
from logic import highest_precipitation


@pytest.mark.parametrize("seed", range(20))
def test_it_agrees_with_a_sort(seed: int) -> None:
    chance = random.Random(seed)
    rows = [
        ("S1", f"19{chance.randrange(100):02}{chance.randint(1, 12):02}{chance.randint(1, 28):02}", value, flag)
        for value, flag in (
            (str(chance.randint(-3, 3)), chance.choice(["", "", "X"])) for _ in range(chance.randrange(40))
        )
    ]
    for include in (False, True):
        counting = [(-int(v), day) for _, day, v, flag in rows if include or not flag]
        found = highest_precipitation(enumerate(rows, 2), "a.csv", include_flagged=include)
        assert found.prcp_rows == len(rows)
        assert found.flagged_skipped == (0 if include else sum(flag == "X" for *_, flag in rows))
        if counting:
            negative, day = min(counting)
            assert (found.station, found.highest, found.date.replace("-", "")) == ("S1", -negative, day)
        else:
            assert found.station is None
