use std::collections::BTreeMap;

use shared::snapshot::{BalancerReading, CONTRACT, CacheReading, HttpReading, LimitBasis, SourceStatus};

use super::*;
use crate::parse::{account, exposition};

fn task(state: TaskState, cpu: Option<(f64, f64)>) -> TaskReading {
    let usage = |(used, limit)| Usage { used, limit, basis: LimitBasis::Limit, sampled_at_ms: 1 };
    TaskReading {
        id: "t".into(),
        slot: Some(1),
        node: None,
        address: None,
        state,
        since_ms: 0,
        cpu: cpu.map(usage),
        memory: Some(usage((32.0, 128.0))),
        paused: false,
    }
}

fn service() -> ServiceReading {
    ServiceReading {
        id: "s".into(),
        replicas_desired: Some(3),
        replicas_running: 2,
        tasks: vec![
            task(TaskState::Running, Some((0.3, 0.5))),
            task(TaskState::Running, Some((0.1, 0.3))),
            task(TaskState::Running, None),
            task(TaskState::Starting, Some((0.5, 0.5))),
        ],
        http: None,
        connections: None,
        cache: None,
        restarts: 3,
    }
}

fn server(address: &str, role: DatabaseRole) -> DatabaseServer {
    let standby = role == DatabaseRole::Standby;
    DatabaseServer {
        address: address.into(),
        role,
        active: 4,
        total: 9,
        usable: 97,
        max: 100,
        streaming: standby.then_some(true),
        lag_bytes: standby.then_some(800),
        lag_seconds: standby.then_some(1.5),
        backed_up_at_ms: Some(7_000),
    }
}

fn snapshot() -> Snapshot {
    let api = ServiceReading {
        http: Some(HttpReading {
            sampled_at_ms: 1,
            window_ms: 30_000,
            requests: 300.0,
            requests_per_second: 10.0,
            error_rate_percent: Some(1.5),
            p50_ms: Some(5.0),
            p95_ms: Some(42.5),
            p99_ms: Some(90.0),
        }),
        ..service()
    };
    let shard = CacheServer { address: "10.0.0.9".into(), used_bytes: 1_000, max_bytes: 64_000, keys: 7 };
    let cache = CacheReading { sampled_at_ms: 1, used_bytes: 1_000, max_bytes: 64_000, servers: vec![shard] };
    Snapshot {
        contract: CONTRACT,
        taken_at_ms: 10_000,
        interval_ms: 5_000,
        services: BTreeMap::from([
            ("s_api".to_owned(), api),
            ("s_postgres-replica".to_owned(), service()),
            ("s_redis".to_owned(), ServiceReading { cache: Some(cache), ..service() }),
        ]),
        nodes: vec![],
        sources: vec![SourceStatus {
            name: "swarm".into(),
            ok: false,
            duration_ms: 1_500,
            last_success_ms: Some(4_000),
            error: Some("text with \"quotes\"".into()),
        }],
        balancer: Some(BalancerReading {
            sampled_at_ms: 1,
            active_connections: 3,
            requests_total: 70,
            account: Some(account::read(include_str!("../tests/golden/balancer.txt")).unwrap()),
            ..BalancerReading::default()
        }),
        databases: vec![server("10.0.0.1", DatabaseRole::Primary), server("10.0.0.2", DatabaseRole::Standby)],
    }
}

fn read(text: &str) -> BTreeMap<String, f64> {
    let samples = exposition::parse(text).unwrap();
    samples
        .into_iter()
        .map(|sample| {
            let labels: String = sample.labels.iter().map(|(name, value)| format!("{{{name}={value}}}")).collect();
            (format!("{}{labels}", sample.name), sample.value)
        })
        .collect()
}

