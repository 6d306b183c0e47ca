//! What the agent tells the collector. Both come from the same image, so this may change
//! freely, but a rolling update must survive it: new fields need a default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All tasks of one node. Times are Unix milliseconds by this node's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Time between two readings.
    pub interval_ms: u64,
    /// When the round closed.
    pub taken_at_ms: u64,
    /// When this was handed over: the ages of its samples are counted from here.
    pub told_at_ms: u64,
    /// By Swarm's id of the task.
    pub tasks: BTreeMap<String, TaskSample>,
}

impl Report {
    /// The report for somebody who asks now. What grew older than three intervals since the
    /// round is left out: an engine that stopped answering must not leave its last word behind.
    #[must_use]
    pub fn told(&self, now_ms: u64) -> Self {
        let oldest_ms = now_ms.saturating_sub(self.interval_ms.saturating_mul(3));
        let fresh = self.tasks.iter().filter(|(_, sample)| sample.sampled_at_ms >= oldest_ms);
        let tasks = fresh.map(|(id, sample)| (id.clone(), sample.clone())).collect();
        Self { told_at_ms: now_ms, tasks, ..*self }
    }
}

/// One task. What is `None` was not measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSample {
    /// The task's container.
    pub container_id: String,
    /// When the engine read the newest counters.
    pub sampled_at_ms: u64,
    /// Processor use; `None` until there are two readings of the same run.
    pub cpu: Option<CpuSample>,
    /// Bytes in use without reclaimable page cache.
    pub memory_bytes: Option<u64>,
    /// The container's own limit in cores; `None` without one, or when not known yet.
    pub cpu_limit_cores: Option<f64>,
    /// The container's own limit in bytes; `None` without one, or when not known yet.
    pub memory_limit_bytes: Option<f64>,
    /// Whether the engine has paused it.
    #[serde(default)]
    pub paused: bool,
}

/// Mean processor use over a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CpuSample {
    /// Cores.
    pub cores: f64,
    /// Length of the window.
    pub window_ms: u64,
}
