"""What a dataset file says about permissions becomes the parameters of dataset.yaml, or a reason why not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from template import FOLDER, read

READS = 'dataset = "d"\n[grants]\nread = ["s3://in/a/x/"]\n[map]\nitem_reader = { list_objects = "s3://in/a/y/" }\n'


def printed(dataset: Path, **variables: str) -> tuple[int, list[str], str]:
    ran = subprocess.run(
        [sys.executable, FOLDER / "parameters.py", dataset], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], **variables})
    return ran.returncode, ran.stdout.split(), ran.stderr


def test_the_plugins_of_this_repository() -> None:
    code, words, _ = printed(ROOT / "plugins/iot-anomalies", DATA_BUCKET="sensors")
    assert (code, words) == (0, [
        "Dataset=iot-anomalies", "DataBucket=sensors", "Table=iot-anomalies", "Key=deviceid", "SortKey=readingtimestamp"])
    known = read(FOLDER / "dataset.yaml")["Parameters"]
    code, words, _ = printed(ROOT / "plugins/noaa-precipitation", DATA_BUCKET="ghcn")
    assert code == 0 and {word.split("=")[0] for word in words} <= set(known)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", ["Dataset=d", "DataBucket=in", "DataPrefix=a/"]),
        ('reports = "s3://in/r/{$.day}/"\n', ["Dataset=d", "DataBucket=in", "DataPrefix=a/", "ReportsPrefix=r/"]),
        (
            'result_writer = "s3://out/w/"\n[[output]]\nname = "o"\nprefix = "s3://out/{$.day}/o/"\n[[output]]\nname = "p"\n'
            'prefix = "s3://out/p/"\n',
            ["Dataset=d", "DataBucket=in", "DataPrefix=a/", "OutputBucket=out", "OutputPrefix=*", "ResultPrefix=w/"],
        ),
    ],
)
def test_places(tmp_path: Path, more: str, expected: list[str]) -> None:
    file = tmp_path / "dataset.toml"
    file.write_text(READS + more)
    code, words, said = printed(tmp_path)
    assert (code, words) == (0, expected), said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (READS.replace("in/a/x", "other/a"), "dataset.yaml wants one bucket"),
        (READS.replace("s3://in/a/x/", "s3://${NOWHERE}/"), "the variable NOWHERE has no value"),
        (READS.replace("in/a/x/", "in/a b/").replace("a/y", "a b"), "a blank"),
        (READS + "".join(f'[[output]]\nname = "{n}"\ntable = "{n}"\nkey = ["k"]\n' for n in "ab"), "several tables"),
        ("dataset = ", "error"),
        ('dataset = "d"\n', "nothing in S3"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "dataset.toml").write_text(text)
    code, words, error = printed(tmp_path)
    assert code == 1 and words == []
    assert said in error and "Traceback" not in error
