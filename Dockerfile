# The worker as an image, from the root of a checkout:
#
#   docker build -t gristmill .
#   docker run --read-only -e GRISTMILL_QUEUE=... -v "$PWD/datasets:/etc/gristmill/datasets:ro" -v gristmill-cache:/var/cache/gristmill gristmill
#
# Plain Dockerfile syntax, so that docker, podman and `buildah bud` build the same image. Both bases are arguments: a mirror, a hardened
# base or one made by debootstrap (deploy/image/build-and-start.sh) takes their place. `--build-arg BINARY=prebuilt` takes the binary that
# lies in target/ already (PREBUILT names it) instead of compiling one: it has to suit the runtime image's glibc.
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim
ARG BINARY=build

FROM ${BUILD_IMAGE} AS manifests
WORKDIR /src

# Dependencies are a layer of their own, built against an empty crate: it changes only with the manifests. Cargo compares times, and
# the sources are older than this layer: without the clean it would keep the empty crate.
COPY Cargo.toml Cargo.lock ./
COPY host/Cargo.toml host/
COPY host/benches/guest/Cargo.toml host/benches/guest/
RUN mkdir -p host/src host/benches/guest/src && touch host/src/lib.rs \
 && echo 'fn main() {}' | tee host/src/main.rs host/benches/ticks.rs > host/benches/guest/src/main.rs \
 && cargo metadata --locked --format-version 1 > /dev/null

FROM manifests AS build
ARG PROFILE=release
RUN cargo build --locked --profile "$PROFILE" --bin gristmill \
 && cargo clean --locked --profile "$PROFILE" --package gristmill

# The binary carries the SDKs and the templates of `gristmill plugin new`.
COPY wit wit
COPY plugins/Cargo.toml plugins/Cargo.lock plugins/
COPY plugins/sdk plugins/sdk
COPY host/templates host/templates
COPY host/src host/src
RUN cargo build --locked --profile "$PROFILE" --bin gristmill \
 && install -D --strip "target/$PROFILE/gristmill" /out/bin/gristmill

FROM ${BUILD_IMAGE} AS prebuilt
ARG PREBUILT=target/release/gristmill
COPY ${PREBUILT} /tmp/gristmill
RUN install -D --strip /tmp/gristmill /out/bin/gristmill

FROM ${BINARY} AS binary
RUN mkdir -p /out/cache /out/datasets

# Nothing runs in this stage, so a base without a shell or a package manager will do: it needs glibc and libgcc.
FROM ${RUNTIME_IMAGE}

# The AWS SDK's TLS client takes its roots from the system (SSL_CERT_FILE replaces them), and minimal bases have none.
COPY --from=binary /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=binary /out/bin/gristmill /usr/local/bin/gristmill
COPY LICENSE /usr/share/licenses/gristmill/LICENSE
# The only place the worker writes to; everything else may be mounted read-only.
COPY --from=binary --chown=10001:10001 /out/cache /var/cache/gristmill
COPY --from=binary /out/datasets /etc/gristmill/datasets

# Probes and scrapers come from outside the container, hence every interface.
ENV GRISTMILL_ADMIN=0.0.0.0:9464 \
    GRISTMILL_CACHE=/var/cache/gristmill \
    GRISTMILL_DATASETS=/etc/gristmill/datasets \
    TMPDIR=/var/cache/gristmill
VOLUME /var/cache/gristmill
EXPOSE 9464
# A number, because Kubernetes' runAsNonRoot cannot tell whether a name is root.
USER 10001:10001
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s CMD ["gristmill", "health"]
ENTRYPOINT ["gristmill"]
CMD ["worker"]

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="gristmill" \
      org.opencontainers.image.description="A worker runtime for AWS Step Functions' Distributed Map: items through WebAssembly plugins" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
