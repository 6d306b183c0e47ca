//! What was recorded of a live service as something to simulate: its work as the load, what
//! one replica has as the capacity, its policy as the one to start from.

use std::collections::BTreeMap;

use super::{Candidate, Measures, Model, Row, Run, Trace};
use crate::{
    history::{Point, Recording},
    scaling::{Metric, Policy, Rule},
};

/// The work that a recording is replayed by, the first that it has.
const BY: [Metric; 3] = [Metric::Cpu, Metric::Connections, Metric::Requests];

/// More than this between two points is a gap: thinned points are five minutes apart.
const GAP_MS: u64 = 900_000;

/// In such use replicas have hardly more to give, and the work is less than what is wanted.
const SATURATED: f64 = 0.95;

/// A load that was recorded.
#[derive(Debug)]
pub struct Load {
    /// The work that it is made of.
    pub metric: Metric,
    /// It over time.
    pub trace: Trace,
    /// What one replica has of it; `None` when that is not known.
    pub whole: Option<f64>,
    /// Time without points, in which the value before is taken to have lasted.
    pub gaps_ms: u64,
    /// Share of the time in which the replicas had no more to give, percent.
    pub saturated_percent: f64,
    /// Replicas over time.
    replicas: Vec<(u64, u64)>,
}

impl Load {
    /// The load of a recording.
    ///
    /// # Errors
    /// What is missing in it.
    pub fn of(recording: &Recording) -> Result<Self, String> {
        let points = &recording.points;
        let has = |metric: &Metric| points.iter().any(|point| point.work.contains_key(metric));
        let metric =
            BY.into_iter().find(has).ok_or("no work is recorded of it: neither CPU, connections nor requests")?;
        // A round without a reading is a small gap.
        let known: Vec<(&Point, f64, Option<f64>)> =
            points.iter().filter_map(|p| p.work.get(&metric).map(|work| (p, work.total, work.whole))).collect();
        let times = known.iter().map(|(point, ..)| point.at_ms);
        let ends = times.clone().skip(1).chain([last_ms(recording, times.clone())]);
        let lengths: Vec<u64> = times.zip(ends.clone()).map(|(at, end)| end.saturating_sub(at)).collect();
        let loads = known.iter().map(|(point, load, _)| (point.at_ms, *load)).collect();
        let end_ms = ends.last().unwrap_or_default();
        let trace = Trace::from_loads(loads, end_ms).ok_or("its points are not in the order of their times")?;
        let saturated = known.iter().zip(&lengths).filter(|((point, load, whole), _)| {
            whole.is_some_and(|whole| *load >= SATURATED * whole * point.replicas as f64)
        });
        let saturated_ms: u64 = saturated.map(|(_, length)| length.min(&GAP_MS)).sum();
        Ok(Self {
            metric,
            whole: known.iter().rev().find_map(|(.., whole)| *whole),
            gaps_ms: lengths.iter().filter(|length| **length > GAP_MS).sum(),
            saturated_percent: 100.0 * saturated_ms as f64 / (trace.seconds() * 1000.0),
            replicas: known.iter().map(|(point, ..)| (point.at_ms, point.replicas)).collect(),
            trace,
        })
    }

    /// A policy as far as the model can follow it: on the work alone, because what latency,
    /// errors and memory would have been with other counts is not recorded anywhere.
    #[must_use]
    pub fn modelled(&self, policy: &Policy) -> Option<Policy> {
        let rule = *policy.metrics.get(&self.metric)?;
        // To the model all shares of what a replica has are CPU.
        let metric = if matches!(rule, Rule::PerReplica { .. }) { Metric::Requests } else { Metric::Cpu };
        Some(Policy { metrics: BTreeMap::from([(metric, rule)]), ..policy.clone() })
    }

    /// What one replica carries, and the share of it that is meant to be used, percent.
    #[must_use]
    pub fn capacity(&self, policy: &Policy) -> Option<(f64, f64)> {
        match (policy.metrics.get(&self.metric)?, self.whole) {
            (Rule::Band { up, .. } | Rule::Ceiling { up } | Rule::Target { target: up }, Some(whole)) => {
                Some((whole, *up))
            }
            (Rule::PerReplica { per_replica }, _) => Some((*per_replica, 100.0)),
            _ => None,
        }
    }

    /// How often it was decided of late; `None` when a single point does not tell.
    #[must_use]
    pub fn interval_ms(&self) -> Option<u64> {
        let newest = self.replicas.iter().rev().map(|step| step.0);
        let gaps = newest.clone().zip(newest.skip(1)).map(|(later, earlier)| later - earlier);
        // The shortest of a few is no gap.
        gaps.take(10).min()
    }

    /// Lets all candidates but those of a fixed count begin with the replicas that there were.
    pub fn begin(&self, candidates: &mut [Candidate]) {
        let first = self.replicas.first().map_or(1, |first| first.1);
        for candidate in candidates {
            if let Some(policy) = &candidate.policy {
                candidate.start = policy.bounds.clamp(first);
            }
        }
    }

    /// What really happened, measured like the candidates: a replica serves when it has started.
    #[must_use]
    pub fn as_it_was(&self, model: &Model) -> Row {
        let (begin, mut run) = (self.trace.start_ms(), Run::default());
        let seconds = |ms: u64| ms as f64 / 1000.0;
        let ends = self.replicas.iter().skip(1).map(|step| step.0).chain([self.trace.end_ms()]);
        let mut before = None;
        for ((at_ms, replicas), end_ms) in self.replicas.iter().zip(ends) {
            let (at, load) = (seconds(at_ms - begin), self.trace.at(*at_ms));
            run.demand.set(at, model.demand(load));
            run.requests += load * seconds(end_ms - at_ms);
            run.replica_seconds += *replicas as f64 * seconds(end_ms - at_ms);
            if before.is_some_and(|before| before != *replicas) {
                run.actions.push((at, before < Some(*replicas)));
            }
            before = Some(*replicas);
        }
        let steps = self.replicas.iter().map(|step| step.0);
        let mut moments: Vec<u64> = steps.clone().chain(steps.map(|at| at.saturating_add(model.start_up_ms))).collect();
        moments.sort_unstable();
        for at_ms in moments.into_iter().take_while(|at_ms| *at_ms < self.trace.end_ms()) {
            run.supply.set(seconds(at_ms - begin), self.serving(at_ms, model.start_up_ms));
        }
        Row { name: "recorded".to_owned(), measures: Measures::of(&run, self.trace.seconds()), run }
    }

    /// Replicas that were there for as long as one takes to start.
    fn serving(&self, at_ms: u64, start_up_ms: u64) -> u64 {
        let index = |at_ms: u64| self.replicas.partition_point(|step| step.0 <= at_ms);
        let first = index(at_ms.saturating_sub(start_up_ms)).saturating_sub(1);
        let since = self.replicas.get(first..index(at_ms)).unwrap_or_default();
        since.iter().map(|step| step.1).min().unwrap_or_default()
    }
}

/// The last point lasts as long as the one before it.
fn last_ms(recording: &Recording, times: impl DoubleEndedIterator<Item = u64>) -> u64 {
    let mut newest = times.rev();
    let (last, before) = (newest.next(), newest.next());
    let length = last.zip(before).map_or(recording.step_ms, |(last, before)| last.saturating_sub(before));
    last.unwrap_or_default().saturating_add(length.clamp(1, GAP_MS))
}
