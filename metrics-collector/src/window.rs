//! Requests of one service over a sliding window, summed over its tasks.
//!
//! Kept as what each task *added* between two readings. So a task that vanishes takes
//! nothing away: what it answered leaves the window with time, like everything else.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use shared::snapshot::HttpReading;

use crate::parse::{
    quantile::{self, Buckets},
    requests::Requests,
};

/// One service.
#[derive(Debug)]
pub struct Window {
    length_ms: u64,
    tasks: HashMap<String, Series>,
}

#[derive(Debug, Default)]
struct Series {
    last: Option<(u64, Requests)>,
    added: VecDeque<Added>,
}

/// What a task added between two readings.
#[derive(Debug)]
struct Added {
    from_ms: u64,
    to_ms: u64,
    requests: Requests,
}

impl Window {
    /// An empty window.
    #[must_use]
    pub fn new(length: Duration) -> Self {
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        // A tenth more: a reading that is due exactly at the edge comes a little early or late.
        Self { length_ms: length_ms.saturating_add(length_ms / 10), tasks: HashMap::new() }
    }

    /// Adds a reading of one task. One that is not newer than the last is left out.
    pub fn push(&mut self, task: &str, at_ms: u64, requests: Requests) {
        let series = self.tasks.entry(task.to_owned()).or_default();
        if let Some((from_ms, earlier)) = &series.last {
            if at_ms <= *from_ms {
                return;
            }
            series.added.push_back(Added { from_ms: *from_ms, to_ms: at_ms, requests: requests.since(earlier) });
        }
        series.last = Some((at_ms, requests));
    }

    /// Drops what left the window. True while anything is left.
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let oldest = now_ms.saturating_sub(self.length_ms);
        self.tasks.retain(|_, series| {
            while series.added.front().is_some_and(|added| added.from_ms < oldest) {
                series.added.pop_front();
            }
            series.last.as_ref().is_some_and(|(at_ms, _)| *at_ms >= oldest)
        });
        !self.tasks.is_empty()
    }

    /// The service as a whole; `None` while no task was read twice.
    #[must_use]
    pub fn reading(&self) -> Option<HttpReading> {
        let added = || self.tasks.values().flat_map(|series| &series.added);
        let from_ms = added().map(|added| added.from_ms).min()?;
        let to_ms = added().map(|added| added.to_ms).max()?;
        let window_ms = to_ms - from_ms;
        let (mut requests, mut judged, mut errors) = (0.0, 0.0, 0.0);
        let mut latency = Buckets::new();
        for Added { requests: part, .. } in added() {
            requests += part.total;
            if let Some(failed) = part.errors {
                judged += part.total;
                errors += failed;
            }
            quantile::add(&mut latency, &part.latency);
        }
        let ms = |q| quantile::quantile(q, &latency).map(|seconds| seconds * 1000.0);
        Some(HttpReading {
            sampled_at_ms: to_ms,
            window_ms,
            requests,
            requests_per_second: requests * 1000.0 / window_ms as f64,
            error_rate_percent: (judged > 0.0).then(|| (errors / judged * 100.0).clamp(0.0, 100.0)),
            p50_ms: ms(0.5),
            p95_ms: ms(0.95),
            p99_ms: ms(0.99),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::parse::quantile::Bound;

    fn counted(total: f64, errors: f64) -> Requests {
        let latency = [(Bound::new(0.1).unwrap(), total)].into();
        Requests { total, errors: Some(errors), latency }
    }

    fn window() -> Window {
        Window::new(Duration::from_secs(30))
    }

    #[test]
    fn tasks_are_summed_over_the_window() {
        let mut window = window();
        for second in [0, 5, 10] {
            window.push("a", second * 1000, counted(100.0 + second as f64 * 10.0, 0.0));
            window.push("b", second * 1000, counted(second as f64 * 30.0, second as f64 * 3.0));
        }
        let reading = window.reading().unwrap();
        assert_eq!((reading.sampled_at_ms, reading.window_ms, reading.requests), (10_000, 10_000, 400.0));
        assert_eq!(reading.requests_per_second, 40.0);
        assert_eq!(reading.error_rate_percent, Some(7.5));
        for (found, expected) in [(reading.p50_ms, 50.0), (reading.p95_ms, 95.0), (reading.p99_ms, 99.0)] {
            assert!((found.unwrap() - expected).abs() < 1e-9, "{reading:?}");
        }
    }

    #[test]
    fn one_reading_of_each_task_says_nothing() {
        let mut window = window();
        window.push("a", 0, counted(100.0, 0.0));
        window.push("b", 5000, counted(100.0, 0.0));
        assert_eq!(window.reading(), None);
    }

    #[test]
    fn an_idle_service_has_a_rate_of_zero_and_no_latency() {
        let mut window = window();
        window.push("a", 0, counted(100.0, 0.0));
        window.push("a", 5000, counted(100.0, 0.0));
        let reading = window.reading().unwrap();
        assert_eq!((reading.requests_per_second, reading.error_rate_percent, reading.p95_ms), (0.0, None, None));
    }

    #[test]
    fn a_task_that_vanishes_takes_nothing_away_and_leaves_with_time() {
        let mut window = window();
        window.push("gone", 0, counted(0.0, 0.0));
        window.push("gone", 5_000, counted(500.0, 0.0));
        for second in (5..=60).step_by(5) {
            window.push("stays", second * 1000, counted(second as f64, 0.0));
            window.expire(second * 1000);
            let reading = window.reading();
            assert!(reading.is_none_or(|reading| reading.requests >= 0.0));
        }
        assert_eq!(window.reading().unwrap().requests, 30.0);
        assert!(!window.expire(200_000), "nothing is left");
    }

    #[test]
    fn a_gap_longer_than_the_window_is_not_bridged() {
        let mut window = window();
        window.push("a", 0, counted(0.0, 0.0));
        window.push("a", 120_000, counted(9_000.0, 0.0));
        window.expire(120_000);
        assert_eq!(window.reading(), None);
    }

    proptest! {
        #[test]
        fn rates_are_finite_and_never_negative(
            steps in proptest::collection::vec((0..4_usize, 0..9_000_u64, 0..1_000_u32, 0..1_000_u32), 0..80),
        ) {
            let (mut window, mut now) = (window(), 1_000_000);
            for (task, passed, total, errors) in steps {
                now += passed;
                let (total, errors) = (f64::from(total), f64::from(errors.min(total)));
                window.push(["a", "b", "c", "d"][task], now, counted(total, errors));
                window.expire(now);
                if let Some(reading) = window.reading() {
                    prop_assert!(reading.requests_per_second.is_finite() && reading.requests >= 0.0);
                    prop_assert!(reading.error_rate_percent.is_none_or(|rate| (0.0..=100.0).contains(&rate)));
                    prop_assert!(reading.window_ms > 0 && reading.window_ms <= 33_000);
                }
            }
        }
    }
}
