#!/bin/sh
# Builds Python plugins: `plugins/build-python.sh NAME...` makes plugins/NAME/NAME.wasm from plugins/NAME/app.py.
# Without names it builds all of them; with `--venv` it only prepares the tools and prints where they are.
# What has not changed since the last time is left alone. GRISTMILL_VENV puts the tools elsewhere.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
sdk=$root/plugins/sdk/python
venv=${GRISTMILL_VENV:-$root/target/venv-componentize}

fail() {
    echo "build-python: $*" >&2
    exit 1
}

# The tools in a virtual environment, made again when the pinned versions change.
prepare() {
    cmp -s "$sdk/requirements.txt" "$venv/installed.txt" && "$venv/bin/python" -c '' 2>/dev/null && return
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        fail "Python 3.11 or newer is missing (python3 on the PATH)"
    # Debian and Ubuntu have a python3 that cannot make environments until python3-venv is there.
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        if [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ] && command -v apt-get >/dev/null; then
            echo "build-python: installing python3-venv"
            apt-get install -y --no-install-recommends python3-venv >/dev/null ||
                { apt-get update >/dev/null && apt-get install -y --no-install-recommends python3-venv >/dev/null; } ||
                fail "python3-venv could not be installed"
        else
            fail "python3-venv is missing: install it (Debian, Ubuntu: sudo apt-get install python3-venv)"
        fi
    fi
    echo "build-python: preparing $venv" >&2
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$sdk/requirements.txt" ||
        fail "pip could not install what $sdk/requirements.txt names"
    cp "$sdk/requirements.txt" "$venv/installed.txt"
}

# Everything that a component is made of, with checksums.
sources() (
    cd "$root"
    find wit plugins/sdk/python/src plugins/sdk/python/requirements.txt "plugins/$1" -type f \
        \( -name '*.py' -o -name '*.wit' -o -name requirements.txt \) ! -path '*/tests/*' -exec cksum {} + |
        LC_ALL=C sort -k 3
)

build() {
    folder=$root/plugins/$1
    target=$folder/$1.wasm
    [ -f "$folder/app.py" ] || fail "plugins/$1/app.py: there is no such file"
    now=$(sources "$1")
    if [ -f "$target" ] && [ "$now" = "$(cat "$target.sources" 2>/dev/null)" ]; then
        echo "build-python: $1 is up to date"
        return
    fi
    rm -f "$target.sources"
    PYTHONPATH=$sdk/src "$venv/bin/python" -m gristmill build "$folder/app.py" --output "$target"
    printf '%s\n' "$now" >"$target.sources"
}

prepare
if [ "${1-}" = --venv ]; then
    echo "$venv"
    exit
fi
if [ $# = 0 ]; then
    for app in "$root"/plugins/*/app.py; do
        [ -f "$app" ] && set -- "$@" "$(basename "$(dirname "$app")")"
    done
fi
for name; do
    build "$name"
done
