//! A whole round over 10,000 services with 100,000 tasks: the Swarm and the collector are asked
//! over real sockets, their JSON is read, the labels are parsed, and every service is decided on.
//! `cargo bench -p autoscaler --bench round`
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use autoscaler::{board::Board, collector::Collector, round::Rounder, settings::Defaults, swarm::Engine};
use axum::{Router, routing::get};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use tokio::{
    net::{TcpListener, UnixListener},
    runtime::Runtime,
};

const SERVICES: u64 = 10_000;
const TASKS_EACH: u64 = 10;
const NOW: u64 = 1_800_000_000_000;

/// Services that are neither busy nor idle: nothing is written.
fn services() -> String {
    let service = |number: u64| {
        json!({"ID": format!("id{number}"), "Version": {"Index": number}, "UpdatedAt": "2026-01-01T00:00:00Z", "Spec": {
            "Name": format!("web{number}"), "Mode": {"Replicated": {"Replicas": TASKS_EACH}},
            "Labels": {"swarm.autoscaler": "true", "swarm.autoscaler.maximum": "20", "swarm.autoscaler.cpu.up": "75"},
            "TaskTemplate": {"ContainerSpec": {"Image": "web:1", "Env": ["A=1", "B=2"]},
                             "Resources": {"Limits": {"NanoCPUs": 500_000_000}}}}})
    };
    (0..SERVICES).map(service).collect::<serde_json::Value>().to_string()
}

fn snapshot() -> String {
    let usage = |used: f64, limit: f64| json!({"used": used, "limit": limit, "basis": "limit", "sampled_at_ms": NOW});
    let task = |slot: u64| {
        json!({"id": format!("task{slot}"), "slot": slot, "node": "n", "address": null, "state": "running",
               "since_ms": 0, "cpu": usage(0.25, 0.5), "memory": usage(5e7, 1e8)})
    };
    let tasks: Vec<_> = (1..=TASKS_EACH).map(task).collect();
    let service = |number: u64| {
        let reading = json!({"id": format!("id{number}"), "replicas_desired": TASKS_EACH,
                             "replicas_running": TASKS_EACH, "tasks": tasks, "http": null, "connections": null,
                             "cache": null});
        (format!("web{number}"), reading)
    };
    let services: serde_json::Map<_, _> = (0..SERVICES).map(service).collect();
    json!({"contract": 1, "taken_at_ms": NOW, "interval_ms": 5000, "services": services, "nodes": [], "sources": [],
           "balancer": null})
    .to_string()
}

/// Answers with the same text for ever.
fn page(text: String) -> axum::routing::MethodRouter {
    let text: Arc<str> = text.into();
    get(move || std::future::ready(text.to_string()))
}

fn round(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let socket = std::env::temp_dir().join(format!("bench-{}.sock", std::process::id()));
    let collector = runtime.block_on(async {
        let swarm = Router::new().route("/services", page(services())).route("/nodes", page("[]".to_owned()));
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move { axum::serve(listener, swarm).await });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/snapshot", page(snapshot()))).await });
        Collector::new(&url).unwrap()
    });
    let board = Arc::<Board>::default();
    let mut rounder =
        Rounder::new(Engine::new(&socket).unwrap(), collector, Defaults::default(), None, Arc::clone(&board));
    let mut group = criterion.benchmark_group("round");
    group.sample_size(10);
    group.bench_function("10,000 services, 100,000 tasks", |bencher| {
        bencher.iter(|| runtime.block_on(rounder.run(NOW)));
    });
    group.finish();
    assert_eq!((board.services().len() as u64, board.rounds().snapshot_fresh), (SERVICES, true));
    std::fs::remove_file(&socket).unwrap();
}

criterion_group!(benches, round);
criterion_main!(benches);
