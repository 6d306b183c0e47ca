#!/usr/bin/env bash
# Installs the browser that the dashboard's tests and picture need, where it is missing.
set -euo pipefail
command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || {
  echo "chromium and chromedriver are needed: apt-get install chromium chromium-driver" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
packages=(chromium chromium-driver fonts-dejavu-core)
apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null 2>&1 ||
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null; }
