#!/bin/bash
# Takes a new configuration while requests go on: docker exec -i CONTAINER reload <nginx.conf
# It lasts until the container ends; a Docker config is what the next one starts with.
set -euo pipefail

cat >/run/nginx/next.conf
nginx -t -q -e stderr -c /run/nginx/next.conf || { echo 'reload: refused, the running configuration stays' >&2; exit 1; }
mv /run/nginx/next.conf /run/nginx/nginx.conf
nginx -s reload -e stderr -c /run/nginx/nginx.conf
