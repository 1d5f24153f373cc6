# Sourced by build-and-start.sh: its verbs for docker or podman ($ENGINE), on the Dockerfile's own base images.

CONTAINER=gristmill-image-test-$$

prepare() { step "using $ENGINE"; }

# build OPTION...
build() {
    "$ENGINE" build "$@" --build-arg "REVISION=$REVISION" . >"$LOGS/build.log" 2>&1 \
        || fail "the image does not build; the last lines of $LOGS/build.log:" "$LOGS/build.log"
}
open_image() { :; }

image_bytes() { "$ENGINE" image inspect --format '{{.Size}}' "$IMAGE"; }
binary_bytes() {
    local container
    container=$("$ENGINE" create "$IMAGE")
    "$ENGINE" cp "$container:/usr/local/bin/gristmill" - | tar -xO | wc -c
    "$ENGINE" rm "$container" >/dev/null
}

run_once() { timeout 60 "$ENGINE" run --rm --read-only --network none "$IMAGE" "$@"; }

start_worker() {
    local options
    readarray -t options < <(variables)
    [ -z "${DATASETS:-}" ] || options+=(--volume "$(realpath "$DATASETS"):/etc/gristmill/datasets:ro")
    "$ENGINE" run --name "$CONTAINER" --read-only --tmpfs /tmp --network host "${options[@]}" "$IMAGE" >"$LOGS/worker.log" 2>&1 &
    WORKER=$!
}

worker_runs() { kill -0 "$WORKER" 2>/dev/null; }
check_health() { timeout 20 "$ENGINE" exec "$CONTAINER" gristmill health; }
stop_worker() {
    # Beyond the 30 s the engine kills, and the exit code is 137.
    "$ENGINE" stop --time 30 "$CONTAINER" >/dev/null
    wait "$WORKER"
}
clean_up() { "$ENGINE" rm --force "$CONTAINER" >/dev/null 2>&1 || true; }
