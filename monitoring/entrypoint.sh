#!/usr/bin/env bash
# Writes what depends on the settings into /tmp, then becomes the program that was asked for.
set -euo pipefail

CONFIG=/etc/monitoring
MADE=/tmp/monitoring
mkdir -p "$MADE/rules" "$MADE/tests"

# render FILE…: with the settings in place of @NAMES@. They were checked before they came here.
render() {
  local file
  for file in "$@"; do
    sed -e "s|@STACK@|${STACK_NAME:-scalable-backend}|g" -e "s|@RUNBOOK@|${RUNBOOK_URL:-docs/runbook.md}|g" \
      -e "s|@SCRAPE_INTERVAL@|${SCRAPE_INTERVAL:-10}s|g" "$file" >"$MADE/${file#"$CONFIG"/}"
  done
}

# Whoever knows the address can write to the channel: it stays in its file.
receiver() {
  local file=${ALERT_WEBHOOK_URL_FILE:-/run/secrets/alert_webhook_url}
  [ -r "$file" ] || { echo "alertmanager: cannot read $file, which names where alerts go (or says none)" >&2; exit 1; }
  [ "$(head -c 4 "$file")" != none ] || return 0
  case ${WEBHOOK_FORMAT:-json} in
    json) printf '    webhook_configs: [{ url_file: %s }]\n' "$file" ;;
    slack) cat <<-SLACK ;;
	    slack_configs:
	      - api_url_file: $file
	        send_resolved: true
	        title: '{{ .Status }}: {{ .CommonLabels.alertname }}'
	        text: '{{ range .Alerts }}{{ .Annotations.summary }} {{ .Annotations.runbook_url }}{{ "\n" }}{{ end }}'
	SLACK
    *) echo "alertmanager: WEBHOOK_FORMAT=$WEBHOOK_FORMAT: allowed is one of json, slack" >&2; exit 1 ;;
  esac
}

case ${1:-} in
  prometheus)
    render $CONFIG/prometheus.yml $CONFIG/rules/*.yml
    exec prometheus --config.file="$MADE/prometheus.yml" --storage.tsdb.path=/var/lib/prometheus \
      --storage.tsdb.retention.time="${PROMETHEUS_RETENTION_DAYS:-15}d" \
      --storage.tsdb.retention.size="${PROMETHEUS_RETENTION_MEGABYTES:-2048}MB" \
      --web.listen-address=:9090 --web.external-url="${EXTERNAL_URL:-http://localhost:9090}" \
      --query.max-concurrency=4 --query.timeout=20s ;;
  alertmanager)
    { echo 'route: { receiver: operators, group_by: [alertname, service], group_wait: 10s, group_interval: 1m, repeat_interval: 4h }'
      printf 'receivers:\n  - name: operators\n'
      receiver; } >"$MADE/alertmanager.yml"
    exec prometheus-alertmanager --config.file="$MADE/alertmanager.yml" --storage.path=/var/lib/alertmanager \
      --web.listen-address=:9093 --cluster.listen-address= ;;
  prober) exec prometheus-blackbox-exporter --config.file=$CONFIG/prober.yml --web.listen-address=:9115 ;;
  # The alerts, with each that should fire and stay silent.
  test-rules)
    render $CONFIG/prometheus.yml $CONFIG/rules/*.yml $CONFIG/tests/*.yml
    promtool check config "$MADE/prometheus.yml"
    promtool check rules --lint=all --lint-fatal "$MADE"/rules/*.yml
    exec promtool test rules "$MADE"/tests/*.yml ;;
  *) exec "$@" ;;
esac
