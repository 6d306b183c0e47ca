# The stack's images: made when their source has changed, named by their content, pruned when nothing uses them.
# Sourced by the deploy script, which has say, step, die and quietly.
# shellcheck shell=bash disable=SC2154

SOURCE_LABEL=scalable-backend.source

# source_of <path>…: a digest over the files that an image is made of.
source_of() { find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16; }
up_to_date() { [ "$(docker image inspect --format "{{index .Config.Labels \"$SOURCE_LABEL\"}}" "$1" 2>/dev/null)" = "$2" ]; }
# The classic builder is always there; BuildKit only where its plugin is.
build_image() {
  local image=$1; shift
  docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
  quietly docker build -t "$image" "$@"
}

# The quick way: compile here, copy into the image. Only where the result runs on Debian trixie (glibc 2.41).
can_build_here() {
  command -v cargo >/dev/null && command -v cc >/dev/null && cargo --version >/dev/null 2>&1 || return 1
  local glibc
  glibc=$(ldd --version 2>/dev/null | sed -nE '1s/.* 2\.([0-9]+).*/\1/p')
  [ -n "$glibc" ] && [ "$glibc" -le 41 ] && [ "$(uname -s)" = Linux ]
}

build_rust_images() {
  local source front image missing='' args=(.)
  local parts=(Cargo.toml Cargo.lock rust-toolchain.toml Dockerfile scripts/build-binaries.sh shared api balancer metrics-collector autoscaler)
  local images=(scalable_backend_api metrics-collector autoscaler)
  # Where nothing can be compiled, scripts/stress-test.sh needs an image, too.
  can_build_here || { parts+=(stress-test); images+=(scalable_backend_stress); }
  source=$(source_of "${parts[@]}")
  # A change of the balancer's configuration is none of the others.
  front=$(source_of "${parts[@]}" nginx)
  for image in "${images[@]}"; do up_to_date "$image:latest" "$source" || missing=1; done
  up_to_date scalable_backend_nginx:latest "$front" || missing=1
  if [ -z "$missing" ]; then say "    api, nginx, collector, autoscaler: up to date"; return; fi
  if can_build_here; then
    say "    compiling with this machine's toolchain (minutes the first time)"
    quietly scripts/build-binaries.sh dist
    args=(--build-arg BUILD_BASE=debian:trixie-slim --build-arg PREBUILT=dist .)
  else
    say "    compiling in a container (minutes the first time)"
    quietly scripts/base-images.sh rust
  fi
  build_image scalable_backend_nginx:latest --target nginx --label "$SOURCE_LABEL=$front" "${args[@]}"
  for image in "${images[@]}"; do
    build_image "$image:latest" --target "${image#scalable_backend_}" --label "$SOURCE_LABEL=$source" "${args[@]}"
  done
  say "    api, nginx, collector, autoscaler: built"
}

build_folder_image() {
  local folder=$1 image=$2 source
  source=$(source_of "$folder")
  if up_to_date "$image" "$source"; then say "    $folder: up to date"; return; fi
  build_image "$image" --label "$SOURCE_LABEL=$source" "$folder"
  say "    $folder: built"
}

build_images() {
  step "images"
  # The stand-ins may be needed: shown, because that is minutes on the first run.
  scripts/base-images.sh debian nginx 2>&1 | sed 's/^/    /'
  build_folder_image postgres scalable_backend_postgres:latest
  build_folder_image redis scalable_backend_redis:latest
  [ "$MONITORING" = no ] || build_folder_image monitoring scalable_backend_monitoring:latest
  build_rust_images
}

# pinned <variable> <image>: a tag that names the content, so that a service is updated when, and
# only when, its image has changed.
pinned() {
  local id repository=${2%%:*}
  [ -z "${!1:-}" ] || return 0
  id=$(docker image inspect --format '{{.Id}}' "$2")
  id=${id#sha256:}
  docker tag "$2" "$repository:${id:0:12}"
  export "$1=$repository:${id:0:12}"
}

# Of earlier builds nothing is kept but what a service runs, or would run after a rollback.
prune_images() {
  local kept tag
  kept=$(docker service ls -q | xargs -r docker service inspect --format \
    '{{.Spec.TaskTemplate.ContainerSpec.Image}} {{with .PreviousSpec}}{{.TaskTemplate.ContainerSpec.Image}}{{end}}' | tr ' ' '\n') ||
    return 0 # another stack's service has just gone: next time
  docker image ls --format '{{.Repository}}:{{.Tag}}' |
    grep -E '^(scalable_backend_(api|nginx|postgres|redis|monitoring)|metrics-collector|autoscaler):[0-9a-f]{12}$' |
    while read -r tag; do
      grep -qxF "$tag" <<<"$kept" || docker image rm "$tag" >/dev/null 2>&1 || true
    done
  docker image prune -f --filter label=scalable-backend.stage >/dev/null
  docker image prune -f --filter "label=$SOURCE_LABEL" >/dev/null
}
