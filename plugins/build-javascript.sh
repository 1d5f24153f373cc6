#!/bin/sh
# Builds JavaScript and TypeScript plugins: `plugins/build-javascript.sh NAME...` makes plugins/NAME/NAME.wasm from
# plugins/NAME/app.ts or app.js. Without names it builds all of them; with `--tools` it only prepares the tools.
# What has not changed since the last time is left alone.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
plugins=$root/plugins
sdk=$plugins/sdk/javascript
installed=$plugins/node_modules/.installed
compiled=$plugins/node_modules/.compiled

fail() {
    echo "build-javascript: $*" >&2
    exit 1
}

# With checksums: everything that is installed, and everything that the SDK is made of.
locked() (cd "$plugins" && cksum package-lock.json package.json .npmrc ./*/package.json sdk/javascript/package.json)
written() (cd "$sdk" && find bin src package.json tsconfig.json tsconfig.build.json -type f -exec cksum {} + | LC_ALL=C sort -k 3)

prepare() {
    node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null &&
        command -v npm >/dev/null ||
        fail "Node.js 20.19 or newer with npm is missing (node and npm on the PATH): see https://nodejs.org/en/download"
    if [ "$(locked)" != "$(cat "$installed" 2>/dev/null)" ]; then
        echo "build-javascript: preparing $plugins/node_modules" >&2
        (cd "$plugins" && npm ci --silent) || fail "npm could not install what $plugins/package-lock.json names"
        locked >"$installed"
    fi
    if [ "$(written)" != "$(cat "$compiled" 2>/dev/null)" ]; then
        rm -rf "$sdk/dist"
        (cd "$sdk" && npm run --silent build) || fail "the SDK does not compile"
        written >"$compiled"
    fi
}

sources() (
    cd "$root"
    cat "$installed" "$compiled"
    find wit "plugins/$1" -type f \( -name '*.[jt]s' -o -name '*.wit' -o -name '*.json' \) \
        ! -path '*/tests/*' ! -path '*/node_modules/*' -exec cksum {} + | LC_ALL=C sort -k 3
)

build() {
    folder=$plugins/$1
    target=$folder/$1.wasm
    app=app.ts
    [ -f "$folder/$app" ] || app=app.js
    [ -f "$folder/$app" ] || fail "plugins/$1/app.ts: there is no such file, nor an app.js"
    now=$(sources "$1")
    if [ -f "$target" ] && [ "$now" = "$(cat "$target.sources" 2>/dev/null)" ]; then
        echo "build-javascript: $1 is up to date"
        return
    fi
    rm -f "$target.sources"
    (cd "$folder" && "$plugins/node_modules/.bin/gristmill-build" "$app" --output "$1.wasm")
    printf '%s\n' "$now" >"$target.sources"
}

prepare
[ "${1-}" != --tools ] || exit 0
if [ $# = 0 ]; then
    for app in "$plugins"/*/app.[jt]s; do
        [ -f "$app" ] && set -- "$@" "$(basename "$(dirname "$app")")"
    done
fi
for name; do
    build "$name"
done
