//! `/metrics`, written from a snapshot.
//!
//! Written anew for each reader instead of being kept in gauges, so that what is absent
//! from the snapshot vanishes here too, instead of staying at its last value.

use std::fmt::Write as _;

use shared::snapshot::{
    CacheServer, DatabaseRole, DatabaseServer, LeftOut, ServiceReading, Snapshot, TaskReading, TaskState, Tries, Usage,
};

/// A sample: its labels, and its value.
type Sample<'a> = (Option<(&'static str, &'a str)>, Option<f64>);

/// The whole page. `stack` names the services of the `api_`, `postgres_` and `redis_` figures.
#[must_use]
pub fn render(snapshot: &Snapshot, stack: &str, now_ms: u64) -> String {
    let mut page = Page::default();
    let service = |name: &str| snapshot.services.get(&format!("{stack}_{name}"));
    api(&mut page, service("api"));
    postgres(&mut page, snapshot);
    redis(&mut page, snapshot, service("redis"));
    nginx(&mut page, snapshot);
    services(&mut page, snapshot);
    sources(&mut page, snapshot, now_ms);
    page.text
}

fn api(page: &mut Page, api: Option<&ServiceReading>) {
    let http = api.and_then(|api| api.http);
    let replicas = api.map(|api| api.replicas_running as f64);
    page.gauge("api_replicas_current", "Running replicas of the api on nodes that are ready.", replicas);
    let cpu = api.and_then(|api| percent(api, |task| task.cpu));
    page.gauge("api_cpu_usage_percent", "Processor use of all api replicas against their limits.", cpu);
    let memory = api.and_then(|api| percent(api, |task| task.memory));
    page.gauge("api_memory_usage_percent", "Memory use of all api replicas against their limits.", memory);
    let p95 = http.and_then(|http| http.p95_ms);
    page.gauge("api_response_time_ms", "95th percentile of the api's response time in the window.", p95);
    let errors = http.and_then(|http| http.error_rate_percent);
    page.gauge("api_error_rate_percent", "Share of the api's answers in the window with status 5xx.", errors);
    let rate = http.map(|http| http.requests_per_second);
    page.gauge("api_requests_per_second", "Requests per second to the api in the window.", rate);
}

fn postgres(page: &mut Page, snapshot: &Snapshot) {
    let servers = &snapshot.databases;
    let known = !servers.is_empty();
    let sum = |of: fn(&DatabaseServer) -> u64| known.then(|| servers.iter().map(of).sum::<u64>() as f64);
    page.gauge(
        "postgres_connections_active",
        "Client connections that are doing something, over all database servers.",
        sum(|server| server.active),
    );
    page.gauge(
        "postgres_connections_open",
        "Client connections, idle ones too, over all database servers.",
        sum(|server| server.total),
    );
    page.gauge("postgres_connections_max", "Connections allowed, over all database servers.", sum(|server| server.max));
    let serves = |server: &DatabaseServer| server.role == DatabaseRole::Primary || server.streaming == Some(true);
    page.gauge(
        "postgres_replicas_current",
        "Database servers: the primary and the standbys that stream from it.",
        known.then(|| servers.iter().filter(|server| serves(server)).count() as f64),
    );
    let lag = servers.iter().filter_map(|server| server.lag_bytes).max();
    page.gauge(
        "postgres_replication_lag_bytes",
        "Bytes of log that the slowest standby has still to replay.",
        lag.map(|bytes| bytes as f64),
    );
    page.gauge(
        "postgres_replication_lag_seconds",
        "For how long at least the slowest standby is behind; exact to a collection round.",
        servers.iter().filter_map(|server| server.lag_seconds).max_by(f64::total_cmp),
    );
    let each = |of: fn(&DatabaseServer) -> u64| {
        servers.iter().map(move |server| (Some(("server", server.address.as_str())), Some(of(server) as f64)))
    };
    page.family(
        "postgres_server_connections_open",
        "gauge",
        "Client connections of a database server, idle ones too.",
        each(|server| server.total),
    );
    page.family(
        "postgres_server_connections_max",
        "gauge",
        "Connections that a database server allows.",
        each(|server| server.max),
    );
    let backup = servers.iter().filter_map(|server| server.backed_up_at_ms).max();
    page.gauge(
        "postgres_backup_timestamp_seconds",
        "When the last backup of the database was begun, Unix time; absent when there is none.",
        backup.map(|ms| ms as f64 / 1000.0),
    );
}

