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
    server {
        listen 3000;
        add_header X-Request-Id from-the-api;
        location / {
            return 200 "task=$hostname from=$http_x_forwarded_for real=$http_x_real_ip forwarded=$http_forwarded proto=$http_x_forwarded_proto port=$http_x_forwarded_port id=$http_x_request_id";
        }
        location = /api/busy { add_header Retry-After 7 always; return 503 busy; }
        location = /api/hangup { return 444; }
        location = /api/slow { limit_req zone=slow burst=100; alias /etc/hostname; }
    }
    server { listen 8090; location = /upstream { return 200 '{"tasks":[]}'; } }
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
  start nginx nginx -e RATE_LIMIT_RPS=0 -p 127.0.0.1::8080
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
  test_operators
  test_limit
  test_settings
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
  check 'no GET fails in a reload' bash -c "docker exec $prefix-nginx nginx -s reload && for i in \$(seq 40); do curl -sf -m 30 -o /dev/null $url/api/items || exit 1; done"

  frozen nginx
  check 'a frozen nginx is unhealthy in time' unhealthy nginx
  thawed nginx
  check 'it is healthy again once it goes on' within 60 healthy nginx
}

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

test_limit() {
  start limited nginx -e RATE_LIMIT_RPS=20 -e RATE_LIMIT_BURST=10 -e OPERATORS_FROM_NODE=off
  local limited
  limited=http://$(address limited):8080
  within 60 equals 200 status "$limited/api/health" || true
  check 'above the limit a client gets 429' equals '200 429' flood "$limited/api/items"
  check '429 is a problem' problem 429 "$limited/api/items?[1-60]"
  check '429 has Retry-After' says 1 retry_after "$limited/api/items?[1-60]"
  check 'health is never limited' equals 200 flood "$limited/api/health"
  check 'nor is what lies below it' equals 200 flood "$limited/api/health/ready"
  check 'without a limit nobody gets 429' equals 200 flood "$url/api/items"
  check 'the node can be shut out too' problem 403 "$limited/nginx/status"
}

test_settings() {
  start broken nginx -v "$work/broken.conf:/nginx.conf.v3:ro"
  start badrate nginx -e RATE_LIMIT_RPS=fast
  start negative nginx -e RATE_LIMIT_RPS=-1
  check 'a broken configuration is refused by name' refused broken 'configuration /nginx.conf.v3 is refused'
  check 'a bad setting is named' refused badrate "RATE_LIMIT_RPS='fast': expected a number from 0 to 999999 (0 switches the limit off)"
  check 'a negative limit is refused' refused negative "RATE_LIMIT_RPS='-1'"
}
