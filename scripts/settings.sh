# Sourced by the deploy script: reads .env, and checks every setting before anything is touched.
# Each rule below has the form  NAME|default|kind|lowest|highest  or  NAME|default|choice|a b c.
# shellcheck shell=bash

SETTINGS='
STACK_NAME|scalable-backend|name
HTTP_PORT|80|port
HTTPS_PORT|443|port
AUTOSCALER_PORT|8080|port
COLLECTOR_PORT|8090|port
COLLECTOR_HEALTH_PORT|9090|port
PROMETHEUS_PORT|9092|port
NETWORK_SUBNET|10.87.0.0/24|subnet
SCALING_ALGORITHM|linear|choice|linear exponential target predictive
DRY_RUN|false|choice|true false
MIN_REPLICAS|2|whole|1|100
MAX_REPLICAS|10|whole|1|100
CHECK_INTERVAL|30|number|0.1|3600
COOLDOWN_PERIOD|120|number|0|86400
SCALE_UP_COOLDOWN|0|number|0|86400
MANUAL_HOLD|600|number|0|86400
WARM_UP|15|number|0|3600
REPLACE_PAUSED_AFTER|60|number|0|86400
SCALE_UP_THRESHOLD|80|number|1|100
SCALE_DOWN_THRESHOLD|30|number|0|99
CPU_SCALE_UP_THRESHOLD|70|number|1|100
CPU_SCALE_DOWN_THRESHOLD|20|number|0|99
MEMORY_SCALE_UP_THRESHOLD|80|number|1|100
MEMORY_SCALE_DOWN_THRESHOLD|40|number|0|99
RESPONSE_TIME_SCALE_UP_MS|1000|number|1|600000
RESPONSE_TIME_SCALE_DOWN_MS|200|number|0|599999
ERROR_RATE_SCALE_UP_PERCENT|5|number|0|100
HISTORY_DAYS|21|whole|1|366
HISTORY_MEGABYTES|256|whole|1|65536
WEBHOOK_FORMAT|json|choice|json slack
WEBHOOK_INTERVAL|300|number|0|86400
SCRAPE_INTERVAL|10|whole|1|60
PROMETHEUS_RETENTION_DAYS|15|whole|1|3650
PROMETHEUS_RETENTION_MEGABYTES|2048|whole|64|1048576
RUNBOOK_URL|docs/runbook.md|address
COLLECT_INTERVAL|5|number|0.5|60
CPU_WINDOW|15|number|1|300
HTTP_WINDOW|30|number|1|600
RATE_PER_REPLICA|1000|whole|0|99999
RATE_CLIENT_SHARE|50|whole|0|100
RATE_WARM_UP|2|number|0|600
HEALTH_CHECK_INTERVAL|10|whole|1|300
API_HEALTH_CHECK_INTERVAL|5|whole|1|300
UPDATE_MONITOR|10|whole|1|600
DB_POOL_SIZE|8|whole|1|50
DB_STATEMENT_TIMEOUT|3|number|0.1|9
POSTGRES_MAX_CONNECTIONS|100|whole|10|9999
DB_REPLICA_MAX_LAG|5|number|1|10
REDIS_MAXMEMORY|64M|memory
CACHE_TTL|45|number|1|60
CACHE_COOLDOWN_PERIOD|120|number|2|86400
API_CPU_LIMIT|0.12|number|0.01|64
API_REQUESTS_PER_REPLICA|134|number|0.1|1000000
API_MEMORY_LIMIT|128M|memory
API_CPU_RESERVATION|0.05|number|0|64
API_MEMORY_RESERVATION|32M|memory
READ_SOCKET|/var/run/docker.sock|path
'
# A threshold pair only makes sense with room between down and up.
SETTING_PAIRS='
MIN_REPLICAS <= MAX_REPLICAS
SCALE_DOWN_THRESHOLD < SCALE_UP_THRESHOLD
CPU_SCALE_DOWN_THRESHOLD < CPU_SCALE_UP_THRESHOLD
MEMORY_SCALE_DOWN_THRESHOLD < MEMORY_SCALE_UP_THRESHOLD
RESPONSE_TIME_SCALE_DOWN_MS < RESPONSE_TIME_SCALE_UP_MS
API_CPU_RESERVATION <= API_CPU_LIMIT
CACHE_TTL < CACHE_COOLDOWN_PERIOD
'
# Given by the operator, or made by the deploy script.
# shellcheck disable=SC2034  # read by the deploy script
SECRETS='JWT_SECRET DB_PASSWORD DB_MONITOR_PASSWORD DB_REPLICATION_PASSWORD REDIS_PASSWORD ADMIN_TOKEN WEBHOOK_URL ALERT_WEBHOOK_URL'

