# What the scripts of this folder have in common; it installs below $target, which they set.

# Two test runs may start at once: the second one waits for the first.
alone() {
    if command -v flock >/dev/null; then
        exec 9>"$target/.emulator-setup.lock"
        flock 9
    fi
}

# is_made FOLDER STAMP
is_made() {
    [ "$(cat "$1/.stamp" 2>/dev/null)" = "$2" ]
}

# need COMMAND PACKAGE
need() {
    command -v "$1" >/dev/null || install_package "$2"
}

# Python, and its module for virtual environments.
need_venv() {
    need python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_package python3-venv
}

# install_package PACKAGE: with apt-get where that is ours to do.
install_package() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "gristmill: $1 is missing: apt-get install $1" >&2
        exit 1
    fi
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1"; } >"$target/apt-get.log" 2>&1 || {
        echo "gristmill: $1 is missing, and apt-get install $1 failed: see $target/apt-get.log" >&2
        exit 1
    }
}
