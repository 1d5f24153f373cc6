"""The logic alone, held to the plainest way to say it."""

from __future__ import annotations

import math
import random

import pytest
from day import ENOUGH, Day
from rolling import PRECEDING, averages, change, jam

MIDNIGHT = 1_774_742_400


def plain(speeds: list[float | None], before: int, window: int) -> list[float | None]:
    found = []
    for end in range(before, len(speeds)):
        known = [speed for speed in speeds[max(end + 1 - window, 0) : end + 1] if speed is not None]
        found.append(math.fsum(known) / len(known) if known else None)
    return found


@pytest.mark.parametrize("seed", range(30))
def test_averages_are_those_of_the_definition(seed: int) -> None:
    chance = random.Random(seed)
    # Sums of eighths are exact, whatever their order.
    speeds = [None if chance.random() < 0.2 else chance.randrange(2000) / 8 for _ in range(chance.randrange(70))]
    before = min(chance.randrange(PRECEDING + 1), len(speeds))
    assert averages(speeds, before) == (plain(speeds, before, 3), plain(speeds, before, 20))


def test_there_is_no_gap_between_the_bands() -> None:
    speeds = (40.0, math.nextafter(40.0, 41.0), 40.5, 41.0, 250.0, 250.5, 0.0, -0.125, None)
    assert [jam(speed) for speed in speeds] == [1, 0, 0, 0, 0, -1, 1, -1, -1]


def test_a_change_needs_both_speeds() -> None:
    pairs = [(50.0, 70.0), (50.0, 69.875), (50.0, 30.0), (50.0, 30.125), (None, 70.0), (50.0, None)]
    assert [change(*pair) for pair in pairs] == [1, 0, -1, 0, 0, 0]


@pytest.mark.parametrize("seed", range(10))
def test_neither_order_nor_repetition_matters(seed: int) -> None:
    chance = random.Random(seed)
    value = lambda: None if chance.random() < 0.3 else float(chance.randrange(3))  # noqa: E731
    events = [("one", MIDNIGHT + chance.randrange(30), value(), value()) for _ in range(50)]
    before = [("one", MIDNIGHT - 1 - chance.randrange(2 * ENOUGH), value()) for _ in range(3 * ENOUGH)]
    found = []
    for _ in range(2):
        day = Day(MIDNIGHT)
        day.add(*map(list, zip(*events, strict=True)))
        day.precede(*map(list, zip(*before, strict=True)))
        found.append((list(day.points()), day.duplicates))
        chance.shuffle(events)
        chance.shuffle(before)
    assert found[0] == found[1]
    ((_, seconds, values, speeds),), duplicates = found[0]
    assert seconds == sorted({second for _, second, _, _ in events})
    assert duplicates == len(events) - len(seconds)
    known = lambda number: -1.0 if number is None else number  # noqa: E731
    assert values == [
        max(((speed, occupancy) for _, at, speed, occupancy in events if at == second), key=lambda two: tuple(map(known, two)))
        for second in seconds
    ]
    last = sorted({second for _, second, _ in before})[-PRECEDING:]
    assert speeds == [max((speed for _, at, speed in before if at == second), key=known) for second in last]
