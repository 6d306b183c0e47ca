//! Delivery of notices over HTTP: a bounded queue, a deadline for each try, a few tries with
//! growing pauses. What is lost all the same is counted, and the next notice says how many.
//! The address is a secret: nothing here writes more of it than the host.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::RngExt;
use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{broadcast::error::RecvError, mpsc};

use super::{Kind, Limiter, Notice, Watch, limit::Released};
use crate::{
    board::{Board, Listener},
    bounded, client, clock,
    figures::{self, Outcome},
};

/// Notices that may wait for a webhook that is slow.
const MOST_WAITING: usize = 100;

/// How often what was held back is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Shape of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Every field.
    #[default]
    Json,
    /// `{"text": …}`, as Slack and those who imitate it take it.
    Slack,
}

impl Format {
    /// The words for them in settings.
    pub const NAMES: &[(&str, Self)] = &[("json", Self::Json), ("slack", Self::Slack)];
}

/// Where notices go.
#[derive(Debug, Clone)]
pub struct Webhook {
    url: SecretString,
    /// Shape of the body.
    pub format: Format,
    /// Between two notices of one kind about one service.
    pub interval: Duration,
}

impl Webhook {
    /// A webhook at an address; `None` when it is none, or not of `http` or `https`.
    #[must_use]
    pub fn new(url: SecretString, format: Format, interval: Duration) -> Option<Self> {
        let parsed = Url::parse(url.expose_secret()).ok()?;
        (matches!(parsed.scheme(), "http" | "https") && parsed.has_host()).then_some(Self { url, format, interval })
    }
}

/// How patient delivery is.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// For one try.
    pub timeout: Duration,
    /// After the first try; it doubles with each.
    pub pause: Duration,
    /// Tries for one notice.
    pub tries: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), pause: Duration::from_secs(1), tries: 4 }
    }
}

/// Everything that it takes to notify.
#[derive(Debug)]
pub struct Notifier {
    hook: Hook,
    limiter: Limiter,
    /// Notices that were lost since the last one that arrived.
    missed: Arc<AtomicU64>,
}

impl Notifier {
    /// Speaks to the webhook. Opens nothing yet.
    pub fn new(webhook: Webhook, pace: Pace) -> Result<Self, reqwest::Error> {
        let interval_ms = u64::try_from(webhook.interval.as_millis()).unwrap_or(u64::MAX);
        let missed = Arc::default();
        let hook = Hook { client: client::client(pace.timeout)?, webhook, pace, missed: Arc::clone(&missed) };
        Ok(Self { hook, limiter: Limiter::new(interval_ms), missed })
    }

    /// Notifies of what the board shows until it is closed and everything is delivered.
    pub async fn run(self, board: Arc<Board>) {
        let (queue, waiting) = mpsc::channel(MOST_WAITING);
        let Some(listener) = board.listen() else { return };
        let watching = watch(&board, listener, self.limiter, Queue { queue, missed: self.missed });
        tokio::join!(watching, self.hook.deliver(waiting));
    }
}

/// The way to the webhook, which may be full.
struct Queue {
    queue: mpsc::Sender<Released>,
    missed: Arc<AtomicU64>,
}

impl Queue {
    fn push(&self, released: Released) {
        let (kind, suppressed) = (released.notice.kind, released.suppressed);
        if self.queue.try_send(released).is_err() {
            self.lost(kind, suppressed + 1);
        }
    }

    fn lost(&self, kind: Kind, count: u64) {
        self.missed.fetch_add(count, Ordering::Relaxed);
        figures::notice(kind, Outcome::Dropped, count);
        tracing::warn!(kind = kind.name(), count, "the webhook is too slow, notices are dropped");
    }
}

/// Turns what happens on the board into notices, and never waits for their delivery.
async fn watch(board: &Board, mut listener: Listener, mut limiter: Limiter, queue: Queue) {
    let mut watch = Watch::default();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let heard = tokio::select! {
            // In this order, so that nothing is left unheard when the board is closed.
            biased;
            decision = listener.decisions.recv() => decision.map(|event| Watch::decision(&event).into_iter().collect()),
            Ok(()) = listener.rounds.changed() => Ok(board.view(|services, rounds| watch.round(services, rounds))),
            _ = look.tick() => Ok(Vec::new()),
        };
        let now_ms = clock::now_ms();
        match heard {
            Ok(notices) => notices.into_iter().for_each(|notice| offer(&mut limiter, notice, &queue, now_ms)),
            Err(RecvError::Lagged(count)) => queue.lost(Kind::Scaled, count),
            Err(RecvError::Closed) => break,
        }
        limiter.due(now_ms).into_iter().for_each(|released| queue.push(released));
    }
    let last = board.view(|services, rounds| watch.round(services, rounds));
    last.into_iter().for_each(|notice| offer(&mut limiter, notice, &queue, clock::now_ms()));
    // Nothing comes any more that the last words could wait for.
    limiter.due(u64::MAX).into_iter().for_each(|released| queue.push(released));
}

