#!/usr/bin/env bash
# End to end on a real Swarm: deploys a stack of its own, runs the tests in tests/e2e against it,
# and removes it, also when they fail.
#
# usage: scripts/e2e.sh [FILTER…]    FILTER: run only the tests whose name contains one of them, slow ones too
#        KEEP=1 scripts/e2e.sh       leaves the stack standing
set -euo pipefail
cd "$(dirname "$0")/.."

# What an earlier run left behind when it was cut off.
for stack in $(docker service ls --format '{{.Label "com.docker.stack.namespace"}}' 2>/dev/null | sort -u | grep '^sbe2e-' || true); do
  STACK_NAME=$stack ./deploy-autoscaling.sh --down --volumes || true
done

port=20000
free_port() {
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
}
for name in HTTP_PORT HTTPS_PORT AUTOSCALER_PORT COLLECTOR_PORT COLLECTOR_HEALTH_PORT PROMETHEUS_PORT; do
  free_port
  export "$name=$port"
  port=$((port + 1))
done
export STACK_NAME="sbe2e-$$" NETWORK_SUBNET="10.88.$(($$ % 250)).0/24" NGINX_CONFIG="sbe2e-$$_nginx.conf"
# Minutes become seconds; the relations between the settings stay those of the defaults.
export SCALING_ALGORITHM=linear MIN_REPLICAS=2 MAX_REPLICAS=5 CHECK_INTERVAL=2 COOLDOWN_PERIOD=10 WARM_UP=4 REPLACE_PAUSED_AFTER=6
# Low enough for the same load to reach the maximum on a fast machine, too.
export CPU_SCALE_UP_THRESHOLD=50
export SCALE_UP_THRESHOLD=60 SCALE_DOWN_THRESHOLD=20 DB_REPLICA_MAX_LAG=2 REDIS_MAXMEMORY=16M CACHE_TTL=8 CACHE_COOLDOWN_PERIOD=12
# Room for requests of four seconds.
export DB_STATEMENT_TIMEOUT=7
# All clients of the tests have one address. An update is watched for three seconds instead of ten.
export RATE_CLIENT_SHARE=100 UPDATE_MONITOR=3
export SCRAPE_INTERVAL=2 COLLECT_INTERVAL=1 CPU_WINDOW=5 HTTP_WINDOW=10 HEALTH_CHECK_INTERVAL=5 API_HEALTH_CHECK_INTERVAL=2 API_CPU_LIMIT=0.12

cleanup() {
  local code=$?
  if [ $code -ne 0 ]; then
    echo "--- the autoscaler's last words"; timeout 20 docker service logs --tail 40 "${STACK_NAME}_autoscaler" 2>&1 | tail -n 40 || true
  fi
  [ -n "${KEEP:-}" ] || ./deploy-autoscaling.sh --down --volumes || true
  exit $code
}
trap cleanup EXIT

# Before anything runs: with images from an earlier run the deploy script compiles nothing, and the
# first test that puts on load would meet its time limit waiting for a compiler.
scripts/stress-test.sh --help >/dev/null
scripts/need-chromium.sh
./deploy-autoscaling.sh --with-monitoring
# A failed condition explains itself; where in the test it stood adds nothing.
export RUST_BACKTRACE=0
# The whole workspace is named so that its dependencies are those already compiled for the other tests.
cargo test --locked --workspace --features tests/e2e --test e2e -- --test-threads=1 ${1:+--include-ignored} "$@"
[ -n "${1:-}" ] || scripts/test-backup.sh --deployed
