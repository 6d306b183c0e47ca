#!/usr/bin/env bash
# Long forms of end-to-end tests, for a machine that does nothing else.
#
# usage: scripts/soak.sh data [ROUNDS]     kills while clients write: four a round, six rounds by default
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  data) export ROUNDS=${2:-6} RUST_TEST_NOCAPTURE=1; exec scripts/e2e.sh no_acknowledged_write_is_lost_or_doubled ;;
  *) sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
