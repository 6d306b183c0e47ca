#!/usr/bin/env bash
# Proves with real containers what the postgres, redis and nginx images promise, run as stack.yml runs them.
#
# usage: scripts/test-images.sh [postgres] [redis] [nginx]     default: all three
#
# The images are those that ./deploy-autoscaling.sh --build makes, or others named by
# POSTGRES_IMAGE, REDIS_IMAGE and NGINX_IMAGE. Needs Docker and curl. Whatever it starts carries the
# label scalable-backend.test=images and is removed at the end, also when a check fails; what a run
# that was cut off left behind goes first. No port is named: the engine chooses a free one.
set -euo pipefail

cd "$(dirname "$0")/.."
label=scalable-backend.test=images
prefix=sbtest-img-$$
folders=${TMPDIR:-/tmp}/sbtest-img
POSTGRES_IMAGE=${POSTGRES_IMAGE:-scalable_backend_postgres:latest}
REDIS_IMAGE=${REDIS_IMAGE:-scalable_backend_redis:latest}
NGINX_IMAGE=${NGINX_IMAGE:-scalable_backend_nginx:latest}

# shellcheck source=scripts/checks.sh
. scripts/checks.sh

sweep() {
  docker ps -aq --filter "label=$label" | xargs -r docker rm -fv >/dev/null &&
    docker volume ls -q --filter "label=$label" | xargs -r docker volume rm -f >/dev/null &&
    docker network ls -q --filter "label=$label" | xargs -r docker network rm >/dev/null
}
cleanup() {
  local code=$?
  trap '' INT TERM HUP
  jobs -p | xargs -r kill 2>/dev/null || true
  docker rm -f "$prefix-filter" >/dev/null 2>&1 || true
  # A container that is just ending by itself may refuse the first attempt.
  sweep 2>/dev/null || sweep || say "could not remove everything with the label $label"
  rm -rf "$folders".*
  exit $code
}

# start NAME IMAGE [option…]: hardened as in the stack; the name is also its DNS name. A tmpfs is
# mounted without options, as Swarm's volumes of that type are.
start() {
  local name=$1 image memory run_dir
  case $2 in
    postgres) image=$POSTGRES_IMAGE memory=512m run_dir=/run/postgresql ;;
    redis) image=$REDIS_IMAGE memory=128m run_dir=/run/redis ;;
    nginx) image=$NGINX_IMAGE memory=128m run_dir=/run/nginx ;;
  esac
  shift 2
  docker run -d --name "$prefix-$name" --hostname "$name" --label "$label" --network "${network:-$prefix}" --network-alias "$name" \
    --read-only --cap-drop ALL --memory "$memory" --mount type=tmpfs,target=/tmp --mount "type=tmpfs,target=$run_dir" \
    -v "$work/secrets:/run/secrets:ro" "$@" "$image" >/dev/null
}
within_container() { local name=$1; shift; timeout 30 docker exec "$prefix-$name" "$@"; }
logs() { docker logs "$prefix-$1" 2>&1; }
state() { docker inspect -f '{{.State.Status}}' "$prefix-$1"; }
exit_code() { docker inspect -f '{{.State.ExitCode}}' "$prefix-$1"; }
exited() { [ "$(state "$1")" = exited ]; }
# refused NAME TEXT: it ended by itself, as a failure, and said why.
refused() { within 60 exited "$1" && fails is "$(exit_code "$1")" 0 >/dev/null && says "$2" logs "$1"; }
healthy() { within_container "$1" healthcheck; }
# The engine knows two results of a health check, 0 and 1, and waits 5 s in the stack.
unhealthy() { local code=0; timeout 5 docker exec "$prefix-$1" healthcheck || code=$?; is "$code" 1; }
# No rights: not root's, no capability, and no program that would give them.
powerless() {
  fails equals 0 within_container "$1" id -u >/dev/null &&
    says 'CapBnd:	0000000000000000' within_container "$1" cat /proc/1/status &&
    equals '' within_container "$1" bash -c 'find / -xdev -type f -perm /6000 2>/dev/null || true'
}

# Each secret has a part of its own that no quoting changes, to search for.
made_secret() {
  local core; core=$(od -An -N 8 -t x1 /dev/urandom | tr -d ' \n')
  echo "$core" >>"$work/cores"
  rm -f "$work/secrets/$1"
  printf '%s%s\n' "$2" "$core" >"$work/secrets/$1"
  chmod 444 "$work/secrets/$1"
}
secret_of() { cat "$work/secrets/$1"; }

# Nowhere a secret could be read by somebody who may only look at the container.
shows_no_secret() {
  { docker inspect "$prefix-$1"; logs "$1"; docker top "$prefix-$1" -eo pid,args
    within_container "$1" bash -c 'cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null' | tr '\0' '\n'; } >"$work/visible"
  grep -q PATH= "$work/visible" && fails grep -F -f "$work/cores" "$work/visible"
}

# Pulled or made here, a base differs by a few MB.
has_size() {
  local size; size=$(docker image inspect -f '{{.Size}}' "$1") && size=$((size / 1000000))
  [ $((size * 10)) -ge $(($2 * 9)) ] && [ $((size * 10)) -le $(($2 * 11)) ] || { echo "$1 has $size MB, the README says $2"; return 1; }
}
test_sizes() {
  local image size rows
  rows=$(sed -nE 's/^\| `([a-z_-]+)`[^|]*\| ([0-9]+) MB \|$/\1 \2/p' README.md | grep -vF monitoring)
  check 'the README has the sizes of all six images' [ "$(wc -l <<<"$rows")" -ge 6 ]
  while read -r image size; do check "$image has the size that the README gives" has_size "$image:latest" "$size"; done <<<"$rows"
}

. scripts/test-images/postgres.sh
. scripts/test-images/redis.sh
. scripts/test-images/nginx.sh
. scripts/test-images/socket-proxy.sh

for tool in docker curl; do command -v $tool >/dev/null || die "$tool is needed"; done
[ $# -gt 0 ] || set -- postgres redis nginx
for image in "$@"; do
  case $image in postgres | redis | nginx) ;; *) die "unknown image '$image': expected postgres, redis or nginx" ;; esac
done
# One image's checks use another as its neighbour, so all three are needed.
for image in "$POSTGRES_IMAGE" "$REDIS_IMAGE" "$NGINX_IMAGE"; do
  docker image inspect "$image" >/dev/null 2>&1 || die "there is no image $image: ./deploy-autoscaling.sh --build makes it"
done

# One run at a time on this machine, so that whatever carries the label is a leftover.
exec 8>"$folders-lock"
flock -n 8 || { say 'waiting for another run to end'; flock 8; }
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
sweep
rm -rf "$folders".*
work=$(mktemp -d "$folders.XXXXXX")
mkdir "$work/secrets"
chmod 755 "$work" "$work/secrets"
# Characters that quoting could stumble over are part of the passwords.
made_secret db_password "app'-\"\\:"
made_secret db_monitor_password 'monitor-'
made_secret db_replication_password 'replica:\tor-'
made_secret redis_password 'cache"\x-'
docker network create --label "$label" "$prefix" >/dev/null

for image in "$@"; do "test_$image"; done
[ $# -lt 3 ] || { test_socket_proxy; test_sizes; }
[ $failed = 0 ] || die "$failed checks failed"
say "all checks passed in $SECONDS s"
