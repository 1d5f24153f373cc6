#!/bin/sh
# Builds Rust guests to components: plugins/NAME/NAME.wasm, beside the dataset file.
#
#   plugins/build.sh [NAME...]     (all of them by default)
#
# What users have is a rustup toolchain with the target wasm32-wasip2; it is added if it is missing. Where that cannot be
# done (no rustup, no network) and this is root on Debian, Debian's own Rust for the web serves, by its package names.
set -eu
cd "$(dirname "$0")"

target=wasm32-wasip2
debian_packages="rustc-web cargo-web rust-web-src rust-web-llvm lld-22 wasi-libc"
build_directory=${CARGO_TARGET_DIR:-target}

say() { printf '%s\n' "plugins: $*" >&2; }

has_target() {
    directory=$(rustc --print target-libdir --target "$target" 2>/dev/null) && [ -d "$directory" ]
}

add_target() {
    command -v rustup >/dev/null && say "adding the target $target" && rustup --quiet target add "$target"
}

has_debian_rust() {
    [ -x /usr/bin/cargo ] && [ -d /usr/lib/wasm32-wasi ] && command -v wasm-ld-22 >/dev/null
}

add_debian_rust() {
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
    say "adding Debian's Rust for the web"
    # shellcheck disable=SC2086 # a list of names
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $debian_packages; } >/dev/null
}

# GUEST_RUST=rustup or GUEST_RUST=debian takes that one or fails.
choose_rust() {
    case ${GUEST_RUST:-any} in rustup | any)
        if has_target || add_target; then rust=rustup; return; fi ;;
    esac
    case ${GUEST_RUST:-any} in debian | any)
        if has_debian_rust || add_debian_rust; then rust=debian; return; fi ;;
    esac
    say "no Rust for $target here: run 'rustup target add $target', or as root 'apt-get install $debian_packages'"
    exit 1
}

build() {
    if [ "$rust" = rustup ]; then
        cargo build --release --target "$target" "$@"
    else
        # Debian has the target's standard library as source, and nightly switches are how cargo builds it.
        build_directory=$build_directory/debian
        env -u RUSTUP_TOOLCHAIN PATH="/usr/bin:$PATH" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$build_directory" \
            CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="-L /usr/lib/wasm32-wasi" \
            /usr/bin/cargo build -Zbuild-std=std,panic_abort --release --target "$target" "$@"
    fi
}

[ $# -gt 0 ] || set -- $(ls -d */Cargo.toml | xargs -n 1 dirname)
packages=
for name; do packages="$packages -p $name"; done

choose_rust
# shellcheck disable=SC2086 # a list of options
build $packages
for name; do
    made=$build_directory/$target/release/$(echo "$name" | tr - _).wasm
    # An unchanged component keeps its time, so that nothing that depends on it is made again.
    cmp -s "$made" "$name/$name.wasm" || cp "$made" "$name/$name.wasm"
    say "$name/$name.wasm ($(($(wc -c <"$name/$name.wasm") / 1024)) KiB)"
done
