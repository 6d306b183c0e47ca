#!/usr/bin/env bash
# Long forms of end-to-end tests, for a machine that does nothing else.
#
# usage: scripts/soak.sh data [ROUNDS]     kills while clients write: four a round, six rounds by default
#        scripts/soak.sh balancer [CYCLES] everything is scaled, updated, reconfigured and deployed again under steady
#                                          traffic, 20 times by default: not one request may fail
#        scripts/soak.sh sick              a replica that stands still, is paused, slow, or out of memory, under steady traffic
#        scripts/soak.sh updates           the guide's updates of images, under steady traffic
#        scripts/soak.sh build             the api's image, compiled in a container where nothing is prepared
#        scripts/soak.sh deny              licences, origins and banned crates of what we depend on, by deny.toml
set -euo pipefail
cd "$(dirname "$0")/.."

# As the guide has it. That it is this program shows in what it asks for.
build() {
  # Not local: the trap runs after the function is left.
  image=scalable_backend_api:soak
  scripts/base-images.sh debian nginx rust
  trap 'docker image rm -f "$image" >/dev/null 2>&1; docker image prune -f --filter label=scalable-backend.stage >/dev/null' EXIT
  docker build -t "$image" .
  { docker run --rm "$image" || true; } | grep -F 'JWT_SECRET is not set'
  printf 'compiled in a container in %d s\n' "$SECONDS"
}

# Advisories come from a repository that not every machine reaches: `cargo deny check` alone asks for them, too.
deny() {
  export PATH=$PWD/target/tools/bin:$PATH
  command -v cargo-deny >/dev/null || cargo install --quiet --locked --root target/tools cargo-deny@0.20.2
  cargo deny --locked check licenses bans sources
}

case ${1:-} in
  build) build ;;
  deny) deny ;;
  data) export ROUNDS=${2:-6} RUST_TEST_NOCAPTURE=1; exec scripts/e2e.sh no_acknowledged_write_is_lost_or_doubled ;;
  sick) export RUST_TEST_NOCAPTURE=1; exec scripts/e2e.sh unhealthy_instances_are_removed a_paused_instance a_slow_instance an_instance_out_of_memory ;;
  updates) exec scripts/e2e.sh the_guides_image_updates_fail_no_request ;;
  balancer) export CYCLES=${2:-20} RUST_TEST_NOCAPTURE=1; exec scripts/e2e.sh no_requests_are_dropped_during_scaling ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
