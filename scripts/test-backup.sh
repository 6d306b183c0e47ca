#!/usr/bin/env bash
# Proves with real services what scripts/backup.sh and scripts/restore.sh promise.
#
# usage: scripts/test-backup.sh              on two small stacks of its own, without api and balancer
#        scripts/test-backup.sh --deployed   on the stack that STACK_NAME and HTTP_PORT name, through its
#                                            api; what is there afterwards is what the test found
#
# Needs a Swarm, and the images that ./deploy-autoscaling.sh --build makes, or others named by POSTGRES_IMAGE and
# REDIS_IMAGE. What it starts carries the label scalable-backend.test=backup and is removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/checks.sh
. scripts/checks.sh

label=scalable-backend.test=backup
POSTGRES_IMAGE=${POSTGRES_IMAGE:-scalable_backend_postgres:latest}
REDIS_IMAGE=${REDIS_IMAGE:-scalable_backend_redis:latest}
folders=${TMPDIR:-/tmp}/sbtest-backup

container() { docker ps -q --filter "label=com.docker.swarm.service.name=$1" --filter health=healthy | grep .; }
# sql STACK STATEMENT
sql() { timeout 60 docker exec "$(container "$1_postgres")" psql -XAtq -U postgres -d scalable_backend -c "$2"; }
replicas() { docker service inspect --format '{{.Spec.Mode.Replicated.Replicas}}' "$1"; }
backup() { STACK_NAME=$1 scripts/backup.sh "${@:2}"; }
# Without a terminal, as from a timer.
restore() { STACK_NAME=$1 scripts/restore.sh "${@:2}" </dev/null; }
acknowledged() { [ "$(wc -l <"$work/acknowledged")" -ge "$1" ]; }
# What a writer has begun it ends.
stop_writer() { touch "$work/stop"; wait "$writer" || true; }

sweep() {
  docker service ls -q --filter "label=$label" | xargs -r docker service rm >/dev/null
  local end=$((SECONDS + 60))
  while [ -n "$(docker ps -q --filter "label=$label")" ] && [ $SECONDS -lt $end ]; do sleep 0.2; done
  docker ps -aq --filter "label=$label" | xargs -r docker rm -fv >/dev/null
  docker secret ls -q --filter "label=$label" | xargs -r docker secret rm >/dev/null
  docker volume ls -q --filter "label=$label" | xargs -r docker volume rm >/dev/null
}
cleanup() {
  local code=$?
  trap '' INT TERM HUP
  [ -z "${writer:-}" ] || stop_writer
  [ "$mode" = deployed ] || sweep || say "could not remove everything with the label $label"
  rm -rf "$folders".*
  exit $code
}

# ── on stacks of its own ─────────────────────────────────────────────────────────────────────────

# serve STACK SERVICE IMAGE SECRETS [option…]
serve() {
  local stack=$1 service=$2 image=$3 secret secrets=()
  for secret in $4; do
    head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' | docker secret create --label "$label" "${stack}_$secret" - >/dev/null
    secrets+=(--secret "source=${stack}_$secret,target=$secret")
  done
  shift 4
  docker service create --detach --quiet --no-resolve-image --name "${stack}_$service" --label "$label" --container-label "$label" \
    --read-only --cap-drop ALL --mount type=tmpfs,target=/tmp --health-interval 1s --stop-grace-period 30s \
    "${secrets[@]}" "$@" "$image" >/dev/null
}
small_stack() {
  serve "$1" postgres "$POSTGRES_IMAGE" 'db_password db_monitor_password db_replication_password' \
    --mount type=tmpfs,target=/run/postgresql --stop-signal SIGINT --env TASK_SLOT=1 \
    --mount "type=volume,source=$1_postgres_data,target=/var/lib/postgresql/data,volume-label=$label"
}

