# Checks of the nginx image. Sourced by test-images.sh.
# shellcheck shell=bash disable=SC2154

# A stand-in for the api and the collector: our own image with a configuration of its own,
# at the place where `docker service update --config-add nginx.conf.v10` would put it.
backend_conf() {
  cat >"$work/backend.conf" <<'CONF'
pid /run/nginx/nginx.pid;
events {}
http {
    log_format ids '$status $request_method id=$http_x_request_id';
    access_log /dev/stdout ids;
    client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e;
    # The first request to /api/slow is answered at once, the next after a minute.
    limit_req_zone $server_port zone=slow:1m rate=1r/m;
    map $hostname $fails { failing 1; default 0; }
    server {
        listen 3000;
        add_header X-Request-Id from-the-api;
        location = /api/health/live { access_log off; return 200; }
        location / {
            if ($fails) { return 500 "task=$hostname"; }
            return 200 "task=$hostname from=$http_x_forwarded_for real=$http_x_real_ip forwarded=$http_forwarded proto=$http_x_forwarded_proto port=$http_x_forwarded_port id=$http_x_request_id";
        }
        location = /api/busy { add_header Retry-After 7 always; return 503 busy; }
        location = /api/hangup { return 444; }
        location = /api/slow { limit_req zone=slow burst=100; alias /etc/hostname; }
    }
    server {
        listen 8090;
        location = /upstream { return 200 '{"tasks":[]}'; }
        location = /capacity { access_log off; add_header Content-Type application/json; include /capacity/*; return 503; }
    }
    server { listen 8080; access_log off; location = /nginx/status { stub_status; } }
}
CONF
  echo 'this is not a configuration' >"$work/broken.conf"
  chmod 444 "$work"/*.conf
}
backend() {
  local name=$1; shift
  start "$name" nginx --network-alias tasks.api "$@" \
    -v "$work/backend.conf:/nginx.conf.v10:ro" -v "$work/broken.conf:/nginx.conf.v9:ro"
}
gateway() { docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' "$prefix"; }
# address NAME [NETWORK]
address() { docker inspect -f "{{(index .NetworkSettings.Networks \"${2:-$prefix}\").IPAddress}}" "$prefix-$1"; }
status() { curl -s -m 30 -o /dev/null -w '%{http_code}' "$@"; }
big() { head -c "$1" /dev/zero | tr '\0' a; }
# problem STATUS CURL-ARGUMENT…: an answer with that status, as problem+json with its id.
problem() {
  local want=$1 answer; shift
  answer=$(curl -s -m 30 -i "$@" | tr -d '\r')
  grep -q "HTTP/1.1 $want" <<<"$answer" && grep -qi '^content-type: application/problem+json' <<<"$answer" &&
    grep -qi '^x-request-id: .' <<<"$answer" && grep -q "\"status\":$want,\"request_id\":\"[^\"]" <<<"$answer" || { echo "$answer"; return 1; }
}
retry_after() { curl -s -m 30 -D - -o /dev/null "$@" | grep -i '^retry-after:' | tr -dc 0-9; }
# request_id CURL-ARGUMENT…: the one that the api saw, which must be the only one that the client sees.
request_id() {
  local answer; answer=$(curl -s -m 30 -i "$@" | tr -d '\r')
  is "$(grep -i '^x-request-id:' <<<"$answer")" "x-request-id: ${answer##*id=}" && echo "${answer##*id=}"
}
replaced_id() { [[ $(request_id "$@") =~ ^[0-9a-f]{32}$ ]] || { request_id "$@"; return 1; }; }

all_succeed() { is "$(for _ in $(seq 60); do status "$@"; echo; done | sort | uniq -c | awk '{print $1, $2}')" '60 200'; }
# flood URL: the statuses of 300 requests at full speed, each once.
flood() { for _ in $(seq 300); do printf 'url=%s\noutput=/dev/null\n' "$1"; done | curl -s -K - -w '%{http_code}\n' | sort -u | xargs; }
# from_neighbour ADDRESS PATH: the first line of the answer to another container that says it is the node.
from_neighbour() {
  within_container neighbour bash -c "exec 3<>/dev/tcp/$1/8080
    printf 'GET $2 HTTP/1.0\r\nX-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n\r\n' >&3; head -n 1 <&3"
}
# slow_head ADDRESS: seconds until a client is cut that never ends the head of its request.
slow_head() {
  trap '' PIPE
  local start=$SECONDS ended
  exec 3<>"/dev/tcp/$1/8080"
  printf 'GET / HTTP/1.1\r\nHost: localhost\r\n' >&3
  while [ $((SECONDS - start)) -lt 60 ]; do
    printf 'x: y\r\n' >&3 2>/dev/null || break
    ended=0
    read -r -t 1 -u 3 || ended=$?
    # Above 128 it was only the second that has passed.
    [ $ended -gt 128 ] || break
  done
  echo $((SECONDS - start))
}
frozen() { within_container "$1" bash -c 'kill -STOP $(cat /proc/1/task/1/children)'; }
thawed() { within_container "$1" bash -c 'kill -CONT $(cat /proc/1/task/1/children)'; }

test_nginx() {
  backend_conf
  docker network create --label "$label" --internal "$prefix-inner" >/dev/null
  start nginx nginx -e RATE_PER_REPLICA=0 -p 127.0.0.1::8080
  # As in the stack: one network to the outside, one of the stack's own.
  docker network connect "$prefix-inner" "$prefix-nginx"
  docker restart -t 5 "$prefix-nginx" >/dev/null
  check 'nginx becomes healthy without an api' within 60 healthy nginx
  check 'nginx has no rights on the system and no way to them' powerless nginx
  check 'the configuration passes its test' within_container nginx nginx -t -q
  url=http://$(address nginx):8080
  slow_head "$(address nginx)" >"$work/slow_head" 2>/dev/null &
  local slow_head=$!
  check 'without an api it says 503' problem 503 "$url/api/items"
  check '503 has Retry-After' equals 2 retry_after "$url/api/items"
  check 'without the collector /nginx/upstream says 503' problem 503 "$url/nginx/upstream"

  test_killed_upstream
  test_requests
  test_retries
  test_account
  test_sick
  test_operators
  test_limit
  test_settings
  test_tls
  wait $slow_head
  check 'a client that never ends its head is cut after 10 s' bash -c "[ '$(<"$work/slow_head")' -ge 9 ] && [ '$(<"$work/slow_head")' -lt 30 ]"
  docker kill -s QUIT "$prefix-nginx" >/dev/null
  check 'nginx ends by itself on its stop signal' within 60 exited nginx
  check 'it ends without an error' is "$(exit_code nginx)" 0
}

in_flight() { [[ $(curl -s "http://$(address "$1"):8080/nginx/status") =~ Writing:\ ([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -gt "$2" ]; }
answers_from() { says "task=$1 " curl -s -m 30 "$url/api/items"; }

# The only task holds a GET and a POST, another one appears, the first is killed.
test_killed_upstream() {
  backend doomed
  check 'an api that appears is used without a reload' within 60 equals 200 status "$url/api/items"
  check 'the highest version among /nginx.conf* is used' says 'configuration /nginx.conf.v10' logs doomed
  status "$url/api/slow" >/dev/null
  status -H 'X-Request-Id: slow-get' "$url/api/slow" >"$work/get" & local get=$!
  status -H 'X-Request-Id: slow-post' -d something "$url/api/slow" >"$work/post" & local post=$!
  # One of those that are counted asks for the count.
  within 60 in_flight doomed 2 || true
  backend api1 --network-alias metrics-collector
  within 60 answers_from api1 || true
  docker kill "$prefix-doomed" >/dev/null
  wait $get $post
  check 'a GET whose task is killed is answered by another' is "$(<"$work/get")" 200
  check 'it was that GET which was repeated' says '200 GET id=slow-get' logs api1
  check 'a POST whose task is killed fails' is "$(<"$work/post")" 502
  check 'it is not replayed' fails says 'id=slow-post' logs api1
  check 'a POST that had not been sent yet goes elsewhere' all_succeed -d something "$url/api/items"
}

test_requests() {
  backend api2
  check 'a second task is used' within 60 answers_from api2
  check 'the collector that appears is used' within 60 equals 200 status "$url/nginx/upstream"
  check 'forged forwarding headers are overwritten' says "from=$(gateway) real=$(gateway) forwarded= proto=http port= " \
    curl -s -H 'X-Forwarded-For: 6.6.6.6' -H 'X-Real-IP: 6.6.6.6' -H 'Forwarded: for=6.6.6.6' \
    -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-Port: 666' "$url/api/items"
  check 'a sane request id is kept' equals abc-12345678 request_id -H 'X-Request-Id: abc-12345678' "$url/api/items"
  check 'a request without an id gets one' replaced_id "$url/api/items"
  check 'an id with other characters is replaced' replaced_id -H 'X-Request-Id: evil"} x' "$url/api/items"
  check 'an id that is too long is replaced' replaced_id -H "X-Request-Id: $(big 65)" "$url/api/items"
  check 'two ids are replaced' replaced_id -H 'X-Request-Id: abc-12345678' -H 'X-Request-Id: def-12345678' "$url/api/items"
  check 'unknown paths are problems' problem 404 "$url/nothing"
  big 600000 >"$work/body"
  check 'too large a body is a problem' problem 413 --data-binary "@$work/body" "$url/api/items"
  check 'too large a body of unknown length is a problem' problem 413 -H 'Transfer-Encoding: chunked' --data-binary "@$work/body" "$url/api/items"
  check 'too long a path is a problem' problem 414 "$url/$(big 9000)"
  check 'too large a header is a problem' problem 431 -H "x: $(big 9000)" "$url/"
  check 'the api speaks for itself in its errors' equals busy curl -s "$url/api/busy"
  check 'also in the headers' equals 7 retry_after "$url/api/busy"
  local _; for _ in 1 2 3 4 5 6; do status "$url/api/busy" >/dev/null; done
  check 'a busy answer takes no task out' equals 200 status "$url/api/items"
}

# How often the tasks saw this request.
seen() { { logs api1; logs api2; } | grep -c "id=$1\$"; }
test_retries() {
  check 'tasks that hang up on a POST are a 502' problem 502 -H 'X-Request-Id: hangup-post' -d something "$url/api/hangup"
  check 'that POST reached one task, once' equals 1 seen hangup-post
  check 'tasks that hang up on a GET are a 502' problem 502 -H 'X-Request-Id: hangup-get' "$url/api/hangup"
  check 'that GET was tried again' test "$(seen hangup-get)" -gt 1
  local _; for _ in 1 2 3 4; do status "$url/api/hangup" >/dev/null; done
  check 'when every task was put aside requests still get through' all_succeed "$url/api/items"

  for _ in 1 2 3 4; do status "$url/api/hangup" >/dev/null; done
  docker kill "$prefix-api2" >/dev/null
  check 'no GET fails when a task is killed while all were put aside' all_succeed "$url/api/items"
  check 'a broken configuration is not taken in place' fails docker exec -i "$prefix-nginx" reload <"$work/broken.conf"
  check 'a good one is' docker exec -i "$prefix-nginx" reload < <(sed 's|location = / {|location = /changed { return 200 yes; } &|' nginx/nginx.conf)
  check 'no GET fails meanwhile' all_succeed "$url/api/items"
  check 'it is in force' within 10 equals yes curl -s "$url/changed"

  frozen nginx
  check 'a frozen nginx is unhealthy in time' unhealthy nginx
  thawed nginx
  check 'it is healthy again once it goes on' within 60 healthy nginx
}

# counted NAME: the sum of a counter's samples on the balancer's own page.
counted() { curl -s "$url/nginx/metrics" | awk -v name="$1" 'index($1, name) == 1 {sum += $2} END {print sum + 0}'; }
counts_more() { [ "$(counted "$1")" -ge "$2" ] || { echo "$1 is $(counted "$1"), not $2"; return 1; }; }
# Nothing is still on its way into the account.
settled() { local before; before=$(counted nginx_requests_total); sleep 1; [ "$(counted nginx_requests_total)" = "$before" ]; }
test_account() {
  local answers tries seconds
  within 10 settled || true
  answers=$(counted 'nginx_requests_total{class="2xx"}') tries=$(counted nginx_upstream_requests_total) seconds=$(counted nginx_upstream_seconds_count)
  flood "$url/api/items" >/dev/null
  check 'every answer is counted' within 5 counts_more 'nginx_requests_total{class="2xx"}' $((answers + 300))
  check 'not one too many' test "$(counted 'nginx_requests_total{class="2xx"}')" -eq $((answers + 300))
  check 'by the task that gave it' within 5 counts_more nginx_upstream_requests_total $((tries + 300))
  check 'with its time' within 5 counts_more nginx_upstream_seconds_count $((seconds + 300))
  check 'failures and retries are counted' bash -c "[ $(counted nginx_upstream_failures_total) -gt 5 ] && [ $(counted nginx_retries_total) -gt 5 ]"
  check 'what operators ask for is not' test "$(counted 'nginx_requests_total{class="3xx"}')" -eq 0
  within_container nginx bash -c 'for _ in 1 2 3; do head -c 1000000 /dev/zero | tr "\0" "x" >>/run/nginx/account; echo >>/run/nginx/account; sleep 1; done'
  check 'the account takes no more memory than it must' within 5 within_container nginx bash -c '[ "$(du -k /run/nginx/account | cut -f1)" -lt 2000 ]'
}

# left_out NAME REASON, or nobody.
left_out() {
  local upstream=''
  [ $# -eq 0 ] || upstream="{upstream=\"$(address "$1")\",reason=\"$2\"} 1"
  is "$(curl -s "$url/nginx/metrics" | sed -n 's/^nginx_upstream_left_out//p')" "$upstream"
}
# For six seconds one request after the other, each given half a second; when the last one was sent that failed, in ms.
last_hurt() {
  local start now=0 last=0
  start=$(date +%s%3N)
  while [ $now -lt 6000 ]; do
    now=$(($(date +%s%3N) - start))
    [ "$(curl -s -m 0.5 -o /dev/null -w '%{http_code}' "$url/api/items")" = 200 ] || last=$now
  done
  echo $last
}
test_sick() {
  local hurt _
  backend failing
  within 60 healthy failing || true
  # Few are enough to know, and each of them is one that a client sees.
  for _ in $(seq 60); do status "$url/api/items"; echo; left_out failing failing >/dev/null && break; sleep 0.1; done >"$work/statuses"
  hurt=$(grep -cx 500 "$work/statuses" || true)
  check 'a task that fails alone is left out' within 3 left_out failing failing
  check "it hurts few requests until then ($hurt)" test "$hurt" -le 30
  sleep 1.2 # nginx asks for names every second
  check 'then nobody sees its failures' all_succeed "$url/api/items"
  docker rm -f "$prefix-failing" >/dev/null
  check 'once it is gone it is not left out any more' within 5 left_out

  backend paused
  within 60 answers_from paused || true
  docker pause "$prefix-paused" >/dev/null
  hurt=$(last_hurt)
  check "a paused task gets no request after 2 s (the last one after $hurt ms)" test "$hurt" -lt 2000
  check 'it is known as silent' left_out paused silent
  check 'the limit does not count on it' counts_at_most 1
  docker pause "$prefix-api1" >/dev/null
  check 'when more than half are silent nobody is left out' within 5 left_out
  docker unpause "$prefix-api1" >/dev/null
  docker unpause "$prefix-paused" >/dev/null
  check 'a task that answers again gets requests again' within 10 answers_from paused
  docker rm -f "$prefix-paused" >/dev/null
  kill_companion nginx
  check 'no request fails while the companion is away' all_succeed "$url/api/items"
  check 'and it comes back' within 10 counts_at_most 2
}
counts_at_most() { [ "$(counted nginx_limit_level)" -le "$1" ]; }

test_operators() {
  start neighbour redis
  docker network connect "$prefix-inner" "$prefix-neighbour"
  local outside inside
  outside=$(address nginx) inside=$(address nginx "$prefix-inner")
  check 'the node reads /nginx/status' says 'Active connections' curl -s "$url/nginx/status"
  check 'also through the published port' says 'Active connections' curl -s "http://$(docker port "$prefix-nginx" 8080/tcp)/nginx/status"
  check 'the other services of the stack read it' says ' 200 ' from_neighbour "$inside" /nginx/status
  check 'other addresses do not' says ' 403 ' from_neighbour "$outside" /nginx/status
  check 'other addresses do not read /nginx/upstream' says ' 403 ' from_neighbour "$outside" /nginx/upstream
  check 'other addresses reach the api' says ' 200 ' from_neighbour "$outside" /api/items
}

# capacity REPLICAS BALANCERS: from now on the collector says so; without arguments it is away.
capacity() {
  local now=''
  [ $# -eq 0 ] || now="return 200 '{\"replicas\":$1,\"ready\":$1,\"balancers\":$2,\"at_ms\":1}';"
  printf '%s' "$now" >"$work/capacity/now"
  within_container told nginx -s reload 2>/dev/null
}
# figure NAME: a metric of the balancer with a share for each client.
figure() {
  within_container shared bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080; printf "GET /nginx/metrics HTTP/1.0\r\n\r\n" >&3; cat <&3' |
    tr -d '\r' | sed -n "s/^$1 //p"
}
limit_is() { is "$(for of in level requests_per_second client_requests_per_second; do figure "nginx_limit_$of"; done | xargs)" "$1"; }
stays_at() { local _; for _ in 1 2 3 4 5 6; do limit_is "$1" || return 1; sleep 0.5; done; }
# admitted URL SECONDS: how many requests of three clients that send as fast as they can are let through.
admitted() {
  local client pids=''
  for client in 1 2 3; do
    timeout "$2" bash -c "while :; do for _ in \$(seq 200); do printf 'url=%s\noutput=/dev/null\n' $1; done | curl -s -K - -w '%{http_code}\n'; done" \
      >"$work/admitted.$client" 2>/dev/null & pids+=" $!"
  done
  # shellcheck disable=SC2086
  wait $pids || true
  cat "$work"/admitted.? | grep -cx 200
}
# follows REPLICAS RATE: a change of the capacity is in force within 2 s, and as much is let through as it says.
follows() {
  local start count
  start=$(date +%s%3N)
  capacity "$1" 1
  until [ "$(figure nginx_limit_level)" = "$1" ]; do
    [ $(($(date +%s%3N) - start)) -lt 2000 ] || { echo 'not within 2 s'; return 1; }
    sleep 0.1
  done
  # The burst goes first.
  admitted "$unshared/api/items" 2 >/dev/null
  count=$(admitted "$unshared/api/items" 4)
  # A busy machine may send less than it could.
  [ "$count" -ge $(($2 * 4 * 75 / 100)) ] && [ "$count" -le $(($2 * 4 * 115 / 100)) ] || { echo "$count in 4 s at $2 requests/s"; return 1; }
}
limited_more_than() { [ "$(figure nginx_limited_total)" -gt "$1" ]; }
kill_companion() { docker top "$prefix-$1" -eo pid,args | awk '/nginx-companion/ {print $1}' | xargs kill; }

test_limit() {
  mkdir "$work/capacity"
  chmod 755 "$work/capacity"
  : >"$work/capacity/now"
  # A network of its own: its collector is another one.
  local network=$prefix-limit shared unshared
  docker network create --label "$label" "$network" >/dev/null
  start told nginx --network-alias tasks.api --network-alias metrics-collector \
    -v "$work/backend.conf:/nginx.conf.v10:ro" -v "$work/capacity:/capacity:ro"
  start shared nginx -e RATE_PER_REPLICA=40 -e MIN_REPLICAS=3 -e OPERATORS_FROM_NODE=off
  start unshared nginx -e RATE_PER_REPLICA=40 -e RATE_CLIENT_SHARE=0
  shared=http://$(address shared "$network"):8080
  unshared=http://$(address unshared "$network"):8080
  within 60 equals 200 status "$shared/api/health" || true
  check 'before the collector has told the limit counts on the fewest replicas' within 10 limit_is '3 120 60'
  check 'the limit follows the capacity up within 2 s' follows 6 240
  check 'and down' follows 2 80
  capacity 5 2
  check 'two balancers share the replicas' within 5 limit_is '5 100 50'
  capacity 9 6
  check 'so do more of them than there are zones for' within 5 limit_is '9 60 30'
  capacity 0 1
  check 'no replica is no reason to refuse everybody' within 5 limit_is '1 40 20'
  capacity 2 1
  within 5 limit_is '2 80 40' || true
  capacity
  check 'the last limit stays while the collector is away' stays_at '2 80 40'
  check 'and its age tells' test "$(figure nginx_limit_age_seconds)" -ge 2
  kill_companion shared
  check 'it outlives its companion, and the next one knows it' stays_at '2 80 40'
  check 'above its share a client gets 429' equals '200 429' flood "$shared/api/items"
  check '429 is a problem' problem 429 "$shared/api/items?[1-200]"
  check '429 has Retry-After' says 1 retry_after "$shared/api/items?[1-200]"
  check 'it says what the limits are' says 'RateLimit-Policy: "all";q=80;w=1, "client";q=40;w=1' curl -s -D - -o /dev/null "$shared/api/items?[1-200]"
  check 'and that nothing is left' says 'RateLimit: "all";r=0;t=1' curl -s -D - -o /dev/null "$shared/api/items?[1-200]"
  check 'refusals are counted' within 5 limited_more_than 100
  check 'health is never limited' equals 200 flood "$shared/api/health"
  check 'nor is what lies below it' equals 200 flood "$shared/api/health/ready"
  check 'nor is the status' equals 200 flood "$unshared/nginx/status"
  check 'without a limit nobody gets 429' equals 200 flood "$url/api/items"
  check 'the node can be shut out too' problem 403 "$shared/nginx/status"
}

# A certificate authority that lives for one run, and a certificate of its.
authority() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=throw-away CA' -keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj '/CN=balancer.test' -keyout "$work/tls.key" -out "$work/tls.csr" 2>/dev/null
  printf 'subjectAltName=DNS:balancer.test' >"$work/tls.ext"
  openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 2 -extfile "$work/tls.ext" -out "$work/tls.pem" 2>/dev/null
  install -m 444 "$work/tls.pem" "$work/secrets/tls_certificate"
}
test_tls() {
  authority
  start nokey nginx
  check 'a certificate without its key is refused' refused nokey 'TLS needs both /run/secrets/tls_certificate and /run/secrets/tls_key'
  install -m 444 "$work/ca.key" "$work/secrets/tls_key"
  start otherkey nginx
  check 'so is one with another key' refused otherkey 'key values mismatch'
  install -m 444 "$work/tls.key" "$work/secrets/tls_key"
  start tls nginx -e HTTPS_PORT=8443
  local plain secure
  plain=http://$(address tls):8080
  secure=(--cacert "$work/ca.pem" --resolve "balancer.test:8443:$(address tls)" https://balancer.test:8443/api/items)
  check 'a certificate switches HTTPS on' within 60 equals 200 status "${secure[@]}"
  check 'with HTTP/2' equals 2 curl -s -o /dev/null -w '%{http_version}' "${secure[@]}"
  check 'the api is told' says 'proto=https' curl -s "${secure[@]}"
  check 'old protocols are refused' fails curl -s -o /dev/null --tls-max 1.1 "${secure[@]}"
  check 'browsers shall stay with it' says 'trict-transport-security: max-age=31536000' curl -s -D - -o /dev/null "${secure[@]}"
  check 'plain HTTP is sent there' equals '308 https://balancer.test:8443/api/items?a=b' curl -s -o /dev/null -w '%{http_code} %{redirect_url}' -H 'Host: balancer.test' "$plain/api/items?a=b"
  check 'also a POST, which stays one' equals 308 status -d something "$plain/api/items"
  check 'health answers on both' equals 200 status "$plain/api/health"
  check 'and so does the status, on the node' says 'Active connections' curl -s "$plain/nginx/status"
  check 'a request that makes no sense is a problem, not a redirect' problem 400 -H 'Host: a b' "$plain/api/items"
  rm -f "$work"/secrets/tls_*
  check 'without a certificate there is no HTTPS' fails curl -sk -o /dev/null "https://$(address nginx):8443/"
}

test_settings() {
  start broken nginx -v "$work/broken.conf:/nginx.conf.v3:ro"
  start badrate nginx -e RATE_PER_REPLICA=fast
  start negative nginx -e RATE_CLIENT_SHARE=-1
  check 'a broken configuration is refused by name' refused broken 'configuration /nginx.conf.v3 is refused'
  check 'a bad setting is named' refused badrate "RATE_PER_REPLICA='fast': expected a number from 0 to 99999 (0 switches the limit off)"
  check 'a negative share is refused' refused negative "RATE_CLIENT_SHARE='-1'"
}
