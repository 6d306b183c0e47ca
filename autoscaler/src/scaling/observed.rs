//! What is known about one service at one moment. Absent means not measured, never zero.
//! Times are Unix milliseconds; a time that lies in the future is not trusted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::MOST_REPLICAS;

/// A service as the Swarm API and the collector show it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// Replicas in the service's specification.
    pub replicas: u64,
    /// Whether it has a replica count at all.
    #[serde(default)]
    pub mode: Mode,
    /// Whether an update is under way.
    #[serde(default)]
    pub rollout: Rollout,
    /// The count before a redeploy put the file's number back; `None` without a redeploy.
    #[serde(default)]
    pub before_redeploy: Option<u64>,
    /// Replicas that the nodes can hold, the present ones included; `None` when not known.
    #[serde(default)]
    pub room: Option<u64>,
    /// What was measured; `None` when nothing is known.
    #[serde(default)]
    pub reading: Option<Reading>,
}

/// How Swarm runs a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A chosen number of tasks.
    #[default]
    Replicated,
    /// One task per node.
    Global,
    /// Tasks that end.
    Job,
}

/// Whether an update of the service is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rollout {
    /// None, or it is over.
    #[default]
    Idle,
    /// Tasks are being replaced.
    Updating,
    /// Tasks are being put back.
    RollingBack,
    /// An update or a rollback failed and waits for a human.
    Paused,
}

/// What the collector measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// When the collector closed its round.
    pub taken_at_ms: u64,
    /// Time between two rounds.
    pub interval_ms: u64,
    /// The tasks that are wanted.
    #[serde(default)]
    pub tasks: Vec<Task>,
    /// Requests; `None` when not measured.
    #[serde(default)]
    pub http: Option<Http>,
    /// Database connections; `None` when not measured.
    #[serde(default)]
    pub connections: Option<Pool>,
    /// Cache memory; `None` when not measured.
    #[serde(default)]
    pub cache: Option<Pool>,
}

/// A clock that is ahead by less than this is merely inexact.
pub const SKEW_MS: u64 = 10_000;

/// Three intervals without a sample make it missing, but never less than this.
const LEAST_PATIENCE_MS: u64 = 10_000;

/// Nobody measures more seldom. An interval beyond cannot be true, and must not make old
/// samples look fresh.
const LONGEST_INTERVAL_MS: u64 = 86_400_000;

/// More than there is of anything: bytes, cores, connections, requests. The kernel writes 2^63
/// bytes where there is no limit, of which everything is next to nothing.
pub(super) const MOST: f64 = 1e15;

impl Reading {
    /// How old a sample may be.
    pub(super) fn patience_ms(&self) -> u64 {
        let believed = if self.interval_ms > LONGEST_INTERVAL_MS { 0 } else { self.interval_ms };
        believed.saturating_mul(3).max(LEAST_PATIENCE_MS)
    }

    /// Whether something measured at `at_ms` still counts: young enough, and not from the future.
    pub(super) fn is_fresh(&self, at_ms: u64, now_ms: u64) -> bool {
        at_ms <= now_ms.saturating_add(SKEW_MS) && now_ms.saturating_sub(at_ms) <= self.patience_ms()
    }

    /// Whether the whole reading is too old, or from the future.
    #[must_use]
    pub fn is_stale(&self, now_ms: u64) -> bool {
        !self.is_fresh(self.taken_at_ms, now_ms)
    }
}

/// One task of the service.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Where it is in its life.
    pub state: TaskState,
    /// Since when.
    pub since_ms: u64,
    /// Cores; `None` when not measured.
    #[serde(default)]
    pub cpu: Option<Sample>,
    /// Bytes without page cache; `None` when not measured.
    #[serde(default)]
    pub memory: Option<Sample>,
}

impl Task {
    /// Running and past the warm-up.
    pub(super) fn is_live(&self, warm_up_ms: u64, now_ms: u64) -> bool {
        self.state == TaskState::Running && now_ms.saturating_sub(self.since_ms) >= warm_up_ms
    }
}

/// A task's state, as far as scaling cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Not started.
    Pending,
    /// Started, not ready.
    Starting,
    /// Ready.
    Running,
    /// Leaving.
    Stopping,
}

/// A use and what stands for 100 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// In use.
    pub used: f64,
    /// What stands for 100 %.
    pub limit: f64,
    /// When it was measured.
    pub at_ms: u64,
}

impl Sample {
    /// Whether the numbers can be true at all.
    pub(super) fn is_sound(&self) -> bool {
        can_be_true(self.used, self.limit)
    }
}

fn can_be_true(used: f64, limit: f64) -> bool {
    (0.0..=MOST).contains(&used) && limit > 0.0 && limit <= MOST
}

/// Requests over a window, all tasks together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// When they were last counted.
    pub at_ms: u64,
    /// Length of the window; it ends at `at_ms`.
    #[serde(default)]
    pub window_ms: u64,
    /// Requests in the window.
    pub requests: f64,
    /// Requests per second.
    #[serde(default)]
    pub per_second: Option<f64>,
    /// 95th percentile of latency; `None` without requests.
    #[serde(default)]
    pub p95_ms: Option<f64>,
    /// Share of failures, 0–100; `None` without requests.
    #[serde(default)]
    pub error_percent: Option<f64>,
}

/// Something that several servers hold together: connections, cache memory.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// In use, all servers together.
    pub used: f64,
    /// What stands for 100 %, all servers together.
    pub limit: f64,
    /// How many servers.
    pub servers: u64,
    /// When it was measured.
    pub at_ms: u64,
}

impl Pool {
    /// Whether the numbers can be true at all. A limit of zero is none.
    pub(super) fn is_sound(&self) -> bool {
        can_be_true(self.used, self.limit) && (1..=MOST_REPLICAS).contains(&self.servers)
    }
}
