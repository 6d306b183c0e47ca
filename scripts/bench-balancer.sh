#!/usr/bin/env bash
# What our balancer costs, and what its limit is worth. Prints ratios: side by side on this machine, in turns.
#
# usage: scripts/bench-balancer.sh [cost] [overload]     default: both
#        ROUNDS=5 SECONDS_EACH=4 scripts/bench-balancer.sh cost
#        LIMIT_PERCENT=75 scripts/bench-balancer.sh overload
#
#   cost      our whole configuration, a minimal tuned nginx proxy, and the bare api, each with and without a log
#             of every request (in the same format)
#   overload  one replica with a small processor limit; its capacity is measured through a balancer without a limit, the
#             limit set to three quarters of that, and then up to five times the capacity is sent
#
# Needs the images that ./deploy-autoscaling.sh --build makes, or others named by NGINX_IMAGE and API_IMAGE. What it
# starts carries the label scalable-backend.test=bench and is removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

label=scalable-backend.test=bench
prefix=sbtest-bench-$$
rounds=${ROUNDS:-5} seconds=${SECONDS_EACH:-4}
NGINX_IMAGE=${NGINX_IMAGE:-scalable_backend_nginx:latest}
API_IMAGE=${API_IMAGE:-scalable_backend_api:latest}
# Answered from memory, and not one of the paths that are never limited.
path=/api/docs

# shellcheck source=scripts/checks.sh
. scripts/checks.sh

sweep() {
  docker ps -aq --filter "label=$label" | xargs -r docker rm -fv >/dev/null
  docker network ls -q --filter "label=$label" | xargs -r docker network rm >/dev/null
}
cleanup() { local code=$?; sweep || true; rm -rf "$work"; exit $code; }

command -v wrk >/dev/null || apt-get install -y -qq wrk >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq wrk >/dev/null; } ||
  die 'wrk is needed: apt-get install wrk'
for image in "$NGINX_IMAGE" "$API_IMAGE"; do
  docker image inspect "$image" >/dev/null 2>&1 || die "there is no image $image: ./deploy-autoscaling.sh --build makes it"
done

work=$(mktemp -d)
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
sweep
chmod 755 "$work"
docker network create --label "$label" "$prefix" >/dev/null

run() { local name=$1; shift; docker run -d --name "$prefix-$name" --label "$label" --network "$prefix" --log-opt max-size=10m "$@" >/dev/null; }
balancer() { local name=$1; shift; run "$name" --read-only --cap-drop ALL --mount type=tmpfs,target=/tmp --mount type=tmpfs,target=/run/nginx "$@" "$NGINX_IMAGE"; }
api() {
  printf 'a-secret-of-the-benchmark-that-is-long-enough' >"$work/secret"
  chmod 444 "$work/secret"
  run api --network-alias tasks.api -e JWT_SECRET_FILE=/run/secrets/secret -e DB_PASSWORD_FILE=/run/secrets/secret \
    -e DB_HOST=127.0.0.1 -e ACCESS_LOG_SAMPLE=1000000 -v "$work:/run/secrets:ro" "$@" "$API_IMAGE"
}
address() { docker inspect -f "{{(index .NetworkSettings.Networks \"$prefix\").IPAddress}}" "$prefix-$1"; }
answers() { [ "$(curl -s -m 5 -o /dev/null -w '%{http_code}' "$1$path")" = 200 ]; }

# The least that a proxy needs which finds the tasks itself and keeps connections to them. $1: its log.
minimal() {
  cat <<CONF
worker_processes auto;
pid /run/nginx/nginx.pid;
events { worker_connections 4096; }
http {
    $(sed -n '/log_format json/,/;$/p' nginx/nginx.conf | sed 's/\$rid/$request_id/; s/\$method/$request_method/; s/\$path/$uri/')
    access_log $1;
    proxy_temp_path /tmp/proxy; client_body_temp_path /tmp/body; fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
    resolver 127.0.0.11 valid=1s ipv6=off;
    upstream api { zone api 512k; server tasks.api:3000 resolve; keepalive 64; keepalive_requests 10000; }
    keepalive_requests 10000;
    server { listen 8080; location / { proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection ""; } }
}
CONF
}

