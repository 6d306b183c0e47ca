#!/usr/bin/env bash
# Restores a backup of scripts/backup.sh into a deployed stack, an empty one or one with data.
#
# usage: scripts/restore.sh [--yes] FILE     --yes: do not ask before data is replaced
#        scripts/restore.sh [--yes] --undo   goes back to what the last restore replaced
#
# The backup is checked, loaded into a database of its own beside the one that serves, and checked there.
# Only then the stack closes for some seconds: api, cache and standbys go to 0, the two databases
# swap names, and the replica counts come back as they were, also after a failure. Before the swap a
# failure leaves everything as it was. STACK_NAME chooses the stack. Runs where the primary runs.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
here=$PWD
cd "$root"
# shellcheck source=scripts/database.sh
. scripts/database.sh

LOADED=${DATABASE}_restored
REPLACED=${DATABASE}_before_restore
# Who must not see both databases: the api with its connections, the cache with rows of the old one, and the
# standbys, whose sessions would stay with the old one. Each comes back empty.
CLOSED='redis postgres-replica api'
declare -A counts=()

service_at() { docker service inspect --format '{{.Spec.Mode.Replicated.Replicas}}' "${STACK_NAME}_$1" 2>/dev/null; }
# Somebody else may write the service at the same moment: then the engine refuses, and it is tried again.
scale() {
  local _
  for _ in {1..5}; do
    ! docker service scale --detach "${STACK_NAME}_$1=$2" >/dev/null 2>&1 || return 0
    sleep 1
  done
  say "could not scale ${STACK_NAME}_$1 to $2"
  return 1
}
# within SECONDS COMMAND…
within() {
  local end=$((SECONDS + $1)); shift
  until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.5; done
}
all_stopped() {
  local service
  for service in "${!counts[@]}"; do
    ! docker service ps --format '{{.CurrentState}}' "${STACK_NAME}_$service" | grep -qE '^(Running|Starting|Preparing|Ready)' || return 1
  done
}
all_healthy() {
  local service
  for service in "${!counts[@]}"; do
    docker service ls --format '{{.Name}} {{.Replicas}}' | grep -qE "^${STACK_NAME}_$service ${counts[$service]}/${counts[$service]}( |\$)" || return 1
  done
}

close_stack() {
  local service count
  for service in $CLOSED; do
    # A stack may lack one of them.
    count=$(service_at "$service") || continue
    counts[$service]=$count
    scale "$service" 0 || die "the stack cannot be closed"
  done
  within 120 all_stopped || die 'the services did not stop within 120 s'
}
open_stack() {
  local service failed=0
  for service in $CLOSED; do
    [ -z "${counts[$service]:-}" ] || scale "$service" "${counts[$service]}" || failed=1
  done
  return $failed
}

# Creates it if need be, with the rights that the services expect, and lets connections in.
prepare() { docker exec "$primary" psql -Xq -U postgres -d postgres -v ON_ERROR_STOP=1 -v database="$1" -f /usr/local/lib/postgres/database.sql; }
drop() { sql postgres <<<"set client_min_messages = warning; drop database if exists $1 with (force);"; }
exists() { [ "$(sql postgres <<<"select count(*) from pg_database where datname = '$1'")" = 1 ]; }

# swap NAME: it becomes the database that serves, and that one becomes the one that was replaced.
swap() {
  [ "$1" = "$REPLACED" ] || drop "$REPLACED"
  sql postgres -v new="$1" -v serving="$DATABASE" -v replaced="$REPLACED" -v moving="${DATABASE}_moving" -o /dev/null <<'SQL'
alter database :"serving" allow_connections false;
select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname in (:'serving', :'new');
begin;
alter database :"serving" rename to :"moving";
alter database :"new" rename to :"serving";
alter database :"moving" rename to :"replaced";
commit;
SQL
  prepare "$DATABASE"
}

