#!/bin/bash
# Healthy means: Redis answers a ping of an authenticated client within 2 s.
set -euo pipefail

[ "$(timeout 2 redis-cli -h 127.0.0.1 ping 2>&1)" = PONG ]
