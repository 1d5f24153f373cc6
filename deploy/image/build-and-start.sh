#!/usr/bin/env bash
# Builds the image and starts it for real: as its own user, with a read-only root.
#
#   deploy/image/build-and-start.sh                       build, then `gristmill --version` in a container
#   deploy/image/build-and-start.sh worker                ... then `gristmill worker` until /healthz answers and the image's health check agrees
#   deploy/image/build-and-start.sh worker -- COMMAND...  ... and COMMAND while the worker runs; its exit code decides
#
# The worker gets this shell's AWS_* and GRISTMILL_* variables and those that PASS names (PASS='DATA_BUCKET'), the host's network and, where
# DATASETS names a directory, its datasets.
# Docker or podman does the work where an engine runs; otherwise, as root on Debian, buildah and crun with base images from debootstrap.
# Variables: PROFILE (Cargo's, release), PREBUILT (a binary below target/ that is taken instead of compiling one; the Dockerfile is then
# followed to its manifests), MAX_MB (image size, 150), TIME_LIMIT (seconds for everything, 2700).
# Exit code 0 only when all of it was built and started; 3 when something this machine lacks kept it from running.
set -euo pipefail
cd "$(dirname "$0")/../.."

# A download or a container that hangs must not hang the caller: the script runs itself, once, under a limit.
if [ -z "${IMAGE_TEST_LIMITED:-}" ]; then
    code=0
    IMAGE_TEST_LIMITED=1 timeout --kill-after=20 "${TIME_LIMIT:=2700}" "$0" "$@" || code=$?
    [ "$code" -ne 124 ] || echo "image: FAILED: not done after $TIME_LIMIT s (TIME_LIMIT)" >&2
    exit "$code"
fi

IMAGE=${IMAGE:-localhost/gristmill:test}
PROFILE=${PROFILE:-release}
PREBUILT=${PREBUILT:-}
MAX_MB=${MAX_MB:-150}
REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)
STATE=$PWD/target/image
LOGS=$STATE/logs
ADMIN=${GRISTMILL_ADMIN:-127.0.0.1:9464} # on the host's network
READY_WITHIN=30      # seconds

step() { printf 'image: %4ds  %s\n' "$SECONDS" "$*"; }
fail() {
    printf 'image: FAILED: %s\n' "$1" >&2
    [ -z "${2:-}" ] || tail -n 25 "$2" >&2
    exit 1
}
lacking() {
    printf 'image: NOT RUN: this machine lacks %s\n' "$1" >&2
    exit 3
}

# Either file defines the same verbs: prepare, build, open_image, image_bytes, binary_bytes, run_once, start_worker, worker_runs, check_health,
# stop_worker, clean_up.
choose_tools() {
    local engine
    for engine in docker podman; do
        if command -v "$engine" >/dev/null && "$engine" info >/dev/null 2>&1; then
            . deploy/image/with-engine.sh
            ENGINE=$engine
            return
        fi
    done
    . deploy/image/with-buildah.sh
}

# The options of docker's that pass this shell's variables on, by name, so that no key is seen on a command line.
variables() {
    local name
    for name in $(compgen -e | grep -E '^(AWS|GRISTMILL)_') ${PASS:-}; do printf -- '--env\n%s\n' "$name"; done
}

show_size() {
    local megabytes=$(($(image_bytes) / 1000000))
    step "image $megabytes MB, of which gristmill $(($(binary_bytes) / 1000000)) MB"
    [ "$megabytes" -le "$MAX_MB" ] || fail "the image is larger than $MAX_MB MB"
}

test_version() {
    local version
    version=$(run_once --version 2>&1) || fail "gristmill --version does not run in a container: $version"
    [[ "$version" == "gristmill "* ]] || fail "gristmill --version says '$version', not its name and version"
    step "started: $version"
}

healthz() { python3 -c 'import sys, urllib.request; urllib.request.urlopen("http://" + sys.argv[1] + "/healthz", timeout=2)' "$ADMIN" 2>/dev/null; }

test_worker() {
    healthz && fail "something else already answers on http://$ADMIN/healthz"
    step "starting the worker (its log: $LOGS/worker.log)"
    start_worker
    local deadline=$((SECONDS + READY_WITHIN))
    until healthz; do
        worker_runs || fail "the worker ended before it was healthy; its last lines:" "$LOGS/worker.log"
        [ "$SECONDS" -lt "$deadline" ] || fail "no answer on http://$ADMIN/healthz within $READY_WITHIN s; the worker's last lines:" "$LOGS/worker.log"
        sleep 0.1
    done
    check_health >"$LOGS/health.log" 2>&1 || fail "/healthz answers, but the image's own health check does not agree:" "$LOGS/health.log"
    step "healthy: /healthz answers and the image's health check agrees"
    if [ $# -gt 0 ]; then
        step "running $*"
        "$@" || fail "$1 ended with exit code $?; the worker's last lines:" "$LOGS/worker.log"
    fi
    stop_worker || fail "the worker did not end with exit code 0 within 30 s of SIGTERM; its last lines:" "$LOGS/worker.log"
    step "the worker ended by itself after SIGTERM"
}

main() {
    mkdir -p "$LOGS"
    choose_tools
    trap clean_up EXIT
    prepare
    if [ -n "$PREBUILT" ]; then
        step "following the Dockerfile to its manifests, then taking $PREBUILT"
        build --target manifests
        build --build-arg BINARY=prebuilt --build-arg "PREBUILT=$PREBUILT" --tag "$IMAGE"
    else
        step "building (profile $PROFILE; progress: $LOGS/build.log)"
        build --build-arg "PROFILE=$PROFILE" --tag "$IMAGE"
    fi
    open_image
    show_size
    test_version
    case "${1:-}" in
        '') ;;
        worker)
            shift
            [ "${1:-}" != -- ] || shift
            test_worker "$@"
            ;;
        *) fail "unknown argument $1; expected nothing, or: worker [-- COMMAND...]" ;;
    esac
    step "done"
}

# On one line, because bash reads a script as it runs it, and this one runs long enough to be edited meanwhile.
main "$@"; exit
