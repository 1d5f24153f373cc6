"""The plugin as a whole at the desk: both stages after each other, and what is bad."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from app import process

from gristmill import Reject
from gristmill.testing import Result, run

RUST = Path(__file__).parents[2] / "traffic-events"
MIDNIGHT = 1_774_742_400  # 2026-03-29T00:00:00Z, an hour before the clocks of Europe go forward
NAMES = ("unieke_id", "tijd_waarneming", "voertuigsnelheid_rekenkundig_klasse2", "rekendata_bezettingsgraad")
URI = "s3://data/arrived/year=2026/month=03/day=29/hour=00/a.jsonl"


def event(point: Any, time: Any, speed: Any = 50.0, occupancy: Any = 3.0) -> dict[str, Any]:
    return dict(zip(NAMES, (point, time, speed, occupancy), strict=True))


def landed(*events: dict[str, Any], **settings: Any) -> Result:
    return run(process, {"uri": URI}, settings=settings, tables={URI: events})


def rolled(events: list[Any], before: list[Any] = (), day: str = "29") -> Result:
    item = {
        "partition": {"year": "2026", "month": "03", "day": day},
        "files": ["s3://data/day"] if events else [],
        "before": ["s3://data/before"] if before else [],
    }
    return run(process, item, tables={"s3://data/day": events, "s3://data/before": before})


def golden() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RUST / "golden" / "traffic.jsonl").read_text().splitlines()]


def test_days_that_follow_each_other_give_the_golden_rows() -> None:
    """The golden rows have what was measured, too. Landing it twice in another order changes nothing."""
    days: defaultdict[str, list[Any]] = defaultdict(list)
    for row in reversed(golden()):
        at = row["recordTimestamp"]
        second = int(at[8:10]) * 86_400 + int(at[11:13]) * 3_600 + int(at[14:16]) * 60 + MIDNIGHT - 29 * 86_400
        days[at[8:10]].append(event(row["uniqueId"], str(second), row["currentSpeed"], row["bezettingsgraad"]))
    events = {day: landed(*own, *own[::3]).rows["events"] for day, own in days.items()}
    first, second = rolled(events["28"], day="28"), rolled(events["29"], events["28"])
    rows = sorted(first.rows["traffic"] + second.rows["traffic"], key=lambda row: (row["uniqueId"], row["recordTimestamp"]))
    for row in rows:
        row["recordTimestamp"] = row["recordTimestamp"].replace("+00:00", "Z")
    assert list(map(repr, rows)) == list(map(repr, golden()))
    assert second.value["duplicates"] == -(-len(days["29"]) // 3)


def test_what_nobody_wants_is_counted() -> None:
    result = landed(
        event("a", MIDNIGHT),
        event("b", "soon"),
        event(None, None, occupancy=-1.0),
        event("a", str(MIDNIGHT - 1), None, None),
        points=["a"],
    )
    assert result.value == {"events": 2, "invalid": 1, "not_configured": 1}
    assert [row["tijd_waarneming"] for row in result.rows["events"]] == [MIDNIGHT, MIDNIGHT - 1]
    assert [row["recordTimestamp"] for row in result.rows["events"]] == [
        "2026-03-29T00:00:00+00:00",
        "2026-03-28T23:59:59+00:00",
    ]
    assert result.counts == {"traffic_events_landed": 2, "traffic_events_invalid": 1, "traffic_events_not_configured": 1}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (event("a", None), "it has no `tijd_waarneming`"),
        (event(None, MIDNIGHT), "it has no `unieke_id`"),
        *[
            (
                event("a", text),
                f"its `tijd_waarneming` is {text}, which is no whole number of seconds since 1970 up to the year 9999",
            )
            for text in ("soon", "", "-1", "1.5", "1774742400.0", "1774742400000", "1" * 30)
        ],
    ],
)
def test_a_bad_event_is_named_by_its_row(bad: dict[str, Any], why: str) -> None:
    with pytest.raises(Reject) as caught:
        landed(event("a", MIDNIGHT), bad)
    assert (caught.value.code, caught.value.message) == ("BadEvent", f"{URI}, row 2: {why}")


def test_a_landed_event_of_another_day_is_named() -> None:
    with pytest.raises(Reject, match="s3://data/day, row 1: it was at 1774742399, on another day"):
        rolled([event("a", MIDNIGHT - 1)])
    with pytest.raises(Reject, match="s3://data/before, row 2: it was at 1774742400, on no day before"):
        rolled([event("a", MIDNIGHT)], [event("a", MIDNIGHT - 1), event("a", MIDNIGHT)])


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (1, "it is no object but 1"),
        ({"files": []}, "it is neither an object (`Key`, `uri`) nor a day of landed events (`partition`, `files`)"),
        ({"uri": 1}, "`uri` is no text but 1"),
        ({"partition": {"year": "2026", "month": "02", "day": "29"}, "files": []}, "there is no day year=2026/month=02/day=29"),
        ({"partition": {"year": "2026"}, "files": []}, "`partition` has no `year`, `month` and `day` in digits but is {\"year\": \"2026\"}"),
        ({"partition": {"year": "2026", "month": "03", "day": "29"}}, "`files` is no list of texts but null"),
    ],
)
def test_what_is_no_item_is_said_to_be_none(item: Any, message: str) -> None:
    with pytest.raises(Reject) as caught:
        run(process, item)
    assert (caught.value.code, caught.value.message) == ("BadItem", message)
