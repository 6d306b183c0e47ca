# Settings of both roles, checked before anything starts. Sourced by the entrypoint and
# the healthcheck; may not start or change anything outside /run/postgresql.
# shellcheck shell=bash disable=SC2034

RUN_DIR=/run/postgresql
CONF_DIR=/usr/local/lib/postgres
ROLE=${ROLE:-primary}
VOLUME=/var/lib/postgresql/data
# The major version is part of the path: a newer server never opens older files by mistake.
PRIMARY_DATA=$VOLUME/17
REPLICA_DATA=${REPLICA_DATA:-/var/lib/postgresql/replica}
PRIMARY_HOST=${PRIMARY_HOST:-postgres}
PRIMARY_PORT=${PRIMARY_PORT:-5432}
SLOT_DROP_AFTER=${SLOT_DROP_AFTER:-300}
REPLICA_RESEED_AFTER=${REPLICA_RESEED_AFTER:-20}
# Slots of standbys are named after their task; the primary drops forgotten ones by this prefix.
SLOT_NAME=standby_${TASK_SLOT:-1}
PRIMARY_CONNINFO="host=$PRIMARY_HOST port=$PRIMARY_PORT user=replicator passfile=$RUN_DIR/passfile \
connect_timeout=2 keepalives_idle=5 keepalives_interval=2 keepalives_count=3"

say() { printf '%(%Y-%m-%d %H:%M:%S)T UTC entrypoint: %s\n' -1 "$*" >&2; }
die() { say "$*"; exit 1; }

# expect NAME VALUE REGEX MEANING
expect() { [[ $2 =~ ^($3)$ ]] || die "$1='$2': expected $4"; }

check_settings() {
  expect ROLE "$ROLE" 'primary|replica' 'primary or replica'
  expect TASK_SLOT "${TASK_SLOT:-1}" '[1-9][0-9]{0,8}' 'the number of a task'
  expect SHARED_BUFFERS "${SHARED_BUFFERS:=128MB}" '[1-9][0-9]*(kB|MB|GB)' 'a size such as 128MB'
  expect MAX_SLOT_WAL_KEEP_SIZE "${MAX_SLOT_WAL_KEEP_SIZE:=1GB}" '[1-9][0-9]*(MB|GB)' 'a size such as 1GB'
  expect MAX_CONNECTIONS "${MAX_CONNECTIONS:=100}" '[1-9][0-9]{1,3}' 'a number from 10 to 9999'
  expect SLOT_DROP_AFTER "$SLOT_DROP_AFTER" '[1-9][0-9]{0,5}' 'seconds above 0'
  expect REPLICA_RESEED_AFTER "$REPLICA_RESEED_AFTER" '[1-9][0-9]{0,5}' 'seconds above 0'
  expect PRIMARY_PORT "$PRIMARY_PORT" '[1-9][0-9]{0,4}' 'a port'
  expect PRIMARY_HOST "$PRIMARY_HOST" '[A-Za-z0-9._-]+' 'a host name'
  expect NETWORK_SUBNET "${NETWORK_SUBNET:=samenet}" 'samenet|[0-9./]+(, *[0-9./]+)*' \
    'subnets such as 10.42.0.0/24, separated by commas'
  [ -w "$RUN_DIR" ] || die "$RUN_DIR is not writable: mount a tmpfs there"
}

# secret NAME: the secret without the white space around it, from the file that NAME_FILE names.
secret() {
  local variable=$1_FILE file text
  file=${!variable:-/run/secrets/${1,,}}
  [ -r "$file" ] || die "cannot read the secret $file ($variable)"
  text=$(<"$file")
  [[ $text =~ ^[[:space:]]*([^[:space:]]+)[[:space:]]*$ ]] || die "the secret $file must hold one word"
  printf '%s' "${BASH_REMATCH[1]}"
}

# Who may log in, from where, and how. Everything that is not named is refused.
render_hba() {
  local from
  {
    echo 'local all postgres peer'
    for from in ${NETWORK_SUBNET//,/ }; do
      echo "host scalable_backend app $from scram-sha-256"
      echo "host scalable_backend,postgres monitor $from scram-sha-256"
      echo "host replication replicator $from scram-sha-256"
    done
  } >"$RUN_DIR/pg_hba.conf"
}

# start_server DIRECTORY [option…]: in the background, its pid in $server.
start_server() {
  local directory=$1; shift
  postgres -D "$directory" -c config_file="$CONF_DIR/postgresql.conf" -c hba_file="$RUN_DIR/pg_hba.conf" \
    -c shared_buffers="$SHARED_BUFFERS" -c max_connections="$MAX_CONNECTIONS" \
    -c max_slot_wal_keep_size="$MAX_SLOT_WAL_KEEP_SIZE" "$@" &
  server=$!
}

# One value from this container's server, through the socket, as superuser.
local_sql() { psql -XqAt -U postgres -d postgres -v ON_ERROR_STOP=1 -c "$1"; }

# server_open DIRECTORY: it takes connections. Asked of the server's own state file, since
# each attempt to connect before that is a FATAL line in the log.
server_open() { [[ $(sed -n 8p "$1/postmaster.pid" 2>/dev/null) == ready* ]]; }

server_runs() { kill -0 "$server" 2>/dev/null; }

# nap SECONDS: sleeps, but ends at once on a signal or when the server ends.
nap() {
  local sleeper
  sleep "$1" & sleeper=$!
  wait -n $server "$sleeper" || true
  kill "$sleeper" 2>/dev/null || true
}

# Ends this process with the server's own exit status, once the server is gone. A further
# signal interrupts wait, not the shutdown.
end_with_server() {
  local status=0
  while server_runs; do wait "$server" || true; done
  wait "$server" || status=$?
  exit "$status"
}
