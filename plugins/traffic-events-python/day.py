"""The events of one day, point by point, with what went before; the same as the Rust plugin's `logic/day.rs`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from arrival import POINT, TIME, Bad
from rolling import PRECEDING, Speeds

DAY = 86_400
ENOUGH = 256
"""When so many seconds before the day are there, all but the last are forgotten."""

Values = tuple[float | None, float | None]


class Day:
    """All events of a day, and of each measuring point the last ones before it."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._events: defaultdict[str, dict[int, Values]] = defaultdict(dict)
        self._before: defaultdict[str, dict[int, float | None]] = defaultdict(dict)
        self.duplicates = 0
        """Events that were there more than once, and are left out."""

    @property
    def count(self) -> int:
        """How many measuring points there are."""
        return len(self._events)

    def add(
        self,
        points: Sequence[str | None],
        seconds: Sequence[int | None],
        speeds: Sequence[float | None],
        occupancies: Sequence[float | None],
    ) -> None:
        """Adds events of the day, in any order. Of those of one second the greatest speed stays, then the greatest occupancy."""
        first, end, events = self._first, self._first + DAY, self._events
        rows = zip(points, seconds, speeds, occupancies, strict=True)
        for row, (point, second, speed, occupancy) in enumerate(rows):
            if point is None or second is None:
                raise Bad(row, f"it has no `{POINT}` or no `{TIME}`")
            if not first <= second < end:
                raise Bad(row, f"it was at {second}, on another day")
            own, values = events[point], (speed, occupancy)
            if second in own:
                self.duplicates += 1
                values = max(own[second], values, key=_rank)
            own[second] = values

    def precede(
        self, points: Sequence[str | None], seconds: Sequence[int | None], speeds: Sequence[float | None]
    ) -> None:
        """Looks at events of a day before, in any order, when all events of the day are there."""
        first, events, before = self._first, self._events, self._before
        for row, (point, second, speed) in enumerate(zip(points, seconds, speeds, strict=True)):
            if point is None or second is None:
                raise Bad(row, f"it has no `{POINT}` or no `{TIME}`")
            if second >= first:
                raise Bad(row, f"it was at {second}, on no day before")
            if point not in events:
                continue
            own = before[point]
            own[second] = max(own[second], speed, key=_known) if second in own else speed
            if len(own) == ENOUGH:
                for old in sorted(own)[:-PRECEDING]:
                    del own[old]

    def points(self) -> Iterator[tuple[str, list[int], list[Values], Speeds]]:
        """Each point in the order of names: its seconds in order, their values, and the speeds that went before."""
        for point in sorted(self._events, key=str.encode):
            own = self._events[point]
            seconds = sorted(own)
            before = self._before.get(point, {})
            yield point, seconds, [own[second] for second in seconds], [before[at] for at in sorted(before)[-PRECEDING:]]


def _known(value: float | None) -> tuple[bool, float]:
    """A null is less than every value."""
    return (value is not None, value or 0.0)


def _rank(values: Values) -> tuple[tuple[bool, float], ...]:
    return tuple(map(_known, values))
