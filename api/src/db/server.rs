//! One server: its connections, what it says it is, how busy it is, and whether it answers.

use std::{
    net::SocketAddr,
    sync::{
        Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::PgPool;

use super::{DbError, connect};
use crate::settings::DatabaseSettings;

/// A server that has work of ours and has answered nobody for so long is frozen. One that is merely
/// busy answers somebody.
pub(super) const SILENCE: Duration = Duration::from_millis(300);
/// For one read on a standby. The reads of this service take a few milliseconds; after so long the
/// next server is the better bet.
const STANDBY_PATIENCE: Duration = Duration::from_secs(1);
/// Longer than a hiccup of the scheduler, shorter than a client's patience.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_millis(800);

/// A position is one in the log: what was written on a primary, what is replayed on a standby.
const PROBE: &str = "
    select standby,
        pg_wal_lsn_diff(case when standby then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, '0/0')::int8
    from (select pg_is_in_recovery() as standby) as role";

/// What a server is, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes writes.
    Primary,
    /// Replays the primary's log and takes reads.
    Standby,
}

impl Role {
    /// As a label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
        }
    }
}

/// The answer to a probe.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) role: Role,
    /// `None` on a standby that has replayed nothing yet.
    pub(super) position: Option<i64>,
    /// When the question was sent.
    pub(super) asked: Instant,
    pub(super) took: Duration,
}

/// A probe without an answer.
#[derive(Debug)]
pub(super) struct NoReport {
    /// When the question was sent, or waited for a connection.
    pub(super) asked: Instant,
    pub(super) cause: String,
}

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pool: RwLock<PgPool>,
    busy: AtomicUsize,
    /// Cleared by the first sign of trouble, so that nobody else waits; only a probe sets it.
    answers: AtomicBool,
    heard: Mutex<Instant>,
    reads: AtomicU64,
}

/// One more piece of work under way for as long as it lives.
struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn enter(busy: &'a AtomicUsize) -> Self {
        busy.fetch_add(1, Ordering::Relaxed);
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server {
    pub(super) fn new(settings: &DatabaseSettings, address: SocketAddr) -> Self {
        Self {
            address,
            pool: RwLock::new(connect::pool(settings, address)),
            busy: AtomicUsize::new(0),
            answers: AtomicBool::new(false),
            heard: Mutex::new(Instant::now()),
            reads: AtomicU64::new(0),
        }
    }

    pub(super) fn pool(&self) -> PgPool {
        self.pool.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn answers(&self) -> bool {
        self.answers.load(Ordering::Acquire)
    }

    pub(super) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Reads that it has answered.
    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    pub(super) fn count_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// When it last answered anything.
    pub(super) fn heard(&self) -> Instant {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether it may be given work; the follower's word.
    pub(super) fn set_answers(&self, answers: bool) {
        self.answers.store(answers, Ordering::Release);
    }

    /// New connections to the same address; the old ones end with the work that holds them.
    pub(super) fn renew(&self, settings: &DatabaseSettings) {
        let fresh = connect::pool(settings, self.address);
        let old = std::mem::replace(&mut *self.pool.write().unwrap_or_else(PoisonError::into_inner), fresh);
        close(old);
    }

    /// Gives its connections up for good.
    pub(super) fn retire(&self) {
        close(self.pool());
    }

    /// Runs `work` within `limit`, and learns from how it ends.
    pub(super) async fn run<T>(
        &self,
        settings: &DatabaseSettings,
        limit: Duration,
        work: impl Future<Output = Result<T, DbError>>,
    ) -> Result<T, DbError> {
        let _busy = Busy::enter(&self.busy);
        let result = tokio::time::timeout(limit, work).await.unwrap_or(Err(DbError::TimedOut));
        match &result {
            // What one connection met, its idle siblings will meet too.
            Err(error) if error.is_broken_connection() => self.renew(settings),
            Err(error) if !error.is_answer() => {}
            _ => self.hear(),
        }
        result
    }

    /// Runs a read on a standby. Somebody else can take it over, so nobody waits for a frozen server,
    /// and after the first who has, nobody tries.
    pub(super) async fn read<T>(
        &self,
        settings: &DatabaseSettings,
        work: impl Future<Output = Result<T, DbError>>,
    ) -> Result<T, DbError> {
        let started = Instant::now();
        let limit = STANDBY_PATIENCE.min(settings.longest());
        let work = self.run(settings, limit, work);
        tokio::pin!(work);
        let result = loop {
            let deadline = self.heard().max(started) + SILENCE;
            tokio::select! {
                biased;
                result = &mut work => break result,
                () = tokio::time::sleep_until(deadline.into()) => {}
            }
            if self.heard().max(started) + SILENCE <= Instant::now() {
                break Err(DbError::TimedOut);
            }
        };
        if result.as_ref().is_err_and(|error| error.is_broken_connection() || matches!(error, DbError::TimedOut)) {
            self.set_answers(false);
        }
        result
    }

    /// Asks what it is and where it stands.
    pub(super) async fn probe(&self) -> Result<Report, NoReport> {
        let asked = Instant::now();
        let pool = self.pool();
        let question = sqlx::query_as::<_, (bool, Option<i64>)>(PROBE).fetch_one(&pool);
        let cause = match tokio::time::timeout(PROBE_TIMEOUT, question).await {
            Ok(Ok((standby, position))) => {
                self.hear();
                let role = if standby { Role::Standby } else { Role::Primary };
                return Ok(Report { role, position, asked, took: asked.elapsed() });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        Err(NoReport { asked, cause })
    }
}

/// Not awaited: closing waits for whoever still holds a connection.
fn close(pool: PgPool) {
    tokio::spawn(async move { pool.close().await });
}
