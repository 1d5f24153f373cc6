#!/usr/bin/env python3
"""The parameters of dataset.yaml that a dataset file says: what its machine and its workers may reach, and no more.

    deploy/parameters.py plugins/noaa-precipitation
    aws cloudformation deploy ... --parameter-overrides $(deploy/parameters.py plugins/noaa-precipitation)

Variables (`${DATA_BUCKET}`) have their values from the environment. Of a place with a template (`{$.day}`) the part before it
counts. A key that is an int64 is not in the dataset file: add KeyType=N, or SortKeyType=N. Needs Python 3.11.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

# Readers whose value is a place in S3. The others make their items of nothing.
READERS = ("list_objects", "csv", "json", "json_lines", "athena_files", "athena_rows", "parquet", "s3_inventory")


class Unfit(Exception):
    """A dataset that dataset.yaml cannot hold as it is."""


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: deploy/parameters.py DATASET", file=sys.stderr)
        return 2
    path = Path(sys.argv[1])
    file = path / "dataset.toml" if path.is_dir() else path
    try:
        dataset = substituted(tomllib.loads(file.read_text()))
        words = [f"{name}={value}" for name, value in parameters(dataset).items() if value]
    except (OSError, tomllib.TOMLDecodeError, Unfit) as error:
        print(f"error: {file}: {error}", file=sys.stderr)
        return 1
    if odd := [word for word in words if re.search(r"\s", word)]:
        print(f"error: {file}: a blank in {odd[0]!r} would end the word: type this parameter yourself", file=sys.stderr)
        return 1
    print("\n".join(words))
    return 0


def substituted(node: Any) -> Any:
    """Every text with the values of its variables."""
    if isinstance(node, dict):
        return {name: substituted(inner) for name, inner in node.items()}
    if isinstance(node, list):
        return [substituted(inner) for inner in node]
    if not isinstance(node, str):
        return node

    def value(found: re.Match[str]) -> str:
        if (given := os.environ.get(found[1])) is None:
            raise Unfit(f"the variable {found[1]} has no value: export {found[1]}=...")
        return given

    return re.sub(r"\$\{(\w+)\}", value, node)


def parameters(dataset: dict[str, Any]) -> dict[str, str]:
    place_of_items = [place for name, place in reader(dataset).items() if name in READERS]
    data_bucket, data_prefix = shared("reads", [*place_of_items, *dataset.get("grants", {}).get("read", [])])
    outputs = dataset.get("output", [])
    places = {
        "OutputPrefix": [output["prefix"] for output in outputs if "prefix" in output],
        "ReportsPrefix": listed(dataset.get("map", {}).get("reports")),
        "ResultPrefix": listed(dataset.get("map", {}).get("result_writer")),
    }
    shared_places = {name: shared("writes", uris) for name, uris in places.items() if uris}
    buckets = {bucket for bucket, _ in shared_places.values()}
    if len(buckets) > 1:
        raise Unfit(f"it writes to several buckets ({', '.join(sorted(buckets))}); dataset.yaml has one")
    tables = [output for output in outputs if "table" in output]
    if len(tables) > 1:
        raise Unfit("it has several tables; dataset.yaml makes one. Add the others to a copy of it")
    key = [*tables[0]["key"], "", ""] if tables else ["", ""]
    return {
        "Dataset": dataset["dataset"],
        "DataBucket": data_bucket,
        "DataPrefix": data_prefix,
        "OutputBucket": "".join(buckets - {data_bucket}),
        # Nothing would be no permission at all.
        **{name: prefix or "*" for name, (_, prefix) in shared_places.items()},
        "Table": tables[0]["table"] if tables else "",
        "Key": key[0],
        "SortKey": key[1],
    }


def reader(dataset: dict[str, Any]) -> dict[str, Any]:
    found = dataset.get("map", {}).get("item_reader", {})
    return found if isinstance(found, dict) else {}


def listed(place: str | None) -> list[str]:
    return [place] if place else []


def shared(does: str, uris: list[str]) -> tuple[str, str]:
    """The bucket of these places, and what their keys begin with."""
    known = [re.sub(r"\{\$.*", "", uri).removeprefix("s3://") for uri in uris]
    buckets = {uri.split("/", 1)[0] for uri in known}
    if len(buckets) != 1 or "" in buckets:
        places = " and ".join(sorted(uris)) or "nothing in S3"
        raise Unfit(f"it {does} {places}; dataset.yaml wants one bucket. Change a copy of it")
    return buckets.pop(), os.path.commonprefix([uri.partition("/")[2] for uri in known])


if __name__ == "__main__":
    sys.exit(main())
