# Checks of the redis image. Sourced by test-images.sh.
# shellcheck shell=bash disable=SC2154

cli() { within_container redis redis-cli "$@"; }
other_cli() { within_container redis2 redis-cli "$@"; }
config() { cli config get "$1" | tail -n 1; }
# The number in bytes, Redis' own way of writing it.
info() { cli info "$1" | tr -d '\r' | awk -F: -v key="$2" '$1 == key { print $2 }'; }

fill_redis() {
  awk 'BEGIN { v = sprintf("%1000s", ""); gsub(/ /, "x", v); for (i = 0; i < 6000; i++) print "set key" i " " v }' |
    timeout 60 docker exec -i "$prefix-redis" redis-cli | sort | uniq -c | awk '{print $1, $2}'
}
evicted() { [ "$(info stats evicted_keys)" -gt 0 ]; }
# All that the container holds beside its image is in memory.
wrote_nothing() { equals '' within_container redis find /tmp /run/redis -type f ! -name redis.conf && is "$(info persistence rdb_saves)" 0; }

roles_of_both() { { cli info replication; other_cli info replication; } | tr -d '\r' | grep -E '^(role|connected_slaves):' | xargs; }

test_redis() {
  start redis redis -e REDIS_MAXMEMORY=4mb
  check 'redis becomes healthy' within 60 healthy redis
  check 'redis has no rights on the system and no way to them' powerless redis
  check 'redis-cli ping answers PONG without a password given' equals PONG cli ping
  check 'a client without a password is refused' says NOAUTH within_container redis /usr/bin/redis-cli ping
  check 'a client with a wrong password is refused' says WRONGPASS docker exec -e REDISCLI_AUTH=wrong "$prefix-redis" redis-cli ping
  check 'memory has the limit that was asked for' equals 4194304 config maxmemory
  check 'the least recently used keys go first' equals allkeys-lru config maxmemory-policy
  check 'when memory is full writes go on' equals '6000 OK' fill_redis
  check 'when memory is full old keys go' evicted
  check 'nothing is saved by itself' equals '' config save
  check 'there is no append-only file' equals no config appendonly
  check 'no client can load code into the server' says 'MODULE command not allowed' cli module load /tmp/any.so
  check 'no client can change where files go' says "can't set protected config" cli config set dir /run/redis
  check 'no secret in logs, arguments, environment' shows_no_secret redis

  start redis2 redis
  check 'a second redis becomes healthy' within 60 healthy redis2
  check 'it knows nothing of the first' equals 0 other_cli dbsize
  check 'it takes keys of its own' equals OK other_cli set only-here 1
  check 'the first knows nothing of them' equals '' cli get only-here
  check 'neither follows the other' equals 'role:master connected_slaves:0 role:master connected_slaves:0' roles_of_both

  docker kill -s STOP "$prefix-redis" >/dev/null
  check 'a frozen redis is unhealthy in time' unhealthy redis
  check 'the other one serves on' equals 1 other_cli get only-here
  docker kill -s CONT "$prefix-redis" >/dev/null
  check 'the health check passes again' within 60 healthy redis
  check 'nothing was written to a file' wrote_nothing
  docker stop -t 20 "$prefix-redis" >/dev/null
  check 'a stop ends redis cleanly' is "$(exit_code redis)" 0

  start openredis redis -e REDIS_PASSWORD_FILE=/run/secrets/none
  start emptyredis redis -e REDIS_PASSWORD_FILE=/dev/null
  start badredis redis -e REDIS_MAXMEMORY=lots
  check 'a missing password is named' refused openredis 'cannot read the password file /run/secrets/none (REDIS_PASSWORD_FILE)'
  check 'an empty password is refused' refused emptyredis 'the password file /dev/null must hold one word'
  check 'a bad size is named' refused badredis "REDIS_MAXMEMORY='lots'"
}
