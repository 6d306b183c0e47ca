//! A fake engine behind a real Unix socket: it keeps services, checks versions as Swarm
//! does, and misbehaves on demand.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::net::UnixListener;

use crate::troubles::{Trouble, spoil};

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) services: Vec<Value>,
    pub(crate) troubles: VecDeque<Option<Trouble>>,
    /// Every specification that was written through the API.
    pub(crate) written: Vec<Value>,
    pub(crate) nodes: Vec<Value>,
    pub(crate) tasks: Vec<Value>,
    /// What the nodes' page meets instead of answering.
    pub(crate) nodes_trouble: Option<Trouble>,
    /// What somebody else does to a service when a write is overtaken.
    pub(crate) overtaken_with: Option<fn(&mut Value)>,
    /// The list of services word for word, instead of the services that are kept.
    pub(crate) verbatim: Option<String>,
    /// The bodies of all updates, word for word.
    pub(crate) bodies: Vec<String>,
    /// Each call takes so long at the most, before it is carried out and once more after it.
    pub(crate) slowness: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct FakeEngine {
    pub(crate) inner: Arc<Mutex<Inner>>,
    pub(crate) socket: PathBuf,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl FakeEngine {
    pub(crate) async fn start() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let socket = std::env::temp_dir().join(format!("engine-{}-{number}.sock", std::process::id()));
        let _ = std::fs::remove_file(&socket);
        let engine = Self { inner: Arc::default(), socket };
        engine.serve();
        engine
    }

    /// Listens on its socket; once more after that was removed.
    pub(crate) fn serve(&self) {
        let app = Router::new()
            .route("/nodes", get(nodes))
            .route("/tasks", get(tasks))
            .route("/services", get(list))
            .route("/services/{id}", get(one))
            .route("/services/{id}/update", post(update))
            .with_state(self.clone());
        let listener = UnixListener::bind(&self.socket).unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
    }

    /// Adds a replicated service with these labels.
    pub(crate) fn add(&self, name: &str, replicas: u64, labels: Value) {
        self.inner.lock().unwrap().services.push(json!({
            "ID": format!("id-{name}"),
            "Version": {"Index": 10},
            "Spec": {"Name": name, "Labels": labels, "TaskTemplate": {"Healthcheck": {"Test": ["x"]}},
                     "Mode": {"Replicated": {"Replicas": replicas}}, "FieldOfTomorrow": 1.0},
        }));
    }

    /// The next calls meet these troubles, one each.
    pub(crate) fn trouble(&self, troubles: &[Trouble]) {
        self.inner.lock().unwrap().troubles.extend(troubles.iter().copied().map(Some));
    }

    /// The calls with these numbers, counted from the next as 0, meet trouble.
    pub(crate) fn trouble_at(&self, troubles: &[(usize, Trouble)]) {
        let queue = &mut self.inner.lock().unwrap().troubles;
        for (call, trouble) in troubles {
            queue.resize(queue.len().max(call + 1), None);
            queue[*call] = Some(*trouble);
        }
    }

    pub(crate) fn replicas(&self, name: &str) -> u64 {
        self.try_replicas(name).unwrap()
    }

    /// `None` for a service that is not replicated.
    pub(crate) fn try_replicas(&self, name: &str) -> Option<u64> {
        self.spec(name)["Mode"]["Replicated"]["Replicas"].as_u64()
    }

    pub(crate) fn spec(&self, name: &str) -> Value {
        let inner = self.inner.lock().unwrap();
        inner.services.iter().find(|s| s["Spec"]["Name"] == name).unwrap()["Spec"].clone()
    }

    /// Writes a service as somebody else would.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut inner = self.inner.lock().unwrap();
        let service = inner.services.iter_mut().find(|s| s["Spec"]["Name"] == name).unwrap();
        let mut spec = service["Spec"].clone();
        change(&mut spec);
        write(service, spec);
    }

    /// Says how the rollout of a service fares.
    pub(crate) fn rollout(&self, name: &str, state: &str) {
        let mut inner = self.inner.lock().unwrap();
        let service = inner.services.iter_mut().find(|s| s["Spec"]["Name"] == name).unwrap();
        service["UpdateStatus"] = json!({"State": state});
    }

    fn write_if_current(&self, id: &str, query: &Value, body: &[u8], trouble: Option<Trouble>) -> Response {
        let mut inner = self.inner.lock().unwrap();
        inner.bodies.push(std::str::from_utf8(body).unwrap().to_owned());
        let overtaken_with = inner.overtaken_with;
        let Some(service) = inner.services.iter_mut().find(|service| service["ID"] == id) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        if trouble == Some(Trouble::Overtake) {
            let spec = service["Spec"].clone();
            write(service, spec);
            overtaken_with.unwrap_or(|_| {})(service);
        }
        if query["version"].as_str() != Some(&service["Version"]["Index"].to_string()) {
            let message = "rpc error: code = Unknown desc = update out of sequence";
            return (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"message": message}))).into_response();
        }
        let spec: Value = serde_json::from_slice(body).unwrap();
        write(service, spec.clone());
        inner.written.push(spec);
        Json(json!({"Warnings": null})).into_response()
    }

    async fn dawdle(&self) {
        let slowness = self.inner.lock().unwrap().slowness;
        tokio::time::sleep(slowness.mul_f64(rand::random())).await;
    }

    fn next_trouble(&self) -> Option<Trouble> {
        self.inner.lock().unwrap().troubles.pop_front().flatten()
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        if Arc::strong_count(&self.inner) <= 2 {
            let _ = std::fs::remove_file(&self.socket);
        }
    }
}

fn write(service: &mut Value, spec: Value) {
    service["PreviousSpec"] = service["Spec"].take();
    service["Spec"] = spec;
    service["Version"]["Index"] = json!(service["Version"]["Index"].as_u64().unwrap() + 1);
}

async fn nodes(State(engine): State<FakeEngine>) -> Response {
    let trouble = engine.inner.lock().unwrap().nodes_trouble;
    if let Some(spoiled) = spoil(trouble).await {
        return spoiled;
    }
    Json(engine.inner.lock().unwrap().nodes.clone()).into_response()
}

async fn tasks(State(engine): State<FakeEngine>) -> Response {
    Json(engine.inner.lock().unwrap().tasks.clone()).into_response()
}

async fn list(State(engine): State<FakeEngine>) -> Response {
    engine.dawdle().await;
    if let Some(spoiled) = spoil(engine.next_trouble()).await {
        return spoiled;
    }
    let inner = engine.inner.lock().unwrap();
    match &inner.verbatim {
        Some(text) => text.clone().into_response(),
        None => Json(inner.services.clone()).into_response(),
    }
}

async fn one(State(engine): State<FakeEngine>, Path(id): Path<String>) -> Response {
    if let Some(spoiled) = spoil(engine.next_trouble()).await {
        return spoiled;
    }
    let inner = engine.inner.lock().unwrap();
    match inner.services.iter().find(|s| s["ID"] == id.as_str() || s["Spec"]["Name"] == id.as_str()) {
        Some(service) => Json(service.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn update(
    State(engine): State<FakeEngine>,
    Path(id): Path<String>,
    Query(query): Query<Value>,
    body: Bytes,
) -> Response {
    let trouble = engine.next_trouble();
    if let Some(spoiled) = spoil(trouble).await {
        return spoiled;
    }
    engine.dawdle().await;
    let answer = engine.write_if_current(&id, &query, &body, trouble);
    engine.dawdle().await;
    if trouble == Some(Trouble::LoseAnswer) {
        std::future::pending::<()>().await;
    }
    answer
}
