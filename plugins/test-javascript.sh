#!/bin/sh
# Tests the JavaScript SDK and every JavaScript plugin: types and vitest.
set -eu

plugins=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
"$plugins/build-javascript.sh" --tools
for folder in "$plugins"/sdk/javascript "$plugins"/*/; do
    if [ "${folder##*/}" = javascript ] || [ -f "$folder/app.ts" ] || [ -f "$folder/app.js" ]; then
        (cd "$folder" && npm test --silent)
    fi
done
