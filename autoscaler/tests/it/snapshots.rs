//! A fake collector: whatever snapshot a test wants, over real HTTP.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::troubles::{Trouble, spoil};

/// A collector whose answer can be changed at any time.
#[derive(Debug, Clone)]
pub(crate) struct FakeCollector {
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
}

#[derive(Debug, Clone, Default)]
enum Answer {
    /// Status 503.
    #[default]
    Nothing,
    Text(String),
    Trouble(Trouble),
}

impl FakeCollector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self { address: listener.local_addr().unwrap(), answer: Arc::default() };
        let app = Router::new().route("/snapshot", get(answer)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        collector
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn say(&self, snapshot: &Value) {
        self.say_text(&snapshot.to_string());
    }

    pub(crate) fn say_text(&self, text: &str) {
        self.set(Answer::Text(text.to_owned()));
    }

    pub(crate) fn fall_silent(&self) {
        self.set(Answer::Nothing);
    }

    pub(crate) fn trouble(&self, trouble: Trouble) {
        self.set(Answer::Trouble(trouble));
    }

    fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

async fn answer(State(collector): State<FakeCollector>) -> Response {
    let answer = collector.answer.lock().unwrap().clone();
    match answer {
        Answer::Text(text) => text.into_response(),
        Answer::Trouble(trouble) => spoil(Some(trouble)).await.unwrap(),
        Answer::Nothing => StatusCode::SERVICE_UNAVAILABLE.into_response(),
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
