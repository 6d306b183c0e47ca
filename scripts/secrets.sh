# The stack's secrets: made once, in versions, deleted when nothing uses them.
# Sourced by the deploy script, which has say.
# shellcheck shell=bash disable=SC2154

# What a secret is that nobody gave: no webhook is wanted, and all others are made at random.
default_secret() { if [[ $1 == *WEBHOOK_URL ]]; then printf none; else random_secret; fi; }
random_secret() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }

# newest_secret <name>: a secret cannot change under its name, so each rotation makes the next version:
# name, name_2, name_3… The newest is the one in use.
newest_secret() { versions_of "$1" | tail -n 1; }
versions_of() { docker secret ls --format '{{.Name}}' --filter "name=$1" | grep -xE "$1(_[0-9]+)?" | sort -V || true; }

make_secrets() {
  # Not under the stack's own label: `docker stack rm` must not take the keys to the data away.
  local name first secret number
  for name in $SECRETS; do
    [ "$name" != ALERT_WEBHOOK_URL ] || [ "$MONITORING" = yes ] || continue
    first=${STACK_NAME}_${name,,}
    secret=$(newest_secret "$first")
    if [ -z "$secret" ]; then
      make_secret "$first" "${!name:-$(default_secret "$name")}"; secret=$first
    elif [ "$name" = "$ROTATE" ]; then
      number=${secret#"$first"}; number=${number#_}
      secret=${first}_$((${number:-1} + 1))
      make_secret "$secret" "${!name:-$(default_secret "$name")}"
    elif [ -n "${!name:-}" ]; then
      say "    $secret exists and is kept; to change it: ./deploy-autoscaling.sh --rotate $name"
    fi
    export "${name}_VERSION=${secret#"$first"}"
  done
}

make_secret() {
  printf '%s' "$2" | docker secret create --label "scalable-backend.stack=$STACK_NAME" "$1" - >/dev/null
  say "    made $1"
}

# The certificate's secrets are named by their content: another certificate is another secret.
make_tls_secrets() {
  [ -n "${TLS_CERT_FILE:-}" ] || return 0
  local pair name
  TLS_VERSION=$(cat "$TLS_CERT_FILE" "$TLS_KEY_FILE" | sha256sum | cut -c1-12)
  export TLS_VERSION
  for pair in "certificate:$TLS_CERT_FILE" "key:$TLS_KEY_FILE"; do
    name=${STACK_NAME}_tls_${pair%%:*}_$TLS_VERSION
    docker secret inspect "$name" >/dev/null 2>&1 && continue
    docker secret create --label "scalable-backend.stack=$STACK_NAME" "$name" "${pair#*:}" >/dev/null
    say "    made $name"
  done
}

# Once every service runs with the newest.
delete_old_secrets() {
  local name
  docker secret ls --format '{{.Name}}' --filter "name=${STACK_NAME}_tls_" |
    { grep -xE "${STACK_NAME}_tls_(certificate|key)_[0-9a-f]{12}" || true; } | { grep -v "_${TLS_VERSION:-none}$" || true; } | xargs -r docker secret rm >/dev/null
  for name in $SECRETS; do
    versions_of "${STACK_NAME}_${name,,}" | head -n -1 | xargs -r docker secret rm >/dev/null
  done
}
