#!/bin/sh
# Installs what the tests against emulated AWS services need, into a folder of its own:
#
#     host/tests/emulator/setup.sh [TARGET]        (default: the project's target/)
#
#   TARGET/venv-emulator   Python: aws.py, lint_asl.py, pytest
#   TARGET/venv-moto       Python: moto.py
#   TARGET/node-linters    Node.js: asl-validator
#   TARGET/docker-registry Debian's docker-registry, unpacked: it is not installed, and no service is started
#   openssl                whose signatures are verified
#
# Each part is stamped with what it was made from, and made again only when that changes: a second run takes no time.
# As root on Debian it installs that, Python's venv module and npm if they are missing, and on any Debian it fetches
# docker-registry; elsewhere it says what is missing.
set -eu

ASL_VALIDATOR=asl-validator@4.0.0

here=$(cd "$(dirname "$0")" && pwd)
. "$here/install.sh"
mkdir -p "${1:-$here/../../../target}"
target=$(cd "${1:-$here/../../../target}" && pwd)

main() {
    alone
    venv emulator "$here/requirements.txt"
    venv moto "$here/requirements-moto.txt"
    node_linters
    need openssl openssl
    unpack docker-registry docker-registry
}

node_linters() {
    folder=$target/node-linters
    is_made "$folder" "$ASL_VALIDATOR" && return
    need node nodejs
    need npm npm
    rm -rf "$folder"
    mkdir -p "$folder"
    npm install --prefix "$folder" --silent --no-audit --no-fund --no-package-lock "$ASL_VALIDATOR"
    echo "$ASL_VALIDATOR" >"$folder/.stamp"
}

main
