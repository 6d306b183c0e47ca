#!/usr/bin/env bash
# Deploys the auto-scaling stack on this machine: from nothing, or in place over what runs.
# See --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/settings.sh
. scripts/settings.sh
# shellcheck source=scripts/images.sh
. scripts/images.sh
# shellcheck source=scripts/secrets.sh
. scripts/secrets.sh

usage() {
  cat <<'HELP'
usage: ./deploy-autoscaling.sh [--with-monitoring | --without-monitoring] [--build | --status | --rotate SECRET]
       ./deploy-autoscaling.sh --down [--volumes] [--yes]

Without options: installs Docker when it is missing, initialises a Swarm, builds the images, makes
the secrets, deploys the stack, waits until every service is healthy and checks its endpoints.
Run again it updates in place and keeps secrets, data and the replica counts of the moment.

  --build     prepares the machine and builds the images, deploys nothing
  --status    services, replicas and endpoints of the deployed stack
  --rotate    deploys with a new value for SECRET, one of JWT_SECRET, DB_PASSWORD, DB_MONITOR_PASSWORD,
              DB_REPLICATION_PASSWORD, REDIS_PASSWORD, ADMIN_TOKEN, WEBHOOK_URL, ALERT_WEBHOOK_URL, and
              deletes the old one
  --with-monitoring
              also deploys Prometheus, its alerts and Alertmanager; later deployments keep them
  --without-monitoring
              takes them away again, and keeps what they recorded
  --down      removes the stack; asks before it deletes volumes and secrets
  --volumes   with --down: delete volumes and secrets without asking
  --yes       with --down: do not ask, keep volumes and secrets (unless --volumes)
  --help      this text

Settings come from the environment, then from .env (see .env.example). STACK_NAME, HTTP_PORT,
AUTOSCALER_PORT, COLLECTOR_PORT, COLLECTOR_HEALTH_PORT, PROMETHEUS_PORT and NETWORK_SUBNET place a
second stack beside the first.
HELP
}

say() { printf '%s\n' "$*"; }
step() { printf '==> %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
# Runs a command whose output matters only when it fails.
quietly() {
  local log; log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    tail -n 40 "$log" >&2; rm -f "$log"
    die "failed: $*"
  fi
  rm -f "$log"
}

load_settings() {
  local problems
  problems=$(mktemp)
  # In this shell, not in a substitution: both export what they read.
  { read_env_file .env; check_settings; } >"$problems"
  if [ -s "$problems" ]; then
    printf 'error: the settings are not usable, nothing was changed:\n' >&2
    sed 's/^/  /' "$problems" >&2; rm -f "$problems"
    exit 2
  fi
  rm -f "$problems"
}

# ── the machine ──────────────────────────────────────────────────────────────────────────────────

need_docker() {
  if ! command -v docker >/dev/null; then
    [ "$(id -u)" = 0 ] || die "Docker is not installed, and installing it needs root: run this script with sudo"
    command -v apt-get >/dev/null || die "Docker is not installed and this is no Debian or Ubuntu: install Docker 20.10 or newer, then run this script again"
    step "installing Docker (Debian package docker.io)"
    quietly apt-get update -qq
    DEBIAN_FRONTEND=noninteractive quietly apt-get install -y -qq docker.io ca-certificates
    command -v docker >/dev/null || DEBIAN_FRONTEND=noninteractive quietly apt-get install -y -qq docker-cli
  fi
  docker info >/dev/null 2>&1 && return
  local why
  why=$(docker info 2>&1 | tail -n 1) || true
  case $why in
    *"permission denied"*) die "this user may not talk to the Docker engine: run with sudo, or join the group docker and log in again" ;;
  esac
  [ "$(id -u)" = 0 ] || die "the Docker engine does not answer, and starting it needs root: run this script with sudo"
  step "starting the Docker engine"
  systemctl start docker 2>/dev/null || service docker start >/dev/null 2>&1 ||
    { command -v dockerd >/dev/null && setsid dockerd </dev/null >/var/log/dockerd.log 2>&1 & } || true
  local _
  for _ in $(seq 60); do docker info >/dev/null 2>&1 && return; sleep 0.5; done
  die "the Docker engine does not start: see journalctl -u docker or /var/log/dockerd.log"
}

need_swarm() {
  case $(docker info --format '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}') in
    "active true") ;;
    "active false") die "this node is a worker of a Swarm: run this script on a manager" ;;
    inactive*)
      step "initialising a Swarm on this node"
      # With several addresses the engine asks which one: take the one that packets leave from.
      local address
      address=$(ip -4 route get 192.0.2.1 2>/dev/null | sed -nE 's/.* src ([0-9.]+).*/\1/p' | head -n 1) || true
      quietly docker swarm init ${address:+--advertise-addr "$address"} ;;
    *) die "this node's Swarm is in the state '$(docker info --format '{{.Swarm.LocalNodeState}}')': see docker info, then docker swarm leave --force to start anew" ;;
  esac
}

