# Checks of the postgres image. Sourced by test-images.sh.
# shellcheck shell=bash disable=SC2154

# primary NAME [option…]: on the volume that all of them share.
primary() {
  local name=$1; shift
  start "$name" postgres -v "$prefix-data:/var/lib/postgresql/data" -e TASK_SLOT=1 \
    -e SLOT_DROP_AFTER=3 -e MAX_SLOT_WAL_KEEP_SIZE=32MB "$@"
}
# replica NAME SLOT
replica() {
  start "$1" postgres -v /var/lib/postgresql/replica \
    -e ROLE=replica -e PRIMARY_HOST=pg -e TASK_SLOT="$2" -e REPLICA_RESEED_AFTER=5
}

sql() { within_container "$1" psql -XAtq -U postgres -d scalable_backend -c "$2"; }
# login USER PASSWORD SQL [HOST [DATABASE]]: over the network, as any client.
login() {
  timeout 30 docker exec -e PGPASSWORD="$2" "$prefix-pg" psql -XAtq -h "${4:-pg}" -U "$1" -d "${5:-scalable_backend}" -c "$3"
}
slots() { sql pg 'select count(*) from pg_replication_slots'; }
streams() {
  [ "$(sql pg "select count(*) from pg_stat_replication where state = 'streaming' and application_name ~ '^standby_'")" = "$1" ]
}
has_rows() { [ "$(sql "$1" 'select count(*) from kept')" = "$2" ]; }
address() { docker inspect -f "{{(index .NetworkSettings.Networks \"$prefix\").IPAddress}}" "$prefix-$1"; }
signal_server() { within_container pg bash -c "kill -$1 \$(head -n 1 /var/lib/postgresql/data/17/postmaster.pid)"; }

login_roles() {
  sql pg "select rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, split_part(rolpassword, '\$', 1)
    from pg_authid where rolcanlogin order by rolname"
}
expected_roles='app|f|f|f|f|f|SCRAM-SHA-256
monitor|f|f|f|f|f|SCRAM-SHA-256
postgres|t|t|t|t|t|
replicator|f|f|f|t|f|SCRAM-SHA-256'

# Writes one row after the other, each committed, and notes what was acknowledged, until the server is gone.
write_on() {
  seq 1000000 | sed 's/.*/insert into written values (&) returning id;/' |
    docker exec -i "$prefix-pg" psql -XAtq -U postgres -d scalable_backend >"$work/acknowledged" 2>/dev/null || true
}
acknowledged() { [ "$(wc -l <"$work/acknowledged")" -ge 100 ]; }
# lost_nothing [NAME]
lost_nothing() {
  local last; last=$(grep -c . "$work/acknowledged")
  is "$(sql "${1:-pg}" "select count(*) from written where id <= $last")" "$last"
}

test_postgres() {
  docker volume create --label "$label" "$prefix-data" >/dev/null
  replica replica1 1
  check 'a replica waits for its primary' within 60 says 'waiting for the primary at pg:5432' logs replica1
  primary pg
  check 'a primary on an empty volume becomes healthy' within 60 healthy pg
  check 'postgres has no rights on the system and no way to them' powerless pg
  check 'psql -U postgres works for the container user' equals 1 within_container pg psql -U postgres -Atc 'SELECT 1'
  check 'data checksums are on' equals on sql pg 'show data_checksums'
  test_logins
  test_refusals
  test_standby
  test_slots
  test_scaling
  docker stop -t 60 "$prefix-pg" >/dev/null
  check 'a stopped primary shut down cleanly' says 'database system is shut down' logs pg
  check 'a stopped primary ends without an error' is "$(exit_code pg)" 0
  test_volume_copy
}

