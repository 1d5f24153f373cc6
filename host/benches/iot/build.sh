#!/bin/sh
# Builds the two plugins that only this benchmark has: target/bench-decoding (Rust) and target/bench-columns.wasm (Python).
set -eu
cd "$(dirname "$0")/../../.."
# From there, for the flags that all guests are built with.
(cd plugins && CARGO_TARGET_DIR=$PWD/../target/bench-decoding \
    cargo build --locked --release --target wasm32-wasip2 --manifest-path ../host/benches/iot/guest/Cargo.toml)
python=$(plugins/build-python.sh --venv)/bin/python
if [ ! -f target/bench-columns.wasm ] || [ -n "$(find host/benches/iot/python plugins/sdk/python/src wit -newer target/bench-columns.wasm -name '*.[pw]*')" ]; then
    PYTHONPATH=plugins/sdk/python/src "$python" -m gristmill build host/benches/iot/python/app.py --output target/bench-columns.wasm
fi