need_space() {
  local root free
  root=$(docker info --format '{{.DockerRootDir}}')
  free=$(df -Pk "$root" 2>/dev/null | awk 'NR==2 {print int($4/1024)}') || true
  [ -z "$free" ] || [ "$free" -ge 2048 ] || die "only ${free} MiB are free under $root: images and data need 2048 MiB; free some with: docker system prune"
}

# A filter's socket is made anew when the filter starts: whoever reads it mounts its folder.
need_read_socket() {
  [ -S "$READ_SOCKET" ] || die "READ_SOCKET=$READ_SOCKET is no socket on this machine: scripts/socket-proxy.sh start makes one"
  case ${READ_SOCKET%/*} in
    /run | /var/run) export READ_SOCKET_MOUNT=$READ_SOCKET ;;
    *) export READ_SOCKET_MOUNT=${READ_SOCKET%/*} ;;
  esac
}

need_ports() {
  # Ports of our own running services are ours.
  local name port names=()
  [ -n "$(docker service ls -q --filter "label=com.docker.stack.namespace=$STACK_NAME")" ] ||
    names=(HTTP_PORT ${TLS_CERT_FILE:+HTTPS_PORT} AUTOSCALER_PORT COLLECTOR_PORT COLLECTOR_HEALTH_PORT)
  [ "$MONITORING" = no ] || is_deployed prometheus || names+=(PROMETHEUS_PORT)
  for name in ${names[@]+"${names[@]}"}; do
    port=${!name}
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      die "port $port is in use on this machine: stop what listens there (ss -ltnp 'sport = :$port'), or choose another with $name=…"
    fi
  done
}

# ── the stack ────────────────────────────────────────────────────────────────────────────────────

is_deployed() { docker service inspect "${STACK_NAME}_$1" >/dev/null 2>&1; }
spec_of() { docker service inspect --format "$2" "${STACK_NAME}_$1" 2>/dev/null || true; }

# What runs now stays: counts were chosen by the autoscaler or by hand, not by the file.
keep_running_state() {
  local pair service count
  for pair in API_REPLICAS=api POSTGRES_REPLICA_REPLICAS=postgres-replica REDIS_REPLICAS=redis; do
    service=${pair#*=}
    count=$(spec_of "$service" '{{.Spec.Mode.Replicated.Replicas}}')
    if [[ $count =~ ^[0-9]+$ ]]; then export "${pair%%=*}=$count"; fi
  done
  [ -n "${API_REPLICAS:-}" ] || export API_REPLICAS=$MIN_REPLICAS
  # The primary stays where its volume is.
  if [ -z "${POSTGRES_CONSTRAINT:-}" ]; then
    POSTGRES_CONSTRAINT=$(spec_of postgres '{{index .Spec.TaskTemplate.Placement.Constraints 0}}')
    [ -n "$POSTGRES_CONSTRAINT" ] || POSTGRES_CONSTRAINT="node.id == $(docker info --format '{{.Swarm.NodeID}}')"
    export POSTGRES_CONSTRAINT
  fi
}

# A config cannot change under its name: the first stack's is "nginx.conf", a changed one is named by its content.
choose_nginx_config() {
  [ -z "${NGINX_CONFIG:-}" ] || return 0
  local name digest owner held
  digest=$(sha256sum nginx/nginx.conf | cut -c1-12)
  for name in nginx.conf "nginx.conf.${STACK_NAME}.$digest"; do
    owner=$(docker config inspect --format '{{index .Spec.Labels "com.docker.stack.namespace"}}' "$name" 2>/dev/null) || { export NGINX_CONFIG=$name; return; }
    held=$(docker config inspect --format '{{printf "%s" .Spec.Data}}' "$name" | sha256sum | cut -c1-12)
    # Go's template ends the output with a line end of its own.
    if [ "$owner" = "$STACK_NAME" ] && [ "$held" = "$({ cat nginx/nginx.conf; echo; } | sha256sum | cut -c1-12)" ]; then
      export NGINX_CONFIG=$name; return
    fi
  done
}

deploy() {
  step "deploying the stack $STACK_NAME"
  export SOCKET_USER=${SOCKET_USER:-65532:$(stat -Lc %g /var/run/docker.sock)}
  pinned API_IMAGE scalable_backend_api:latest
  pinned COLLECTOR_IMAGE metrics-collector:latest
  pinned AUTOSCALER_IMAGE autoscaler:latest
  pinned NGINX_IMAGE scalable_backend_nginx:latest
  pinned POSTGRES_IMAGE scalable_backend_postgres:latest
  pinned REDIS_IMAGE scalable_backend_redis:latest
  local files=(-c stack.yml)
  if [ "$MONITORING" = yes ]; then
    pinned MONITORING_IMAGE scalable_backend_monitoring:latest
    files+=(-c stack.monitoring.yml)
  fi
  make_secrets
  make_tls_secrets
  keep_running_state
  choose_nginx_config
  [ -z "${TLS_CERT_FILE:-}" ] || files+=(-c stack.tls.yml)
  quietly docker stack deploy --resolve-image never "${files[@]}" "$STACK_NAME"
  [ "$MONITORING" = yes ] || remove_monitoring
}

# Its volumes stay: what was recorded is there when it comes back.
remove_monitoring() {
  local service
  for service in prometheus alertmanager prober; do
    ! is_deployed $service || docker service rm "${STACK_NAME}_$service" >/dev/null
  done
}

# "name running/desired" for each service that is not there yet; nothing when all are.
outstanding() {
  docker service ls --filter "label=com.docker.stack.namespace=$STACK_NAME" --format '{{.Name}} {{.Replicas}}' |
    while read -r name replicas _; do
      [ "${replicas%/*}" = "${replicas#*/}" ] || { printf '%s(%s) ' "${name#"$STACK_NAME"_}" "$replicas"; continue; }
      case $(docker service inspect --format '{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}' "$name") in
        updating | rollback_started) printf '%s(updating) ' "${name#"$STACK_NAME"_}" ;;
        paused | rollback_paused | rollback_completed) printf '!%s ' "${name#"$STACK_NAME"_}" ;;
      esac
    done
}

