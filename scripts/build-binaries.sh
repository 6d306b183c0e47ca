#!/usr/bin/env bash
# Puts the release binaries of the workspace into a folder.
#
# Used by the Dockerfile inside the build image, and by the deploy script on the host.
# usage: scripts/build-binaries.sh OUT
set -euo pipefail
cd "$(dirname "$0")/.."

out=$1
target=${CARGO_TARGET_DIR:-target}
# All at once: built one by one, packages would ask for their dependencies with other features, and
# these would be compiled again each time.
cargo build --release --locked --workspace --bins >&2
mkdir -p "$out"
for binary in scalable_backend_api nginx-companion metrics-collector autoscaler stress-test; do
  # Unchanged binaries keep their time stamp, so that image layers stay cached.
  cmp -s "$target/release/$binary" "$out/$binary" || install -m 0755 "$target/release/$binary" "$out/$binary"
done
