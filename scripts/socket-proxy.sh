#!/usr/bin/env bash
# A filter between the engine's socket and the components that only read it: it lets GET requests through
# for what they ask, and nothing else. docs/socket-proxy.md tells how it is used.
#
# usage: scripts/socket-proxy.sh start     on each node; again after an update of this file
#        scripts/socket-proxy.sh stop
#
# FOLDER (default /var/lib/docker-socket-proxy) gets the new socket, docker.sock; NAME names the container.
set -euo pipefail

name=${NAME:-docker-socket-proxy}
folder=${FOLDER:-/var/lib/docker-socket-proxy}
engine=${ENGINE_SOCKET:-/var/run/docker.sock}
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

configuration() {
  cat <<'CONF'
pid /tmp/nginx.pid;
error_log stderr warn;
events {}
http {
    access_log off;
    client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
    server {
        listen unix:/run/filtered/docker.sock;
        # What agent and collector ask for. A container's own page and its statistics, by its whole id.
        location ~ "^/(containers/json|containers/[0-9a-f]{64}/(json|stats)|services|tasks|nodes)$" {
            limit_except GET { deny all; }
            proxy_pass http://unix:/run/engine.sock;
            proxy_buffering off;
        }
        location / { return 403 "this socket is only read, and only in part\n"; }
    }
}
CONF
}

start() {
  [ -S "$engine" ] || die "$engine is no socket: ENGINE_SOCKET names another one"
  mkdir -p "$folder" 2>/dev/null && [ -w "$folder" ] || die "cannot write to $folder: run as root, or choose another FOLDER"
  local group; group=$(stat -Lc %g "$engine")
  # Its members, as of the engine's own socket, may use it.
  chown "65532:$group" "$folder" && chmod 0770 "$folder" || die "cannot give $folder to the engine's group: run as root"
  configuration >"$folder/nginx.conf" && chmod 0644 "$folder/nginx.conf"
  docker rm -f "$name" >/dev/null 2>&1 || true
  # A socket that a killed nginx left would keep the next one from listening.
  docker run -d --name "$name" --restart always --network none --read-only --cap-drop ALL --tmpfs /tmp:mode=1777 \
    --memory 64m --user "65532:$group" -v "$engine:/run/engine.sock" -v "$folder:/run/filtered" \
    --entrypoint sh nginx:1.30 -c 'rm -f /run/filtered/docker.sock; exec nginx -c /run/filtered/nginx.conf -g "daemon off;"' >/dev/null
  local _
  for _ in $(seq 50); do [ ! -S "$folder/docker.sock" ] || { echo "$folder/docker.sock"; return; }; sleep 0.1; done
  docker logs "$name" >&2
  die 'the proxy did not start'
}

case ${1:-} in
  start) start ;;
  stop) docker rm -f "$name" >/dev/null; rm -f "$folder/docker.sock" "$folder/nginx.conf" ;;
  *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
