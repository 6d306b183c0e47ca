# The primary: one server on its volume, never two. Sourced by the entrypoint.
# shellcheck shell=bash disable=SC2154

run() {
  [ "${TASK_SLOT:-1}" = 1 ] ||
    die "this is task $TASK_SLOT: the primary never has a second server; scale postgres-replica instead"
  app=$(secret DB_PASSWORD)
  monitor=$(secret DB_MONITOR_PASSWORD)
  replicator=$(secret DB_REPLICATION_PASSWORD)
  take_volume
  create_database
  render_hba
  # Left over by a server that was killed. Its process number means another process here,
  # which would keep the new server from starting; the lock has shown that it is gone.
  rm -f "$RUN_DIR/ready" "$PRIMARY_DATA/postmaster.pid"
  start_server "$PRIMARY_DATA"
  # A stop that came before this line found no server to end.
  [ -z "$stopping" ] || kill -INT "$server"
  wait_until_open
  [ -n "$stopping" ] || align_roles || stop_with 'the roles could not be brought in line with the secrets'
  touch "$RUN_DIR/ready"
  while [ -z "$stopping" ] && server_runs; do
    drop_forgotten_slots
    nap $((SLOT_DROP_AFTER < 15 ? SLOT_DROP_AFTER : 15))
  done
  end_with_server
}

# postmaster.pid says nothing across containers; a lock on the volume does. The server
# inherits the descriptor, so the lock lives exactly as long as the last of its processes.
take_volume() {
  [ -w "$VOLUME" ] || die "$VOLUME is not writable for uid $(id -u): mount a volume that belongs to it"
  exec 9>>"$VOLUME/.lock"
  flock -n 9 || die 'another server runs on this volume: refusing to start'
  local other
  for other in "$VOLUME"/*/PG_VERSION; do
    [ ! -e "$other" ] || [ "$other" = "$PRIMARY_DATA/PG_VERSION" ] || [[ $other == *.new/* ]] ||
      die "the volume holds files of another version (${other%/*}): move them over first"
  done
}

# Made beside its place and renamed: half a directory never passes for a database.
create_database() {
  [ ! -e "$PRIMARY_DATA/PG_VERSION" ] || return 0
  say 'empty volume: creating the database files'
  rm -rf "$PRIMARY_DATA.new"
  # The built-in locale sorts alike with every C library, so an image update breaks no index.
  initdb -D "$PRIMARY_DATA.new" -U postgres --auth=reject --data-checksums --encoding=UTF8 \
    --locale=C.UTF-8 --locale-provider=builtin --builtin-locale=C.UTF-8 --no-instructions >"$RUN_DIR/initdb.log" 2>&1 ||
    { cat "$RUN_DIR/initdb.log" >&2; die 'initdb failed'; }
  mv -T "$PRIMARY_DATA.new" "$PRIMARY_DATA"
  sync "$VOLUME"
}

# Crash recovery may take long: there is no limit here, the orchestrator has one.
wait_until_open() {
  until server_open "$PRIMARY_DATA"; do
    server_runs || end_with_server
    nap 0.1
  done
}

stop_with() {
  kill -INT "$server" 2>/dev/null || true
  wait "$server" || true
  die "$1"
}

# For the quoting of psql's \set.
quoted() { local text=${1//\\/\\\\}; printf "'%s'" "${text//\'/\\\'}"; }

# The passwords reach the server through psql's input, in a session that hides its
# statements from the log and from pg_stat_activity.
align_roles() {
  {
    printf '\\set app_password %s\n' "$(quoted "$app")"
    printf '\\set monitor_password %s\n' "$(quoted "$monitor")"
    printf '\\set replicator_password %s\n' "$(quoted "$replicator")"
    cat "$CONF_DIR/roles.sql" "$CONF_DIR/database.sql"
  } | PGOPTIONS='-c track_activities=off -c log_min_error_statement=panic -c log_statement=none
      -c log_min_duration_statement=-1 -c client_min_messages=warning' \
    psql -XqAt -U postgres -d postgres -v ON_ERROR_STOP=1 -v database=scalable_backend -o /dev/null
}

# A standby that was killed and then scaled away leaves its slot, and an unused slot keeps
# WAL until the disk is full. A living standby that loses its slot here seeds itself again.
drop_forgotten_slots() {
  local name
  for name in $(local_sql "select slot_name from pg_replication_slots where slot_type = 'physical' and not active
      and slot_name ~ '^standby_[0-9]+\$' and inactive_since < now() - interval '$SLOT_DROP_AFTER s'" 2>/dev/null); do
    if local_sql "select pg_drop_replication_slot('$name')" >/dev/null; then
      say "dropped slot $name: unused for more than $SLOT_DROP_AFTER s"
    fi
  done
}
