#!/bin/sh
# Tests the JavaScript SDK and every JavaScript plugin: their form, types and vitest.
set -eu

plugins=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
"$plugins/build-javascript.sh" --tools
(cd "$plugins" && npm run --silent format:check) ||
    { echo "test-javascript: mend this by 'npm run format' in plugins/" >&2; exit 1; }
for folder in "$plugins"/sdk/javascript "$plugins"/*/; do
    if [ "${folder##*/}" = javascript ] || [ -f "$folder/app.ts" ] || [ -f "$folder/app.js" ]; then
        (cd "$folder" && npm test --silent)
    fi
done
