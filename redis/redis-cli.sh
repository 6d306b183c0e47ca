#!/bin/bash
# redis-cli that already knows the password, so that `docker exec … redis-cli ping`
# answers PONG. The password travels in the client's own environment, not its arguments.
set -euo pipefail

file=${REDIS_PASSWORD_FILE:-/run/secrets/redis_password}
if [ -z "${REDISCLI_AUTH:-}" ] && [[ $(cat "$file" 2>/dev/null) =~ ^[[:space:]]*([^[:space:]]+)[[:space:]]*$ ]]; then
  export REDISCLI_AUTH=${BASH_REMATCH[1]}
fi
# The root file system is read-only: there is no place for a history.
export REDISCLI_HISTFILE=/dev/null
exec /usr/bin/redis-cli "$@"
