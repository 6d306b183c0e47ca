//! Readings of all sources into one snapshot. Pure: what a source did not bring stays absent.

use std::{collections::BTreeMap, time::Duration};

use shared::snapshot::{
    BalancerReading, CONTRACT, CacheReading, HttpReading, LimitBasis, ServiceReading, Snapshot, SourceStatus,
    TaskReading, TaskState, Usage,
};

use crate::{
    agent::report::TaskSample,
    parse::swarm::{Limit, Swarm, SwarmService, SwarmTask},
    settings,
    sources::{agent::Samples, postgres::Load},
};

/// What is known in a round; `None` for a source that is away or not set up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Readings<'a> {
    /// Who should run, and who does.
    pub swarm: Option<&'a Swarm>,
    /// What tasks use.
    pub samples: Option<&'a Samples>,
    /// Requests, by service.
    pub http: Option<&'a BTreeMap<String, HttpReading>>,
    /// Database connections.
    pub load: Option<&'a Load>,
    /// Cache memory.
    pub cache: Option<&'a CacheReading>,
    /// The balancers.
    pub balancer: Option<&'a BalancerReading>,
}

/// The services to which the readings of the database and the cache belong.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    /// Scaled on the servers that take reads.
    pub database_reads: Option<String>,
    /// The primary's.
    pub database_primary: Option<String>,
    /// Scaled on the cache's memory.
    pub cache: Option<String>,
}

impl Owners {
    /// As configured.
    #[must_use]
    pub fn new(settings: &settings::Collector) -> Self {
        Self {
            database_reads: settings.database.as_ref().map(|database| database.scaled_service.clone()),
            database_primary: settings.database.as_ref().map(|database| database.primary_service.clone()),
            cache: settings.cache.as_ref().map(|cache| cache.scaled_service.clone()),
        }
    }
}

/// The snapshot of a round that closes now.
#[must_use]
pub fn snapshot(
    readings: Readings<'_>,
    owners: &Owners,
    interval: Duration,
    sources: Vec<SourceStatus>,
    now_ms: u64,
) -> Snapshot {
    let own_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    let services = readings.swarm.map(|swarm| &swarm.services).into_iter().flatten();
    Snapshot {
        contract: CONTRACT,
        taken_at_ms: now_ms,
        // Samples are as far apart as the slower of the two who take them.
        interval_ms: readings.samples.map_or(own_ms, |samples| samples.interval_ms.max(own_ms)),
        services: services.map(|(name, found)| (name.clone(), service(name, found, readings, owners))).collect(),
        nodes: readings.swarm.map(|swarm| swarm.nodes.clone()).unwrap_or_default(),
        sources,
        balancer: readings.balancer.cloned(),
        databases: readings.load.map(|load| load.servers.clone()).unwrap_or_default(),
    }
}

fn service(name: &str, found: &SwarmService, readings: Readings<'_>, owners: &Owners) -> ServiceReading {
    let owns = |owner: &Option<String>| owner.as_deref() == Some(name);
    let connections = readings.load.and_then(|load| {
        if owns(&owners.database_reads) {
            load.reads.clone()
        } else {
            load.primary.clone().filter(|_| owns(&owners.database_primary))
        }
    });
    let running = found.tasks.iter().filter(|task| task.state == TaskState::Running && task.node_ready);
    let sample = |task: &SwarmTask| readings.samples.and_then(|samples| samples.tasks.get(&task.id));
    ServiceReading {
        id: found.id.clone(),
        replicas_desired: found.replicas_desired,
        replicas_running: running.count() as u64,
        tasks: found.tasks.iter().map(|task| reading(task, sample(task))).collect(),
        http: readings.http.and_then(|http| http.get(name)).copied(),
        connections,
        cache: readings.cache.filter(|_| owns(&owners.cache)).cloned(),
        restarts: found.restarts,
    }
}

fn reading(task: &SwarmTask, sample: Option<&TaskSample>) -> TaskReading {
    let usage = |used: Option<f64>, own: Option<f64>, swarm: Option<Limit>| {
        // The container's own limit is what the kernel enforces; Swarm's word is the next best.
        let Limit { value, basis } = own.map(|value| Limit { value, basis: LimitBasis::Limit }).or(swarm)?;
        let used = used.filter(|used| used.is_finite() && *used >= 0.0)?;
        let limit = Some(value).filter(|limit| limit.is_finite() && *limit > 0.0)?;
        Some(Usage { used, limit, basis, sampled_at_ms: sample?.sampled_at_ms })
    };
    let cores = sample.and_then(|sample| Some(sample.cpu?.cores));
    let bytes = sample.and_then(|sample| Some(sample.memory_bytes? as f64));
    TaskReading {
        id: task.id.clone(),
        slot: task.slot,
        node: task.node.clone(),
        address: task.address.clone(),
        state: task.state,
        since_ms: task.since_ms,
        cpu: usage(cores, sample.and_then(|sample| sample.cpu_limit_cores), task.cpu_limit),
        memory: usage(bytes, sample.and_then(|sample| sample.memory_limit_bytes), task.memory_limit),
        paused: sample.is_some_and(|sample| sample.paused),
    }
}

#[cfg(test)]
#[path = "combine_tests.rs"]
mod tests;
