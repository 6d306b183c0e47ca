//! One reading of all containers of Swarm tasks, kept from round to round.
//!
//! The list is made anew each round, which is cheap and never out of date. A container that
//! does not answer in time keeps its last sample until that is too old to be shown.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt as _, stream};

use crate::{
    agent::{
        cpu_window::CpuWindow,
        report::{Report, TaskSample},
    },
    clock,
    docker::{Engine, TASK_LABEL, model::HostConfig},
    fetch::FetchError,
    parse::stats::{self, Counters},
    settings,
};

/// Calls in flight at once. All in parallel is cheapest for the engine; this bounds a node
/// with hundreds of containers.
const PARALLEL: usize = 64;

/// The containers of one node.
#[derive(Debug)]
pub struct Sampler {
    engine: Engine,
    interval: Duration,
    cpu_window: Duration,
    containers: HashMap<String, Tracked>,
}

#[derive(Debug)]
struct Tracked {
    task_id: String,
    paused: bool,
    limits: Option<HostConfig>,
    window: CpuWindow,
    last: Option<Counters>,
}

/// What one round asks of one container.
type Answer = (String, Option<Counters>, Option<HostConfig>);

impl Sampler {
    /// Knows no container yet.
    #[must_use]
    pub fn new(engine: Engine, settings: &settings::Agent) -> Self {
        Self { engine, interval: settings.interval, cpu_window: settings.cpu_window, containers: HashMap::new() }
    }

    /// Reads every container once. Fails only when the list itself cannot be read.
    pub async fn round(&mut self) -> Result<Report, FetchError> {
        self.relist().await?;
        let asked: Vec<(String, bool)> =
            self.containers.iter().map(|(id, tracked)| (id.clone(), tracked.limits.is_none())).collect();
        let engine = self.engine.clone();
        let answers: Vec<Answer> =
            stream::iter(asked).map(|(id, new)| ask(&engine, id, new)).buffer_unordered(PARALLEL).collect().await;
        for answer in answers {
            self.keep(answer);
        }
        Ok(self.report(clock::unix_ms()))
    }

    /// Forgets containers that ended, takes up new ones.
    async fn relist(&mut self) -> Result<(), FetchError> {
        let listed: HashMap<String, (String, bool)> = self
            .engine
            .task_containers()
            .await?
            .into_iter()
            .filter_map(|container| {
                let paused = container.state.as_deref() == Some("paused");
                Some((container.id, (container.labels?.remove(TASK_LABEL)?, paused)))
            })
            .collect();
        self.containers.retain(|id, _| listed.contains_key(id));
        for (id, (task_id, paused)) in listed {
            let window = CpuWindow::new(self.cpu_window);
            let new = Tracked { task_id, paused, limits: None, window, last: None };
            self.containers.entry(id).or_insert(new).paused = paused;
        }
        Ok(())
    }

    fn keep(&mut self, (id, counters, limits): Answer) {
        let Some(tracked) = self.containers.get_mut(&id) else { return };
        tracked.limits = limits.or(tracked.limits.take());
        let Some(counters) = counters else { return };
        match counters.cpu_ns {
            Some(cpu_ns) => tracked.window.push(counters.read_ns, cpu_ns),
            None => tracked.window = CpuWindow::new(self.cpu_window),
        }
        tracked.last = Some(counters);
    }

    fn report(&self, now_ms: u64) -> Report {
        let interval_ms = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX);
        let sample = |(id, tracked): (&String, &Tracked)| Some((tracked.task_id.clone(), tracked.sample(id)?));
        let tasks = self.containers.iter().filter_map(sample).collect();
        Report { interval_ms, taken_at_ms: now_ms, told_at_ms: now_ms, tasks }.told(now_ms)
    }
}

impl Tracked {
    fn sample(&self, container_id: &str) -> Option<TaskSample> {
        let last = self.last?;
        Some(TaskSample {
            container_id: container_id.to_owned(),
            sampled_at_ms: last.read_ns / 1_000_000,
            cpu: self.window.usage(),
            memory_bytes: last.memory_bytes,
            cpu_limit_cores: self.limits.as_ref().and_then(stats::cpu_limit),
            memory_limit_bytes: self.limits.as_ref().and_then(stats::memory_limit),
            paused: self.paused,
        })
    }
}

/// Counters of one container, and its limits when they are not known yet. Either may be
/// missing: the container can end between the list and this call.
async fn ask(engine: &Engine, id: String, new: bool) -> Answer {
    let limits = async {
        if !new {
            return None;
        }
        engine.inspect(&id).await.ok()?.host_config
    };
    let (stats, limits) = tokio::join!(engine.stats(&id), limits);
    let counters = match stats {
        Ok(stats) => stats::counters(&stats),
        Err(error) => {
            tracing::debug!(container = id, error = crate::fetch::chain(&error), "no statistics");
            None
        }
    };
    (id, counters, limits)
}