fn offer(limiter: &mut Limiter, notice: Notice, queue: &Queue, now_ms: u64) {
    let kind = notice.kind;
    match limiter.offer(notice, now_ms) {
        Some(released) => queue.push(released),
        None => figures::notice(kind, Outcome::Suppressed, 1),
    }
}

#[derive(Debug)]
struct Hook {
    client: Client,
    webhook: Webhook,
    pace: Pace,
    missed: Arc<AtomicU64>,
}

/// Why a notice did not arrive.
#[derive(Debug, thiserror::Error)]
enum HookError {
    #[error("the webhook at {host} does not answer: {cause}")]
    Unreachable { host: String, cause: String },
    #[error("the webhook at {host} answered {status}")]
    Refused { host: String, status: StatusCode },
}

impl HookError {
    /// Whether the same may be taken later.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            }
        }
    }
}

impl Hook {
    async fn deliver(self, mut waiting: mpsc::Receiver<Released>) {
        while let Some(released) = waiting.recv().await {
            let kind = released.notice.kind;
            let missed = self.missed.load(Ordering::Relaxed);
            match self.send(&body(self.webhook.format, &released, missed)).await {
                Ok(()) => {
                    self.missed.fetch_sub(missed, Ordering::Relaxed);
                    figures::notice(kind, Outcome::Sent, 1);
                }
                Err(error) => {
                    let count = released.suppressed + 1;
                    self.missed.fetch_add(count, Ordering::Relaxed);
                    figures::notice(kind, Outcome::Failed, 1);
                    tracing::error!(%error, kind = kind.name(), text = released.notice.text, "a notice did not arrive");
                }
            }
        }
    }

    async fn send(&self, body: &serde_json::Value) -> Result<(), HookError> {
        let mut pause = self.pace.pause;
        for _ in 1..self.pace.tries {
            match self.send_once(body).await {
                Err(error) if error.may_pass() => tracing::debug!(%error, "a notice is tried again"),
                outcome => return outcome,
            }
            // Several autoscalers must not come back in step.
            let jitter = rand::rng().random_range(0.8..1.2);
            tokio::time::sleep(pause.mul_f64(jitter)).await;
            pause = pause.saturating_mul(2);
        }
        self.send_once(body).await
    }

    async fn send_once(&self, body: &serde_json::Value) -> Result<(), HookError> {
        let url = self.webhook.url.expose_secret();
        let host = || Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let answer = self.client.post(url).json(body).send().await.map_err(|error| {
            // The error of the client would name the whole address.
            HookError::Unreachable { host: host(), cause: bounded::innermost(&error.without_url()) }
        })?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(HookError::Refused { host: host(), status }) }
    }
}

/// What is sent.
#[derive(Serialize)]
struct Message<'a> {
    #[serde(flatten)]
    notice: &'a Notice,
    suppressed: u64,
    missed: u64,
}

fn body(format: Format, released: &Released, missed: u64) -> serde_json::Value {
    let Released { notice, suppressed } = released;
    match format {
        Format::Json => json!(Message { notice, suppressed: *suppressed, missed }),
        Format::Slack => {
            let mut text = escaped(&notice.text);
            if *suppressed > 0 {
                text += &format!(" ({suppressed} more of this kind before it)");
            }
            if missed > 0 {
                text += &format!(" (lost before it: {missed})");
            }
            json!({ "text": text })
        }
    }
}

/// The three characters that mean something in Slack's text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{notify::Step, scaling::Reason};

    fn released() -> Released {
        let step = Step { from: 2, to: 3, reason: Reason::CpuHigh };
        let text = "web: from 2 to 3: cpu <91> & more".to_owned();
        let notice = Notice { kind: Kind::Scaled, service: Some("web".into()), at_ms: 7, text, step: Some(step) };
        Released { notice, suppressed: 4 }
    }

    #[test]
    fn both_formats_say_everything() {
        let json = body(Format::Json, &released(), 1);
        assert_eq!(
            json,
            json!({"kind": "scaled", "service": "web", "at_ms": 7, "text": "web: from 2 to 3: cpu <91> & more",
                   "from": 2, "to": 3, "reason": "cpu_high", "suppressed": 4, "missed": 1})
        );
        let slack = body(Format::Slack, &released(), 1);
        let text = "web: from 2 to 3: cpu &lt;91&gt; &amp; more (4 more of this kind before it) (lost before it: 1)";
        assert_eq!(slack, json!({ "text": text }));
    }

    #[test]
    fn an_address_that_is_none_is_refused_and_a_good_one_never_printed() {
        let hook = |url: &str| Webhook::new(url.to_owned().into(), Format::Json, Duration::ZERO);
        for url in ["", "hooks.example.com", "ftp://hooks.example.com", "https://"] {
            assert!(hook(url).is_none(), "{url}");
        }
        let shown = format!("{:?}", hook("https://hooks.example.com/T0/secret").unwrap());
        assert!(!shown.contains("secret\""), "{shown}");
        assert!(!shown.contains("T0"), "{shown}");
    }
}