#[test]
fn every_promised_name_is_there_with_its_value() {
    let page = read(&render(&snapshot(), "s", 11_000));
    let expected = [
        ("api_replicas_current", 2.0),
        ("api_cpu_usage_percent", 50.0),
        ("api_memory_usage_percent", 25.0),
        ("api_response_time_ms", 42.5),
        ("api_error_rate_percent", 1.5),
        ("api_requests_per_second", 10.0),
        ("postgres_connections_active", 8.0),
        ("postgres_connections_open", 18.0),
        ("postgres_connections_max", 200.0),
        ("postgres_replicas_current", 2.0),
        ("postgres_server_connections_open{server=10.0.0.2}", 9.0),
        ("postgres_server_connections_max{server=10.0.0.1}", 100.0),
        ("postgres_backup_timestamp_seconds", 7.0),
        ("swarm_service_restarts_recent{service=s_api}", 3.0),
        ("postgres_replication_lag_bytes", 800.0),
        ("postgres_replication_lag_seconds", 1.5),
        ("redis_memory_usage_bytes", 1_000.0),
        ("redis_memory_max_bytes", 64_000.0),
        ("redis_replicas_current", 2.0),
        ("redis_shard_memory_usage_bytes{shard=10.0.0.9}", 1_000.0),
        ("redis_shard_keys{shard=10.0.0.9}", 7.0),
        ("nginx_connections_active", 3.0),
        ("nginx_balancers", 1.0),
        ("nginx_requests_total{class=2xx}", 1200.0),
        ("nginx_requests_total{class=5xx}", 2.0),
        ("nginx_limited_total", 300.0),
        ("nginx_retries_total", 4.0),
        ("nginx_upstream_seconds_bucket{le=0.005}", 900.0),
        ("nginx_upstream_seconds_bucket{le=+Inf}", 1212.0),
        ("nginx_upstream_seconds_sum", 6.4),
        ("nginx_upstream_seconds_count", 1212.0),
        ("nginx_upstream_requests_total{upstream=10.87.0.7}", 700.0),
        ("nginx_upstream_failures_total{upstream=10.87.0.7}", 3.0),
        ("nginx_upstream_latency_seconds_total{upstream=10.87.0.8}", 2.2),
        ("nginx_limit_level", 2.0),
        ("nginx_limit_requests_per_second", 2000.0),
        ("nginx_limit_client_requests_per_second", 1000.0),
        ("nginx_limit_age_seconds", 0.0),
        ("swarm_service_replicas{service=s_api}", 2.0),
        ("swarm_service_replicas_desired{service=s_redis}", 3.0),
        ("swarm_service_cpu_usage_percent{service=s_api}", 50.0),
        ("swarm_service_memory_usage_percent{service=s_postgres-replica}", 25.0),
        ("collector_source_up{source=swarm}", 0.0),
        ("collector_source_duration_seconds{source=swarm}", 1.5),
        ("collector_source_age_seconds{source=swarm}", 7.0),
        ("collector_snapshot_age_seconds", 1.0),
    ];
    for (name, value) in expected {
        let found = page.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert!((found - value).abs() < 1e-9, "{name} is {found}, not {value}");
    }
    assert!(!page.contains_key("nginx_requests_per_second"), "not measured yet");
}

#[test]
fn a_standby_that_does_not_stream_is_no_replica_but_its_lag_is_shown() {
    let mut snapshot = snapshot();
    snapshot.databases[1].streaming = Some(false);
    let page = read(&render(&snapshot, "s", 11_000));
    assert_eq!((page["postgres_replicas_current"], page["postgres_replication_lag_bytes"]), (1.0, 800.0));
}

#[test]
fn what_is_absent_from_the_snapshot_is_absent_from_the_page() {
    let empty =
        Snapshot { services: BTreeMap::new(), sources: vec![], balancer: None, databases: vec![], ..snapshot() };
    let page = read(&render(&empty, "s", 11_000));
    assert_eq!(page.into_keys().collect::<Vec<_>>(), ["collector_snapshot_age_seconds"]);
}

#[test]
fn each_metric_has_help_and_type_once_and_before_its_samples() {
    let text = render(&snapshot(), "s", 11_000);
    let mut seen = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().unwrap();
            assert!(!seen.contains(&name), "{name} twice");
            seen.push(name);
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            assert!([Some(name), part].contains(&seen.last().copied()), "{line}");
        }
    }
    assert_eq!(text.matches("# HELP ").count(), seen.len());
}

#[test]
fn a_name_with_quotes_stays_one_label() {
    let mut snapshot = snapshot();
    snapshot.services.insert("od\"d\\\n".into(), service());
    assert!(read(&render(&snapshot, "s", 11_000)).contains_key("swarm_service_replicas{service=od\"d\\\n}"));
}
