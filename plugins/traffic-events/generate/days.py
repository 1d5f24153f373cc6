#!/usr/bin/env python3
"""Lists the days of landed events as items of the second stage, one a line: days.py BUCKET_FOLDER PREFIX > days.jsonl

A day has the files of the day before with it. BUCKET_FOLDER stands for the bucket.
"""

import json
import sys
from datetime import date, timedelta
from pathlib import Path


def main() -> None:
    bucket, prefix = Path(sys.argv[1]), sys.argv[2]
    files: dict[date, list[str]] = {}
    for file in sorted((bucket / prefix).glob("year=*/month=*/day=*/*.parquet")):
        year, month, day = (int(part.partition("=")[2]) for part in file.parts[-4:-1])
        files.setdefault(date(year, month, day), []).append(f"s3://{bucket.name}/{file.relative_to(bucket).as_posix()}")
    for day in sorted(files):
        partition = {"year": f"{day:%Y}", "month": f"{day:%m}", "day": f"{day:%d}"}
        item = {"partition": partition, "files": files[day], "before": files.get(day - timedelta(days=1), [])}
        print(json.dumps(item))


if __name__ == "__main__":
    main()
