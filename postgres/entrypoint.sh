#!/bin/bash
# Starts PostgreSQL as ROLE says and stays as its supervisor: it passes on the stop, and
# runs the small loop of each role (a primary's forgotten slots, a replica's watch).
# The server is a child and not this process itself, because a server that finds
# children it did not start takes their exit for a crash of its own.
set -euo pipefail

. /usr/local/lib/postgres/settings.sh
check_settings
# shellcheck source=/dev/null
. "$CONF_DIR/$ROLE.sh"

stopping=''
server=''
seeder=''
# Fast shutdown, whichever of the usual signals asks for it.
stop() {
  # shellcheck disable=SC2034  # read by the role's loops
  stopping=1
  [ -z "$server" ] || kill -INT "$server" 2>/dev/null || true
  [ -z "$seeder" ] || kill -TERM -- "-$seeder" 2>/dev/null || true
}
trap stop INT TERM QUIT

run
