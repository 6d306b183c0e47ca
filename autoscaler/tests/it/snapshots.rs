//! A fake collector: whatever snapshot a test wants, over real HTTP.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::path};

/// A collector whose answer can be changed at any time; `None` is status 503.
#[derive(Debug, Clone)]
pub(crate) struct FakeCollector {
    server: Arc<MockServer>,
    answer: Arc<Mutex<Option<String>>>,
}

impl FakeCollector {
    pub(crate) async fn start() -> Self {
        let server = MockServer::start().await;
        let answer: Arc<Mutex<Option<String>>> = Arc::default();
        let shared = Arc::clone(&answer);
        let respond = move |_: &Request| match shared.lock().unwrap().clone() {
            Some(text) => ResponseTemplate::new(200).set_body_raw(text, "application/json"),
            None => ResponseTemplate::new(503),
        };
        Mock::given(path("/snapshot")).respond_with(respond).mount(&server).await;
        Self { server: Arc::new(server), answer }
    }

    pub(crate) fn url(&self) -> String {
        self.server.uri()
    }

    pub(crate) fn say(&self, snapshot: &Value) {
        *self.answer.lock().unwrap() = Some(snapshot.to_string());
    }

    pub(crate) fn say_text(&self, text: &str) {
        *self.answer.lock().unwrap() = Some(text.to_owned());
    }

    pub(crate) fn fall_silent(&self) {
        *self.answer.lock().unwrap() = None;
    }
}

/// One service whose tasks, running for ten minutes, use so much CPU and 50 % of memory less
/// than the lower threshold.
pub(crate) fn snapshot(name: &str, now_ms: u64, cpu_percent: &[f64]) -> Value {
    let usage =
        |used: f64, limit: f64| json!({"used": used, "limit": limit, "basis": "limit", "sampled_at_ms": now_ms});
    let tasks: Vec<_> = cpu_percent
        .iter()
        .enumerate()
        .map(|(slot, percent)| {
            json!({"id": format!("task{slot}"), "slot": slot, "node": "n", "address": null, "state": "running",
                   "since_ms": now_ms.saturating_sub(600_000),
                   "cpu": usage(percent / 100.0 * 0.5, 0.5), "memory": usage(1e7, 1e8)})
        })
        .collect();
    json!({"contract": 1, "taken_at_ms": now_ms, "interval_ms": 5000, "nodes": [], "sources": [], "balancer": null,
           "services": {name: {"id": format!("id-{name}"), "replicas_desired": tasks.len(), "replicas_running": tasks.len(),
                               "tasks": tasks, "http": null, "connections": null, "cache": null}}})
}
