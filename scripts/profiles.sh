#!/usr/bin/env bash
# The guide's three load profiles on a stack of their own, with the default settings: 25 users stay at 2 replicas, 50
# reach 3 to 5, 100 reach 8 to 10, each without a failed request, and it comes back to 2.
# Takes half an hour, most of it cooldowns on the way down; wants a machine that does nothing else.
#
# usage: scripts/profiles.sh [FOLDER]     FOLDER: where the reports go (default artifacts/profiles)
set -euo pipefail
cd "$(dirname "$0")/.."

reports=${1:-artifacts/profiles}
mkdir -p "$reports"
export STACK_NAME=sbprofiles HTTP_PORT=20080 AUTOSCALER_PORT=20081 COLLECTOR_PORT=20082 COLLECTOR_HEALTH_PORT=20083
export NETWORK_SUBNET=10.89.0.0/24
trap './deploy-autoscaling.sh --down --volumes' EXIT
./deploy-autoscaling.sh

replicas() { docker service inspect --format '{{.Spec.Mode.Replicated.Replicas}}' "${STACK_NAME}_api"; }
last_step() { date -d "$(docker service inspect --format '{{json .UpdatedAt}}' "${STACK_NAME}_api" | tr -d '"')" +%s; }
comes_back() {
  local start=$SECONDS
  while [ "$(replicas)" != 2 ]; do
    [ $((SECONDS - start)) -lt 1800 ] || { echo "still at $(replicas) replicas after 30 minutes" >&2; return 1; }
    sleep 5
  done
  printf 'back at 2 replicas after %d s\n' $((SECONDS - start))
  # What comes next must not meet the cooldown of this step.
  until [ $(($(date +%s) - $(last_step))) -gt 120 ]; do sleep 5; done
}

while read -r users minutes range; do
  printf '\n══ %s users, %s minutes: expecting %s replicas at the most\n' "$users" "$minutes" "$range"
  scripts/stress-test.sh --users "$users" --minutes "$minutes" --host "http://localhost:$HTTP_PORT" \
    --collector "http://localhost:$COLLECTOR_PORT" --expect-replicas "$range" --report "$reports/$users.json"
  comes_back
done <<'PROFILES'
25 2 2..2
50 3 3..5
100 5 8..10
PROFILES
