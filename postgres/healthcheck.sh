#!/bin/bash
# Primary: it answers a query, and its roles are in line with the secrets.
# Replica: it answers a query and streams. While the primary does not answer, reads must
# go on, so not streaming then is no fault of the standby.
# Ends with 0 or 1: the engine knows no other results.
set -euo pipefail

. /usr/local/lib/postgres/settings.sh
export PGCONNECT_TIMEOUT=2

[ "$ROLE" = replica ] || { [ -e "$RUN_DIR/ready" ] && [ "$(local_sql 'select 1')" = 1 ]; exit; }

. "$CONF_DIR/replica.sh"
server_open "$DATA"
streaming=$(local_sql 'select count(*) from pg_stat_wal_receiver where status = '\''streaming'\''') || exit 1
[ "$streaming" = 1 ] || streamed_recently || ! primary_answers
