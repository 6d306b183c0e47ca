#!/bin/bash
# Healthy means: a worker answers HTTP within 2 s, and the companion has told of itself within 30 s.
# Whether an api task is behind it is not asked: without one, nginx must stay and say 503.
set -euo pipefail

exec 3<>/dev/tcp/127.0.0.1/8080
printf 'GET /nginx/status HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
read -r -t 2 -u 3 answer || exit 1
[[ $answer == HTTP/1.?\ [234]* ]] || exit 1
[ -n "$(find /run/nginx/metrics -newermt '-30 seconds')" ] || { echo 'the companion stands still' >&2; exit 1; }
