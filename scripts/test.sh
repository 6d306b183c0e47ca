#!/usr/bin/env bash
# Everything: format, lints, documentation, unit and integration tests, the images, and end to end
# on real Swarms of one node and of two. What a step starts carries a label of ours and is removed, also after a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo >/dev/null || { echo "test.sh: a Rust toolchain is needed (rust-toolchain.toml names the version)" >&2; exit 1; }

sweep() { docker ps -aq --filter label=scalable-backend.test 2>/dev/null | xargs -r docker rm -fv >/dev/null 2>&1 || true; }
trap sweep EXIT

# step MINUTES COMMAND…: a step that hangs is ended, and says what was going on.
step() {
  local start=$SECONDS minutes=$1 code=0 bounded=(timeout -k 2m); shift
  # At a terminal Ctrl-C must reach the step; elsewhere its children end with it.
  [ ! -t 0 ] || bounded+=(--foreground)
  bounded+=("${minutes}m")
  [ "$(type -t "$1")" != function ] || bounded=()
  printf '\n══ %s\n' "$*"
  "${bounded[@]}" "$@" || code=$?
  if [ $code -eq 124 ] || [ $code -eq 137 ]; then
    printf '── %s: not done within %d minutes. What runs:\n' "$*" "$minutes"
    ps -eo pid,ppid,etimes,args --sort=etimes | cut -c1-160 | head -n 40
    docker ps --format '{{.Names}} {{.Status}}' || true
  fi
  [ $code -eq 0 ] || exit $code
  printf '── %s: %d s\n' "$*" $((SECONDS - start))
}

lint_shell() {
  command -v shellcheck >/dev/null || apt-get install -y -qq shellcheck >/dev/null 2>&1 ||
    { apt-get update -qq && apt-get install -y -qq shellcheck >/dev/null; }
  git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck --external-sources --severity=warning
}

lint_stack() {
  docker stack config -c stack.yml >/dev/null
  docker stack config -c stack.yml -c stack.monitoring.yml >/dev/null
  docker stack config -c stack.yml -c stack.tls.yml >/dev/null
}

step 2 cargo fmt --all --check
step 5 lint_shell
step 35 ./deploy-autoscaling.sh --build --with-monitoring
step 1 lint_stack
sweep
step 20 cargo clippy --locked --workspace --all-targets --features tests/e2e -- -D warnings
step 10 env RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items --quiet
step 25 cargo test --locked --workspace --no-fail-fast
step 8 scripts/test-images.sh
step 6 scripts/test-backup.sh
step 6 scripts/test-nodes.sh
step 35 scripts/e2e.sh
printf '\nall tests passed in %d minutes\n' $(((SECONDS + 59) / 60))
