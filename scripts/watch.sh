#!/usr/bin/env bash
# Watches the stack scale: replicas, bounds, votes, what holds each service and for how long, the
# data tier. Every two seconds, until it is interrupted.
#
# usage: scripts/watch.sh [--once] [--every SECONDS]
# STACK_NAME (environment or .env) says which stack.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/settings.sh
. scripts/settings.sh

die() { printf 'watch.sh: %s\n' "$*" >&2; exit 1; }

once='' every=2
while [ $# -gt 0 ]; do
  case $1 in
    --once) once=1 ;;
    --every) every=${2:-}; shift || true
      [[ $every =~ ^([1-9][0-9]{0,3}|0\.[5-9])$ ]] || die "--every $every: allowed are seconds, 0.5 or more" ;;
    --help | -h) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit ;;
    *) die "$1: allowed are --once and --every SECONDS" ;;
  esac
  shift || true
done

problems=$(read_env_file .env)
[ -z "$problems" ] || die "$problems"
service=${STACK_NAME:-scalable-backend}_autoscaler

# The table, asked for in the autoscaler's own container.
table() {
  local id where
  id=$(docker ps -q --filter "label=com.docker.swarm.service.name=$service" | head -n 1)
  if [ -n "$id" ]; then
    docker exec "$id" autoscaler status
    return
  fi
  where=$(docker service ps --filter desired-state=running --format '{{.Node}} ({{.CurrentState}})' "$service" 2>/dev/null) ||
    { echo "there is no service $service in this Swarm: deploy with ./deploy-autoscaling.sh, or set STACK_NAME"; return 1; }
  echo "no container of $service runs on this node: ${where:-no task}; see docker service ps $service"
  return 1
}

if [ -n "$once" ]; then
  text=$(table 2>&1) || die "$text"
  printf '%s\n' "$text"
  exit
fi
# One look at a time: what is started in a container would outlive a terminal that is closed.
clear=''; [ -t 1 ] && clear=$'\033[H\033[J'
while :; do
  # An autoscaler that is being replaced is waited for.
  text=$(table 2>&1) || true
  printf '%s%s  %s\n' "$clear" "$(date +%T)" "$text"
  sleep "$every"
done
