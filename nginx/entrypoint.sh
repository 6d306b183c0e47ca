#!/bin/bash
# Renders the settings into /run/nginx, tests the configuration and becomes nginx.
set -euo pipefail

say() { printf 'nginx entrypoint: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
expect() { [[ $2 =~ ^($3)$ ]] || die "$1='$2': expected $4"; }

run_dir=/run/nginx
rate=${RATE_PER_REPLICA:-1000}
share=${RATE_CLIENT_SHARE:-50}
replicas=${MIN_REPLICAS:-2}
sample=${ACCESS_LOG_SAMPLE_PERCENT:-1}
workers=${NGINX_WORKERS:-auto}
from_node=${OPERATORS_FROM_NODE:-on}
subnets=${OPERATOR_SUBNETS:-}
certificate=${TLS_CERTIFICATE:-/run/secrets/tls_certificate}
key=${TLS_KEY:-/run/secrets/tls_key}
https_port=${HTTPS_PORT:-443}

expect RATE_PER_REPLICA "$rate" '0|[1-9][0-9]{0,4}' 'a number from 0 to 99999 (0 switches the limit off)'
expect RATE_CLIENT_SHARE "$share" '0|[1-9][0-9]?|100' 'a percentage from 0 to 100 (0: one client may take all)'
expect MIN_REPLICAS "$replicas" '[1-9][0-9]?|100' 'a number from 1 to 100'
expect ACCESS_LOG_SAMPLE_PERCENT "$sample" '100|[1-9]?[0-9](\.[0-9]{1,2})?' 'a percentage from 0 to 100'
expect NGINX_WORKERS "$workers" 'auto|[1-9][0-9]?' 'auto or a number from 1 to 99'
expect HTTPS_PORT "$https_port" '[1-9][0-9]{0,4}' 'a port, the one under which clients reach 8443'
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

# The limit is a number of buckets, one for each replica that there is, and each request picks one by
# chance. So the sum follows the number of replicas without a reload, and a change grants no burst to
# the buckets that stay. Where several balancers share the replicas, a bucket holds its part of the rate.
# The bits (see balancer/src/limit.rs) that are set make $bits, and that $limit, "<buckets>-<balancers>".
bits() {
  local bit
  echo 'set $bits "";'
  for bit in 0 1 2 3 4 5 6 7 8; do echo "if (-e /run/nginx/bits/$bit) { set \$bits \"\${bits}$bit\"; }"; done
}
limits() {
  awk -v rate="$rate" -v share="$share" '
  function gray(n, half, bit, text) {
    # Each bit of n, and whether the next higher one differs from it.
    for (bit = 0; bit < 7; bit++) { half = int(n / 2); if ((n % 2) != (half % 2)) text = text bit; n = half }
    return text
  }
  BEGIN {
    printf "map $bits $limit { default \"\";"
    for (part = 1; part <= 4; part++) for (n = 1; n <= 100; n++)
      printf " \"%s%s%s\" %d-%d;", gray(n), ((part - 1) % 2 ? 7 : ""), ((part > 2) ? 8 : ""), n, part
    printf " }\nmap $limit $limit_quota { default \"\";"
    for (part = 1; part <= 4; part++) for (n = 1; n <= 100; n++) {
      total = int(n * rate / part)
      printf " %d-%d %c\"all\";q=%d;w=1", n, part, 39, total
      if (share > 0) printf ", \"client\";q=%d;w=1", int(total * share / 100)
      printf "%c;", 39
    }
    printf " }\n"
    for (n = 2; n <= 100; n++) {
      printf "split_clients $request_id $of_%d {", n
      for (i = 0; i < n - 1; i++) printf " %.2f%% %d;", int(10000 / n) / 100, i
      printf " * %d; }\n", n - 1
    }
    for (part = 1; part <= 4; part++) {
      printf "map $limit $bucket_%d { default \"\"; 1-%d 0;", part, part
      for (n = 2; n <= 100; n++) printf " %d-%d $of_%d;", n, part, n
      printf " }\n"
      # By the minute, since a part of a rate need not be a whole number in a second.
      printf "limit_req_zone $bucket_%d zone=all_%d:64k rate=%dr/m;\n", part, part, rate * 60 / part
      if (share == 0) continue
      printf "map $bucket_%d $client_%d { default $binary_remote_addr$bucket_%d; \"\" \"\"; }\n", part, part, part
      client = rate * 60 * share / 100 / part
      printf "limit_req_zone $client_%d zone=client_%d:8m rate=%dr/m;\n", part, part, client < 1 ? 1 : client
    }
  }'
}
# At once a tenth of a second's worth: more would be a queue that the replicas work off for seconds. Where that is less
# than ten it is ten, or half a second's worth: the buckets are picked by chance, and few requests come unevenly.
limited() {
  awk -v rate="$rate" -v share="$share" 'function burst(rate) { return rate < 4 ? 1 : rate < 20 ? int(rate / 2) : rate < 100 ? 10 : int(rate / 10) } BEGIN {
    for (part = 1; part <= 4; part++) {
      printf "limit_req zone=all_%d burst=%d nodelay;\n", part, burst(rate / part)
      if (share > 0) printf "limit_req zone=client_%d burst=%d nodelay;\n", part, burst(rate * share / 100 / part)
    }
  }'
}
: >"$run_dir/api.conf"
: >"$run_dir/server.conf"
if [ "$rate" != 0 ]; then
  limits >>"$run_dir/http.conf"
  limited >"$run_dir/api.conf"
  bits >"$run_dir/server.conf"
