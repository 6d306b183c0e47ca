#!/usr/bin/env bash
# Everything: format, lints, documentation, unit and integration tests, the images, and end to end
# on a real Swarm. What a step starts carries a label of ours and is removed, also after a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo >/dev/null || { echo "test.sh: a Rust toolchain is needed (rust-toolchain.toml names the version)" >&2; exit 1; }

sweep() { docker ps -aq --filter label=scalable-backend.test 2>/dev/null | xargs -r docker rm -fv >/dev/null 2>&1 || true; }
trap sweep EXIT

step() {
  local start=$SECONDS
  printf '\n══ %s\n' "$*"
  "$@"
  printf '── %s: %d s\n' "$*" $((SECONDS - start))
}

lint_shell() {
  command -v shellcheck >/dev/null || apt-get install -y -qq shellcheck >/dev/null 2>&1 ||
    { apt-get update -qq && apt-get install -y -qq shellcheck >/dev/null; }
  git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck --external-sources --severity=warning
}

lint_stack() { docker stack config -c stack.yml >/dev/null; }

step cargo fmt --all --check
step lint_shell
step ./deploy-autoscaling.sh --build
step lint_stack
sweep
step cargo clippy --locked --workspace --all-targets --features tests/e2e -- -D warnings
step env RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items --quiet
step cargo test --locked --workspace --no-fail-fast
step scripts/test-images.sh
step scripts/test-backup.sh
step scripts/e2e.sh
printf '\nall tests passed in %d minutes\n' $(((SECONDS + 59) / 60))
