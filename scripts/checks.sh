# Sourced by the tests that are shell scripts: claims, each with the command that proves it.
# shellcheck shell=bash

# shellcheck disable=SC2034  # read by the scripts that source this
failed=0

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }
die() { say "$*"; exit 1; }

# check CLAIM COMMAND…: the command's success is the claim's proof.
check() {
  local claim=$1 output; shift
  if output=$("$@" 2>&1); then
    printf 'ok    %s\n' "$claim"
  else
    printf 'FAIL  %s\n%s\n' "$claim" "$(sed 's/^/      /' <<<"$output" | tail -n 15)"
    failed=$((failed + 1))
  fi
}

# within SECONDS COMMAND…: until it succeeds. The time is a limit for busy machines, not a claim.
within() {
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "not within the time: $*"; "$@"; return 1; }
    sleep 0.1
  done
}

is() { [ "$1" = "$2" ] || { echo "expected '$2', got '$1'"; return 1; }; }
fails() { ! "$@"; }
equals() { local want=$1; shift; is "$("$@" 2>&1)" "$want"; }
# The whole output is taken before it is searched: a search that ends early would kill the command.
says() {
  local text=$1 output; shift
  output=$("$@" 2>&1) || true
  [[ $output == *"$text"* ]] || { printf '%s\nexpected to find: %s\n' "$output" "$text"; return 1; }
}
