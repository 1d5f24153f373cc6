#!/bin/sh
# Builds the plugin that only this benchmark has, into target/bench-copying.
set -eu
cd "$(dirname "$0")/../../../plugins"
# From there, for the flags that all guests are built with.
CARGO_TARGET_DIR=$PWD/../target/bench-copying \
    cargo build --locked --release --target wasm32-wasip2 --manifest-path ../host/benches/partitions/guest/Cargo.toml
