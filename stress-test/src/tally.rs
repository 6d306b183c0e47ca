//! Counts, latencies and failures. Users write, progress and report read; nothing is ever
//! reset, so that the requests of the ramp stay in the report.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;

use crate::{
    failure::{Failure, Kind},
    mix::Action,
};

/// Latencies are kept in microseconds up to this; longer ones count as this long.
const LONGEST_MICROS: u64 = 120_000_000;
/// Three digits: 41.2 ms is told from 41.3 ms.
const DIGITS: u8 = 3;

/// What is known of one kind of request.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Requests that ended, in whatever way.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
    latencies: Histogram<u32>,
}

impl Default for Stats {
    fn default() -> Self {
        let latencies = Histogram::new_with_bounds(1, LONGEST_MICROS, DIGITS)
            .or_else(|_| Histogram::new(DIGITS))
            .unwrap_or_else(|_| unreachable!("both constants are within the histogram's range"));
        Self { requests: 0, failures: 0, latencies }
    }
}

impl Stats {
    fn record(&mut self, latency: Duration, failed: bool) {
        self.requests += 1;
        self.failures += u64::from(failed);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(micros.clamp(1, LONGEST_MICROS));
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        // Both have the same bounds, the only thing that adding could complain about.
        let _ = self.latencies.add(&other.latencies);
    }

    /// The latency below which `percent` (0–100) of the requests stayed, in milliseconds;
    /// `None` without requests. 100 is the longest.
    #[must_use]
    pub fn percentile_ms(&self, percent: f64) -> Option<f64> {
        (self.requests > 0).then(|| self.latencies.value_at_percentile(percent) as f64 / 1000.0)
    }
}

/// Everything counted so far.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Per kind of request; kinds that were never made are absent.
    pub by_action: BTreeMap<Action, Stats>,
    /// Failures by kind and by what was asked.
    pub failures: BTreeMap<Kind, BTreeMap<Action, u64>>,
    /// The first failure of each kind, in words.
    pub first_of_kind: BTreeMap<Kind, String>,
    /// Requests that a fixed pace could not offer because answers took longer than it.
    pub not_offered: f64,
    /// Users that have begun.
    pub users_started: u64,
    interval: Stats,
}

impl Counts {
    /// All kinds of request together.
    #[must_use]
    pub fn total(&self) -> Stats {
        let mut total = Stats::default();
        self.by_action.values().for_each(|stats| total.add(stats));
        total
    }
}

/// The run's counts, shared by all users.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counts>);

impl Tally {
    /// One request ended.
    pub fn record(&self, action: Action, latency: Duration, failure: Option<&Failure>) {
        let mut counts = self.lock();
        counts.by_action.entry(action).or_default().record(latency, failure.is_some());
        counts.interval.record(latency, failure.is_some());
        if let Some(failure) = failure {
            *counts.failures.entry(failure.kind).or_default().entry(action).or_default() += 1;
            counts
                .first_of_kind
                .entry(failure.kind)
                .or_insert_with(|| format!("{}: {}", action.label(), failure.detail));
        }
    }

    /// A user fell behind its pace by this many requests.
    pub fn not_offered(&self, requests: f64) {
        self.lock().not_offered += requests;
    }

    /// A user begins.
    pub fn user_started(&self) {
        self.lock().users_started += 1;
    }

    /// Requests since the last call, and the users that have begun.
    pub fn take_interval(&self) -> (Stats, u64) {
        let mut counts = self.lock();
        let users = counts.users_started;
        (std::mem::take(&mut counts.interval), users)
    }

    /// A copy of everything.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counting cannot leave the counts half done in a way that matters to a reader.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn percentiles_are_those_of_all_requests_together() {
        let tally = Tally::default();
        (1..=90).for_each(|n| tally.record(Action::Me, MS(n), None));
        (91..=100).for_each(|n| tally.record(Action::ListItems, MS(n), None));
        let total = tally.counts().total();
        let near = |percent: f64, ms: f64| (total.percentile_ms(percent).unwrap() - ms).abs() < ms / 100.0;
        assert!(near(50.0, 50.0) && near(95.0, 95.0) && near(100.0, 100.0), "{total:?}");
        assert_eq!(Stats::default().percentile_ms(50.0), None);
    }

    #[test]
    fn failures_are_counted_by_kind_and_the_first_is_kept_in_words() {
        let tally = Tally::default();
        for (kind, detail) in [(Kind::Status(500), "first"), (Kind::Status(500), "second"), (Kind::Connect, "third")] {
            tally.record(Action::Me, MS(1), Some(&Failure { kind, detail: detail.into() }));
        }
        let counts = tally.counts();
        assert_eq!(counts.failures[&Kind::Status(500)][&Action::Me], 2);
        assert_eq!(counts.first_of_kind[&Kind::Status(500)], "me: first");
        assert_eq!((counts.total().requests, counts.total().failures), (3, 3));
    }

    #[test]
    fn an_interval_ends_when_it_is_taken_and_the_total_does_not() {
        let tally = Tally::default();
        tally.record(Action::Login, MS(5), None);
        assert_eq!(tally.take_interval().0.requests, 1);
        assert_eq!(tally.take_interval().0.requests, 0);
        assert_eq!(tally.counts().total().requests, 1);
    }
}
