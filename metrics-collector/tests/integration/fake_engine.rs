//! An engine behind a Unix socket that answers what a test tells it to, and remembers what
//! it was asked.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::{net::UnixListener, task::JoinHandle};

use crate::containers::unique;

/// What it does when asked for a path.
#[derive(Clone)]
pub(crate) enum Answer {
    Json(Value),
    Text(&'static str),
    Never,
}

type Script = Arc<Mutex<HashMap<String, Answer>>>;
type Asked = Arc<Mutex<Vec<String>>>;

/// It is there until dropped.
pub(crate) struct FakeEngine {
    pub(crate) socket: PathBuf,
    script: Script,
    asked: Asked,
    server: JoinHandle<()>,
    started: DateTime<Utc>,
}

impl FakeEngine {
    pub(crate) fn start() -> Self {
        Self::start_at(std::env::temp_dir().join(unique("engine")).with_extension("sock"))
    }

    pub(crate) fn start_at(socket: PathBuf) -> Self {
        let (script, asked) = (Script::default(), Asked::default());
        let app = Router::new().fallback(answer).with_state((script.clone(), asked.clone()));
        let listener = UnixListener::bind(&socket).unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { socket, script, asked, server, started: Utc::now() }
    }

    /// From now on, `path` (without its query) is answered so.
    pub(crate) fn on(&self, path: &str, answer: Answer) {
        self.script.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Containers of tasks of the same names.
    pub(crate) fn containers(&self, ids: &[&str]) {
        let list = ids.iter().map(|id| json!({"Id": id, "Labels": {"com.docker.swarm.task.id": format!("task-{id}")}}));
        self.on("/containers/json", Answer::Json(list.collect()));
        for id in ids {
            let limits = json!({"HostConfig": {"NanoCpus": 200_000_000, "Memory": 64 << 20}});
            self.on(&format!("/containers/{id}/json"), Answer::Json(limits));
        }
    }

    /// Counters of a container, read so many seconds before this engine started.
    pub(crate) fn stats(&self, id: &str, seconds_before: i64, cpu_ns: u64) {
        let read = self.started - TimeDelta::seconds(seconds_before);
        let stats = json!({
            "read": read.to_rfc3339(),
            "cpu_stats": {"cpu_usage": {"total_usage": cpu_ns}},
            "memory_stats": {"usage": 9 << 20, "stats": {"inactive_file": 1 << 20}},
        });
        self.on(&format!("/containers/{id}/stats"), Answer::Json(stats));
    }

    /// A Swarm of one node with the service `s_api`, whose running tasks are at `addresses`.
    pub(crate) fn swarm(&self, metrics_port: u16, addresses: &[&str]) {
        let labels = json!({"swarm.autoscaler": "true", "swarm.autoscaler.metrics.port": metrics_port.to_string()});
        let spec = json!({"Name": "s_api", "Labels": labels, "Mode": {"Replicated": {"Replicas": addresses.len()}}});
        self.on("/services", Answer::Json(json!([{"ID": "api", "Spec": spec}])));
        let tasks = addresses.iter().enumerate().map(|(index, address)| {
            json!({
                "ID": format!("task{index}"), "ServiceID": "api", "Slot": index + 1, "NodeID": "node1",
                "Spec": {"Resources": {"Limits": {"NanoCPUs": 200_000_000, "MemoryBytes": 64 << 20}}},
                "Status": {"Timestamp": "2026-01-01T00:00:00Z", "State": "running"}, "DesiredState": "running",
                "NetworksAttachments": [{"Network": {"Spec": {}}, "Addresses": [format!("{address}/8")]}],
            })
        });
        self.on("/tasks", Answer::Json(tasks.collect()));
        let description =
            json!({"Hostname": "n1", "Resources": {"NanoCPUs": 2_000_000_000_u64, "MemoryBytes": 1 << 30}});
        let node = json!({"ID": "node1", "Spec": {"Availability": "active"}, "Description": description,
            "Status": {"State": "ready"}});
        self.on("/nodes", Answer::Json(json!([node])));
    }

    /// Method and path of every question so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.server.abort();
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn answer(State((script, asked)): State<(Script, Asked)>, request: Request) -> Response {
    asked.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
    let answer = script.lock().unwrap().get(request.uri().path()).cloned();
    match answer {
        Some(Answer::Json(value)) => value.to_string().into_response(),
        Some(Answer::Text(text)) => text.into_response(),
        Some(Answer::Never) => std::future::pending().await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
