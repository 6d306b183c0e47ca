//! A service with ready replicas and ordinary thresholds, for tests to change.

use std::collections::BTreeMap;

use autoscaler::scaling::{
    Algorithm, Bounds, Decision, History, Http, Metric, Observed, Policy, Pool, Reading, Rule, Sample, Step, Task,
    TaskState, decide,
};

pub(crate) const NOW: u64 = 1_800_000_000_000;

#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) policy: Policy,
    pub(crate) observed: Observed,
    pub(crate) history: History,
}

/// A service judged on CPU alone (up above 70 %, down to 20 %), 1 to 10 replicas, each of
/// them at these percentages of half a core.
pub(crate) fn cpu(percents: &[f64]) -> Scene {
    let tasks = percents.iter().map(|percent| task(Some(*percent))).collect::<Vec<_>>();
    Scene {
        policy: Policy {
            bounds: Bounds::new(1, 10).unwrap(),
            algorithm: Algorithm::Linear,
            forecast: false,
            metrics: BTreeMap::from([(Metric::Cpu, Rule::band(70.0, 20.0).unwrap())]),
            cooldown_ms: 120_000,
            up_cooldown_ms: 0,
            down_window_ms: None,
            up_window_ms: 0,
            hold_ms: 600_000,
            warm_up_ms: 15_000,
            step_up: None,
            step_down: None,
            min_requests: 20.0,
        },
        observed: Observed {
            replicas: percents.len() as u64,
            reading: Some(Reading { taken_at_ms: NOW - 1_000, interval_ms: 5_000, tasks, ..Reading::default() }),
            ..Observed::default()
        },
        history: History::default(),
    }
}

/// A task that has been ready for ten minutes.
pub(crate) fn task(percent: Option<f64>) -> Task {
    let cpu = percent.map(|percent| Sample { used: percent / 200.0, limit: 0.5, at_ms: NOW - 1_000 });
    Task { state: TaskState::Running, since_ms: NOW - 600_000, cpu, memory: None }
}

impl Scene {
    pub(crate) fn decide(&self) -> Decision {
        decide(&self.policy, &self.observed, &self.history, NOW)
    }

    pub(crate) fn reading(&mut self) -> &mut Reading {
        self.observed.reading.as_mut().unwrap()
    }

    pub(crate) fn tasks(&mut self) -> &mut Vec<Task> {
        &mut self.reading().tasks
    }

    pub(crate) fn judged(mut self, metric: Metric, rule: Rule) -> Self {
        self.policy.metrics.insert(metric, rule);
        self
    }

    pub(crate) fn not_judged(mut self, metric: Metric) -> Self {
        self.policy.metrics.remove(&metric);
        self
    }

    pub(crate) fn with(mut self, algorithm: Algorithm) -> Self {
        self.policy.algorithm = algorithm;
        self
    }

    pub(crate) fn stepped(mut self, from: u64, to: u64, seconds_ago: u64) -> Self {
        self.history.last = Some(Step { from, to, at_ms: NOW - seconds_ago * 1_000 });
        self
    }

    pub(crate) fn http(mut self, requests: f64, p95_ms: Option<f64>, error_percent: Option<f64>) -> Self {
        let http = Http {
            at_ms: NOW - 1_000,
            window_ms: 30_000,
            requests,
            per_second: Some(requests / 30.0),
            p95_ms,
            error_percent,
        };
        self.reading().http = Some(http);
        self
    }

    pub(crate) fn memory(mut self, percent: f64) -> Self {
        for task in self.tasks() {
            task.memory = Some(Sample { used: percent, limit: 100.0, at_ms: NOW - 1_000 });
        }
        self.judged(Metric::Memory, Rule::band(80.0, 40.0).unwrap())
    }
}

pub(crate) fn pool(used: f64, limit: f64, servers: u64) -> Pool {
    Pool { used, limit, servers, at_ms: NOW - 1_000 }
}
