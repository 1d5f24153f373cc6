#!/bin/sh
# Installs PostgreSQL from Debian, if there is none. Neither a cluster is made nor a service started.
#
#     host/tests/postgres/install.sh [TARGET]        (default: the project's target/)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../emulator/install.sh"
mkdir -p "${1:-$here/../../../target}"
target=$(cd "${1:-$here/../../../target}" && pwd)

alone
need python3 python3
need openssl openssl
if ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 && ! command -v postgres >/dev/null; then
    # The server's package makes a cluster and starts it, unless the package before it is told not to.
    install_package postgresql-common
    sed -i "s/^#*create_main_cluster.*/create_main_cluster = false/" /etc/postgresql-common/createcluster.conf
    install_package postgresql
fi
