"""What becomes of an event that has arrived; the same as the Rust plugin's `logic/arrival.rs`."""

from __future__ import annotations

from collections.abc import Sequence

POINT, TIME = "unieke_id", "tijd_waarneming"
SPEED, OCCUPANCY = "voertuigsnelheid_rekenkundig_klasse2", "rekendata_bezettingsgraad"

LAST = 253_402_300_799
"""The last second of the year 9999. What is counted in milliseconds lies behind it."""


class Bad(Exception):
    """The end of a sentence about an event that nobody can place."""

    def __init__(self, row: int, what: str) -> None:
        super().__init__(what)
        self.row = row
        """Its place in its block, from 0."""


class Arrival:
    """Decides on events block by block, and counts them."""

    def __init__(self, points: Sequence[str] | None) -> None:
        self._points = None if points is None else frozenset(points)
        # Looking up is cheaper than parsing: many points measure in the same second.
        self._seconds: dict[str | None, int] = {}
        self.counts = {"events": 0, "invalid": 0, "not_configured": 0}

    def take(
        self, points: Sequence[str | None], occupancies: Sequence[float | None], times: Sequence[str | None]
    ) -> tuple[list[int], list[int]]:
        """The rows that are landed, and their seconds. What is left out may be as wrong as it likes."""
        configured, known = self._points, self._seconds
        rows, seconds, invalid = [], [], 0
        for row, (point, occupancy, time) in enumerate(zip(points, occupancies, times, strict=True)):
            if occupancy == -1.0:
                invalid += 1
                continue
            if not point:
                raise Bad(row, f"it has no `{POINT}`")
            if configured is not None and point not in configured:
                continue
            second = known.get(time)
            if second is None:
                second = known[time] = _second(row, time)
            rows.append(row)
            seconds.append(second)
        counts = self.counts
        counts["events"] += len(rows)
        counts["invalid"] += invalid
        counts["not_configured"] += len(points) - len(rows) - invalid
        return rows, seconds


def _second(row: int, time: str | None) -> int:
    if time is None:
        raise Bad(row, f"it has no `{TIME}`")
    if time.isascii() and time.isdigit() and len(time) < 20 and int(time) <= LAST:
        return int(time)
    why = "which is no whole number of seconds since 1970 up to the year 9999"
    raise Bad(row, f"its `{TIME}` is {time}, {why}")