fn redis(page: &mut Page, snapshot: &Snapshot, redis: Option<&ServiceReading>) {
    let cache = snapshot.services.values().find_map(|service| service.cache.as_ref());
    let used = cache.map(|cache| cache.used_bytes as f64);
    page.gauge("redis_memory_usage_bytes", "Memory in use, over all cache shards.", used);
    let max = cache.map(|cache| cache.max_bytes as f64).filter(|bytes| *bytes > 0.0);
    page.gauge("redis_memory_max_bytes", "Memory allowed, over all cache shards.", max);
    let replicas = redis.map(|redis| redis.replicas_running as f64);
    page.gauge("redis_replicas_current", "Running cache shards on nodes that are ready.", replicas);
    let shards = || cache.into_iter().flat_map(|cache| &cache.servers);
    let each = |of: fn(&CacheServer) -> u64| {
        shards().map(move |shard| (Some(("shard", shard.address.as_str())), Some(of(shard) as f64)))
    };
    page.family("redis_shard_memory_usage_bytes", "gauge", "Memory in use.", each(|shard| shard.used_bytes));
    page.family("redis_shard_keys", "gauge", "Keys held.", each(|shard| shard.keys));
}

fn nginx(page: &mut Page, snapshot: &Snapshot) {
    let balancer = snapshot.balancer.as_ref();
    let active = balancer.map(|balancer| balancer.active_connections as f64);
    page.gauge("nginx_connections_active", "Open client connections, over all balancers.", active);
    let rate = balancer.and_then(|balancer| balancer.requests_per_second);
    page.gauge("nginx_requests_per_second", "Requests per second since the round before.", rate);
    let Some(account) = balancer.and_then(|balancer| balancer.account.as_ref()) else { return };
    page.gauge("nginx_balancers", "Balancers that answered.", Some(account.balancers as f64));
    let answers = account.answers.iter().map(|(class, count)| (Some(("class", class.as_str())), Some(*count as f64)));
    page.family("nginx_requests_total", "counter", "Answers to clients, by class of status.", answers);
    let mut count =
        |name: &str, help: &str, value: u64| page.family(name, "counter", help, [(None, Some(value as f64))]);
    count("nginx_limited_total", "Requests that the balancers' limit refused.", account.limited);
    count("nginx_retries_total", "Tries beyond the first of a request.", account.retries);
    let buckets = account.latency_buckets.iter().map(|(bound, count)| (bound.to_string(), *count));
    page.histogram(
        "nginx_upstream_seconds",
        "Time of the last try of each request.",
        buckets,
        account.latency_seconds,
        account.latency_count,
    );
    let mut each = |name: &str, help: &str, of: fn(&Tries) -> f64| {
        let samples =
            account.upstreams.iter().map(|(task, tries)| (Some(("upstream", task.as_str())), Some(of(tries))));
        page.family(name, "counter", help, samples);
    };
    each("nginx_upstream_requests_total", "Tries, by api task.", |tries| tries.requests as f64);
    each("nginx_upstream_failures_total", "Tries without an answer, or answered 5xx.", |tries| tries.failures as f64);
    each("nginx_upstream_latency_seconds_total", "Time of these tries.", |tries| tries.seconds);
    let left_out = [("silent", LeftOut::Silent), ("failing", LeftOut::Failing)].map(|(label, reason)| {
        let count = account.left_out.values().filter(|why| **why == reason).count();
        (Some(("reason", label)), Some(count as f64))
    });
    let help = "Api tasks that are there and get no requests: they do not answer, or are the only ones that fail.";
    page.family("nginx_upstreams_left_out", "gauge", help, left_out);
    let limit = account.limit;
    page.gauge("nginx_limit_level", "Replicas that the limit counts on.", limit.map(|limit| limit.level as f64));
    let rate = limit.and_then(|limit| limit.requests_per_second);
    page.gauge("nginx_limit_requests_per_second", "What all balancers together let through.", rate);
    let client = limit.and_then(|limit| limit.client_requests_per_second);
    page.gauge("nginx_limit_client_requests_per_second", "Of that, for one client at one balancer.", client);
    let age = limit.and_then(|limit| limit.age_seconds);
    page.gauge("nginx_limit_age_seconds", "Since the limit was last confirmed, at the latest balancer.", age);
}

