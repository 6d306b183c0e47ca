#!/usr/bin/env bash
# Backs up the database of a deployed stack while it serves: one consistent moment, compressed, read
# back to its end before it gets its name, with a checksum beside it.
#
# usage: scripts/backup.sh [--keep N] [FOLDER]      FOLDER: default backups
#   --keep N   deletes all but the newest N backups of this stack in FOLDER, once the new one is there
#
# STACK_NAME chooses the stack. Prints the path of the new file, FOLDER/<stack>-<UTC time>.dump, which
# scripts/restore.sh takes; it survives a new major version of Postgres. Runs where the primary runs.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
here=$PWD
cd "$root"
# shellcheck source=scripts/database.sh
. scripts/database.sh

keep=0 folder=''
while [ $# -gt 0 ]; do
  case $1 in
    --keep) [[ ${2:-} =~ ^[1-9][0-9]{0,4}$ ]] || die "--keep ${2:-}: expected a number above 0"; keep=$2; shift ;;
    --help | -h) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "scripts/backup.sh"; exit 0 ;;
    -*) die "unknown option $1: see --help" ;;
    *) [ -z "$folder" ] || die "one folder is enough, got $folder and $1"; folder=$1 ;;
  esac
  shift
done
case ${folder:=$root/backups} in /*) ;; *) folder=$here/$folder ;; esac

# The dump holds what users wrote and hashes of their passwords.
umask 077
mkdir -p "$folder" 2>/dev/null && [ -w "$folder" ] || die "cannot write to the folder $folder"
find_primary
begun=$(date +%s)
name=$STACK_NAME-$(date -u -d "@$begun" +%Y%m%dT%H%M%SZ).dump
[ ! -e "$folder/$name" ] || die "$folder/$name exists already"
partial=$folder/.$name.partial
trap 'rm -f "$partial" "$partial.sha256"' EXIT
trap 'exit 130' INT TERM HUP

# Waiting behind a lock for longer would be an outage of its own.
docker exec "$primary" pg_dump -U postgres --format=custom --compress=zstd --lock-wait-timeout=60s "$DATABASE" >"$partial" ||
  die 'the dump was not finished; nothing is kept of it'
rows=$(rows_of_archive "$partial") || die 'the dump cannot be read back; nothing is kept of it'
sum=$(sha256sum <"$partial")
printf '%s  %s\n' "${sum%% *}" "$name" >"$partial.sha256"
sync "$partial" "$partial.sha256" || die "cannot write to $folder"
mv "$partial.sha256" "$folder/$name.sha256"
mv "$partial" "$folder/$name"

# With the database, where the collector reads it, so that an alert can tell when backups have stopped. It
# does not come back with a restore: of what was restored there is no backup yet.
sql postgres <<<"alter database $DATABASE set backup.begun_at = '$begun'" ||
  say 'the backup is made, but its time could not be noted: the monitoring will miss it'

say "backed up $STACK_NAME in $SECONDS s: $(total <<<"$rows") rows in $(wc -l <<<"$rows") tables, $(du -h "$folder/$name" | cut -f1)"
echo "$folder/$name"

[ "$keep" = 0 ] || find "$folder" -maxdepth 1 -regextype posix-extended -regex ".*/$STACK_NAME-[0-9]{8}T[0-9]{6}Z\.dump" |
  LC_ALL=C sort -r | tail -n "+$((keep + 1))" |
  while read -r old; do rm -f "$old" "$old.sha256"; say "deleted $old"; done
