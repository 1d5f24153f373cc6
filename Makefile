# Every command of the documents. `make demo` and `make test` are the whole set-up on a fresh machine: both install what they
# need by name from the ordinary registries, or say in one line what is missing.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

# How much data the demo and the benchmarks make.
STATIONS ?= 1000
SIZE ?= 100MB
BENCH_SIZE ?= 500MB
BATCHES ?= 200000
READINGS ?= 2000
SENSOR_FILES ?= 1000
TRAFFIC_EVENTS ?= 50000000
TRAFFIC_POINTS ?= 4000
INGEST_ROWS ?= 100000
SEED ?= 1
PARTITIONS ?= 5000
PARTITION_ROWS ?= 20000000

# How long each fuzz target runs, in seconds.
FUZZ_TIME ?= 60

DEMO := work/demo
GRISTMILL := target/release/gristmill
# What the tests build too. The demo takes seconds with it, and half as long to build as with the optimized one.
QUICK := target/debug/gristmill
VENV := target/venv-emulator/bin/python
GENERATE := plugins/target/release/ghcn-generate
NOAA := plugins/noaa-precipitation/dataset.toml
IOT := plugins/iot-anomalies
TRAFFIC := plugins/traffic-events
SATELLITE := plugins/satellite-timeseries
INGEST := plugins/incremental-ingest
BENCH := work/bench
BENCH_DATA := $(BENCH)/ghcn-$(STATIONS)-$(BENCH_SIZE)-$(SEED)
STATION_FILES := $(BENCH_DATA)/csv/by_station
SENSORS := $(BENCH)/sensors-$(SENSOR_FILES)-$(SEED)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- run -------------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: quick plugin-noaa-precipitation sample ## the highest precipitation of 1,000 stations, on this machine
	$(QUICK) map $(NOAA) --local $(DEMO) --set DATA_BUCKET=ghcn

.PHONY: sample
sample: $(DEMO)/.sample-$(STATIONS)-$(SIZE)-$(SEED)

$(DEMO)/.sample-$(STATIONS)-$(SIZE)-$(SEED): | generator
	rm -rf $(DEMO)/s3/ghcn $(DEMO)/.sample-*
	$(GENERATE) --stations $(STATIONS) --size $(SIZE) --seed $(SEED) $(DEMO)/s3/ghcn
	touch $@

.PHONY: demo-iot
demo-iot: quick plugin-iot-anomalies readings ## sensors' readings that leave their thresholds, out of 50 Parquet files
	$(QUICK) map $(IOT)/dataset.toml --local $(DEMO) --set DATA_BUCKET=sensors
	@python3 $(IOT)/generate/show.py $(DEMO)/tables.sqlite

.PHONY: readings
readings: $(DEMO)/.readings-$(READINGS)-$(SEED)

# Parquet is written by its own library, so that it is not our writer whose files our reader reads.
$(DEMO)/.readings-$(READINGS)-$(SEED):
	rm -rf $(DEMO)/s3/sensors $(DEMO)/.readings-*
	"$$($(IOT)/generate/setup.sh)" $(IOT)/generate/generate.py $(DEMO)/s3/sensors --files 50 --rows $(READINGS) --seed $(SEED)
	touch $@

.PHONY: demo-traffic
demo-traffic: quick plugin-traffic-events arrivals ## traffic events that arrive late, by the hour in which they happened, in two stages
	$(QUICK) map $(TRAFFIC) --local $(DEMO) --set DATA_BUCKET=traffic --input '{"arrived": "year="}'
	@"$$($(IOT)/generate/setup.sh)" $(TRAFFIC)/generate/show.py $(DEMO)/s3/traffic/output/traffic

.PHONY: arrivals
arrivals: $(DEMO)/.arrivals-$(SEED)