# Each transaction writes a row and its two parts; what was acknowledged is noted.
write_on() {
  local n
  for ((n = 1; ; n++)); do
    [ ! -e "$work/stop" ] || break
    echo "begin; insert into entries values ($n); insert into parts values ($n, 1), ($n, 2); commit; select $n;"
  done | docker exec -i "$(container "$1_postgres")" psql -XAtq -U postgres -d scalable_backend -v ON_ERROR_STOP=1 >"$work/acknowledged"
}
fill() {
  sql "$1" "create table entries (id int primary key); create table parts (entry int references entries, part int, primary key (entry, part));
    create table bulk (id int primary key, text text); create index on bulk (text);
    insert into bulk select n, repeat(md5(n::text), 4) from generate_series(1, 200000) n"
}
# Whole transactions, each that was acknowledged before the backup began, and at the most one more than at its end.
holds_the_backup() {
  local entries; entries=$(sql "$1" 'select count(*) from entries')
  is "$(sql "$1" 'select count(*) from bulk')" 200000 && is "$(sql "$1" 'select count(*) from parts')" $((2 * entries)) &&
    is "$(sql "$1" 'select max(id) from entries')" "$entries" && [ "$entries" -ge "$2" ] && [ "$entries" -le $(($3 + 1)) ] ||
    { echo "$entries entries; acknowledged: $2 before, $3 after the backup"; return 1; }
}
sound() {
  is "$(sql "$1" 'show data_checksums')" on &&
    docker exec "$(container "$1_postgres")" pg_amcheck -U postgres --install-missing --heapallindexed scalable_backend
}
# Its time, as it is noted with the database that serves.
noted() { sql "$1" "select split_part(setting, '=', 2) from pg_db_role_setting, unnest(setconfig) as setting where setting like 'backup.begun_at=%'
  and setdatabase = (select oid from pg_database where datname = current_database())"; }
noted_between() { local at; at=$(noted "$1"); [ "${at:-0}" -ge "$2" ] && [ "$at" -le "$3" ] || { echo "noted: $at, not from $2 to $3"; return 1; }; }
only_the_backup() { is "$(cd "$work/backups" && find . -type f ! -path "./${file##*/}*")" '' && is "$(stat -c %a "$file" "$file.sha256" | xargs)" '600 600'; }
# In psql, since it must be there before the dump is.
cut_off_the_dump() {
  sql "$1" "do \$\$ begin
    for i in 1..1000 loop
      exit when 0 < (select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'pg_dump' and query ~ '^COPY');
      perform pg_sleep(0.01); perform pg_stat_clear_snapshot();
    end loop; end \$\$" >/dev/null &
  local killer=$! code=0
  backup "$1" "$work/backups" || code=$?
  wait $killer
  return $code
}
# unchanged STACK: what it held before the refused restores, whole and in service.
unchanged() {
  is "$(sql "$1" 'select count(*) from entries')" "$held" &&
    is "$(sql "$1" "select string_agg(datname, ' ' order by datname) from pg_database where datallowconn")" 'postgres scalable_backend template1' &&
    is "$(replicas "$1_redis")" 1
}

test_small_stacks() {
  local a=sbbackup-$$-a b=sbbackup-$$-b before after begun held file kept
  small_stack $a
  small_stack $b
  serve $a redis "$REDIS_IMAGE" redis_password --mount type=tmpfs,target=/run/redis
  mkdir "$work/backups"
  within 60 container ${a}_postgres || true
  within 60 container ${b}_postgres || true
  fill $a
  write_on $a &
  writer=$!
  within 60 acknowledged 100 || true
  before=$(wc -l <"$work/acknowledged")
  begun=$(date +%s)
  file=$(backup $a "$work/backups") || die 'no backup was made'
  check 'the database tells when it was backed up' noted_between $a "$begun" "$(date +%s)"
  after=$(wc -l <"$work/acknowledged")
  check 'writes go on during a backup' [ "$after" -gt "$before" ]
  check 'a backup cut off in the middle fails' fails cut_off_the_dump $a
  check 'a backup that the disk has no room for fails' fails env STACK_NAME=$a bash -c "ulimit -f 100; scripts/backup.sh '$work/backups'"
  check 'neither leaves anything, and the backup is for its owner only' only_the_backup
  stop_writer
  held=$(sql $a 'select count(*) from entries')

  check 'a fresh stack takes it without being asked' restore $b "$file"
  check 'the fresh stack holds one moment, and every row acknowledged before the backup' holds_the_backup $b "$before" "$after"
  check 'its checksums are on, its pages and indexes sound' sound $b

  check 'a stack with data is not overwritten without --yes' says 'run it with --yes' restore $a "$file"
  cp "$file" "$work/other.dump"
  check 'a backup without its checksum is refused' says 'checksum' restore $a --yes "$work/other.dump"
  printf X | dd of="$work/other.dump" bs=1 seek=5000 conv=notrunc status=none
  sed 's/ .*/  other.dump/' "$file.sha256" >"$work/other.dump.sha256"
  check 'a damaged backup is refused' says 'its checksum is another one' restore $a --yes "$work/other.dump"
  head -c 500000 "$file" >"$work/other.dump"
  sha256sum "$work/other.dump" >"$work/other.dump.sha256"
  check 'half a backup is refused' says 'cannot be read' restore $a --yes "$work/other.dump"
  sql $b 'create role stranger; create table strange (); alter table strange owner to stranger'
  check 'a backup that cannot be loaded is refused' says 'could not be loaded' restore $a --yes "$(backup $b "$work/backups")"
  check 'after all that the stack is as it was' unchanged $a
  sql $a 'create database scalable_backend_moving'
  check 'a restore that fails while the stack is closed says so' fails restore $a --yes "$file"
  sql $a 'drop database scalable_backend_moving'
  check 'and opens the stack as it was' unchanged $a

  check 'a stack with data is restored with --yes' restore $a --yes "$file"
  check 'it holds what the backup holds' holds_the_backup $a "$before" "$after"
  check 'and has not been backed up since' equals '' noted $a
  check 'the cache came back, empty and healthy' within 60 container ${a}_redis
  check 'an undo' restore $a --yes --undo
  check 'brings back what was replaced' unchanged_after_undo $a

  kept=$(sleep 1; backup $a --keep 1 "$work/backups")
  check 'the older backups of a stack go when a number is given, those of others stay' \
    is "$(cd "$work/backups" && find . -name '*.dump' | grep -c -e "${kept##*/}" -e "$b")/$(find "$work/backups" -type f | wc -l)" 2/4
}
unchanged_after_undo() { sql "$1" 'drop database if exists scalable_backend_before_restore' && unchanged "$1"; }

# ── on a deployed stack ──────────────────────────────────────────────────────────────────────────

api() { curl -sS -m 20 -o "$work/answer" -w '%{http_code}' -H 'Content-Type: application/json' "${@:2}" "http://localhost:$HTTP_PORT/api$1"; }
field() { sed -nE "s/.*\"$1\":\"([^\"]+)\".*/\1/p" "$work/answer"; }
sign_in() {
  local user="{\"email\":\"backup-$$@example.org\",\"password\":\"correct horse battery\"}"
  is "$(api /auth/register -d "$user")" 201 && is "$(api /auth/login -d "$user")" 200 && token=$(field access_token)
}
create() { api /items -H "Authorization: Bearer $token" -H "Idempotency-Key: backup-$$-$1" -d "{\"title\":\"backup-$$-$1\"}"; }
create_on() {
  local n
  for ((n = 1; ; n++)); do
    [ ! -e "$work/stop" ] || break
    [ "$(create $n)" != 201 ] || echo $n >>"$work/acknowledged"
  done
}
# Every one of the first COUNT acknowledged items is there, and none is there twice.
has_items() {
  head -n "$1" "$work/acknowledged" | sed "s/^/backup-$$-/" | LC_ALL=C sort >"$work/expected"
  sql "$STACK_NAME" "select title from items where title like 'backup-$$-%'" | LC_ALL=C sort >"$work/found"
  is "$(LC_ALL=C comm -23 "$work/expected" "$work/found")" '' && is "$(uniq -d "$work/found")" ''
}
# titled TITLE: the item, as any of the api's replicas and the cache see it.
titled() { is "$(api "/items/$item" -H "Authorization: Bearer $token")" 200 && is "$(field title)" "$1"; }
counts() { local service; for service in api redis postgres-replica; do replicas "${STACK_NAME}_$service"; done | xargs; }

# The README's commands, a line each, for this stack and with an image that is there. Between the copy and the start
# the volume is emptied and filled from the copy.
tar_commands() {
  awk '/^\*\*tar of the volume\*\*/ { found = 1 } found && /^```$/ { fence++; next } fence == 1' README.md >"$work/readme"
  is "$(wc -l <"$work/readme")" 4 || return 1
  { sed -n 1,3p "$work/readme"; grep -oE 'docker run [^`]*find /data -mindepth 1 -delete' README.md
    echo 'docker run --rm -v scalable-backend_postgres_data:/data -v $(pwd):/backup alpine tar xzf /backup/postgres-backup.tar.gz -C /'
    sed -n 4p "$work/readme"; } | sed "s/scalable-backend/$STACK_NAME/g; s/ alpine / debian:trixie-slim /" >"$work/commands"
  is "$(wc -l <"$work/commands")" 6 && cat "$work/commands" && (cd "$work" && timeout 180 bash -eux commands)
}
holds_copy() { [ "$(stat -c %s "$work/postgres-backup.tar.gz")" -gt 1000000 ] && [ ! -e "$work/data" ]; }

test_deployed() {
  : "${STACK_NAME:?}" "${HTTP_PORT:?}"
  local token item before all file wanted
  sign_in || die "cannot sign in: $(cat "$work/answer")"
  create first >/dev/null
  item=$(field id)
  : >"$work/acknowledged"
  create_on &
  writer=$!
  within 60 acknowledged 20 || true
  before=$(wc -l <"$work/acknowledged")
  file=$(backup "$STACK_NAME" "$work") || die 'no backup was made'
  within 60 acknowledged $((before + 20)) || true
  stop_writer
  all=$(wc -l <"$work/acknowledged")
  api "/items/$item" -X PUT -H "Authorization: Bearer $token" -d '{"title":"changed"}' >/dev/null
  titled changed || die 'an item could not be changed'
  wanted=$(counts)
  check 'the stack is restored from a backup made under load' restore "$STACK_NAME" --yes "$file"
  check 'every item acknowledged before the backup is there once' has_items "$before"
  check 'who was signed in is signed in, and what was cached is forgotten' titled "backup-$$-first"
  check 'a create of before the backup is not doubled when it is repeated' equals 201 create "$(head -n 1 "$work/acknowledged")"
  check 'nor is there a second row' has_items "$before"
  check 'new items are taken' equals 201 create after
  check 'the replica counts are what they were' equals "$wanted" counts
  check 'an undo' restore "$STACK_NAME" --yes --undo
  check 'every acknowledged item is there once again' has_items "$all"
  check 'as it was changed' titled changed
  check 'the replica counts are still what they were' equals "$wanted" counts
  check "the README's commands copy the volume and bring it back" tar_commands
  check 'they leave a copy' holds_copy
  check 'the api is back' within 60 titled changed
  check 'and every item with it' has_items "$all"
}

mode=small
[ "${1:-}" != --deployed ] || mode=deployed
# One run at a time on this machine, so that whatever carries the label is a leftover.
exec 8>"$folders-lock"
flock -n 8 || { say 'waiting for another run to end'; flock 8; }
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
[ $mode = deployed ] || sweep
rm -rf "$folders".*
work=$(mktemp -d "$folders.XXXXXX")
if [ $mode = deployed ]; then test_deployed; else test_small_stacks; fi
[ $failed = 0 ] || die "$failed checks failed"
say "all checks passed in $SECONDS s"