test_logins() {
  local app monitor replicator
  app=$(secret_of db_password) monitor=$(secret_of db_monitor_password) replicator=$(secret_of db_replication_password)
  check 'each role has the rights it needs and a scram password' equals "$expected_roles" login_roles
  check 'over the network scram is the only way in' equals 'peer scram-sha-256' sql pg \
    "select string_agg(distinct auth_method, ' ' order by auth_method) from pg_hba_file_rules"
  check 'app logs in with its password and owns the database' login app "$app" \
    'create table kept (id int); insert into kept values (1)'
  check 'app is refused with a wrong password' says 'password authentication failed' login app wrong 'select 1'
  check 'app cannot enter the maintenance database' says 'no pg_hba.conf entry' login app "$app" 'select 1' pg postgres
  check 'monitor sees all sessions' login monitor "$monitor" \
    "select 1 / count(*) from pg_stat_activity where backend_type = 'checkpointer' and query is not null"
  check 'monitor does not read the data' says 'permission denied' login monitor "$monitor" 'select * from kept'
  check 'replicator does not read the data' says 'no pg_hba.conf entry' login replicator "$replicator" 'select * from kept'
  check 'the superuser cannot come over the network' says 'no pg_hba.conf entry' login postgres any 'select 1'
  check 'no secret in logs, arguments, environment' shows_no_secret pg
}

test_refusals() {
  primary second
  primary slot2 -e TASK_SLOT=2
  start nosecret postgres -e DB_PASSWORD_FILE=/run/secrets/none
  start empty postgres -e DB_MONITOR_PASSWORD_FILE=/dev/null
  start elsewhere postgres -v /var/lib/postgresql/data -e NETWORK_SUBNET=192.0.2.0/24
  check 'a second server on the same volume is refused' refused second 'another server runs on this volume'
  check 'a primary that is not task 1 is refused' refused slot2 'never has a second server'
  check 'a missing secret is named' refused nosecret 'cannot read the secret /run/secrets/none (DB_PASSWORD_FILE)'
  check 'an empty secret is refused' refused empty 'the secret /dev/null must hold one word'
  within 60 healthy elsewhere || true
  check 'whoever is not in the given network is refused' says 'no pg_hba.conf entry' \
    login app "$(secret_of db_password)" 'select 1' elsewhere
  docker rm -fv "$prefix-elsewhere" >/dev/null
}

test_standby() {
  local before
  check 'a replica seeds itself and streams' within 60 healthy replica1
  check 'a replica has the data' within 60 has_rows replica1 1
  check 'a replica refuses writes' says 'read-only transaction' sql replica1 'insert into kept values (2)'
  check 'no secret in the logs, arguments, environment of a replica' shows_no_secret replica1

  signal_server STOP
  check 'a frozen primary is unhealthy in time' unhealthy pg
  signal_server CONT
  check 'it is healthy again once it goes on' within 60 healthy pg

  sql pg 'create table written (id int primary key)'
  write_on &
  within 60 acknowledged || true
  docker kill "$prefix-pg" >/dev/null
  wait $!
  check 'a standby stays healthy while the primary is gone' healthy replica1
  check 'reads go on while the primary is gone' has_rows replica1 1
  made_secret db_password 'rotated-'
  docker start "$prefix-pg" >/dev/null
  check 'a killed primary comes back' within 60 healthy pg
  check 'no acknowledged write is lost' lost_nothing
  check 'after a rotation the new password is right' login app "$(secret_of db_password)" 'insert into kept values (2)'
  check 'no secret in the logs after a rotation' shows_no_secret pg
  check 'the standby follows the primary' within 60 has_rows replica1 2

  before=$(address pg)
  docker rm -f "$prefix-pg" >/dev/null
  start newcomer redis # takes the address that has become free
  primary pg
  check 'a primary that is replaced comes back' within 60 healthy pg
  check 'its address is another one' fails is "$(address pg)" "$before"
  sql pg 'insert into kept values (3)'
  check 'the standby follows it there' within 30 has_rows replica1 3
}

leaves_and_is_seeded_again() {
  check "a standby $1 turns unhealthy or leaves" within 60 fails healthy replica1
  check "a standby $1 leaves to be seeded again" refused replica1 'to be seeded again'
  docker start "$prefix-replica1" >/dev/null
  check 'seeded again it streams' within 60 streams 1
  check 'seeded again it is healthy' within 60 healthy replica1
}

