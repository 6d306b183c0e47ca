# The images of our own programs. The last target is the API, so that
#   docker build -t scalable_backend_api:latest .
# builds it; the others build with --target nginx, autoscaler, metrics-collector or stress.
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

# The load balancer. Run by hand (on a user-defined network: Docker's name server is needed; a container
# with the network alias tasks.api takes the requests):
#   docker run -d --read-only --cap-drop ALL --tmpfs /run/nginx --tmpfs /tmp \
#     --network net -p 0.0.0.0:80:8080 scalable_backend_nginx:latest
#
# Settings:
#   RATE_PER_REPLICA           requests/s for each api replica, 0 = off  1000
#   RATE_CLIENT_SHARE          percent of that for one client, 0 = all   50
#   MIN_REPLICAS               replicas counted on before any are known  2
#   ACCESS_LOG_SAMPLE_PERCENT  share of ordinary requests in the log     1
#   OPERATOR_SUBNETS           more networks that may read /nginx/…      none (CIDRs, comma)
#   OPERATORS_FROM_NODE        on | off: the node itself may read them   on
#   TLS_CERTIFICATE, TLS_KEY   PEM files that switch HTTPS on 8443 on    /run/secrets/tls_certificate, tls_key
#   HTTPS_PORT                 where clients reach 8443, for redirects   443
#   NGINX_WORKERS              worker processes                          auto (one per processor)
#
# The configuration is /etc/nginx/nginx.conf, or the one with the highest version among /nginx.conf* in
# the root, where `docker service update --config-add nginx.conf.v2` puts it; `docker exec -i … reload
# <nginx.conf` changes it in place. What depends on the settings is rendered into /run/nginx.
#
# Who reads /nginx/…: the container itself, the networks it shares with the stack, and the node. Docker
# shows the node's own clients with the bridge's gateway address, and shows IPv6 clients from anywhere
# with the same address: publish the port on IPv4 only, or set OPERATORS_FROM_NODE=off.
#
# Nothing here depends on the base's user names or module paths, so the official image and one made
# from Debian's packages serve alike.
FROM nginx:1.30 AS nginx
COPY nginx/nginx.conf /etc/nginx/nginx.conf
COPY nginx/entrypoint.sh /usr/local/bin/entrypoint
COPY nginx/healthcheck.sh /usr/local/bin/healthcheck
COPY nginx/reload.sh /usr/local/bin/reload
# A checkout under a strict umask must not decide who can read them. A tmpfs takes the
# mode of the directory below it, but not its owner: hence 1777.
# No program gives its caller more rights: a stack cannot ask for no-new-privileges.
RUN chmod 0755 /usr/local/bin/entrypoint /usr/local/bin/healthcheck /usr/local/bin/reload \
 && chmod 0644 /etc/nginx/nginx.conf \
 && install -d -m 1777 /run/nginx \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=build /out/nginx-companion /usr/local/bin/
USER 65532:65532
EXPOSE 8080 8443
# Requests in flight end before the process does.
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --timeout=3s --retries=3 CMD ["healthcheck"]
ENTRYPOINT ["entrypoint"]
CMD []

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