explain_failure() {
  local name
  for name in $1; do
    name=${name#!}; name=${STACK_NAME}_${name%%(*}
    say "--- $name"
    docker service ps --no-trunc --format '{{.Name}} {{.CurrentState}} {{.Error}}' "$name" | head -n 4
    { timeout 20 docker service logs --tail 8 "$name" 2>&1 || true; } | tail -n 8
  done
}

wait_until_healthy() {
  step "waiting until every service is healthy"
  local waiting previous='' deadline=$((SECONDS + ${DEPLOY_TIMEOUT:-300}))
  while waiting=$(outstanding); [ -n "$waiting" ]; do
    [[ $waiting != *!* ]] || { explain_failure "$waiting"; die "an update was rolled back: the services marked ! run their previous version"; }
    if [ "$waiting" != "$previous" ]; then say "    waiting for: $waiting"; previous=$waiting; fi
    if [ $SECONDS -ge $deadline ]; then
      explain_failure "$waiting" >&2
      die "not healthy after ${DEPLOY_TIMEOUT:-300} s: $waiting"
    fi
    sleep 1
  done
}

# Whether the name "localhost" is in the certificate is not the question.
http_status() { curl -sk -o /dev/null -m 5 -w '%{http_code}' "$1" 2>/dev/null || true; }

endpoints() {
  local public=http://localhost:$HTTP_PORT
  [ -z "${TLS_CERT_FILE:-}" ] || public=https://localhost:$HTTPS_PORT
  cat <<LIST
API|http://localhost:$HTTP_PORT/api/health
API documentation|$public/api/docs
nginx status|http://localhost:$HTTP_PORT/nginx/status
nginx upstream|http://localhost:$HTTP_PORT/nginx/upstream
Autoscaler|http://localhost:$AUTOSCALER_PORT/health
Autoscaler metrics|http://localhost:$AUTOSCALER_PORT/metrics
Collector metrics|http://localhost:$COLLECTOR_PORT/metrics
Collector health|http://localhost:$COLLECTOR_HEALTH_PORT/health
LIST
  ! is_deployed prometheus || echo "Prometheus|http://localhost:$PROMETHEUS_PORT/-/ready"
}

check_endpoints() {
  step "endpoints"
  local name url status failed=0 _
  while IFS='|' read -r name url; do
    # The first snapshot and the balancer's first look at DNS come a moment after "healthy".
    for _ in $(seq 20); do status=$(http_status "$url"); [ "$status" = 200 ] && break; sleep 0.5; done
    printf '    %-20s %s  %s\n' "$name" "$status" "$(sed -E 's#^(http://[^/:]*):80/#\1/#; s#^(https://[^/:]*):443/#\1/#' <<<"$url")"
    [ "$status" = 200 ] || failed=1
  done < <(endpoints)
  [ $failed = 0 ] || die "an endpoint does not answer 200: see docker service logs ${STACK_NAME}_nginx and the service behind it"
}

print_status() {
  docker service ls --filter "label=com.docker.stack.namespace=$STACK_NAME" --format 'table {{.Name}}\t{{.Mode}}\t{{.Replicas}}\t{{.Image}}'
}

status() {
  [ -n "$(docker service ls -q --filter "label=com.docker.stack.namespace=$STACK_NAME" 2>/dev/null)" ] ||
    die "the stack $STACK_NAME is not deployed here: ./deploy-autoscaling.sh deploys it"
  print_status
  check_endpoints
}

# ── taking it down ───────────────────────────────────────────────────────────────────────────────

owned() { docker "$1" ls -q --filter "label=com.docker.stack.namespace=$STACK_NAME"; }

down() {
  local delete=$1 assume=$2 answer left deadline
  step "removing the stack $STACK_NAME"
  docker service ls -q --filter "label=com.docker.stack.namespace=$STACK_NAME" | xargs -r docker service rm >/dev/null
  deadline=$((SECONDS + 120))
  while left=$(docker ps -q --filter "label=com.docker.stack.namespace=$STACK_NAME"); [ -n "$left" ] && [ $SECONDS -lt $deadline ]; do sleep 0.5; done
  [ -z "$left" ] || die "containers of the stack are still there after 120 s: docker ps --filter label=com.docker.stack.namespace=$STACK_NAME"
  # Stopped ones would still hold the volume.
  docker ps -aq --filter "label=com.docker.stack.namespace=$STACK_NAME" | xargs -r docker rm -fv >/dev/null 2>&1 || true
  owned config | xargs -r docker config rm >/dev/null
  while [ -n "$(owned network)" ] && [ $SECONDS -lt $deadline ]; do owned network | xargs -r docker network rm >/dev/null 2>&1 || sleep 0.5; done
  if [ "$delete" = ask ]; then
    delete=no
    if [ "$assume" = no ]; then
      [ -t 0 ] || { say "    volumes and secrets are kept (delete them with --down --volumes)"; return; }
      read -r -p "    Delete the database's volume and the secrets too? All data is lost. Type the stack's name to confirm: " answer
      [ "$answer" != "$STACK_NAME" ] || delete=yes
    fi
  fi
  if [ "$delete" = yes ]; then
    docker volume ls -q --filter "label=com.docker.stack.namespace=$STACK_NAME" | xargs -r docker volume rm >/dev/null
    docker secret ls -q --filter "label=scalable-backend.stack=$STACK_NAME" | xargs -r docker secret rm >/dev/null
    say "    volumes and secrets are deleted"
  else
    say "    volumes and secrets are kept"
  fi
}

main() {
  local action=deploy volumes=ask assume=no
  ROTATE='' MONITORING=''
  while [ $# -gt 0 ]; do
    case $1 in
      --help | -h) usage; exit 0 ;;
      --build) action=build ;;
      --with-monitoring) MONITORING=yes ;;
      --without-monitoring) MONITORING=no ;;
      --status) action=status ;;
      --rotate)
        shift; ROTATE=${1:-}; ROTATE=${ROTATE^^}
        [[ -n $ROTATE && " $SECRETS " == *" $ROTATE "* ]] || die "--rotate needs the name of a secret: one of ${SECRETS// /, }" ;;
      --down) action=down ;;
      --volumes) volumes=yes ;;
      --yes) assume=yes ;;
      *) usage >&2; die "unknown option $1" ;;
    esac
    shift
  done
  load_settings
  case $action in
    status) status; return ;;
    down) down "$volumes" "$assume"; return ;;
  esac
  need_docker
  need_swarm
  need_space
  # Once it is there it stays, unless it is told to go.
  if [ -z "$MONITORING" ]; then if is_deployed prometheus; then MONITORING=yes; else MONITORING=no; fi; fi
  [ "$ROTATE" != ALERT_WEBHOOK_URL ] || [ "$MONITORING" = yes ] ||
    die "only the monitoring uses ALERT_WEBHOOK_URL: add --with-monitoring"
  if [ "$action" = build ]; then build_images; return; fi
  need_read_socket
  need_ports
  command -v curl >/dev/null || { [ "$(id -u)" = 0 ] && quietly apt-get install -y -qq curl; } || die "curl is missing: apt-get install curl"
  build_images
  deploy
  wait_until_healthy
  check_endpoints
  delete_old_secrets
  prune_images
  print_status
  local alerts="./deploy-autoscaling.sh --with-monitoring"
  [ "$MONITORING" = no ] || alerts="http://localhost:$PROMETHEUS_PORT/alerts"
  cat <<NEXT

The stack $STACK_NAME is up after ${SECONDS} s.

  dashboard       http://localhost:$AUTOSCALER_PORT/
  watch it        scripts/watch.sh
  decisions       docker service logs -f ${STACK_NAME}_autoscaler | grep scaled
  why (not)       curl http://localhost:$AUTOSCALER_PORT/api/v1/services/api
  alerts          $alerts
  put load on     scripts/stress-test.sh --users 50 --minutes 3 --host http://localhost:$HTTP_PORT
  take it down    ./deploy-autoscaling.sh --down
NEXT
}

# On one line: the file may be replaced, by an update of the repository, while this runs.
main "$@"; exit
