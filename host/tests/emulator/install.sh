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

# venv NAME REQUIREMENTS: target/venv-NAME, with what that file pins.
venv() {
    folder=$target/venv-$1
    stamp=$(cksum <"$2")
    is_made "$folder" "$stamp" && return
    need_venv
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$2"
    echo "$stamp" >"$folder/.stamp"
}

# unpack PACKAGE COMMAND...: target/PACKAGE/usr/bin with these commands of a Debian package. It is not installed, and starts no
# service; what is installed already is taken instead.
unpack() {
    package=$1 folder=$target/$1
    shift
    is_made "$folder" unpacked && return
    rm -rf "$folder"
    mkdir -p "$folder/usr/bin"
    if is_installed "$@"; then
        for command in "$@"; do ln -s "$(command -v "$command")" "$folder/usr/bin/$command"; done
    elif command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
        [ "$(id -u)" != 0 ] || apt-get update >"$target/apt-get.log" 2>&1 || true
        { (cd "$folder" && apt-get download "$package") && dpkg-deb -x "$folder/$package"_*.deb "$folder"; } >>"$target/apt-get.log" 2>&1 || {
            echo "gristmill: $package is missing, and apt-get download $package failed: see $target/apt-get.log" >&2
            exit 1
        }
        rm "$folder/$package"_*.deb
    else
        echo "gristmill: $package is missing: apt-get install $package" >&2
        exit 1
    fi
    echo unpacked >"$folder/.stamp"
}

is_installed() {
    for command in "$@"; do command -v "$command" >/dev/null || return 1; done
}
