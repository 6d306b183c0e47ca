# Sourced by backup.sh and restore.sh, in the repository's root: which stack, where its primary is,
# and how many rows an archive or a database holds.
# shellcheck shell=bash disable=SC2034

# shellcheck source=scripts/settings.sh
. scripts/settings.sh
read_env_file .env >&2
STACK_NAME=${STACK_NAME:-scalable-backend}
DATABASE=scalable_backend

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# Sets primary, a container, and image, what it runs.
find_primary() {
  local service=${STACK_NAME}_postgres node
  command -v docker >/dev/null || die 'docker is needed'
  node=$(docker service ps --filter desired-state=running --format '{{.Node}}' "$service" 2>&1) ||
    die "there is no service $service to be seen here; STACK_NAME names another stack (${node##*$'\n'})"
  primary=$(docker ps -q --filter "label=com.docker.swarm.service.name=$service" --filter health=healthy)
  [ -n "$primary" ] || die "no healthy container of $service on this machine (its node: ${node:-none}): see docker service ps $service"
  image=$(docker inspect --format '{{.Image}}' "$primary")
}

# sql DATABASE [psql option…]: as superuser; the statements are the input.
sql() { docker exec -i "$primary" psql -XAtq -U postgres -d "$1" -F ' ' -v ON_ERROR_STOP=1 "${@:2}"; }

# "table rows", a line for each. The archive is read to its end, so that this is also the proof that
# it can be. In a container of its own: the primary's share of CPU is for its clients.
rows_of_archive() {
  # shellcheck disable=SC2016  # awk's fields
  docker run --rm -i --network none --read-only --cap-drop ALL --entrypoint bash "$image" -o pipefail -c '
    pg_restore --data-only --file=- | awk "
      table == \"\" && /^COPY .* FROM stdin;\$/ { table = \$2; rows[table] = 0; next }
      \$0 == \"\\\\.\" { table = \"\" }
      table != \"\" { rows[table]++ }
      END { for (table in rows) print table, rows[table] }"' <"$1" | LC_ALL=C sort
}

rows_of_database() {
  sql "$1" <<'SQL' | LC_ALL=C sort
select format('select %L, count(*) from %1$s', format('%I.%I', schemaname, tablename))
  from pg_tables where schemaname not in ('pg_catalog', 'information_schema') \gexec
SQL
}

total() { awk '{ rows += $NF } END { print rows + 0 }'; }