fn services(page: &mut Page, snapshot: &Snapshot) {
    let mut each = |name: &str, help: &str, of: fn(&ServiceReading) -> Option<f64>| {
        let samples = snapshot.services.iter().map(|(name, service)| (Some(("service", name.as_str())), of(service)));
        page.family(name, "gauge", help, samples);
    };
    each("swarm_service_replicas", "Running tasks of a service on nodes that are ready.", |service| {
        Some(service.replicas_running as f64)
    });
    each("swarm_service_replicas_desired", "Replicas asked for of a service.", |service| {
        service.replicas_desired.map(|replicas| replicas as f64)
    });
    each(
        "swarm_service_restarts_recent",
        "How often one replica of a service ended by itself in the last ten minutes; four are remembered.",
        |service| Some(service.restarts as f64),
    );
    each("swarm_service_cpu_usage_percent", "Processor use of a service's tasks against their limits.", |service| {
        percent(service, |task| task.cpu)
    });
    each("swarm_service_memory_usage_percent", "Memory use of a service's tasks against their limits.", |service| {
        percent(service, |task| task.memory)
    });
}

fn sources(page: &mut Page, snapshot: &Snapshot, now_ms: u64) {
    let seconds = |since_ms: u64| now_ms.saturating_sub(since_ms) as f64 / 1000.0;
    let label = |name| Some(("source", name));
    let status = || snapshot.sources.iter().map(|source| (source.name.as_str(), source));
    page.family(
        "collector_source_up",
        "gauge",
        "Whether the last reading of a source was whole.",
        status().map(|(name, source)| (label(name), Some(f64::from(u8::from(source.ok))))),
    );
    page.family(
        "collector_source_duration_seconds",
        "gauge",
        "How long the last reading of a source took.",
        status().map(|(name, source)| (label(name), Some(source.duration_ms as f64 / 1000.0))),
    );
    page.family(
        "collector_source_age_seconds",
        "gauge",
        "Time since a source was last read whole.",
        status().map(|(name, source)| (label(name), source.last_success_ms.map(seconds))),
    );
    page.gauge("collector_snapshot_age_seconds", "Time since the last round.", Some(seconds(snapshot.taken_at_ms)));
}

/// Sum over sum, of running tasks that were measured: tasks may have different limits.
fn percent(service: &ServiceReading, of: fn(&TaskReading) -> Option<Usage>) -> Option<f64> {
    let measured = || service.tasks.iter().filter(|task| task.state == TaskState::Running).filter_map(of);
    let limit: f64 = measured().map(|usage| usage.limit).sum();
    (limit > 0.0).then(|| measured().map(|usage| usage.used).sum::<f64>() / limit * 100.0)
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: Option<f64>) {
        self.family(name, "gauge", help, [(None, value)]);
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: impl Iterator<Item = (String, u64)>,
        sum: f64,
        count: u64,
    ) {
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} histogram\n");
        for (bound, count) in buckets.chain([("+Inf".to_owned(), count)]) {
            let _ = writeln!(self.text, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let _ = write!(self.text, "{name}_sum {sum}\n{name}_count {count}\n");
    }

    /// One metric with all its samples; nothing at all when every sample is absent.
    fn family<'a>(&mut self, name: &str, kind: &str, help: &str, samples: impl IntoIterator<Item = Sample<'a>>) {
        let mut headed = false;
        for (label, value) in samples {
            let Some(value) = value.filter(|value| value.is_finite()) else { continue };
            if !headed {
                let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
                headed = true;
            }
            let _ = match label {
                Some((label, text)) => writeln!(self.text, "{name}{{{label}=\"{}\"}} {value}", escaped(text)),
                None => writeln!(self.text, "{name} {value}"),
            };
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
