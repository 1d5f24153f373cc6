#!/bin/sh
# Chromium, which looks at the status page (`make page-check`): as root on Debian it is installed, elsewhere this says what is missing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../emulator/install.sh"
mkdir -p "$here/../../../target"
target=$(cd "$here/../../../target" && pwd)

need chromium chromium
