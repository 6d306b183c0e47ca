//! What is learnt of one service over its rounds in order to look ahead: its work, how long its
//! replicas take to start, and how often it is looked at.

use std::collections::BTreeMap;

use super::{Forecast, Forecaster, Metric, Observed, Policy, Step, TaskState, floor::works};

/// Until a start was seen.
const USUAL_START_MS: u64 = 15_000;

/// Gaps between the newest recorded points that are looked at; the shortest is no downtime.
const RECALLED_GAPS: usize = 10;

/// The present estimate keeps this share when something new is measured.
const KEPT: f64 = 0.7;

/// One service's foresight.
#[derive(Debug, Clone, Default)]
pub struct Foresight {
    forecasters: BTreeMap<Metric, Forecaster>,
    start_ms: Option<f64>,
    /// The step whose start time was measured last.
    measured: Option<Step>,
    interval_ms: Option<f64>,
    last_round_ms: Option<u64>,
}

impl Foresight {
    /// Learns what was recorded: totals of each kind of work by time. `start_up_ms` is what
    /// replicas took to start then.
    #[must_use]
    pub fn recall(past: Vec<(u64, BTreeMap<Metric, f64>)>, start_up_ms: Option<u64>) -> Self {
        let start_ms = start_up_ms.map(|ms| ms as f64);
        let mut foresight = Self { start_ms, ..Self::default() };
        // Older points may be means over longer times; the newest tell how often it was looked at.
        let newest = past.iter().rev().map(|(at_ms, _)| *at_ms);
        let gaps = newest.clone().zip(newest.skip(1)).map(|(later, earlier)| later.saturating_sub(earlier));
        foresight.interval_ms = gaps.take(RECALLED_GAPS).min().map(|gap| gap as f64);
        let lead_ms = foresight.lead_ms(0);
        for (at_ms, totals) in past {
            for (metric, total) in totals {
                foresight.forecasters.entry(metric).or_default().learn(total, at_ms, lead_ms);
            }
        }
        foresight
    }

    /// How long new replicas took to start of late; `None` when that was not measured.
    #[must_use]
    pub fn start_up_ms(&self) -> Option<u64> {
        self.start_ms.map(|ms| ms as u64)
    }

    /// Learns from one round, and says what is expected. Nothing is learnt or kept for a service
    /// that asks for no forecast.
    pub fn look(
        &mut self,
        policy: &Policy,
        observed: &Observed,
        last: Option<Step>,
        now_ms: u64,
    ) -> BTreeMap<Metric, Forecast> {
        let Some(reading) = observed.reading.as_ref().filter(|reading| policy.forecast && !reading.is_stale(now_ms))
        else {
            if !policy.forecast {
                *self = Self::default();
            }
            return BTreeMap::new();
        };
        self.time_the_rounds(now_ms);
        self.time_the_start(observed, last);
        let lead_ms = self.lead_ms(reading.interval_ms);
        let works = works(policy, reading, observed.replicas, now_ms);
        self.forecasters.retain(|metric, _| policy.metrics.contains_key(metric));
        let learn = |(metric, work): (Metric, super::floor::Work)| {
            let forecaster = self.forecasters.entry(metric).or_default();
            Some((metric, forecaster.learn(work.total, reading.taken_at_ms.min(now_ms), lead_ms)?))
        };
        works.into_iter().filter_map(learn).collect()
    }

    /// Start-up time and two intervals: a decision made now is felt that much later.
    fn lead_ms(&self, collector_ms: u64) -> u64 {
        let start = self.start_ms.unwrap_or(USUAL_START_MS as f64);
        let interval = self.interval_ms.unwrap_or(0.0).max(collector_ms as f64);
        (start + 2.0 * interval) as u64
    }

    fn time_the_rounds(&mut self, now_ms: u64) {
        if let Some(gap) = self.last_round_ms.and_then(|last| now_ms.checked_sub(last)).filter(|gap| *gap > 0) {
            self.interval_ms = Some(mixed(self.interval_ms, gap as f64));
        }
        self.last_round_ms = Some(now_ms);
    }

    /// From a step up to the moment when the last of its replicas was ready.
    fn time_the_start(&mut self, observed: &Observed, last: Option<Step>) {
        let Some(step) = last.filter(|step| step.is_up() && self.measured != Some(*step)) else { return };
        let tasks = observed.reading.iter().flat_map(|reading| &reading.tasks);
        let running: Vec<_> = tasks.filter(|t| t.state == TaskState::Running).map(|t| t.since_ms).collect();
        let newest = running.iter().copied().max().filter(|since| *since > step.at_ms);
        if let Some(ready) = newest.filter(|_| running.len() as u64 >= step.to) {
            self.start_ms = Some(mixed(self.start_ms, (ready - step.at_ms) as f64));
            self.measured = Some(step);
        }
    }
}

fn mixed(old: Option<f64>, new: f64) -> f64 {
    old.map_or(new, |old| KEPT * old + (1.0 - KEPT) * new)
}
