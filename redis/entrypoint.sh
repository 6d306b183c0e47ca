#!/bin/bash
# Renders Redis' configuration into a tmpfs and becomes redis-server.
set -euo pipefail

die() { printf 'redis: %s\n' "$*" >&2; exit 1; }

password_file=${REDIS_PASSWORD_FILE:-/run/secrets/redis_password}
maxmemory=${REDIS_MAXMEMORY:-64mb}
maxclients=${REDIS_MAXCLIENTS:-1000}
conf=/run/redis/redis.conf

[ -r "$password_file" ] || die "cannot read the password file $password_file (REDIS_PASSWORD_FILE)"
# As for every reader of the stack's secrets, white space around it is not part of it.
[[ $(<"$password_file") =~ ^[[:space:]]*([^[:space:]]+)[[:space:]]*$ ]] ||
  die "the password file $password_file must hold one word"
password=${BASH_REMATCH[1]}
[[ $maxmemory =~ ^[1-9][0-9]*([kKmMgG][bB]?)?$ ]] ||
  die "REDIS_MAXMEMORY='$maxmemory': expected a size such as 64mb"
[[ $maxclients =~ ^[1-9][0-9]*$ ]] || die "REDIS_MAXCLIENTS='$maxclients': expected a number above 0"

mkdir -p "${conf%/*}" 2>/dev/null && [ -w "${conf%/*}" ] || die "${conf%/*} is not writable: mount a tmpfs there"

password=${password//\\/\\\\}
password=${password//\"/\\\"}
rm -f "$conf"
(
  umask 0377
  printf 'include /etc/redis.conf\nrequirepass "%s"\nmaxmemory %s\nmaxclients %s\n' \
    "$password" "$maxmemory" "$maxclients" >"$conf"
)

exec /usr/bin/redis-server "$conf"