# load FILE: into a database of its own. Expects the rows that the file holds in rows.
load() {
  drop "$LOADED"
  prepare "$LOADED"
  docker exec -i "$primary" pg_restore -U postgres --exit-on-error --dbname="$LOADED" <"$1" ||
    die 'the backup could not be loaded; nothing was changed'
  sql "$LOADED" <<<'analyze'
  # A restore that starts proves little: each row is counted, each page and each index entry looked at.
  diff <(echo "$rows") <(rows_of_database "$LOADED") >&2 || die 'the rows loaded are not those of the backup; nothing was changed'
  docker exec "$primary" pg_amcheck -U postgres --install-missing --heapallindexed "$LOADED" >&2 ||
    die 'the loaded database is not sound; nothing was changed'
  sql "$LOADED" <<<'drop extension amcheck'
}

check_file() {
  local file=$1 expected found
  [ -f "$file" ] && [ -r "$file" ] || die "cannot read $file"
  [ -f "$file.sha256" ] || die "its checksum $file.sha256 is missing: sha256sum $file >$file.sha256 makes one for a file that you trust"
  read -r expected _ <"$file.sha256" || true
  read -r found _ < <(sha256sum <"$file")
  [ "$found" = "$expected" ] || die "$file is not what was backed up: its checksum is another one"
}

confirm() {
  local answer
  [ "$assume" = no ] || return 0
  [ -t 0 ] || die "$1; run it with --yes to go on without being asked"
  say "$1. The stack is away for some seconds."
  read -r -p "Type the stack's name to go on: " answer
  [ "$answer" = "$STACK_NAME" ] || die 'nothing was changed'
}

cleanup() {
  local code=$?
  trap '' INT TERM HUP
  [ ${#counts[@]} = 0 ] || { prepare "$DATABASE" || true; open_stack; } || say "bring it back by hand: ${!counts[*]} at ${counts[*]}"
  [ "$undo" = yes ] || [ -z "${primary:-}" ] || drop "$LOADED" || true
  exit $code
}

assume=no undo=no file=''
while [ $# -gt 0 ]; do
  case $1 in
    --yes) assume=yes ;;
    --undo) undo=yes ;;
    --help | -h) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' scripts/restore.sh; exit 0 ;;
    -*) die "unknown option $1: see --help" ;;
    *) [ -z "$file" ] || die "one file is enough, got $file and $1"; file=$1 ;;
  esac
  shift
done
if [ "$undo" = yes ]; then [ -z "$file" ] || die '--undo takes no file'; else [ -n "$file" ] || die 'which backup? see --help'; fi
case $file in /* | '') ;; *) file=$here/$file ;; esac

[ "$undo" = yes ] || check_file "$file"
find_primary
exec 8<scripts/restore.sh
flock -n 8 || die 'another restore is running'
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

if [ "$undo" = yes ]; then
  exists "$REPLACED" || die "there is nothing to go back to: no restore was made into $STACK_NAME"
  confirm "The database of $STACK_NAME changes places with the one from before the last restore"
  incoming=$REPLACED
else
  rows=$(rows_of_archive "$file") || die "$file cannot be read"
  # What the api itself writes at its first start is no data.
  present=$(rows_of_database "$DATABASE" | sed '/_sqlx_migrations /d' | total)
  [ "$present" = 0 ] ||
    confirm "The database of $STACK_NAME with its $present rows is replaced by the backup with $(total <<<"$rows") rows; it is kept until the next restore"
  say 'loading and checking the backup beside the database that serves'
  load "$file"
  incoming=$LOADED
fi
say "closing $STACK_NAME"
closed_at=$SECONDS
close_stack
swap "$incoming"
open_stack || exit 1
within 180 all_healthy ||
  die "restored, but not healthy again within 180 s: see docker service ps ${STACK_NAME}_api; scripts/restore.sh --undo goes back"
say "$STACK_NAME was closed for $((SECONDS - closed_at)) s"
counts=()
say "restored in $SECONDS s; rows by table:"
rows_of_database "$DATABASE"
