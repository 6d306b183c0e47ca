//! A service made of plain assumptions: a replica serves so many requests per second and no
//! more, latency rises as 1/(1 − utilisation), what is too much is lost, a new replica is
//! ready after its start-up time, and what is measured is known one interval later.

use crate::scaling::{Action, Foresight, History, Http, Observed, Policy, Reading, Sample, Task, TaskState, decide};

use super::{Steps, Trace};

/// Latency of an idle replica.
const IDLE_LATENCY_MS: f64 = 50.0;

/// Clients give up after so long.
const MOST_LATENCY_MS: f64 = 10_000.0;

/// The service.
#[derive(Debug, Clone)]
pub struct Model {
    /// Requests per second of one replica.
    pub capacity: f64,
    /// From the decision until a new replica serves.
    pub start_up_ms: u64,
    /// Between two decisions.
    pub interval_ms: u64,
    /// Share of the capacity that is meant to be used, percent: what demand is counted with.
    pub target: f64,
}

/// What happened.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// Replicas that serve.
    pub supply: Steps,
    /// Replicas that would have been needed.
    pub demand: Steps,
    /// Requests lost per second.
    pub lost: Vec<(f64, f64)>,
    /// Requests in all.
    pub requests: f64,
    /// Requests lost in all.
    pub requests_lost: f64,
    /// Replicas paid for, times seconds.
    pub replica_seconds: f64,
    /// When the count was changed, and whether upwards.
    pub actions: Vec<(f64, bool)>,
}

impl Model {
    /// Replicas for a load, at least one.
    #[must_use]
    pub fn demand(&self, load: f64) -> u64 {
        ((load / (self.capacity * self.target / 100.0)).ceil() as u64).max(1)
    }

    /// Replays the trace, and tells `passed` how much of it each interval was, in milliseconds.
    /// Without a policy the count stays.
    pub fn run(&self, policy: Option<&Policy>, start: u64, trace: &Trace, passed: &dyn Fn(u64)) -> Run {
        let (mut run, mut history, mut foresight) = (Run::default(), History::default(), Foresight::default());
        // Times at which each replica is ready.
        let begin = trace.start_ms();
        let mut ready: Vec<u64> = (0..start).map(|_| begin.saturating_sub(600_000)).collect();
        let mut known: Option<Reading> = None;
        let mut now = begin;
        while now < trace.end_ms() {
            let end = now.saturating_add(self.interval_ms).min(trace.end_ms());
            let measured = self.pass(&mut run, &ready, trace, (begin, now, end));
            if let Some(policy) = policy {
                let observed = Observed { replicas: ready.len() as u64, reading: known.take(), ..Observed::default() };
                history.forecasts.extend(foresight.look(policy, &observed, history.last, end));
                let decision = decide(policy, &observed, &history, end);
                history.note(&decision, policy, end);
                if decision.action != Action::Hold {
                    run.actions.push(((end - begin) as f64 / 1000.0, decision.action == Action::Up));
                    history.applied(&decision, end);
                    let wanted = usize::try_from(decision.wanted).unwrap_or(usize::MAX);
                    ready.resize(wanted, end.saturating_add(self.start_up_ms));
                }
            }
            known = Some(measured);
            passed(end - now);
            now = end;
        }
        run
    }

    /// Lets one interval pass, in slices at whose ends something may change.
    fn pass(&self, run: &mut Run, ready: &[u64], trace: &Trace, (begin, from, end): (u64, u64, u64)) -> Reading {
        let slice = (self.interval_ms / 6).clamp(1_000, 10_000);
        let (mut requests, mut lost, mut at) = (0.0, 0.0, from);
        let seconds_in = |ms: u64| ms as f64 / 1000.0;
        while at < end {
            let next = at.saturating_add(slice).min(end);
            let seconds = seconds_in(next - at);
            let (load, serving) = (trace.at(at), ready.iter().filter(|ready| **ready <= at).count() as u64);
            let too_much = (load - serving as f64 * self.capacity).max(0.0);
            run.supply.set(seconds_in(at - begin), serving);
            run.demand.set(seconds_in(at - begin), self.demand(load));
            if run.lost.last().map_or(0.0, |last| last.1) != too_much {
                run.lost.push((seconds_in(at - begin), too_much));
            }
            (requests, lost) = (requests + load * seconds, lost + too_much * seconds);
            run.replica_seconds += ready.len() as f64 * seconds;
            at = next;
        }
        run.requests += requests;
        run.requests_lost += lost;
        self.measure(ready, (requests, lost), from, end)
    }

    fn measure(&self, ready: &[u64], (requests, lost): (f64, f64), from: u64, end: u64) -> Reading {
        let seconds = (end - from) as f64 / 1000.0;
        let serving = ready.iter().filter(|ready| **ready < end).count().max(1) as f64;
        let used = ((requests - lost) / seconds / (serving * self.capacity)).min(1.0);
        let cpu = Some(Sample { used, limit: 1.0, at_ms: end });
        let task = |ready: &u64| match *ready < end {
            true => Task { state: TaskState::Running, since_ms: *ready, cpu, memory: None },
            false => Task { state: TaskState::Starting, since_ms: from, cpu: None, memory: None },
        };
        let latency = (IDLE_LATENCY_MS / (1.0 - used).max(f64::MIN_POSITIVE)).min(MOST_LATENCY_MS);
        let http = Http {
            at_ms: end,
            window_ms: end - from,
            requests,
            per_second: Some(requests / seconds),
            p95_ms: Some(latency).filter(|_| requests > 0.0),
            error_percent: Some(100.0 * lost / requests).filter(|percent| percent.is_finite()),
        };
        let tasks = ready.iter().map(task).collect();
        Reading { taken_at_ms: end, interval_ms: self.interval_ms, tasks, http: Some(http), ..Reading::default() }
    }
}
