#!/usr/bin/env bash
# Two nodes with a balancer each, in a Swarm of their own on this machine (scripts/swarm-lab.sh): both serve, share the
# limit, see who their clients are, and when one node goes the other takes its part over.
#
# usage: scripts/test-nodes.sh       needs root
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/checks.sh
. scripts/checks.sh
export SWARM_LAB_DIR=${TMPDIR:-/tmp}/sbtest-nodes SWARM_LAB_PREFIX=sbnodes
lab() { scripts/swarm-lab.sh "$@"; }

cleanup() { local code=$?; lab down || true; exit $code; }
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
# Here, once: an engine of the lab would build for itself, and the others would not have it.
./deploy-autoscaling.sh --build
lab down
lab up 2
lab load debian:trixie-slim nginx:1.30 scalable_backend_{api,nginx,postgres,redis}:latest metrics-collector:latest autoscaler:latest

# The default ports are free in a network of its own. The engine's socket belongs to root there.
export STACK_NAME=sbnodes SOCKET_USER=0:0 RATE_PER_REPLICA=20 RATE_CLIENT_SHARE=0 HEALTH_CHECK_INTERVAL=2 API_HEALTH_CHECK_INTERVAL=2
export NGINX_CONSTRAINT='node.platform.os == linux'
lab on 1 ./deploy-autoscaling.sh

get() { local node=$1; shift; lab on "$node" curl -s -m 10 "$@"; }
status() { local node=$1; shift; get "$node" -o /dev/null -w '%{http_code}' "$@"; }
figure() { get "$1" http://localhost/nginx/metrics | sed -n "s/^$2 //p"; }
shared_by() { get 1 http://localhost/nginx/upstream | grep -q "\"balancers\":$1,"; }
# admitted NODE: of as many requests as four seconds allow.
admitted() {
  # shellcheck disable=SC2016
  lab on "$1" timeout 4 bash -c 'while :; do for _ in $(seq 100); do printf "url=%s\noutput=/dev/null\n" http://localhost/api/docs; done | curl -s -K - -w "%{http_code}\n"; done' |
    grep -cx 200 || true
}
# At most half a second's worth at once, and then 20 a second each; a busy machine may send less than it could.
half_each() {
  local a b
  admitted 1 >"$SWARM_LAB_DIR/admitted" & a=$!
  b=$(admitted 2)
  wait $a
  a=$(<"$SWARM_LAB_DIR/admitted")
  echo "$a and $b in 4 s"
  [ "$a" -ge 50 ] && [ "$a" -le 110 ] && [ "$b" -ge 50 ] && [ "$b" -le 110 ]
}
all_succeed() { is "$(for _ in $(seq 40); do status "$1" http://localhost/api/health; echo; done | sort | uniq -c | awk '{print $1, $2}')" '40 200'; }
knows_client() {
  local id
  id=$(lab on 1 docker ps -q -f "label=com.docker.swarm.service.name=${STACK_NAME}_nginx")
  lab on 2 curl -s -o /dev/null "http://${SWARM_LAB_NET:-10.77.0}.1/nothing-here"
  within 5 says "\"client\":\"${SWARM_LAB_NET:-10.77.0}.2\"" lab on 1 docker logs "$id"
}

check 'both nodes answer' within 60 equals 200 status 2 http://localhost/api/health
check 'they know of each other' within 30 shared_by 2
check 'node 1 lets through its half of 2 × 20 requests/s' within 10 equals 20 figure 1 nginx_limit_requests_per_second
check 'so does node 2' within 10 equals 20 figure 2 nginx_limit_requests_per_second
check 'and no more when both are flooded' half_each
check 'the account adds up both' within 30 equals 2 bash -c "$(declare -f lab get); get 1 http://localhost:8090/metrics | sed -n 's/^nginx_balancers //p'"
check 'a client of another node is known by its own address' knows_client
node=$(lab on 2 docker info -f '{{.Swarm.NodeID}}')
lab on 1 docker node update --availability drain "$node" >/dev/null
check 'no request fails on node 1 while node 2 is drained' all_succeed 1
check 'then it has the whole limit' within 30 equals 40 figure 1 nginx_limit_requests_per_second
[ $failed = 0 ] || die "$failed checks failed"
say "all checks passed in $SECONDS s"
