# The images of our own programs. The last target is the API, so that
#   docker build -t scalable_backend_api:latest .
# builds it; the others build with --target autoscaler, metrics-collector or stress.
#
# Where a Rust toolchain is at hand, ./deploy-autoscaling.sh compiles on the host and passes
#   --build-arg BUILD_BASE=debian:trixie-slim --build-arg PREBUILT=dist
# so that an image is a copy away. Works with BuildKit and with the classic builder.

ARG BUILD_BASE=rust:1.95-slim-trixie

FROM ${BUILD_BASE} AS build
# By this the deploy script finds and removes what is left of this stage.
LABEL scalable-backend.stage=build
ARG PREBUILT=
WORKDIR /src
COPY . .
RUN if [ -n "$PREBUILT" ]; then mkdir /out && cp "$PREBUILT"/* /out/; \
    else scripts/build-binaries.sh /out; fi

FROM debian:trixie-slim AS base
# Nobody here may become somebody else.
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +

FROM base AS metrics-collector
COPY --from=build /out/metrics-collector /usr/local/bin/
USER 65532:65532
EXPOSE 8090 8091 9090
ENTRYPOINT ["/usr/local/bin/metrics-collector"]
CMD ["collector"]

FROM base AS autoscaler
# An empty volume takes over its owner. Root without capabilities writes by its group.
RUN install -d -o 65532 -g 0 -m 0770 /var/lib/autoscaler
COPY --from=build /out/autoscaler /usr/local/bin/
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/autoscaler"]

# The load test, for machines without a Rust toolchain.
FROM base AS stress
COPY --from=build /out/stress-test /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/stress-test"]

FROM base AS api
COPY --from=build /out/scalable_backend_api /usr/local/bin/
# A password hash works in 19 MiB. Once such a block has been freed, glibc keeps blocks of that size for good; with
# a fixed threshold they go back, and a replica that has seen logins is small enough to be scaled down again.
ENV MALLOC_MMAP_THRESHOLD_=1048576
USER 65532:65532
EXPOSE 3000
ENTRYPOINT ["/usr/local/bin/scalable_backend_api"]
