//! Processor use over a sliding window, from a counter and the engine's own timestamps.
//!
//! Two readings of the same run are needed. A counter that fell means another run of the
//! container: everything before is forgotten.

use std::{collections::VecDeque, time::Duration};

use crate::agent::report::CpuSample;

/// Readings of one container, oldest first.
#[derive(Debug)]
pub struct CpuWindow {
    length_ns: u64,
    readings: VecDeque<Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at_ns: u64,
    used_ns: u64,
}

impl CpuWindow {
    /// An empty window.
    #[must_use]
    pub fn new(length: Duration) -> Self {
        // A tenth more: a reading that is due exactly at the edge comes a little early or late.
        let length_ns = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Self { length_ns: length_ns.saturating_add(length_ns / 10), readings: VecDeque::new() }
    }

    /// Adds a reading. One that is not newer than the last is a repetition and is left out.
    pub fn push(&mut self, at_ns: u64, used_ns: u64) {
        if let Some(last) = self.readings.back() {
            if used_ns < last.used_ns {
                self.readings.clear();
            } else if at_ns <= last.at_ns {
                return;
            }
        }
        self.readings.push_back(Reading { at_ns, used_ns });
        while self.readings.front().is_some_and(|oldest| at_ns.saturating_sub(oldest.at_ns) > self.length_ns) {
            self.readings.pop_front();
        }
    }

    /// Mean use: used time over passed time, newest against oldest reading in the window.
    /// From 3.0 s to 4.5 s of processor time within 15 s: 1.5 / 15 = 0.1 cores.
    #[must_use]
    pub fn usage(&self) -> Option<CpuSample> {
        let (oldest, newest) = (self.readings.front()?, self.readings.back()?);
        let passed = newest.at_ns.checked_sub(oldest.at_ns).filter(|ns| *ns > 0)?;
        let used = newest.used_ns.checked_sub(oldest.used_ns)?;
        Some(CpuSample { cores: used as f64 / passed as f64, window_ms: passed / 1_000_000 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn window(readings: &[(u64, u64)]) -> CpuWindow {
        let mut window = CpuWindow::new(Duration::from_secs(15));
        for (second, ms) in readings {
            window.push(second * SECOND, ms * 1_000_000);
        }
        window
    }

    #[test]
    fn use_is_the_mean_over_the_window() {
        let usage = window(&[(0, 3000), (5, 3900), (10, 4000), (15, 4500)]).usage().unwrap();
        assert_eq!(usage, CpuSample { cores: 0.1, window_ms: 15_000 });
    }

    #[test]
    fn one_reading_says_nothing() {
        assert_eq!(window(&[]).usage(), None);
        assert_eq!(window(&[(0, 3000)]).usage(), None);
        assert_eq!(window(&[(0, 3000), (0, 3000)]).usage(), None);
    }

    #[test]
    fn a_counter_that_fell_starts_over() {
        assert_eq!(window(&[(0, 3000), (5, 9000), (10, 100)]).usage(), None);
        let usage = window(&[(0, 3000), (5, 9000), (10, 100), (15, 600)]).usage().unwrap();
        assert_eq!(usage, CpuSample { cores: 0.1, window_ms: 5_000 });
    }

    #[test]
    fn what_left_the_window_does_not_count() {
        let usage = window(&[(0, 0), (5, 9000), (20, 9000)]).usage().unwrap();
        assert_eq!(usage, CpuSample { cores: 0.0, window_ms: 15_000 });
        assert_eq!(window(&[(0, 0), (60, 9000)]).usage(), None);
    }

    proptest! {
        #[test]
        fn use_is_never_negative_or_more_than_the_counter_ran(
            readings in proptest::collection::vec((0..u64::MAX, 0..u64::MAX), 0..40),
        ) {
            let mut window = CpuWindow::new(Duration::from_secs(15));
            for (at, used) in readings {
                window.push(at, used);
                if let Some(usage) = window.usage() {
                    prop_assert!(usage.cores.is_finite() && usage.cores >= 0.0);
                }
            }
        }
    }
}
