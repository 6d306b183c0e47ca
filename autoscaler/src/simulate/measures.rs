//! How well supply followed demand: accuracy, shares of time, jitter, and what it cost.

use serde::Serialize;

use super::Run;

/// A change of direction within so many seconds is a reversal.
const REVERSAL_SECONDS: f64 = 600.0;

/// A count over time, as the moments at which it changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Steps(Vec<(f64, u64)>);

impl Steps {
    /// From changes in the order of their times, in seconds.
    #[must_use]
    pub fn new(changes: &[(f64, u64)]) -> Self {
        let mut steps = Self::default();
        for (at, count) in changes {
            steps.set(*at, *count);
        }
        steps
    }

    /// The count from now on.
    pub fn set(&mut self, at: f64, count: u64) {
        if self.0.last().is_none_or(|last| last.1 != count) {
            self.0.push((at, count));
        }
    }

    /// The changes.
    #[must_use]
    pub fn changes(&self) -> &[(f64, u64)] {
        &self.0
    }

    /// All changes, a change of k counting k.
    fn moved(&self) -> u64 {
        self.0.windows(2).map(|pair| pair[0].1.abs_diff(pair[1].1)).sum()
    }
}

/// The measures of one run over its time T.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Measures {
    /// Replicas missing, as a mean over time.
    pub missing: f64,
    /// Replicas too many, as a mean over time.
    pub surplus: f64,
    /// Missing share of the demand, percent, as a mean over time.
    pub under_percent: f64,
    /// Surplus in percent of the demand, as a mean over time.
    pub over_percent: f64,
    /// Share of the time with too few replicas, percent.
    pub time_under_percent: f64,
    /// Share of the time with too many replicas, percent.
    pub time_over_percent: f64,
    /// Changes of supply less changes of demand, per second.
    pub jitter: f64,
    /// Requests lost, percent.
    pub lost_percent: f64,
    /// Replicas times hours.
    pub replica_hours: f64,
    /// Changes of the count.
    pub actions: usize,
    /// Changes of direction within ten minutes.
    pub reversals: usize,
    /// Time with too few replicas in one piece, seconds: the mean.
    pub recovery_mean_seconds: f64,
    /// The same: the longest.
    pub recovery_longest_seconds: f64,
}

impl Measures {
    /// The measures of a run of so many seconds.
    #[must_use]
    pub fn of(run: &Run, seconds: f64) -> Self {
        let reversal = |pair: &&[(f64, bool)]| pair[0].1 != pair[1].1 && pair[1].0 - pair[0].0 <= REVERSAL_SECONDS;
        Self {
            lost_percent: if run.requests > 0.0 { 100.0 * run.requests_lost / run.requests } else { 0.0 },
            replica_hours: run.replica_seconds / 3600.0,
            actions: run.actions.len(),
            reversals: run.actions.windows(2).filter(reversal).count(),
            ..Self::elastic(&run.supply, &run.demand, seconds)
        }
    }

    /// The measures that follow from supply and demand alone.
    #[must_use]
    pub fn elastic(supply: &Steps, demand: &Steps, until: f64) -> Self {
        let mut out = Self::default();
        let (mut short_since, mut shortages) = (None, Vec::new());
        for (at, seconds, s, d) in pieces(supply, demand, until) {
            let (missing, surplus) = (d.saturating_sub(s) as f64, s.saturating_sub(d) as f64);
            out.missing += missing * seconds;
            out.surplus += surplus * seconds;
            out.under_percent += missing / d.max(1) as f64 * seconds;
            out.over_percent += surplus / d.max(1) as f64 * seconds;
            out.time_under_percent += if s < d { seconds } else { 0.0 };
            out.time_over_percent += if s > d { seconds } else { 0.0 };
            match (s < d, short_since) {
                (true, None) => short_since = Some(at),
                (false, Some(since)) => {
                    shortages.push(at - since);
                    short_since = None;
                }
                _ => {}
            }
        }
        shortages.extend(short_since.map(|since| until - since));
        for sum in [&mut out.missing, &mut out.surplus] {
            *sum /= until;
        }
        let shares =
            [&mut out.under_percent, &mut out.over_percent, &mut out.time_under_percent, &mut out.time_over_percent];
        for sum in shares {
            *sum *= 100.0 / until;
        }
        out.jitter = (supply.moved() as f64 - demand.moved() as f64) / until;
        out.recovery_longest_seconds = shortages.iter().copied().fold(0.0, f64::max);
        if !shortages.is_empty() {
            out.recovery_mean_seconds = shortages.iter().sum::<f64>() / shortages.len() as f64;
        }
        out
    }
}

/// The stretches in which neither changes: when, for how long, supply and demand.
fn pieces(supply: &Steps, demand: &Steps, until: f64) -> impl Iterator<Item = (f64, f64, u64, u64)> {
    let mut times: Vec<f64> = supply.0.iter().chain(&demand.0).map(|step| step.0).filter(|at| *at < until).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let ends: Vec<f64> = times.iter().skip(1).copied().chain([until]).collect();
    let mut now = (0, 0);
    let (mut s, mut d) = (supply.0.clone().into_iter().peekable(), demand.0.clone().into_iter().peekable());
    times.into_iter().zip(ends).map(move |(at, end)| {
        while let Some(step) = s.next_if(|step| step.0 <= at) {
            now.0 = step.1;
        }
        while let Some(step) = d.next_if(|step| step.0 <= at) {
            now.1 = step.1;
        }
        (at, end - at, now.0, now.1)
    })
}
