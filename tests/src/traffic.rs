//! Steady traffic of several clients, every request of which is remembered with its time and outcome.
//!
//! Half of the clients keep their connections, the others open one for each request. Of four requests three
//! read and one writes, with an idempotency key, as a client does that may have to repeat it. A client whose
//! requests take four seconds can be added.

use std::{
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    task::JoinHandle,
};

use crate::{Stack, stack::Port};

/// Between two requests of one client: enough to notice, far from load.
const PACE: Duration = Duration::from_millis(100);

/// What a request of four seconds is called.
pub const HELD_UP: &str = "PUT, held up";

/// One request.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it was sent.
    pub at: Instant,
    /// Until its answer.
    pub took: Duration,
    /// What it was.
    pub what: &'static str,
    /// Its status, or why there was none.
    pub outcome: Result<u16, String>,
}

impl Seen {
    /// No answer, or one that a client cannot use.
    #[must_use]
    pub fn failed(&self) -> bool {
        !matches!(self.outcome, Ok(200 | 201))
    }

    /// Whether it took as long as it was meant to.
    #[must_use]
    pub fn was_held_up(&self) -> bool {
        self.what == HELD_UP && self.took > Duration::from_secs(3)
    }
}

/// Clients at work.
#[derive(Debug)]
pub struct Traffic {
    clients: Vec<JoinHandle<()>>,
    over: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Traffic {
    /// Starts so many.
    pub async fn start(stack: &Stack, clients: usize) -> Result<Self> {
        let (over, seen) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<Seen>>>::default());
        let mut handles = Vec::new();
        for number in 0..clients {
            let token = stack.sign_in(&format!("traffic-{number}")).await?;
            let mut builder = reqwest::Client::builder().timeout(Duration::from_secs(40));
            if number % 2 == 1 {
                builder = builder.pool_max_idle_per_host(0);
            }
            let client = Client { http: builder.build()?, stack: stack.clone(), token };
            let (over, seen) = (Arc::clone(&over), Arc::clone(&seen));
            handles.push(tokio::spawn(async move {
                for request in 0.. {
                    if over.load(Ordering::Acquire) {
                        break;
                    }
                    let one = client.send(request).await;
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                    tokio::time::sleep(PACE).await;
                }
            }));
        }
        Ok(Self { clients: handles, over, seen })
    }

    /// Adds a client whose every request takes four seconds: another session holds the row that it changes.
    pub async fn add_held_up(&mut self, stack: &Stack) -> Result<()> {
        let token = stack.sign_in("held-up").await?;
        let made: Value = stack.create_item(&token, "held-up", "held up").await?.json().await?;
        let id = made["id"].as_str().with_context(|| format!("no item: {made}"))?.to_owned();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(40)).build()?;
        let client = Client { http, stack: stack.clone(), token };
        let (over, seen) = (Arc::clone(&self.over), Arc::clone(&self.seen));
        self.clients.push(tokio::spawn(async move {
            while !over.load(Ordering::Acquire) {
                let one = client.send_held_up(&id).await;
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                tokio::time::sleep(PACE).await;
            }
        }));
        Ok(())
    }

    /// Ends the clients; every request they sent.
    pub async fn finish(self) -> Result<Vec<Seen>> {
        self.over.store(true, Ordering::Release);
        for client in self.clients {
            client.await?;
        }
        Ok(std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Ends the clients and demands that every single request was answered well.
    pub async fn finish_without_failures(self) -> Result<Vec<Seen>> {
        let seen = self.finish().await?;
        let failed: Vec<_> = seen.iter().filter(|seen| seen.failed()).collect();
        ensure!(failed.is_empty(), "{} of {} requests failed: {failed:.3?}", failed.len(), seen.len());
        Ok(seen)
    }
}

struct Client {
    http: reqwest::Client,
    stack: Stack,
    token: String,
}

impl Client {
    async fn send(&self, number: u64) -> Seen {
        let url = |path: &str| self.stack.url(Port::Http, path);
        let (what, request) = match number % 4 {
            0 => {
                let item = json!({ "title": format!("item {number}") });
                let post = self.http.post(url("/api/items")).header("Idempotency-Key", format!("key-{number}"));
                ("POST", post.json(&item))
            }
            1 => ("GET health", self.http.get(url("/api/health"))),
            _ => ("GET items", self.http.get(url("/api/items?limit=5"))),
        };
        self.timed(what, request).await
    }

    async fn timed(&self, what: &'static str, request: reqwest::RequestBuilder) -> Seen {
        let at = Instant::now();
        let answer = async {
            let answer = request.bearer_auth(&self.token).send().await?;
            let status = answer.status().as_u16();
            // An answer that breaks off in its body is none.
            answer.bytes().await.map(|_| status)
        };
        let outcome = answer.await.map_err(|error| format!("{error:?}"));
        Seen { at, took: at.elapsed(), what, outcome }
    }

    async fn send_held_up(&self, id: &str) -> Seen {
        let at = Instant::now();
        let mut lock = match lock(&self.stack, id).await {
            Ok(lock) => lock,
            Err(error) => return Seen { at, took: at.elapsed(), what: "lock", outcome: Err(format!("{error:#}")) },
        };
        let put = self.http.put(self.stack.url(Port::Http, &format!("/api/items/{id}")));
        let seen = self.timed(HELD_UP, put.json(&json!({ "title": "held up" }))).await;
        let _ = lock.wait().await;
        seen
    }
}

/// A session of its own that holds an item's row for four seconds; it has it when this returns.
async fn lock(stack: &Stack, id: &str) -> Result<tokio::process::Child> {
    let container = stack.containers("postgres")?.pop().context("no postgres container")?;
    let hold = format!("select 'held' from items where id = '{id}' for update");
    let mut command = Command::new("docker");
    command.args(["exec", &container, "psql", "-qAtU", "postgres", "-d", "scalable_backend"]);
    command.args(["-c", "begin", "-c", &hold, "-c", "select pg_sleep(4)", "-c", "commit"]);
    let mut lock = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let output = lock.stdout.take().context("no output")?;
    let line = BufReader::new(output).lines().next_line().await?;
    ensure!(line.as_deref() == Some("held"), "the row is not held: {line:?}");
    Ok(lock)
}
