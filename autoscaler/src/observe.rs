//! Puts together what the rules look at: counts and update state from the Swarm API of this
//! very moment, use from the collector's snapshot.

use shared::snapshot::{self, LimitBasis, ServiceReading, Snapshot};

use crate::{
    placement::Room,
    scaling::{Http, Mode, Observed, Pool, Reading, Sample, Task, TaskState},
    swarm::Service,
};

/// What one round sees beside the services themselves.
#[derive(Debug, Default)]
pub struct View<'a> {
    /// The newest snapshot; `None` without one.
    pub snapshot: Option<&'a Snapshot>,
    /// What the nodes have left; `None` when not known.
    pub room: Option<Room<'a>>,
}

/// One service as the rules see it.
#[must_use]
pub fn observe(service: &Service, before_redeploy: Option<u64>, view: &View<'_>) -> Observed {
    Observed {
        replicas: if service.mode == Mode::Replicated { service.replicas } else { 0 },
        mode: service.mode,
        rollout: service.rollout,
        before_redeploy,
        room: view.room.as_ref().and_then(|room| room.of(service)),
        reading: view.snapshot.and_then(|snapshot| Some(reading(snapshot, reading_of(service, snapshot)?))),
    }
}

/// What a snapshot has of a service. One of the same name that was removed and made anew is another one.
#[must_use]
pub fn reading_of<'a>(service: &Service, snapshot: &'a Snapshot) -> Option<&'a ServiceReading> {
    snapshot.services.get(&service.name).filter(|found| found.id == service.id)
}

fn reading(snapshot: &Snapshot, service: &ServiceReading) -> Reading {
    Reading {
        taken_at_ms: snapshot.taken_at_ms,
        interval_ms: snapshot.interval_ms,
        tasks: service.tasks.iter().map(task).collect(),
        http: service.http.map(|http| Http {
            at_ms: http.sampled_at_ms,
            window_ms: http.window_ms,
            requests: http.requests,
            per_second: Some(http.requests_per_second),
            p95_ms: http.p95_ms,
            error_percent: http.error_rate_percent,
        }),
        connections: service.connections.as_ref().map(|c| Pool {
            used: c.active as f64,
            limit: c.usable as f64,
            servers: c.servers.len() as u64,
            at_ms: c.sampled_at_ms,
        }),
        cache: service.cache.as_ref().map(|c| Pool {
            used: c.used_bytes as f64,
            // Zero means that a shard has no bound; the rules take it as not measured.
            limit: c.max_bytes as f64,
            servers: c.servers.len() as u64,
            at_ms: c.sampled_at_ms,
        }),
    }
}

fn task(task: &snapshot::TaskReading) -> Task {
    let sample = |usage: Option<snapshot::Usage>| {
        usage.map(|usage| Sample { used: usage.used, limit: usage.limit, at_ms: usage.sampled_at_ms })
    };
    Task {
        state: match task.state {
            // It has found its place and is being prepared: that is no lack of room.
            snapshot::TaskState::Pending if task.node.is_some() => TaskState::Starting,
            snapshot::TaskState::Pending => TaskState::Pending,
            snapshot::TaskState::Starting => TaskState::Starting,
            snapshot::TaskState::Running => TaskState::Running,
            snapshot::TaskState::Stopping => TaskState::Stopping,
        },
        since_ms: task.since_ms,
        cpu: sample(task.cpu),
        memory: sample(task.memory),
    }
}

/// Whether a snapshot is young enough to decide on.
#[must_use]
pub fn is_fresh(snapshot: &Snapshot, now_ms: u64) -> bool {
    let empty = Reading { taken_at_ms: snapshot.taken_at_ms, interval_ms: snapshot.interval_ms, ..Reading::default() };
    !empty.is_stale(now_ms)
}

/// What an operator should mend, although it stops nothing.
#[must_use]
pub fn warnings(service: &Service, view: &View<'_>) -> Vec<String> {
    let Some(reading) = view.snapshot.and_then(|snapshot| reading_of(service, snapshot)) else {
        return Vec::new();
    };
    let lacks = |pick: fn(&snapshot::TaskReading) -> Option<snapshot::Usage>| {
        reading.tasks.iter().filter_map(pick).any(|usage| usage.basis != LimitBasis::Limit)
    };
    let text = |what| format!("no {what} limit is set: percentages are of the reservation or of the whole node");
    let cpu = lacks(|task| task.cpu).then(|| text("CPU"));
    let memory = lacks(|task| task.memory).then(|| text("memory"));
    cpu.into_iter().chain(memory).collect()
}

#[cfg(test)]
mod tests;
