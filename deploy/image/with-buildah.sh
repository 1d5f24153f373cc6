# Sourced by build-and-start.sh: its verbs without an engine and without a registry. buildah builds, crun starts, and debootstrap makes
# base images from the machine's own Debian mirror; they stand in for debian:bookworm-slim and rust:1.95-bookworm.

RUNTIME_BASE=localhost/gristmill-base-runtime
BUILD_BASE=localhost/gristmill-base-build
# Where the official Rust image keeps Cargo's home, and where the host's toolchain appears during the build.
BASE_CARGO_HOME=/usr/local/cargo
BASE_TOOLCHAIN=/usr/local/toolchain
CONTAINER=gristmill-image-test-$$

buildah_() { buildah --storage-driver "$DRIVER" --root "$STATE/$DRIVER" --runroot "$STATE/run-$DRIVER" "$@"; }
# crun refuses machines whose control groups are partly of version 1. In a mount namespace of its own it sees version 2 only, and its manager
# is disabled, so that it makes no group at all.
CRUN=(unshare --mount sh -c 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"' crun crun --cgroup-manager=disabled --root "$STATE/crun")

prepare() {
    local tool missing=()
    PATH=$PATH:/usr/sbin:/sbin # debootstrap's place, which not every shell of root's has
    for tool in buildah crun debootstrap; do command -v "$tool" >/dev/null || missing+=("$tool"); done
    [ "$(id -u)" = 0 ] || lacking "a running docker or podman, or root to do without"
    command -v cargo >/dev/null || lacking "a Rust toolchain, which the build borrows"
    if [ ${#missing[@]} -gt 0 ]; then
        command -v apt-get >/dev/null || lacking "${missing[*]}, which this script can install on Debian only"
        step "installing ${missing[*]}"
        { apt-get update && apt-get install -y --no-install-recommends buildah crun uidmap debootstrap; } >"$LOGS/apt.log" 2>&1 \
            || lacking "${missing[*]}: apt-get cannot install them (see $LOGS/apt.log)"
    fi
    # vfs works everywhere, and copies every layer whole.
    for DRIVER in overlay vfs; do buildah_ info >/dev/null 2>&1 && break; done
    step "using buildah and crun (no docker or podman engine runs here), storage driver $DRIVER"
    clean_up # after a run that was cut off
    is_image "$RUNTIME_BASE" || make_runtime_base
    is_image "$BUILD_BASE" || make_build_base
    step "fetching crates with the host's cargo, so that the build needs no network"
    cargo fetch --locked >"$LOGS/fetch.log" 2>&1 || lacking "crates: cargo fetch fails (see $LOGS/fetch.log)"
}

is_image() { buildah_ inspect --type image "$1" >/dev/null 2>&1; }

make_runtime_base() {
    step "making the runtime base: debootstrap, bookworm, minbase"
    local container root mirror
    container=$(buildah_ from scratch)
    root=$(buildah_ mount "$container")
    # The mirror that apt uses here; where there is none, debootstrap has a default of its own.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' 'Codename: bookworm' 'Component: main' | head -n 1)
    debootstrap --variant=minbase bookworm "$root" ${mirror:+"$mirror"} >"$LOGS/debootstrap.log" 2>&1 \
        || lacking "a Debian mirror that debootstrap can use (see $LOGS/debootstrap.log)"
    # What Debian's slim image leaves out too, so that sizes compare, and what debootstrap downloaded on the way.
    rm -rf "$root"/usr/share/{doc,man,info,locale}/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*
    buildah_ commit --quiet --rm "$container" "$RUNTIME_BASE" >/dev/null
}

make_build_base() {
    step "making the build base: a C compiler and certificates; Rust is the host's"
    local container
    container=$(buildah_ from --pull-never "$RUNTIME_BASE")
    buildah_ run --isolation chroot "$container" -- sh -c \
        'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends gcc libc6-dev ca-certificates' \
        >"$LOGS/build-base.log" 2>&1 || lacking "gcc, libc6-dev and ca-certificates from its Debian mirror (see $LOGS/build-base.log)"
    buildah_ config --env "CARGO_HOME=$BASE_CARGO_HOME" --env CARGO_NET_OFFLINE=true \
        --env "PATH=$BASE_TOOLCHAIN/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$container"
    buildah_ commit --quiet --rm "$container" "$BUILD_BASE" >/dev/null
}

# build OPTION...
build() {
    # The docker format, because OCI's knows no HEALTHCHECK.
    buildah_ bud --isolation chroot --layers --pull-never --format docker --file Dockerfile "$@" \
        --volume "$(rustc --print sysroot):$BASE_TOOLCHAIN:ro" --volume "${CARGO_HOME:-$HOME/.cargo}/registry:$BASE_CARGO_HOME/registry:ro" \
        --build-arg "BUILD_IMAGE=$BUILD_BASE" --build-arg "RUNTIME_IMAGE=$RUNTIME_BASE" \
        --build-arg "REVISION=$REVISION" . >"$LOGS/build.log" 2>&1 \
        || fail "the image does not build; the last lines of $LOGS/build.log:" "$LOGS/build.log"
}

open_image() {
    ROOT=$(buildah_ mount "$(buildah_ from --pull-never "$IMAGE")")
    buildah_ inspect --type image "$IMAGE" >"$STATE/image.json"
}

image_bytes() { du --summarize --bytes "$ROOT" | cut -f 1; }
binary_bytes() { stat --format %s "$ROOT/usr/local/bin/gristmill"; }

# bundle [--option VALUE...] [-- ARGS...]: what the image's configuration means, as an OCI bundle for crun.
bundle() { python3 deploy/image/bundle.py --image "$STATE/image.json" --root "$ROOT" --bundle "$STATE/bundle" "$@"; }

run_once() {
    bundle -- "$@" && timeout 60 "${CRUN[@]}" run --bundle "$STATE/bundle" "$CONTAINER-once"
}

start_worker() {
    local options
    readarray -t options < <(variables)
    [ -z "${DATASETS:-}" ] || options+=(--mount "$(realpath "$DATASETS"):/etc/gristmill/datasets")
    bundle "${options[@]}"
    "${CRUN[@]}" run --bundle "$STATE/bundle" "$CONTAINER" >"$LOGS/worker.log" 2>&1 &
    WORKER=$!
}

worker_runs() { kill -0 "$WORKER" 2>/dev/null; }
check_health() {
    local check
    readarray -t check < <(python3 deploy/image/bundle.py --image "$STATE/image.json" --print-health-check)
    timeout 20 "${CRUN[@]}" exec "$CONTAINER" "${check[@]}"
}
stop_worker() {
    local code=0
    "${CRUN[@]}" kill "$CONTAINER" TERM
    ( sleep 30; "${CRUN[@]}" kill "$CONTAINER" KILL ) 2>/dev/null &
    local watchdog=$!
    wait "$WORKER" || code=$?
    kill "$watchdog" 2>/dev/null || true
    return "$code"
}
clean_up() {
    "${CRUN[@]}" delete --force "$CONTAINER" >/dev/null 2>&1 || true
    rm -rf "$STATE/bundle"
    # Containers and their mounts; the layers stay for the next run.
    [ -z "${DRIVER:-}" ] || buildah_ rm --all >/dev/null 2>&1 || true
}
