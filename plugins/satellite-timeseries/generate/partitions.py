#!/usr/bin/env python3
"""Writes the items of stage 2, one line for each point that stage 1 left files of:

    partitions.py FOLDER [BUCKET]

FOLDER stands for the bucket; its name is the bucket's, unless another is given.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path


def main() -> None:
    folder = Path(sys.argv[1])
    bucket = sys.argv[2] if len(sys.argv) > 2 else folder.resolve().name
    found = defaultdict(list)
    for path in sorted(folder.glob("output/intermediate/point_id=*/*.parquet")):
        found[path.parent.name.partition("=")[2]].append(f"s3://{bucket}/{path.relative_to(folder)}")
    items = [{"partition": {"point_id": point}, "files": files} for point, files in sorted(found.items())]
    (folder / "partitions.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    print(f"{len(items)} points in {sum(map(len, found.values()))} files")


if __name__ == "__main__":
    main()
