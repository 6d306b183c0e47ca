#!/bin/bash
# Renders the settings into /run/nginx, tests the configuration and becomes nginx.
set -euo pipefail

say() { printf 'nginx entrypoint: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
expect() { [[ $2 =~ ^($3)$ ]] || die "$1='$2': expected $4"; }

run_dir=/run/nginx
rps=${RATE_LIMIT_RPS:-2000}
burst=${RATE_LIMIT_BURST:-$rps}
sample=${ACCESS_LOG_SAMPLE_PERCENT:-1}
workers=${NGINX_WORKERS:-auto}
from_node=${OPERATORS_FROM_NODE:-on}
subnets=${OPERATOR_SUBNETS:-}

expect RATE_LIMIT_RPS "$rps" '0|[1-9][0-9]{0,5}' 'a number from 0 to 999999 (0 switches the limit off)'
expect RATE_LIMIT_BURST "$burst" '0|[1-9][0-9]{0,5}' 'a number from 0 to 999999'
expect ACCESS_LOG_SAMPLE_PERCENT "$sample" '100|[1-9]?[0-9](\.[0-9]{1,2})?' 'a percentage from 0 to 100'
expect NGINX_WORKERS "$workers" 'auto|[1-9][0-9]?' 'auto or a number from 1 to 99'
expect OPERATORS_FROM_NODE "$from_node" 'on|off' 'on or off'
expect OPERATOR_SUBNETS "$subnets" '|[0-9./]+(, *[0-9./]+)*' 'subnets such as 10.0.0.0/8, separated by commas'
[ -w "$run_dir" ] || die "$run_dir is not writable: mount a tmpfs there"

# The kernel's little-endian hexadecimal, as in /proc/net/route, to a dotted address.
dotted() { printf '%d.%d.%d.%d' "0x${1:6:2}" "0x${1:4:2}" "0x${1:2:2}" "0x${1:0:2}"; }

# The length of a network's prefix, from its mask as in /proc/net/route.
bits() { local mask=$((0x$1)) count=0; while [ $mask -gt 0 ]; do count=$((count + (mask & 1))) mask=$((mask >> 1)); done; echo $count; }

# Published ports come in over the interface of the default route: of its network only
# the gateway, which is the node, is let in. The other networks are the stack's own.
operators() {
  local interface destination gateway mask outside='' rest
  while read -r interface destination gateway rest; do
    [ "$destination" != 00000000 ] || { outside=$interface; [ "$from_node" = off ] || echo "allow $(dotted "$gateway");"; }
  done < <(tail -n +2 /proc/net/route)
  while read -r interface destination gateway _ _ _ _ mask rest; do
    [ "$interface" = "$outside" ] || [ "$destination" = 00000000 ] ||
      echo "allow $(dotted "$destination")/$(bits "$mask");"
  done < <(tail -n +2 /proc/net/route)
}

{
  echo 'allow 127.0.0.1;'
  operators
  for subnet in ${subnets//,/ }; do echo "allow $subnet;"; done
  echo 'deny all;'
} >"$run_dir/operators.conf"

echo "worker_processes $workers;" >"$run_dir/main.conf"

case $sample in
  0 | 0.0 | 0.00) chosen='' ;;
  100) chosen='' ;;
  *) chosen="$sample% 1;" ;;
esac
others=0
[ "$sample" != 100 ] || others=1
echo "split_clients \$request_id \$sampled { $chosen * $others; }" >"$run_dir/http.conf"

: >"$run_dir/api.conf"
if [ "$rps" != 0 ]; then
  echo "limit_req_zone \$binary_remote_addr zone=client:10m rate=${rps}r/s;" >>"$run_dir/http.conf"
  bursting=''
  [ "$burst" = 0 ] || bursting="burst=$burst nodelay"
  echo "limit_req zone=client $bursting;" >"$run_dir/api.conf"
fi

# The highest version wins: nginx.conf.v10 over nginx.conf.v2.
conf=$(find / -maxdepth 1 -name 'nginx.conf*' | sort -V | tail -n 1)
conf=${conf:-/etc/nginx/nginx.conf}
set -- -e stderr -c "$conf"
grep -Eq '^[[:space:]]*daemon[[:space:]]' "$conf" || set -- "$@" -g 'daemon off;'

if ! report=$(nginx -t "$@" 2>&1); then
  printf '%s\n' "$report" >&2
  die "the configuration $conf is refused, see above"
fi
say "configuration $conf, $( [ "$rps" = 0 ] && echo 'no rate limit' || echo "at most $rps requests/s per client")"
exec nginx "$@"