$(DEMO)/.arrivals-$(SEED):
	rm -rf $(DEMO)/s3/traffic $(DEMO)/.arrivals-*
	"$$($(IOT)/generate/setup.sh)" $(TRAFFIC)/generate/generate.py $(DEMO)/s3/traffic/arrived --seed $(SEED)
	touch $@

.PHONY: demo-satellite
demo-satellite: quick plugin-satellite-timeseries $(DEMO)/.images ## 100 points out of 192 weather-satellite images, then a series of each
	$(QUICK) map $(SATELLITE) --local $(DEMO) --set DATA_BUCKET=satellite
	@"$$($(SATELLITE)/generate/setup.sh)" $(SATELLITE)/generate/show.py $(DEMO)/s3/satellite/output/final

# The points' surroundings only, on the whole grid: 50 kB an image.
$(DEMO)/.images:
	rm -rf $(DEMO)/s3/satellite
	"$$($(SATELLITE)/generate/setup.sh)" $(SATELLITE)/generate/generate.py $(DEMO)/s3/satellite --days 2 --sparse
	touch $@

# A PostgreSQL of its own in the folder of the demo, or the one of DATABASE_URL. INGEST_ROWS= changes how much it has.
.PHONY: demo-ingest
demo-ingest: quick plugin-incremental-ingest postgres ## new rows of a table into a data lake, window by window, none lost that commits late
	@python3 $(INGEST)/generate/demo.py --gristmill $(QUICK) --local $(DEMO) --rows $(INGEST_ROWS) --seed $(SEED)

# --- build -----------------------------------------------------------------------------------------------------------

