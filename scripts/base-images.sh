#!/usr/bin/env bash
# Makes sure that the base images named in our Dockerfiles exist.
#
# On an ordinary machine each one is pulled. Where no container registry can be
# reached, the same tag is made from Debian's packages (and, for the Rust image,
# this machine's own toolchain), and the script says so.
#
# usage: scripts/base-images.sh [debian] [nginx] [rust]     default: debian nginx
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }
die() { say "base-images: $*"; exit 1; }

DEBIAN_IMAGE=debian:trixie-slim
NGINX_IMAGE=nginx:1.30
RUST_IMAGE=rust:1.95-slim-trixie

present() { docker image inspect "$1" >/dev/null 2>&1; }

# Where this machine gets its Debian packages from: the stand-ins use the same place.
mirror() {
  local uri
  uri=$(sed -nE 's/^URIs:[[:space:]]*([^[:space:]]+).*/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null |
    grep -m1 -E '/debian/?$' || true)
  [ -n "$uri" ] || uri=$(sed -nE 's/^deb (\[[^]]*\] )?([^ ]+) .*/\2/p' /etc/apt/sources.list 2>/dev/null |
    grep -m1 -E '/debian/?$' || true)
  printf '%s' "${uri%/}"
}

# mmdebstrap <suite> <extra options…>: a tar of a minimal Debian on stdout.
bootstrap() {
  local suite=$1 from; shift
  command -v mmdebstrap >/dev/null || {
    say "installing mmdebstrap (Debian package)"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mmdebstrap >/dev/null
  }
  from=$(mirror)
  # In a session of its own: when it fails it signals its whole process group, us included.
  setsid -w mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Retries "3"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include=ca-certificates "$@" \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin' \
    --customize-hook='mkdir -p "$1/etc/ssl/certs" && cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/ca-certificates.crt"' \
    "$suite" - ${from:+"$from"}
}

make_debian() {
  bootstrap trixie | docker import \
    --change 'CMD ["bash"]' --message 'stand-in made from Debian packages' - "$DEBIAN_IMAGE" >/dev/null
}

# nginx >= 1.27.4 is in Debian testing only. Its index on a mirror may have passed
# its "valid until" date; the signatures are checked all the same.
make_nginx() {
  say "  (Debian testing: the index's expiry date is not enforced, its signature is)"
  bootstrap forky --aptopt='Acquire::Check-Valid-Until "false"' \
    --include=nginx,libnginx-mod-http-js \
    --customize-hook='rm -rf "$1"/var/www/html "$1"/etc/nginx/sites-* ' |
    docker import --change 'CMD ["nginx", "-g", "daemon off;"]' \
      --message 'stand-in made from Debian packages' - "$NGINX_IMAGE" >/dev/null
}

make_rust() {
  local sysroot dir
  command -v rustc >/dev/null || die "no registry to pull $RUST_IMAGE from and no Rust toolchain here to copy: install one, or make a registry reachable"
  present "$DEBIAN_IMAGE" || ensure "$DEBIAN_IMAGE" make_debian
  sysroot=$(rustc --print sysroot)
  dir=$(mktemp -d)
  cat >"$dir/Dockerfile" <<-DOCKER
	FROM $DEBIAN_IMAGE
	RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
	COPY toolchain /usr/local/rust
	ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	DOCKER
  mkdir "$dir/toolchain"
  cp -a "$sysroot"/bin "$sysroot"/lib "$dir/toolchain/"
  DOCKER_BUILDKIT=0 docker build -q -t "$RUST_IMAGE" "$dir" >/dev/null || { rm -rf "$dir"; return 1; }
  rm -rf "$dir"
}

# ensure <image> <maker>: present, else pulled, else made.
ensure() {
  local image=$1 maker=$2
  present "$image" && return
  if timeout 120 docker pull -q "$image" >/dev/null 2>&1; then
    say "pulled $image"
    return
  fi
  say "cannot pull $image: making it here"
  "$maker"
  present "$image" || die "could not make $image"
}

[ $# -gt 0 ] || set -- debian nginx
for name in "$@"; do
  case $name in
    debian) ensure "$DEBIAN_IMAGE" make_debian ;;
    nginx) ensure "$NGINX_IMAGE" make_nginx ;;
    rust) ensure "$RUST_IMAGE" make_rust ;;
    *) die "unknown image '$name': expected debian, nginx or rust" ;;
  esac
done
