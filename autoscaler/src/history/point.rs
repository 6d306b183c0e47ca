//! One service at one moment, or several moments together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    board::Status,
    scaling::{self, Bounds, Metric, floor},
};

/// What was seen and decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When; of several moments the first.
    pub at_ms: u64,
    /// How many moments are in it.
    pub moments: u32,
    /// Replicas in the specification; of several moments the most.
    pub replicas: u64,
    /// Replicas that the decision wanted; the most.
    pub desired: u64,
    /// The fewest that a trusted forecast asked for; the most. `None` when none did.
    pub floor: Option<u64>,
    /// Within which counts it was kept; of several moments the last. `None` in old records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
    /// Each metric's value in its own unit; the mean. What was not measured is absent.
    pub readings: BTreeMap<Metric, f64>,
    /// The work behind the metrics that have any; the mean.
    pub work: BTreeMap<Metric, Work>,
    /// What was expected of that work; of several moments the last. Empty without forecasts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expected: BTreeMap<Metric, Expected>,
}

/// A forecast as it was made at a point's time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// When the work was to be so much.
    pub for_ms: u64,
    /// So much, in the unit of the work.
    pub work: f64,
    /// By how much nine of ten forecasts had fallen short at most.
    pub margin: f64,
}

/// Work that comes in: what forecasts are made of, and what a replay puts load on with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Cores in use, requests per second, connections in use; of the whole service.
    pub total: f64,
    /// What one replica has of it: its cores, its connections. `None` where there is no limit.
    pub whole: Option<f64>,
}

impl Point {
    /// The point of a service that was decided on; `None` for one that was left alone.
    #[must_use]
    pub fn of(status: &Status) -> Option<Self> {
        let detail = status.detail.as_ref()?;
        let (policy, at_ms, replicas) = (&detail.policy, status.decided_at_ms, detail.observed.replicas);
        let reading = detail.observed.reading.as_ref().filter(|reading| !reading.is_stale(at_ms));
        let readings = reading.map(|reading| scaling::readings(policy, reading, replicas, at_ms)).unwrap_or_default();
        let works = reading.map(|reading| floor::works(policy, reading, replicas, at_ms)).unwrap_or_default();
        let work = |(metric, work): (Metric, floor::Work)| {
            (metric, Work { total: rounded(work.total), whole: work.whole.map(rounded) })
        };
        let expected = detail.decision.outlooks.iter().map(|(metric, outlook)| {
            let forecast = &outlook.forecast;
            let for_ms = forecast.at_ms.saturating_add(forecast.lead_ms);
            (*metric, Expected { for_ms, work: rounded(forecast.expected), margin: rounded(forecast.margin) })
        });
        let acting = detail.decision.outlooks.values().filter(|outlook| outlook.acts);
        Some(Self {
            at_ms,
            moments: 1,
            replicas,
            desired: detail.decision.wanted,
            floor: acting.map(|outlook| outlook.floor).max(),
            bounds: Some(policy.bounds),
            readings: readings
                .into_iter()
                .filter(|(_, value)| value.is_finite())
                .map(|(m, value)| (m, rounded(value)))
                .collect(),
            work: works.into_iter().map(work).collect(),
            expected: expected.collect(),
        })
    }

    /// Takes in a later point.
    pub fn merge(&mut self, later: &Self) {
        let (a, b) = (f64::from(self.moments), f64::from(later.moments));
        let mean = |mine: f64, other: f64| (mine * a + other * b) / (a + b);
        for (metric, value) in &later.readings {
            self.readings.entry(*metric).and_modify(|mine| *mine = rounded(mean(*mine, *value))).or_insert(*value);
        }
        for (metric, work) in &later.work {
            let merged = |mine: &mut Work| {
                *mine = Work { total: rounded(mean(mine.total, work.total)), whole: work.whole.or(mine.whole) };
            };
            self.work.entry(*metric).and_modify(merged).or_insert(*work);
        }
        self.moments = self.moments.saturating_add(later.moments);
        self.replicas = self.replicas.max(later.replicas);
        self.desired = self.desired.max(later.desired);
        self.floor = self.floor.max(later.floor);
        self.bounds = later.bounds.or(self.bounds);
        self.expected.extend(later.expected.iter().map(|(metric, expected)| (*metric, *expected)));
    }
}

/// Points that lie in the same `step_ms` after `from_ms` become one.
#[must_use]
pub fn thinned(points: impl IntoIterator<Item = Point>, from_ms: u64, step_ms: u64) -> Vec<Point> {
    let slot = |point: &Point| point.at_ms.saturating_sub(from_ms) / step_ms.max(1);
    let mut out: Vec<Point> = Vec::new();
    for point in points {
        match out.last_mut() {
            Some(last) if slot(last) == slot(&point) => last.merge(&point),
            _ => out.push(point),
        }
    }
    out
}

/// Six digits are more than any measurement is worth, and a third of the bytes.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 5 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits);
    let rounded = (value * scale).round() / scale;
    // Numbers at the edge of what can be written down stay as they are.
    if rounded.is_finite() { rounded } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn point(at_ms: u64, replicas: u64, cpu: f64) -> Point {
        let work = Work { total: cpu / 100.0, whole: Some(0.5) };
        Point {
            at_ms,
            moments: 1,
            replicas,
            desired: replicas,
            floor: None,
            readings: [(Metric::Cpu, cpu)].into(),
            work: [(Metric::Cpu, work)].into(),
            bounds: Bounds::new(1, at_ms.max(1)).ok(),
            expected: BTreeMap::new(),
        }
    }

    #[test]
    fn together_means_are_means_and_counts_the_highest() {
        let points = [point(10, 2, 30.0), point(20, 5, 60.0), point(30, 3, 90.0), point(60, 1, 1.0)];
        let thinned = thinned(points, 10, 50);
        assert_eq!(thinned.len(), 2);
        let first = &thinned[0];
        assert_eq!((first.at_ms, first.moments, first.replicas), (10, 3, 5));
        assert_eq!((first.readings[&Metric::Cpu], first.work[&Metric::Cpu].total), (60.0, 0.6));
        assert_eq!(first.bounds, Bounds::new(1, 30).ok());
        assert_eq!(thinned[1], point(60, 1, 1.0));
    }

    #[test]
    fn what_was_not_measured_is_not_zero() {
        let mut first = Point { readings: BTreeMap::new(), work: BTreeMap::new(), ..point(0, 1, 0.0) };
        assert!(first.readings.is_empty());
        first.merge(&point(1, 1, 50.0));
        assert_eq!(first.readings[&Metric::Cpu], 50.0);
    }

    #[test]
    fn six_digits_are_kept_of_any_number() {
        let cases = [(0.0, 0.0), (0.123_456_789, 0.123_457), (98_765_432.1, 98_765_400.0), (1e-300, 1e-300)];
        for (value, expected) in cases {
            assert!((rounded(value) - expected).abs() <= expected * 1e-9, "{value}: {}", rounded(value));
        }
        assert!(rounded(f64::MAX).is_finite() && rounded(f64::MIN_POSITIVE) > 0.0);
    }
}