# measure URL: requests per second.
measure() { wrk -t1 -c32 -d"${seconds}s" "$1$path" | awk '/Requests\/sec/ {print $2}'; }
# cpu NAME: microseconds of processor time that the container has used.
cpu() {
  local id; id=$(docker inspect -f '{{.Id}}' "$prefix-$1")
  if [ -f "/sys/fs/cgroup/cpuacct/docker/$id/cpuacct.usage" ]; then awk '{printf "%d", $1 / 1000}' "/sys/fs/cgroup/cpuacct/docker/$id/cpuacct.usage"
  else awk '/usage_usec/ {print $2}' /sys/fs/cgroup/{system.slice/docker-"$id".scope,docker/"$id"}/cpu.stat 2>/dev/null || echo 0; fi
}
# median FILE COLUMN, and the spread beside it.
spread() { sort -n -k"$2" "$1" | awk -v c="$2" '{v[NR] = $c} END {printf "%.2f  (%.2f to %.2f)", v[int((NR + 1) / 2)], v[1], v[NR]}'; }

cost() {
  api
  minimal off >"$work/minimal.conf"
  minimal '/dev/stdout json buffer=32k flush=1s' >"$work/minimal-log.conf"
  sed '\#access_log /dev/stdout#d' nginx/nginx.conf >"$work/ours.conf"
  chmod 444 "$work"/*.conf
  balancer minimal -v "$work/minimal.conf:/nginx.conf.v2:ro"
  balancer minimal-log -v "$work/minimal-log.conf:/nginx.conf.v2:ro"
  # A limit that is never reached, but in force.
  balancer ours -v "$work/ours.conf:/nginx.conf.v2:ro" -e RATE_PER_REPLICA=99999 -e RATE_CLIENT_SHARE=100
  balancer ours-log -e ACCESS_LOG_SAMPLE_PERCENT=100 -e RATE_PER_REPLICA=99999 -e RATE_CLIENT_SHARE=100
  local variants='minimal ours minimal-log ours-log' name round before rps
  for name in $variants; do within 60 answers "http://$(address "$name"):8080" || die "$name does not answer: $(docker logs "$prefix-$name" 2>&1 | tail -n 3)"; done
  say "measuring: $rounds rounds of 5 × $seconds s"
  for round in $(seq "$rounds"); do
    measure "http://$(address api):3000" >>"$work/bare"
    # Each round begins with another one.
    for name in $(tr ' ' '\n' <<<"$variants $variants" | sed -n "$((1 + (round - 1) % 4)),$((4 + (round - 1) % 4))p"); do
      before=$(cpu "$name")
      rps=$(measure "http://$(address "$name"):8080")
      echo "$rps $(($(cpu "$name") - before))" | awk -v s="$seconds" '{print $1, $2 / ($1 * s)}' >>"$work/$name"
    done
  done
  printf '%-42s %s\n' 'requests/s, bare api' "$(spread "$work/bare" 1)"
  for name in $variants; do printf '%-42s %s   µs of processor each %s\n' "requests/s, $name" "$(spread "$work/$name" 1)" "$(spread "$work/$name" 2)"; done
  local part
  for part in '' -log; do
    paste -d' ' "$work/ours$part" "$work/minimal$part" | awk '{print $1 / $3, $2 / $4}' >"$work/ratio"
    printf '%-42s %s   processor time each %s\n' "ratio ours$part / minimal$part" "$(spread "$work/ratio" 1)" "$(spread "$work/ratio" 2)"
  done
  paste -d' ' "$work/ours-log" "$work/bare" | awk '{print $1 / $3}' >"$work/ratio"
  printf '%-42s %s\n' 'ratio ours-log / bare api' "$(spread "$work/ratio" 1)"
  docker ps -aq --filter "label=$label" | xargs -r docker rm -fv >/dev/null
}

# From the balancer's own account, which tells the answers of the api from refusals: served per second, refused per
# second, the 99th percentile and the mean of the time that the api took, in ms.
account() { curl -s "http://$(address limited):8080/nginx/metrics" >"$work/$1"; }
between() {
  awk -v s="$3" '
    function key(line) { sub(/ [^ ]*$/, "", line); return line }
    FNR == NR { before[key($0)] = $NF; next }
    { added[key($0)] = $NF - before[key($0)] }
    /_bucket/ { split($0, part, "\""); order[++n] = part[2] }
    END {
      all = added["nginx_upstream_seconds_count"]
      # Within its bucket as Prometheus does it: evenly.
      for (i = 1; i <= n && order[i] != "+Inf"; i++) {
        up = added["nginx_upstream_seconds_bucket{le=\"" order[i] "\"}"]
        if (up >= 0.99 * all) { p99 = low + (order[i] - low) * (0.99 * all - down) / (up - down); break }
        low = p99 = order[i]; down = up
      }
      printf "%.0f %.0f %.0f %.1f\n", added["nginx_requests_total{class=\"2xx\"}"] / s, added["nginx_limited_total"] / s, 1000 * p99, 1000 * added["nginx_upstream_seconds_sum"] / (all ? all : 1)
    }' "$work/$1" "$work/$2"
}
# load CONNECTIONS RATE SECONDS: so many requests per second, whatever the answers are, counted once they go on evenly.
load() {
  local pause=$(($1 * 1000 / $2))
  printf 'function delay() return math.random(0, %d) end\n' $((pause * 2)) >"$work/pace.lua"
  wrk -t1 -c"$1" -d"$(($3 + 6))s" -s "$work/pace.lua" "http://$(address limited):8080$path" >/dev/null & local wrk=$!
  sleep 5
  account before
  sleep "$3"
  account after
  wait $wrk
  between before after "$3"
}

overload() {
  local capacity served refused p99 mean times rate connections=256 percent=${LIMIT_PERCENT:-75} limit
  api --cpus "${API_CPUS:-0.05}"
  balancer unlimited -e RATE_PER_REPLICA=0
  within 60 answers "http://$(address unlimited):8080" || die 'the balancer does not answer'
  # With as many connections as the overload has: many at once cost a replica more than few.
  wrk -t1 -c$connections -d2s "http://$(address unlimited):8080$path" >/dev/null
  capacity=$(wrk -t1 -c$connections -d8s "http://$(address unlimited):8080$path" | awk '/Requests\/sec/ {printf "%d", $2}')
  docker rm -f "$prefix-unlimited" >/dev/null
  # Close to its very capacity a queue goes away too slowly, or never.
  limit=$((capacity * percent / 100))
  balancer limited -e MIN_REPLICAS=1 -e RATE_PER_REPLICA=$limit -e RATE_CLIENT_SHARE=0
  within 60 answers "http://$(address limited):8080" || die 'the balancer does not answer'
  echo "capacity of the replica: $capacity requests/s; the limit: $limit"
  printf '%-22s %10s %10s %10s %10s   %s\n' offered served/s refused/s p99/ms mean/ms 'served, of the limit'
  for times in 0.5 1 2 5; do
    rate=$(awk -v c="$capacity" -v t="$times" 'BEGIN {printf "%d", c * t}')
    read -r served refused p99 mean < <(load $connections "$rate" "${OVERLOAD_SECONDS:-12}")
    printf '%-22s %10s %10s %10s %10s   %s %%\n' "$times × ($rate/s)" "$served" "$refused" "$p99" "$mean" $((served * 100 / limit))
  done
}

[ $# -gt 0 ] || set -- cost overload
for part in "$@"; do
  case $part in cost | overload) "$part" ;; *) die "unknown part '$part': expected cost or overload" ;; esac
done