test_slots() {
  # Frozen, so that it cannot take its slot again before that is dropped.
  docker pause "$prefix-replica1" >/dev/null
  sql pg "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where active" >/dev/null
  sql pg "select pg_drop_replication_slot('standby_1')" >/dev/null
  docker unpause "$prefix-replica1" >/dev/null
  leaves_and_is_seeded_again 'without its slot'

  docker pause "$prefix-replica1" >/dev/null
  # Four segments of 16 MB, each with a few bytes in it.
  for _ in 1 2 3 4; do echo 'insert into kept values (0); select pg_switch_wal();'; done |
    docker exec -i "$prefix-pg" psql -XAtq -U postgres -d scalable_backend >/dev/null
  check 'a checkpoint waits for a frozen standby for a bounded time' sql pg checkpoint
  check 'a frozen standby holds back no more disk than it may' equals lost sql pg 'select wal_status from pg_replication_slots'
  docker unpause "$prefix-replica1" >/dev/null
  leaves_and_is_seeded_again 'that fell too far behind'

  docker kill "$prefix-replica1" >/dev/null
  check 'a killed standby leaves its slot' equals 1 slots
  check 'the slot of a killed standby is dropped after a while' within 60 equals 0 slots
}

streams_with_slots() { streams "$1" && equals "$1" slots; }
# scale_standbys COUNT: as Swarm does, with a new container for each new standby.
scale_standbys() {
  local slot name begin=${EPOCHREALTIME/./}
  for slot in 1 2; do
    name=replica$slot
    if [ "$slot" -gt "$1" ]; then
      docker stop -t 30 "$prefix-$name" >/dev/null &
    elif [ "$(state "$name" 2>/dev/null)" != running ]; then
      docker rm -fv "$prefix-$name" >/dev/null 2>&1 || true
      replica "$name" "$slot"
    fi
  done
  wait
  check "scaled to $1, as many standbys stream and no slot is left over" within 20 streams_with_slots "$1"
  took=$(((${EPOCHREALTIME/./} - begin) / 1000))
  slowest=$((took > slowest ? took : slowest))
}

test_scaling() {
  local count took slowest=0
  for count in 2 1 0 2 1 2 0; do scale_standbys $count; done
  say "the slowest step between 0, 1 and 2 standbys took $slowest ms"
  check 'a stop leaves no copy of the data behind' says 'Could not find' \
    docker cp "$prefix-replica1:/var/lib/postgresql/replica/data" "$work/copy"

  scale_standbys 1
  replica double 1
  check 'a standby whose slot is in use says so' within 30 says 'replication slot "standby_1" already exists' logs double
  check 'it does not disturb the one that uses it' equals 'standby_1 streaming' \
    sql pg "select application_name || ' ' || state from pg_stat_replication"
  docker stop -t 30 "$prefix-replica1" >/dev/null
  check 'it takes over when the slot is free' within 30 healthy double
  docker stop -t 30 "$prefix-double" >/dev/null
  check 'both leave no slot behind' equals 0 slots

  docker start "$prefix-replica1" >/dev/null
  within 30 equals 1 slots || true
  docker stop -t 30 "$prefix-replica1" >/dev/null
  check 'a stop while it is being seeded leaves no slot behind' equals 0 slots
}

# tar_of VOLUME COMMAND…: as the user guide copies a volume, with the servers stopped.
tar_of() {
  local volume=$1; shift
  docker run --rm --label "$label" --network none -v "$volume:/data" -v "$work:/backup" debian:trixie-slim tar "$@"
}

test_volume_copy() {
  docker volume create --label "$label" "$prefix-copy" >/dev/null
  tar_of "$prefix-data" czf /backup/postgres-backup.tar.gz /data 2>/dev/null
  tar_of "$prefix-copy" xzf /backup/postgres-backup.tar.gz -C /
  start copy postgres -v "$prefix-copy:/var/lib/postgresql/data"
  check 'a tar of the volume of a stopped primary starts' within 60 healthy copy
  check 'it has every row' lost_nothing copy
  check 'every page and every index entry of it is right' within_container copy \
    pg_amcheck -U postgres --install-missing --heapallindexed --on-error-stop scalable_backend
}
