#!/bin/sh
# Installs what `make deploy-check` needs beside the emulator (host/tests/emulator/setup.sh), each into a folder of its own:
#
#     deploy/check/setup.sh [TARGET]        (default: the project's target/)
#
#   TARGET/venv-deploy   Python: checkov, parliament, the AWS CLI
#   TARGET/prometheus    Debian's promtool and prometheus, unpacked: nothing is installed, and no service is started
#
# Each part is stamped with what it was made from, and made again only when that changes: a second run takes no time.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../host/tests/emulator/install.sh"
mkdir -p "${1:-$here/../../target}"
target=$(cd "${1:-$here/../../target}" && pwd)

alone
# Most of their modules are never imported: compiling all of them takes longer than compiling those that are. "no" is how pip wants
# its negative options switched on from the environment.
PIP_NO_COMPILE=no venv deploy "$here/requirements.txt"
unpack prometheus promtool prometheus
