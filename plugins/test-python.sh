#!/bin/sh
# Tests the Python SDK and every Python plugin, each in a process of its own: all of them have a module `app`.
set -eu

plugins=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
venv=$("$plugins/build-python.sh" --venv)
for folder in "$plugins"/sdk/python "$plugins"/*/; do
    if [ "${folder##*/}" = python ] || [ -f "$folder/app.py" ]; then
        (cd "$folder" && "$venv/bin/python" -m pytest --quiet)
    fi
done
