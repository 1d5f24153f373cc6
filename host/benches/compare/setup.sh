#!/bin/sh
# Makes target/venv-bench with the opponents as pinned, once per state of requirements.txt, and prints its Python.
set -eu
cd "$(dirname "$0")"
venv=$(cd ../../.. && pwd)/target/venv-bench
if ! cmp -s requirements.txt "$venv/stamp"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement requirements.txt >&2
    cp requirements.txt "$venv/stamp"
fi
echo "$venv/bin/python"
