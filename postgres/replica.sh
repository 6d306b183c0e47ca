# A streaming standby that is seeded at every start and thrown away at every stop.
# Sourced by the entrypoint, and by the healthcheck for its two questions.
# shellcheck shell=bash disable=SC2154

# A subdirectory: the mount point's own mode and owner are not PostgreSQL's to change.
DATA=$REPLICA_DATA/data
STREAMING_MARK=$RUN_DIR/streaming

run() {
  [ -w "$REPLICA_DATA" ] || die "$REPLICA_DATA is not writable for uid $(id -u): mount a volume or tmpfs there"
  replicator=$(secret DB_REPLICATION_PASSWORD)
  render_passfile
  render_hba
  rm -f "$STREAMING_MARK"
  # Stopped containers and their volumes are kept for a while: the copy must not be.
  trap 'drop_slot; rm -rf "$DATA"' EXIT
  seed
  [ -z "$stopping" ] || exit 0
  start_server "$DATA" -c primary_slot_name="$SLOT_NAME" \
    -c primary_conninfo="$PRIMARY_CONNINFO application_name=$SLOT_NAME"
  # A stop that came before this line found no server to end.
  [ -z "$stopping" ] || kill -INT "$server"
  watch_stream
  if [ -n "$detached" ]; then
    kill -QUIT "$server" 2>/dev/null || true
    while server_runs; do wait "$server" || true; done
    exit 1
  fi
  end_with_server
}

# Every question to the primary is bounded: connecting by connect_timeout, and name
# lookups, which know no limit of their own, by timeout.
primary_answers() { timeout 3 pg_isready -q -t 2 -d "$PRIMARY_CONNINFO replication=true"; }

streamed_recently() {
  local age
  [ -e "$STREAMING_MARK" ] || return
  age=$(($(date +%s) - $(stat -c %Y "$STREAMING_MARK")))
  [ "$age" -lt "$REPLICA_RESEED_AFTER" ]
}

render_passfile() {
  local password=${replicator//\\/\\\\}
  rm -f "$RUN_DIR/passfile"
  (umask 0177 && printf '*:*:*:replicator:%s\n' "${password//:/\\:}" >"$RUN_DIR/passfile")
}

# The primary keeps WAL for a slot that exists: at the end of a standby it must go. Its sender
# ends a moment after the standby does, hence the attempts; a slot that stays in use is another
# standby's. What is left over, the primary drops itself after a while.
drop_slot() {
  local _
  for _ in {1..5}; do
    [[ $(on_primary "READ_REPLICATION_SLOT $SLOT_NAME") == physical* ]] || return 0
    ! on_primary "DROP_REPLICATION_SLOT $SLOT_NAME" || return 0
    sleep 0.3
  done
}

# on_primary COMMAND: of the replication protocol (no database), as the replicator.
on_primary() { timeout 5 psql -XqAt -d "$PRIMARY_CONNINFO replication=true" -c "$1" 2>/dev/null; }

# Copies the primary, however long it takes and however often it is away.
seed() {
  local waiting=
  while [ -z "$stopping" ]; do
    if ! primary_answers; then
      [ -n "$waiting" ] || say "waiting for the primary at $PRIMARY_HOST:$PRIMARY_PORT"
      waiting=1
      nap 1
      continue
    fi
    rm -rf "$DATA"
    drop_slot
    say "copying the primary at $PRIMARY_HOST:$PRIMARY_PORT, slot $SLOT_NAME"
    # Not synced: this copy is worth nothing after a crash of the machine anyway. A process
    # group of its own, because a stop must reach its second process, which holds the slot.
    # Named apart in pg_stat_replication: what is being copied is no standby yet.
    setsid pg_basebackup -d "$PRIMARY_CONNINFO application_name=seeding" -D "$DATA" -w -X stream -C -S "$SLOT_NAME" \
      -c fast --no-sync &
    seeder=$!
    if wait "$seeder"; then
      seeder=
      touch "$DATA/standby.signal"
      return
    fi
    seeder=
    nap 2
  done
}

# Ends when the server ends, at a stop, or with detached=1: the primary answers and yet
# nothing has been streamed for a while. Then the slot or the history is lost, and only
# a new copy helps. While the primary is away, waiting is right.
watch_stream() {
  local state last=$SECONDS
  detached=
  while [ -z "$stopping" ] && server_runs; do
    state=closed
    ! server_open "$DATA" || state=$(local_sql "select coalesce((select status from pg_stat_wal_receiver), 'none')" 2>/dev/null) || state=closed
    if [ "$state" = streaming ]; then
      [ -e "$STREAMING_MARK" ] || say 'streaming'
      touch "$STREAMING_MARK"
      last=$SECONDS
    elif [ "$state" = closed ] || ! primary_answers; then
      last=$SECONDS
    elif [ $((SECONDS - last)) -ge "$REPLICA_RESEED_AFTER" ]; then
      say "the primary answers, but nothing was streamed for $((SECONDS - last)) s: leaving, to be seeded again"
      detached=1
      return
    fi
    nap 2
  done
}
