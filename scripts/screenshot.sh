#!/usr/bin/env bash
# Draws the dashboard under load: puts load on the deployed stack, waits until it has scaled, and
# takes the picture.
#
# usage: scripts/screenshot.sh [FILE]     FILE: docs/dashboard.png without it
# STACK_NAME, HTTP_PORT and AUTOSCALER_PORT say which stack. USERS (60) and MINUTES (4) are the load's.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/settings.sh
. scripts/settings.sh
case ${1:-} in -*) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2 ;; esac

problems=$(read_env_file .env)
[ -z "$problems" ] || { echo "screenshot.sh: $problems" >&2; exit 1; }
file=${1:-docs/dashboard.png}
dashboard=http://127.0.0.1:${AUTOSCALER_PORT:-8080}
scripts/need-chromium.sh
# Built before there is any load, with the features that the tests have.
cargo build --quiet --locked --workspace --features tests/e2e --example screenshot
scripts/stress-test.sh --help >/dev/null
curl -fsS -o /dev/null "$dashboard/health" ||
  { echo "screenshot.sh: no autoscaler at $dashboard: deploy with ./deploy-autoscaling.sh, or set AUTOSCALER_PORT" >&2; exit 1; }

scripts/stress-test.sh --users "${USERS:-60}" --minutes "${MINUTES:-4}" --ramp 45 --host "http://127.0.0.1:${HTTP_PORT:-80}" >/dev/null &
load=$!
trap 'kill "$load" 2>/dev/null || true' EXIT
target/debug/examples/screenshot "$dashboard/" "${STACK_NAME:-scalable-backend}_api" "$file"
echo "$file"