else
  echo 'map "" $limit_quota { default ""; }' >>"$run_dir/http.conf"
fi

# A certificate switches HTTPS on. Then plain HTTP is for the node's own checks and for nothing else.
tls=off
if [ -e "$certificate" ] || [ -e "$key" ]; then
  [ -r "$certificate" ] && [ -r "$key" ] || die "TLS needs both $certificate and $key, readable: one of them is not"
  tls=on
  [ "$https_port" = 443 ] && shown='' || shown=:$https_port
  cat >>"$run_dir/http.conf" <<'CONF'
map "$scheme:$uri" $insecure {
    "~^http:/(nginx/|api/health$|api/health/|[.]problem$)" 0;
    "~^http:"                                              1;
    default                                                0;
}
map $https $transport_security { on "max-age=31536000"; default ""; }
CONF
  cat >>"$run_dir/server.conf" <<CONF
listen 8443 ssl default_server backlog=1024;
http2 on;
ssl_certificate     $certificate;
ssl_certificate_key $key;
ssl_protocols       TLSv1.2 TLSv1.3;
ssl_ciphers         ECDHE+AESGCM:ECDHE+CHACHA20;
ssl_prefer_server_ciphers off;
ssl_session_cache   shared:tls:4m;
ssl_session_timeout 1h;
ssl_session_tickets off;
add_header Strict-Transport-Security \$transport_security always;
# The method and the body stay what they were.
if (\$insecure) { return 308 https://\$host$shown\$request_uri; }
CONF
fi

# The highest version wins: nginx.conf.v10 over nginx.conf.v2.
conf=$(find / -maxdepth 1 -name 'nginx.conf*' | sort -V | tail -n 1)
conf=${conf:-/etc/nginx/nginx.conf}
# A copy, which `reload` can change in place.
cat "$conf" >"$run_dir/nginx.conf"
set -- -e stderr -c "$run_dir/nginx.conf"
grep -Eq '^[[:space:]]*daemon[[:space:]]' "$conf" || set -- "$@" -g 'daemon off;'

if ! report=$(nginx -t "$@" 2>&1); then
  printf '%s\n' "$report" >&2
  die "the configuration $conf is refused, see above"
fi
say "configuration $conf, $([ "$rate" = 0 ] && echo 'no rate limit' || echo "at most $rate requests/s per api replica, $share % of it for one client"), TLS $tls"

# It may fail: then nginx keeps the tasks and the limit that it has, and the next one goes on.
export RUN_DIR=$run_dir RATE_PER_REPLICA=$rate RATE_CLIENT_SHARE=$share MIN_REPLICAS=$replicas
rm -f "$run_dir/metrics"
while :; do nginx-companion || true; sleep 1; done &
# nginx asks it for names as soon as it starts, and would wait for seconds before it asks again.
for _ in {1..100}; do [ ! -e "$run_dir/metrics" ] || break; sleep 0.1; done
exec nginx "$@"
