"""The plugin as a whole, held to the Rust plugin's sample and golden files: one dataset, whatever the language."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from app import process

from gristmill import ObjectNotFound, Reject
from gristmill.testing import Result, run

PRECIPITATION = Path(__file__).parents[2] / "noaa-precipitation"


def golden(name: str) -> list[Any]:
    return [json.loads(line) for line in (PRECIPITATION / "golden" / name).read_text().splitlines()]


HEADER = "ID,DATE,ELEMENT,DATA_VALUE,M_FLAG,Q_FLAG,S_FLAG,OBS_TIME\n"
URI = "s3://weather/csv/by_station/GM000010962.csv"
ITEM = {"Etag": "x", "Key": "csv/by_station/GM000010962.csv", "LastModified": 1, "Size": 1, "StorageClass": "STANDARD"}


def item_with(content: bytes | str, **settings: Any) -> Result:
    return run(process, ITEM, batch_input={"Bucket": "weather"}, settings=settings, objects={URI: content})


def station(*rows: str) -> str:
    return HEADER + "".join(f"GM000010962,{row}\n" for row in rows)


def test_the_sample_gives_the_golden_rows() -> None:
    keys = sorted(p.relative_to(PRECIPITATION / "sample").as_posix() for p in PRECIPITATION.glob("sample/**/*.csv"))
    assert len(keys) == 8
    results = [run(process, {"Key": key}, batch_input={"Bucket": "sample"}, folder=PRECIPITATION) for key in keys]
    assert [row for result in results for row in result.rows["stations"]] == golden("stations.jsonl")


@pytest.mark.parametrize("case", golden("cases.jsonl"))
def test_every_object_of_the_golden_cases_gives_its_row_or_its_error(case: Any) -> None:
    if "code" in case:
        with pytest.raises(Reject) as caught:
            item_with(case["object"])
        assert caught.value.code == case["code"]
        assert caught.value.message.startswith(URI)
        assert case["says"] in caught.value.message
    else:
        result = item_with(case["object"])
        assert result.rows["stations"] == ([case["row"]] if case["row"] else [])
        assert result.value == case["counts"]


def test_the_highest_value_and_its_first_day() -> None:
    result = item_with(
        station(
            "18000103,PRCP,305,,,E,",
            "18000102,PRCP,305,,,E,",
            "18000101,TMAX,999,,,E,",
            "18000104,PRCP,-1,,,E,",
        )
    )
    assert result.rows == {"stations": [{"pk": "GM000010962", "PRCP": 305, "DATE": "1800-01-02"}]}
    assert result.value == {"rows": 4, "prcp_rows": 3, "flagged_skipped": 0, "missing_skipped": 0}


def test_a_flagged_value_counts_only_when_the_settings_say_so() -> None:
    content = station("20000229,PRCP,10,,,E,", "20000301,PRCP,9999,,X,E,")
    skipped, counted = item_with(content), item_with(content, include_flagged=True)
    assert skipped.rows["stations"] == [{"pk": "GM000010962", "PRCP": 10, "DATE": "2000-02-29"}]
    assert counted.rows["stations"] == [{"pk": "GM000010962", "PRCP": 9999, "DATE": "2000-03-01"}]
    assert skipped.value == {"rows": 2, "prcp_rows": 2, "flagged_skipped": 1, "missing_skipped": 0}
    assert counted.value == {"rows": 2, "prcp_rows": 2, "flagged_skipped": 0, "missing_skipped": 0}


@pytest.mark.parametrize("rows", [[], ["18000101,TMAX,1,,,E,"], ["18000101,PRCP,1,,X,E,"]])
def test_a_station_without_a_value_that_counts_has_no_row(rows: list[str]) -> None:
    result = item_with(station(*rows))
    assert result.rows == {"stations": []}
    assert result.value["rows"] == len(rows)


def test_quotes_line_ends_and_compression_change_nothing() -> None:
    plain = station("18000101,PRCP,7,,,E,", "18000102,TMAX,8,,,E,")
    expected = item_with(plain)
    assert expected.value["rows"] == 2
    assert item_with(plain.replace("GM000010962", '"GM000010962"')) == expected
    assert item_with(plain.replace("\n", "\r\n")) == expected
    assert item_with("\ufeff" + plain) == expected
    zipped = run(
        process,
        {"Key": "a.csv.gz"},
        batch_input={"Bucket": "weather"},
        objects={"s3://weather/a.csv.gz": gzip.compress(plain.encode())},
    )
    assert zipped == expected


def test_what_is_not_utf8_is_rejected() -> None:
    with pytest.raises(Reject, match=f"^NotUtf8: {URI}: line 3 is not UTF-8 .byte 0xff"):
        item_with(station("18000101,TMAX,1,,,E,").encode() + b"GM\xff\n")


@pytest.mark.parametrize(
    ("item", "batch_input", "code"),
    [
        (ITEM, None, "BadBatchInput"),
        (ITEM, {"bucket": "weather"}, "BadBatchInput"),
        ({"Size": 1}, {"Bucket": "weather"}, "BadItem"),
        ("csv/by_station/a.csv", {"Bucket": "weather"}, "BadItem"),
    ],
)
def test_an_item_that_names_no_object_is_rejected(item: Any, batch_input: Any, code: str) -> None:
    with pytest.raises(Reject) as caught:
        run(process, item, batch_input=batch_input, objects={URI: HEADER})
    assert caught.value.code == code


def test_a_missing_object_and_an_unknown_setting_are_named() -> None:
    with pytest.raises(ObjectNotFound, match=URI):
        run(process, ITEM, batch_input={"Bucket": "weather"})
    with pytest.raises(Reject, match="include_flaged.*did you mean include_flagged"):
        item_with(HEADER, include_flaged=True)


def test_the_schema_refuses_unknown_settings() -> None:
    assert process.settings_schema["additionalProperties"] is False
    assert list(process.settings_schema["properties"]) == ["include_flagged"]