# Reads NAME=value lines as text: nothing in the file is executed. What is exported already wins.
read_env_file() {
  local file=$1 line name value number=0
  [ -f "$file" ] || return 0
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    line=${line%$'\r'}
    [[ $line =~ ^[[:space:]]*(#.*)?$ ]] && continue
    if ! [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]]; then
      echo "$file line $number: expected NAME=value, got: ${line:0:60}"
      continue
    fi
    name=${BASH_REMATCH[2]} value=${BASH_REMATCH[3]}
    case $value in
      \"*\"*) value=${value#\"}; value=${value%%\"*} ;;
      \'*\'*) value=${value#\'}; value=${value%%\'*} ;;
      *) value=${value%%[[:space:]]#*}; value=${value%"${value##*[![:space:]]}"} ;;
    esac
    [ -n "${!name:-}" ] || export "$name=$value"
  done <"$file"
}

# Fills in defaults and prints one sentence for each broken rule.
check_settings() {
  local name default kind low high value left sign right
  while IFS='|' read -r name default kind low high; do
    [ -n "$name" ] || continue
    [ -n "${!name:-}" ] || export "$name=$default"
    value=${!name}
    case $kind in
      name) [[ $value =~ ^[a-z0-9][a-z0-9_-]{0,39}$ ]] ||
        echo "$name=$value: allowed are up to 40 lower-case letters, digits, - and _" ;;
      port) [[ $value =~ ^[0-9]{1,5}$ ]] && ((10#$value >= 1 && 10#$value <= 65535)) ||
        echo "$name=$value: allowed is a port from 1 to 65535" ;;
      subnet) [[ $value =~ ^([0-9]{1,3}\.){3}[0-9]{1,3}/(1[6-9]|2[0-7])$ ]] ||
        echo "$name=$value: allowed is an IPv4 network from /16 to /27, like 10.87.0.0/24" ;;
      whole) [[ $value =~ ^[0-9]{1,9}$ ]] && ((10#$value >= low && 10#$value <= high)) ||
        echo "$name=$value: allowed is a whole number from $low to $high" ;;
      number) [[ $value =~ ^[0-9]{1,9}(\.[0-9]+)?$ ]] && holds "$low <= $value && $value <= $high" ||
        echo "$name=$value: allowed is a number from $low to $high" ;;
      memory) [[ $value =~ ^[0-9]{1,7}[MG]$ ]] ||
        echo "$name=$value: allowed is a size like 128M or 1G" ;;
      address) [[ $value =~ ^[A-Za-z0-9][A-Za-z0-9/:._~?=%+-]{0,199}$ ]] ||
        echo "$name=$value: allowed is an address or a path without spaces and quotes, up to 200 characters" ;;
      path) [[ $value =~ ^(/[A-Za-z0-9._-]+)+$ ]] ||
        echo "$name=$value: allowed is an absolute path of letters, digits, ., _ and -" ;;
      choice) [[ " $low " == *" $value "* ]] || echo "$name=$value: allowed is one of ${low// /, }" ;;
    esac
  done <<<"$SETTINGS"
  while read -r left sign right; do
    [ -n "$left" ] || continue
    holds "${!left} $sign ${!right}" || echo "$left=${!left} and $right=${!right}: needed is $left $sign $right"
  done <<<"$SETTING_PAIRS"
  # The most that may be open at once: each api replica's pool, one replica more while an update
  # overlaps, a connection each for one that starts and checks the schema and for the collector, and one
  # to spare. Postgres keeps three for superusers.
  if [[ $DB_POOL_SIZE$MAX_REPLICAS$POSTGRES_MAX_CONNECTIONS =~ ^[0-9]+$ ]]; then
    local most=$(((10#$MAX_REPLICAS + 1) * 10#$DB_POOL_SIZE + 3)) usable=$((10#$POSTGRES_MAX_CONNECTIONS - 3))
    ((most <= usable)) ||
      echo "DB_POOL_SIZE=$DB_POOL_SIZE with MAX_REPLICAS=$MAX_REPLICAS may open $most connections, and POSTGRES_MAX_CONNECTIONS=$POSTGRES_MAX_CONNECTIONS leaves $usable to clients"
  fi
  local window
  for window in CPU_WINDOW HTTP_WINDOW; do
    holds "2 * $COLLECT_INTERVAL <= ${!window}" ||
      echo "$window=${!window}: allowed is at least twice COLLECT_INTERVAL ($COLLECT_INTERVAL)"
  done
  if [ -n "${JWT_SECRET:-}" ] && [ ${#JWT_SECRET} -lt 32 ]; then
    echo "JWT_SECRET has ${#JWT_SECRET} characters: at least 32 are needed (openssl rand -base64 32)"
  fi
  if [ -n "${TLS_CERT_FILE:-}${TLS_KEY_FILE:-}" ]; then
    for name in TLS_CERT_FILE TLS_KEY_FILE; do
      grep -qs -- '-----BEGIN' "${!name:-}" || echo "$name=${!name:-}: HTTPS needs both TLS_CERT_FILE and TLS_KEY_FILE, each a readable PEM file"
    done
  fi
  local ports
  ports=$(printf '%s\n' "$HTTP_PORT" "$HTTPS_PORT" "$AUTOSCALER_PORT" "$COLLECTOR_PORT" "$COLLECTOR_HEALTH_PORT" "$PROMETHEUS_PORT" | sort | uniq -d)
  [ -z "$ports" ] || echo "port $ports is given twice: HTTP_PORT, HTTPS_PORT, AUTOSCALER_PORT, COLLECTOR_PORT, COLLECTOR_HEALTH_PORT and PROMETHEUS_PORT must differ"
}

# Compares decimal numbers. With a word in place of a number nothing holds, and awk, which would run it, does not see it.
holds() { [[ $1 =~ ^[0-9.\ *\<=\&]+$ ]] && awk "BEGIN { exit !($1) }" 2>/dev/null; }
