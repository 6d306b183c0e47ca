# Checks of scripts/socket-proxy.sh, with the agent behind it. Sourced by test-images.sh.
# shellcheck shell=bash disable=SC2154

filter() { NAME=$prefix-filter FOLDER=$work/filter scripts/socket-proxy.sh "$1"; }
# ask STATUS CURL-ARGUMENT…: of the filtered socket.
ask() { equals "$1" curl -s -m 10 -o "$work/answer" -w '%{http_code}' --unix-socket "$work/filter/docker.sock" "${@:2}"; }
refuses_all_else() {
  local path
  for path in /secrets /configs /info /services/x /services/..%2fsecrets /containers/json/../../secrets /v1.41/services \
    "/containers/$task/logs" "/containers/$task/archive?path=/etc" "/containers/${task:0:12}/json" /events /; do
    ask 403 --path-as-is "http://engine$path" || { echo "$path"; return 1; }
  done
  for path in /containers/json "/containers/$task/json" /services /services/create /containers/create "/containers/$task/kill"; do
    for method in POST PUT DELETE PATCH; do ask 403 -X $method -d '{}' "http://engine$path" || { echo "$method $path"; return 1; }; done
  done
}
reports_task() { says '"cpu":{' curl -s -m 5 "http://$agent:8091/stats" && says "\"container_id\":\"$task\"" curl -s -m 5 "http://$agent:8091/stats"; }

test_socket_proxy() {
  local task agent
  task=$(docker run -d --label "$label" --label com.docker.swarm.task.id=filtered --cpus 0.1 debian:trixie-slim sleep 300)
  check 'the filter starts' filter start
  docker run -d --name "$prefix-agent" --label "$label" --network "$prefix" --read-only --cap-drop ALL \
    --user "65532:$(stat -Lc %g /var/run/docker.sock)" -v "$work/filter:/filter:ro" -e DOCKER_SOCKET=/filter/docker.sock \
    -e AGENT_INTERVAL=1 -e CPU_WINDOW=2 metrics-collector:latest agent >/dev/null
  agent=$(address agent)
  check 'the agent measures through the filter' within 30 reports_task
  check 'services, tasks and nodes can be read' eval 'ask 200 http://engine/services && ask 200 http://engine/tasks && ask 200 http://engine/nodes'
  check 'nothing else can be read, and nothing written' refuses_all_else
  docker kill "$prefix-filter" >/dev/null
  docker start "$prefix-filter" >/dev/null
  check 'killed and started again it serves' within 10 ask 200 http://engine/containers/json
  check 'the agent goes on' within 30 reports_task
  check 'a stop leaves nothing' filter stop
  check 'not even a file' equals '' find "$work/filter" -type f -o -type s
}
