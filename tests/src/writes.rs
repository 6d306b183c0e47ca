//! Writers that remember what was acknowledged to them, and a check that it is all there, once.
//!
//! Each numbers its items and names each with an idempotency key. Whatever goes wrong with a request, it
//! sends the same one again until it is acknowledged, as a client does that does not want to lose anything.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::Stack;

/// Between two tries of one write.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two writes: the test is about losing writes, not about load.
const PACE: Duration = Duration::from_millis(25);
/// No outage that this system promises to get over lasts so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writers at work.
#[derive(Debug)]
pub struct Writers {
    stack: Stack,
    tasks: Vec<JoinHandle<Result<Written>>>,
    over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

/// What one writer has done: its items' ids by title.
#[derive(Debug, Default)]
struct Written {
    email: String,
    items: BTreeMap<String, String>,
    tally: Tally,
}

/// What it was like.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Writes that were acknowledged.
    pub acknowledged: usize,
    /// Answers that asked to come back later.
    pub refused: usize,
    /// Requests without any answer, or with one of a balancer that lost its server.
    pub lost: usize,
    /// Acknowledged creates that had been done before, their first answer lost.
    pub replayed: usize,
    /// The longest that one write took, from its first request to its acknowledgement.
    pub longest: Duration,
}

impl Writers {
    /// Starts so many.
    pub async fn start(stack: &Stack, count: usize) -> Result<Self> {
        let (over, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut tasks = Vec::new();
        for number in 0..count {
            let email = stack.register(&format!("writer-{number}")).await?;
            let (stack, over, acknowledged) = (stack.clone(), Arc::clone(&over), Arc::clone(&acknowledged));
            tasks.push(tokio::spawn(async move { Written::until(&stack, email, &over, &acknowledged).await }));
        }
        Ok(Self { stack: stack.clone(), tasks, over, acknowledged })
    }

    /// Waits for `more` acknowledgements from now on.
    pub async fn go_on(&self, more: u64) -> Result<()> {
        let (goal, started) = (self.acknowledged.load(Ordering::Acquire) + more, Instant::now());
        while self.acknowledged.load(Ordering::Acquire) < goal {
            ensure!(started.elapsed() < PATIENCE, "writes do not go on");
            ensure!(!self.tasks.iter().any(JoinHandle::is_finished), "a writer has given up");
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Ends the writers and demands that exactly what was acknowledged is there, once.
    pub async fn check(self) -> Result<Tally> {
        self.over.store(true, Ordering::Release);
        let mut total = Tally::default();
        for task in self.tasks {
            let written = task.await??;
            written.check(&self.stack).await?;
            total = total.and(written.tally);
        }
        Ok(total)
    }
}

impl Written {
    async fn until(stack: &Stack, email: String, over: &AtomicBool, acknowledged: &AtomicU64) -> Result<Self> {
        let mut token = stack.login(&email).await?;
        let mut written = Self { email, ..Self::default() };
        for number in 1.. {
            if over.load(Ordering::Acquire) {
                break;
            }
            written.write(stack, &mut token, &format!("item {number}")).await?;
            acknowledged.fetch_add(1, Ordering::AcqRel);
            tokio::time::sleep(PACE).await;
        }
        Ok(written)
    }

    async fn write(&mut self, stack: &Stack, token: &mut String, title: &str) -> Result<()> {
        let (key, started) = (title.replace(' ', "-"), Instant::now());
        loop {
            ensure!(started.elapsed() < PATIENCE, "{title} is not taken");
            match stack.create_item(token, &key, title).await {
                Ok(answer) if answer.status() == StatusCode::CREATED => {
                    return self.note(title, answer, started.elapsed()).await;
                }
                Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    ensure!(answer.headers().contains_key("retry-after"), "503 without Retry-After");
                    self.tally.refused += 1;
                }
                Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => {
                    // An access token does not live for ever.
                    *token = stack.login(&self.email).await?;
                }
                Ok(answer) if answer.status().is_server_error() => self.tally.lost += 1,
                Ok(answer) => bail!("{title}: {}: {}", answer.status(), answer.text().await?),
                Err(_) => self.tally.lost += 1,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn note(&mut self, title: &str, answer: Response, took: Duration) -> Result<()> {
        self.tally.replayed += usize::from(answer.headers().contains_key("idempotency-replayed"));
        self.tally.acknowledged += 1;
        self.tally.longest = self.tally.longest.max(took);
        let location = answer.headers().get("location").context("201 without Location")?;
        self.items.insert(title.to_owned(), location.to_str()?.to_owned());
        Ok(())
    }

    async fn check(&self, stack: &Stack) -> Result<()> {
        let token = stack.login(&self.email).await?;
        let mut found = BTreeMap::<String, Vec<String>>::new();
        let mut next = String::new();
        loop {
            let answer = stack.get_as(&token, &format!("/api/items?limit=100{next}")).await?;
            ensure!(answer.status() == StatusCode::OK, "list: {}", answer.status());
            let page: Value = answer.json().await?;
            for item in page["items"].as_array().context("no items")? {
                let text = |name: &str| item[name].as_str().with_context(|| format!("no {name}"));
                found.entry(text("title")?.to_owned()).or_default().push(format!("/api/items/{}", text("id")?));
            }
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        for (title, location) in &self.items {
            let there = found.remove(title).unwrap_or_default();
            ensure!(
                there == [location.clone()],
                "{}: {title} was acknowledged as {location} and is {there:?}",
                self.email
            );
        }
        ensure!(found.is_empty(), "{}: never acknowledged, and there: {found:?}", self.email);
        Ok(())
    }
}

impl Tally {
    fn and(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            refused: self.refused + other.refused,
            lost: self.lost + other.lost,
            replayed: self.replayed + other.replayed,
            longest: self.longest.max(other.longest),
        }
    }
}
