//! A small api on a real socket, with faults to order. It refuses what the real one would
//! refuse (unknown or expired tokens, used refresh tokens), so that a careless client fails.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use shared::snapshot::{CONTRACT, ServiceReading, Snapshot};
use tokio::net::TcpListener;

/// Items on a page at most: few, so that short runs see several pages.
const PAGE: usize = 3;

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// Life of an access token.
    pub(crate) token_life: Duration,
    /// Each so many-th read is answered 500.
    pub(crate) read_500_every: Option<u64>,
    /// Each so many-th read tells of an older item.
    pub(crate) read_wrong_every: Option<u64>,
    /// Valid tokens are refused each so many-th time.
    pub(crate) refuse_every: Option<u64>,
    /// Whether the api calls itself ready.
    pub(crate) ready: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            token_life: Duration::from_secs(900),
            read_500_every: None,
            read_wrong_every: None,
            refuse_every: None,
            ready: true,
        }
    }
}

/// What the server has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    passwords: HashMap<String, String>,
    access: HashMap<String, (String, Instant)>,
    refresh: HashMap<String, String>,
    items: BTreeMap<(String, u64), Value>,
    next: u64,
    reads: u64,
    authorized: u64,
    pub(crate) keys: HashSet<String>,
    pub(crate) refreshes: u64,
    pub(crate) pages_after_the_first: u64,
    pub(crate) snapshots: u64,
}

/// The running server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    faults: Faults,
    seen: Arc<Mutex<Seen>>,
}

type Answer = (StatusCode, Json<Value>);

