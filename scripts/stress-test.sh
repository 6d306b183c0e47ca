#!/usr/bin/env bash
# Puts load on the system as its users would, and says how it coped.
#
# usage: scripts/stress-test.sh --users 25 --minutes 2 [options]      --help lists them
#
# Runs the stress-test program: the release build in the target folder when it is newer than its
# sources, else a new build where there is a Rust toolchain, else the image scalable_backend_stress, which is
# built when it is not there.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
binary=${CARGO_TARGET_DIR:-$root/target}/release/stress-test

fresh() {
  [ -x "$binary" ] || return 1
  local newer
  newer=$(find "$root/stress-test/Cargo.toml" "$root/stress-test/src" "$root/shared/Cargo.toml" "$root/shared/src" \
    "$root/Cargo.lock" -type f -newer "$binary" -print -quit)
  [ -z "$newer" ]
}

if ! fresh && command -v cargo >/dev/null; then
  echo "compiling the stress test (minutes the first time)" >&2
  cargo build --quiet --release --locked --workspace --bin stress-test --manifest-path "$root/Cargo.toml" >&2 || exit 2
  # cargo leaves a binary alone whose inputs only look newer.
  touch -c "$binary"
fi
# With exec, signals reach the program itself and it still prints its report.
if [ -x "$binary" ]; then
  exec "$binary" "$@"
fi

image=scalable_backend_stress:latest
docker image inspect "$image" >/dev/null 2>&1 || {
  echo "building the stress test in a container (minutes the first time)" >&2
  docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
  docker build --target stress --tag "$image" "$root" >&2 || {
    echo "stress-test: no program to run: install Rust, or see above why the image $image was not built" >&2
    exit 2
  }
}
# The current folder is mounted in its place, so that --report FILE lands where it was asked for.
exec docker run --rm --init --network host --user "$(id -u):$(id -g)" --read-only --cap-drop ALL \
  --volume "$PWD:$PWD" --workdir "$PWD" "$image" "$@"
