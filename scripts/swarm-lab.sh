#!/usr/bin/env bash
# A Swarm of several nodes on one machine: an engine in each of N network namespaces, on one bridge. n1 is the manager.
#
# usage: scripts/swarm-lab.sh up [N]                 N engines, two by default
#        scripts/swarm-lab.sh load IMAGE…            copies images of this machine's engine to every node
#        scripts/swarm-lab.sh on NODE COMMAND…       runs a command in the network of a node (1, 2…), with its engine
#        scripts/swarm-lab.sh down                   ends and removes all of it
#
# Needs root, Docker and iproute2. Everything is in $SWARM_LAB_DIR (default: swarm-lab in the temporary folder).
set -euo pipefail

dir=${SWARM_LAB_DIR:-${TMPDIR:-/tmp}/swarm-lab}
prefix=${SWARM_LAB_PREFIX:-sblab}
net=${SWARM_LAB_NET:-10.77.0}

die() { printf 'swarm-lab: %s\n' "$*" >&2; exit 1; }
engine() { local node=$1; shift; docker -H "unix://$dir/n$node/docker.sock" "$@"; }
nodes() { find "$dir" -maxdepth 1 -name 'n[0-9]*' -printf '%f\n' 2>/dev/null | tr -d n | sort -n; }

network() {
  local i
  # The bridge has a namespace of its own, so that the host's firewall is not in the way.
  ip netns add "${prefix}sw"
  ip -n "${prefix}sw" link set lo up
  ip -n "${prefix}sw" link add br0 type bridge
  ip -n "${prefix}sw" link set br0 up
  for i in $(seq "$1"); do
    ip netns add "${prefix}n$i"
    ip link add eth0 netns "${prefix}n$i" type veth peer name "p$i" netns "${prefix}sw"
    ip -n "${prefix}sw" link set "p$i" master br0 up
    ip -n "${prefix}n$i" addr add "$net.$i/24" dev eth0
    ip -n "${prefix}n$i" link set lo up
    ip -n "${prefix}n$i" link set eth0 up
    ip -n "${prefix}n$i" route add default dev eth0
    ip netns exec "${prefix}n$i" sysctl -qw net.ipv4.ip_forward=1
  done
}

# Each engine has a /run of its own: what mounts /var/run/docker.sock gets this engine's, and the engine starts a containerd
# of its own. Its mounts vanish with its processes. Its cgroup parent tells which processes are its.
start() {
  local home=$dir/n$1
  echo '{}' >"$home/daemon.json"
  # Else each task waits for a registry whose name cannot be resolved.
  echo 'nameserver 127.0.0.1' >"$home/resolv.conf"
  # shellcheck disable=SC2016
  setsid nsenter --net="/run/netns/${prefix}n$1" unshare --mount --uts sh -c '
    hostname "$1"; mount --make-rprivate /; mount --bind "$2/resolv.conf" /etc/resolv.conf; mount -t tmpfs tmpfs /run
    exec dockerd -H unix:///run/docker.sock -H "unix://$2/docker.sock" --data-root "$2/data" --exec-root "$2/exec" -p "$2/docker.pid" \
      --cgroup-parent "/$1" --config-file "$2/daemon.json"' sh "${prefix}n$1" "$home" </dev/null >"$home/dockerd.log" 2>&1 &
}

up() {
  local i token count=${1:-2}
  [ "$(id -u)" = 0 ] || die 'needs root'
  [ -z "$(nodes)" ] || die "there is one in $dir: scripts/swarm-lab.sh down"
  command -v ip >/dev/null || { apt-get update -qq && apt-get install -y -qq iproute2 >/dev/null; }
  # First of all: by these folders `down` knows how many nodes there are, also when something below fails.
  for i in $(seq "$count"); do mkdir -p "$dir/n$i"; done
  network "$count"
  for i in $(seq "$count"); do start "$i"; done
  for i in $(seq "$count"); do
    for _ in $(seq 200); do engine "$i" version >/dev/null 2>&1 && break; sleep 0.2; done
    engine "$i" version >/dev/null || die "the engine of node $i does not answer: $dir/n$i/dockerd.log"
  done
  engine 1 swarm init --advertise-addr "$net.1" --default-addr-pool 10.78.0.0/16 >/dev/null
  token=$(engine 1 swarm join-token -q worker)
  for i in $(seq 2 "$count"); do engine "$i" swarm join --advertise-addr "$net.$i" --token "$token" "$net.1:2377" >/dev/null; done
  engine 1 node ls
}

load() {
  local i image id
  docker save "$@" -o "$dir/images.tar"
  for i in $(nodes); do
    engine "$i" load -q -i "$dir/images.tar" >/dev/null
    # The deploy script names images by their content; a worker must know them by that name, too.
    for image in "$@"; do
      id=$(docker image inspect -f '{{.Id}}' "$image")
      id=${id#sha256:}
      engine "$i" tag "$image" "${image%:*}:${id:0:12}"
    done
  done
  rm -f "$dir/images.tar"
}

on() {
  local node=$1; shift
  DOCKER_HOST="unix://$dir/n$node/docker.sock" nsenter --net="/run/netns/${prefix}n$node" "$@"
}

# Ends only what is in our namespaces and cgroups.
down() {
  local i pid mount group
  for i in $(nodes); do pid=$(cat "$dir/n$i/docker.pid" 2>/dev/null) && kill -TERM "$pid" 2>/dev/null || true; done
  for i in $(nodes); do
    pid=$(cat "$dir/n$i/docker.pid" 2>/dev/null || true)
    for _ in $(seq 75); do [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
    for pid in $(cat /sys/fs/cgroup/{pids/,}"${prefix}n$i"/*/cgroup.procs 2>/dev/null | sort -u) $(ip netns pids "${prefix}n$i" 2>/dev/null); do
      kill -KILL "$pid" 2>/dev/null || true
    done
  done
  sleep 0.5
  awk -v d="$dir/" 'index($2, d) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do umount -l "$mount" || true; done
  for i in $(nodes) sw; do
    [ "$i" = sw ] || i=n$i
    ip netns del "$prefix$i" 2>/dev/null || true
    for group in /sys/fs/cgroup/*/"$prefix$i" /sys/fs/cgroup/"$prefix$i"; do
      [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    done
  done
  rm -rf "$dir"
}

case ${1:-} in
  up | load | on | down) command=$1; shift; "$command" "$@" ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
