#!/bin/sh
# Makes target/venv-netcdf with the libraries that write such images, once per state of requirements.txt, and prints its Python.
set -eu
cd "$(dirname "$0")"
venv=$(cd ../../.. && pwd)/target/venv-netcdf
if ! cmp -s requirements.txt "$venv/stamp"; then
    command -v python3 >/dev/null || { echo "images are written by Python: apt-get install python3 python3-venv" >&2; exit 1; }
    rm -rf "$venv"
    python3 -m venv "$venv" || { echo "Python has no venv module: apt-get install python3-venv" >&2; exit 1; }
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt >&2
    cp requirements.txt "$venv/stamp"
fi
echo "$venv/bin/python"