.PHONY: tools
tools:
	@command -v cargo >/dev/null || { echo "gristmill needs Rust 1.95 or later: see https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "gristmill needs a C compiler: apt-get install gcc libc6-dev" >&2; exit 1; }

.PHONY: host
host: tools ## the gristmill binary, optimized
	cargo build --locked --release -p gristmill

.PHONY: quick
quick: tools
	cargo build --locked -p gristmill

.PHONY: generator
generator: tools
	cargo build --locked --release --manifest-path plugins/Cargo.toml -p ghcn-generate

.PHONY: plugin-%
plugin-%: tools
	plugins/build.sh $*

.PHONY: plugins
plugins: tools ## every plugin: Rust, Python, and TypeScript
	plugins/build.sh
	plugins/build-python.sh
	plugins/build-javascript.sh

# --- measure ---------------------------------------------------------------------------------------------------------

# Each part prints one line per figure: target, measured, both sides, machine, date. A missed target is no failure.
.PHONY: bench
bench: bench-guest bench-items bench-memory bench-ticks bench-worker bench-price bench-compare bench-iot bench-partitions bench-satellite bench-traffic ## the figures of host/docs/speed.md, but for bench-swap and soak

$(BENCH_DATA)/.done: | generator
	rm -rf $(BENCH)/ghcn-*
	$(GENERATE) --stations $(STATIONS) --size $(BENCH_SIZE) --seed $(SEED) $(BENCH_DATA)
	touch $@

.PHONY: bench-guest
bench-guest: $(BENCH_DATA)/.done plugin-noaa-precipitation plugin-noop ## the logic in the guest beside native; a fresh instance
	cargo build --locked --release --manifest-path plugins/Cargo.toml -p noaa-precipitation --example native
	cargo run --locked --release -p gristmill-bench-guest -- \
	    --data $(CURDIR)/$(STATION_FILES) --native $(CURDIR)/plugins/target/release/examples/native

.PHONY: bench-items
bench-items: host plugin-noop ## no-op items through the whole embedded pipeline, on one core and on two
	host/benches/processes.py items

.PHONY: bench-memory
bench-memory: host plugin-noaa-precipitation $(BENCH_DATA)/.done ## peak memory while 2 GiB stream through a plugin
	host/benches/processes.py memory --data $(STATION_FILES)

.PHONY: bench-ticks
bench-ticks: tools ## how late a timer is beside leases and health checks while 240 MiB of rows go through, on one core
	cargo bench --locked -p gristmill --bench ticks --no-run
	taskset -c 0 cargo bench --locked -p gristmill --bench ticks

.PHONY: bench-worker
bench-worker: host plugin-noaa-precipitation emulator ## a worker: start to ready, and idle memory
	host/benches/processes.py worker

.PHONY: bench-price
bench-price: host plugin-noaa-precipitation emulator ## what ledger and commit cost: requests and time per batch
	host/benches/price.py

.PHONY: bench-swap
bench-swap: host plugins emulator ## a version: publish to first batch, throughput in a swap, memory after 100
	host/benches/swap.py

.PHONY: bench-compare
bench-compare: host plugin-noaa-precipitation $(BENCH_DATA)/.done ## `gristmill map` beside Polars, DuckDB, pandas and csv.DictReader
	host/benches/compare/setup.sh
	target/venv-bench/bin/python host/benches/compare/compare.py --data $(STATION_FILES) --repeat 5 \
	    --gristmill "$(GRISTMILL) map $(NOAA) --local {local} --cache $(BENCH)/components"

.PHONY: bench-authors
bench-authors: host ## an author's first minutes: `plugin new` to rows, a save in `plugin dev` to rows, in each language
	host/benches/authors.py

# 20 million rows of 48 bytes are 1 GB in memory.
DIVIDED := $(BENCH)/divided-$(PARTITION_ROWS)-$(PARTITIONS)

$(DIVIDED)/.done:
	rm -rf $(BENCH)/divided-*
	host/benches/compare/setup.sh
	target/venv-bench/bin/python host/benches/partitions/inputs.py $(DIVIDED)/readings --devices $(PARTITIONS) --rows $(PARTITION_ROWS) --files 50
	touch $@

.PHONY: bench-partitions
bench-partitions: host $(DIVIDED)/.done ## one batch of 1 GB of rows into 5,000 partitions, beside DuckDB's COPY: time and memory
	host/benches/partitions/build.sh
	target/venv-bench/bin/python host/benches/partitions/partitions.py --data $(DIVIDED)/readings --devices $(PARTITIONS)

# 340 kB a file.
$(SENSORS)/.done:
	rm -rf $(BENCH)/sensors-*
	"$$($(IOT)/generate/setup.sh)" $(IOT)/generate/generate.py $(SENSORS)/sensors --files $(SENSOR_FILES) --rows 9000 --seed $(SEED)
	touch $@

.PHONY: bench-iot
bench-iot: host plugin-iot-anomalies $(SENSORS)/.done ## Parquet beside DuckDB, Polars, pandas and JSON lines; what is pruned
	host/benches/compare/setup.sh
	host/benches/iot/build.sh
	target/venv-bench/bin/python host/benches/iot/iot.py --data $(SENSORS)/sensors

# Beside each other: both stages, and DuckDB's window functions, from the same files to the same partitions.
ARRIVALS := $(BENCH)/arrivals-$(TRAFFIC_EVENTS)-$(TRAFFIC_POINTS)-$(SEED)

$(ARRIVALS)/.done:
	rm -rf $(BENCH)/arrivals-*
	host/benches/compare/setup.sh
	target/venv-bench/bin/python $(TRAFFIC)/generate/generate.py $(ARRIVALS)/arrived --parquet --events $(TRAFFIC_EVENTS) --points $(TRAFFIC_POINTS) --seed $(SEED)
	touch $@

.PHONY: bench-traffic
bench-traffic: host plugin-traffic-events $(ARRIVALS)/.done ## 50 million traffic events (TRAFFIC_EVENTS=) by the hour, with averages, beside DuckDB's window functions
	target/venv-bench/bin/python host/benches/traffic/windows.py --data $(ARRIVALS)/arrived --points $(TRAFFIC_POINTS)

# 96 images of 3 MB.
IMAGES := $(BENCH)/images-$(SEED)

$(IMAGES)/.done:
	rm -rf $(BENCH)/images-*
	"$$($(SATELLITE)/generate/setup.sh)" $(SATELLITE)/generate/generate.py $(IMAGES)/images --days 2 --files 48 --seed $(SEED)
	touch $@

.PHONY: bench-satellite
bench-satellite: host plugin-satellite-timeseries $(IMAGES)/.done ## points out of 96 images, beside Python's netCDF4
	"$$($(SATELLITE)/generate/setup.sh)" host/benches/satellite/satellite.py --data $(IMAGES)/images

# --- test ------------------------------------------------------------------------------------------------------------

.PHONY: test
test: lint deny plugins generator test-host test-plugins test-emulator deploy-check test-image ## everything but test-real-parts, page-check, fuzz and the long runs: chaos, outages, soak

# Clippy compiles our own crates, and what it compiled is what the tests run: neither they nor their dependencies are compiled twice.
CLIPPY_DRIVER = $(shell rustup which clippy-driver 2>/dev/null || command -v clippy-driver)
LINTED_TEST = RUSTC_WORKSPACE_WRAPPER="$(CLIPPY_DRIVER)" CLIPPY_ARGS="-Dwarnings" cargo test --locked
HOST_CRATES = -p gristmill -p gristmill-bench-guest

.PHONY: lint
lint: tools ## formatting and clippy
	cargo fmt --all --check
	cargo fmt --manifest-path plugins/Cargo.toml --all --check
	@test -n "$(CLIPPY_DRIVER)" || { echo "clippy is missing: rustup component add clippy rustfmt" >&2; exit 1; }
	$(LINTED_TEST) $(HOST_CRATES) --no-run
	$(LINTED_TEST) --manifest-path plugins/Cargo.toml --no-run

.PHONY: deny
deny: tools | target/tools/bin/cargo-deny ## licences and sources of all dependencies
	$(CARGO_DENY) $(DENIED)
	$(CARGO_DENY) --manifest-path plugins/Cargo.toml $(DENIED)

# Two versions of a crate are seen in Cargo.lock, and need no page of warnings.
CARGO_DENY = target/tools/bin/cargo-deny
DENIED = check -A duplicate -A license-not-encountered bans licenses sources

# Unoptimized: it works for seconds, and would be optimized for minutes.
target/tools/bin/cargo-deny:
	cargo install --quiet --locked --debug --root target/tools --target-dir target/tools/build cargo-deny@0.20.2
	rm -rf target/tools/build

.PHONY: test-host
test-host: tools plugins generator emulator postgres images ## the host: units, flows, a real Step Functions on an emulator
	$(LINTED_TEST) $(HOST_CRATES)

# CHAOS_BATCHES=, CHAOS_WORKERS=, CHAOS_KILLS=, CHAOS_FAULTS= (of 100 calls) and CHAOS_SEED= change what is done.
.PHONY: chaos
chaos: tools emulator ## a map under 200 kills and some hundred faults: what is lost, what is doubled, what it costs
	cargo test --locked -p gristmill --test it chaos::at_length -- --exact --ignored --nocapture

.PHONY: outages
outages: tools emulator ## AWS is away for more than a minute, in four ways, while a worker is at work
	cargo test --locked -p gristmill --test it surroundings::for_a_minute -- --exact --ignored --nocapture

.PHONY: real-parts
real-parts:
	host/tests/emulator/real-parts.sh

.PHONY: test-real-parts
test-real-parts: tools emulator real-parts ## the contracts, and a map under kills, over DynamoDB Local (Java 17) and SeaweedFS
	cargo test --locked -p gristmill --test it real_parts:: -- --ignored --nocapture --test-threads=1

.PHONY: soak
soak: host plugin-noaa-precipitation emulator ## 200,000 small batches through one worker (BATCHES=): memory, files, threads
	host/benches/soak.py --batches $(BATCHES)

.PHONY: images
images: ## what writes and reads satellite images in the tests: Python's netCDF4 and h5py
	$(SATELLITE)/generate/setup.sh

.PHONY: test-plugins
test-plugins: tools ## the plugins' logic and their SDKs, natively
	$(LINTED_TEST) --manifest-path plugins/Cargo.toml
	$(LINTED_TEST) --manifest-path plugins/Cargo.toml -p gristmill-plugin --features arrow --test arrow
	plugins/test-python.sh
	plugins/test-javascript.sh

.PHONY: postgres
postgres: ## what the tests need of PostgreSQL: Debian's server, without a cluster of its own
	host/tests/postgres/install.sh

.PHONY: emulator
emulator: ## what the tests need instead of an AWS account
	host/tests/emulator/setup.sh

.PHONY: test-emulator
test-emulator: emulator ## the emulator itself, and the linters of state machines
	$(VENV) -m pytest -q host/tests/emulator

# The checkers run beside the walk, which mostly waits for the CLI's own waiting.
.PHONY: deploy-check
deploy-check: tools plugin-noaa-precipitation emulator ## templates, policies, alerts: linted; deploy/README.md followed on an emulator
	deploy/check/setup.sh
	$(LINTED_TEST) $(HOST_CRATES) --no-run
	$(VENV) deploy/check/check.py & checked=$$!; \
	    $(VENV) -m pytest -q deploy/check; followed=$$?; wait $$checked && exit $$followed

# The binary of the tests saves a second compilation of everything; unoptimized it is larger than what the image's limit is for.
.PHONY: test-image
test-image: tools plugin-noaa-precipitation emulator ## the Dockerfile with the binary of the tests: built, started for real, given a batch
	$(LINTED_TEST) $(HOST_CRATES) --no-run
	PREBUILT=target/debug/gristmill MAX_MB=400 $(VENV) deploy/image/test.py

.PHONY: image
image: plugin-noaa-precipitation emulator ## the same with the binary compiled in the image's own build, as `docker build .` does; at most 150 MB
	$(VENV) deploy/image/test.py

# PAGE_PICTURES=host/docs/pictures makes the pictures of the document, too.
.PHONY: page-check
page-check: tools ## the status page in Chromium: without JavaScript, with it, light and dark, and what a screen reader finds
	host/tests/page/chromium.sh
	$(LINTED_TEST) -p gristmill --test it --no-run
	python3 host/tests/page/look.py $(if $(PAGE_PICTURES),--pictures $(PAGE_PICTURES)) -- \
	    env $(LINTED_TEST) -p gristmill --test it page::to_be_looked_at -- --exact --ignored --nocapture

FUZZ_TARGETS := $(notdir $(basename $(wildcard host/fuzz/fuzz_targets/*.rs)))

# Coverage is an option of the nightly compiler only. What was found before (corpus/) is gone on with; the seeds are committed, and
# `make test` runs them as well.
.PHONY: fuzz
fuzz: tools ## everything that parses what strangers send, each for FUZZ_TIME seconds; needs nightly Rust
	@rustup toolchain list 2>/dev/null | grep -q '^nightly' || \
	    { echo "fuzzing needs nightly Rust: rustup toolchain install nightly --profile minimal" >&2; exit 1; }
	@command -v c++ >/dev/null || { echo "fuzzing needs a C++ compiler for libFuzzer: apt-get install g++" >&2; exit 1; }
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	@for target in $(FUZZ_TARGETS); do \
	    mkdir -p host/fuzz/corpus/$$target && \
	    cargo +nightly fuzz run --fuzz-dir host/fuzz --sanitizer none $$target host/fuzz/corpus/$$target host/fuzz/seeds/$$target -- \
	        -max_total_time=$(FUZZ_TIME) -timeout=10 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 || exit 1; \
	done

.PHONY: clean
clean: ## forget everything that was built
	rm -rf target plugins/target host/fuzz/target work plugins/*/*.wasm plugins/node_modules plugins/sdk/javascript/dist