impl Server {
    pub(crate) async fn start(faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { url, faults, seen: Arc::default() };
        let app = Router::new()
            .route("/api/health", get(health))
            .route("/api/auth/register", post(register))
            .route("/api/auth/login", post(login))
            .route("/api/auth/refresh", post(refresh))
            .route("/api/users/me", get(me))
            .route("/api/items", get(list).post(create))
            .route("/api/items/{id}", get(read).put(update).delete(remove))
            .route("/snapshot", get(snapshot))
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        server
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    fn tokens(&self, email: &str) -> Answer {
        let mut seen = self.seen();
        seen.next += 1;
        let (access, refresh) = (format!("access-{}", seen.next), format!("refresh-{}", seen.next));
        seen.access.insert(access.clone(), (email.to_owned(), Instant::now() + self.faults.token_life));
        seen.refresh.insert(refresh.clone(), email.to_owned());
        let life = self.faults.token_life.as_secs();
        let body =
            json!({"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": life});
        (StatusCode::OK, Json(body))
    }

    fn caller(&self, headers: &HeaderMap) -> Result<String, Answer> {
        let mut seen = self.seen();
        seen.authorized += 1;
        let refused = due(self.faults.refuse_every, seen.authorized);
        let token = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        match token.and_then(|token| seen.access.get(token)) {
            Some((email, until)) if Instant::now() < *until && !refused => Ok(email.clone()),
            _ => Err(problem(StatusCode::UNAUTHORIZED)),
        }
    }
}

fn due(every: Option<u64>, count: u64) -> bool {
    every.is_some_and(|every| count.is_multiple_of(every))
}

fn problem(status: StatusCode) -> Answer {
    (status, Json(json!({"title": status.canonical_reason(), "status": status.as_u16()})))
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap()
}

async fn health(State(server): State<Server>) -> StatusCode {
    if server.faults.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn register(State(server): State<Server>, Json(body): Json<Value>) -> Answer {
    let email = text(&body, "email").to_owned();
    if server.seen().passwords.insert(email.clone(), text(&body, "password").to_owned()).is_some() {
        return problem(StatusCode::CONFLICT);
    }
    (StatusCode::CREATED, Json(json!({"id": "1", "email": email})))
}

async fn login(State(server): State<Server>, Json(body): Json<Value>) -> Answer {
    let email = text(&body, "email");
    let known = server.seen().passwords.get(email).is_some_and(|password| password == text(&body, "password"));
    if known { server.tokens(email) } else { problem(StatusCode::UNAUTHORIZED) }
}

async fn refresh(State(server): State<Server>, Json(body): Json<Value>) -> Answer {
    let email = {
        let mut seen = server.seen();
        seen.refreshes += 1;
        seen.refresh.remove(text(&body, "refresh_token"))
    };
    email.map_or_else(|| problem(StatusCode::UNAUTHORIZED), |email| server.tokens(&email))
}

async fn me(State(server): State<Server>, headers: HeaderMap) -> Result<Answer, Answer> {
    let email = server.caller(&headers)?;
    Ok((StatusCode::OK, Json(json!({"id": "1", "email": email}))))
}

async fn create(
    State(server): State<Server>,
    headers: HeaderMap,
    Json(mut body): Json<Value>,
) -> Result<Answer, Answer> {
    let email = server.caller(&headers)?;
    let key = headers.get("idempotency-key").ok_or_else(|| problem(StatusCode::BAD_REQUEST))?;
    let mut seen = server.seen();
    assert!(seen.keys.insert(key.to_str().unwrap().to_owned()), "an idempotency key came twice");
    seen.next += 1;
    let id = seen.next;
    body["id"] = json!(id.to_string());
    seen.items.insert((email, id), body.clone());
    Ok((StatusCode::CREATED, Json(body)))
}

async fn read(State(server): State<Server>, headers: HeaderMap, Path(id): Path<u64>) -> Result<Answer, Answer> {
    let email = server.caller(&headers)?;
    let mut seen = server.seen();
    seen.reads += 1;
    if due(server.faults.read_500_every, seen.reads) {
        return Err(problem(StatusCode::INTERNAL_SERVER_ERROR));
    }
    let mut item = seen.items.get(&(email, id)).cloned().ok_or_else(|| problem(StatusCode::NOT_FOUND))?;
    if due(server.faults.read_wrong_every, seen.reads) {
        item["body"] = json!("what was there before");
    }
    Ok((StatusCode::OK, Json(item)))
}

async fn update(
    State(server): State<Server>,
    headers: HeaderMap,
    Path(id): Path<u64>,
    Json(mut body): Json<Value>,
) -> Result<Answer, Answer> {
    let email = server.caller(&headers)?;
    body["id"] = json!(id.to_string());
    let before = server.seen().items.insert((email, id), body.clone());
    before.map(|_| (StatusCode::OK, Json(body))).ok_or_else(|| problem(StatusCode::NOT_FOUND))
}

async fn remove(State(server): State<Server>, headers: HeaderMap, Path(id): Path<u64>) -> Result<StatusCode, Answer> {
    let email = server.caller(&headers)?;
    let gone = server.seen().items.remove(&(email, id));
    gone.map(|_| StatusCode::NO_CONTENT).ok_or_else(|| problem(StatusCode::NOT_FOUND))
}

async fn list(
    State(server): State<Server>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Answer, Answer> {
    let email = server.caller(&headers)?;
    let (limit, after): (usize, u64) =
        (query["limit"].parse().unwrap(), query.get("cursor").map_or(0, |cursor| cursor.parse().unwrap()));
    let limit = limit.min(PAGE);
    let mut seen = server.seen();
    seen.pages_after_the_first += u64::from(after > 0);
    let mut rows: Vec<_> =
        seen.items.iter().filter(|((owner, id), _)| *owner == email && *id > after).take(limit + 1).collect();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|((_, id), _)| id.to_string());
    let items: Vec<_> = rows.into_iter().map(|(_, item)| item).collect();
    Ok((StatusCode::OK, Json(json!({"items": items, "next_cursor": next_cursor}))))
}

/// As the collector answers: three replicas, and a new snapshot each time.
async fn snapshot(State(server): State<Server>) -> Json<Snapshot> {
    let mut seen = server.seen();
    seen.snapshots += 1;
    let api = ServiceReading {
        id: "x".into(),
        replicas_desired: Some(3),
        replicas_running: 3,
        tasks: vec![],
        http: None,
        connections: None,
        cache: None,
        restarts: 0,
    };
    Json(Snapshot {
        contract: CONTRACT,
        taken_at_ms: seen.snapshots,
        interval_ms: 5_000,
        services: [("shop_api".to_owned(), api)].into(),
        nodes: vec![],
        sources: vec![],
        balancer: None,
        databases: Vec::new(),
    })
}
