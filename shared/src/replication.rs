//! How far a standby is behind its primary. Pure.
//!
//! The primary is asked again and again where its log ends. A standby that has replayed such an end has
//! every change that was acknowledged before the question was sent; one that has not is behind since then
//! at least. That needs neither clocks that agree nor the standby's own idea of its lag, which is nothing
//! while it is cut off.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Where the primary's log ended, and when that was asked; the oldest first.
#[derive(Debug)]
pub struct Ends {
    kept: Duration,
    ends: VecDeque<(Instant, i64)>,
}

impl Ends {
    /// Remembers them for so long. Nothing is known yet.
    #[must_use]
    pub fn kept_for(kept: Duration) -> Self {
        Self { kept, ends: VecDeque::new() }
    }

    /// Takes in an answer of the primary.
    pub fn note(&mut self, asked: Instant, end: i64) {
        // A log that is shorter than before is another one: what was known of the former is void.
        if self.ends.back().is_some_and(|(_, last)| *last > end) {
            self.ends.clear();
        }
        self.ends.push_back((asked, end));
        while self.ends.front().is_some_and(|(at, _)| asked.duration_since(*at) > self.kept) {
            self.ends.pop_front();
        }
    }

    /// When the primary was last asked.
    #[must_use]
    pub fn latest(&self) -> Option<Instant> {
        self.ends.back().map(|(asked, _)| *asked)
    }

    /// The moment before which every acknowledged change is part of the log up to `position`; `None`
    /// when that is longer ago than is remembered.
    #[must_use]
    pub fn holds_all_before(&self, position: i64) -> Option<Instant> {
        self.ends.iter().rev().find(|(_, end)| *end <= position).map(|(asked, _)| *asked)
    }

    /// Since when, at least, the log goes on behind `position`; `None` when it was never seen to.
    #[must_use]
    pub fn goes_on_since(&self, position: i64) -> Option<Instant> {
        self.ends.iter().find(|(_, end)| *end > position).map(|(asked, _)| *asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends that were asked for in the seconds 1, 2, 3, …
    fn seen(ends: &[i64]) -> (Instant, Ends) {
        let (start, mut seen) = (Instant::now(), Ends::kept_for(Duration::from_secs(30)));
        for (second, end) in (1..).zip(ends) {
            seen.note(start + Duration::from_secs(second), *end);
        }
        (start, seen)
    }

    fn seconds(start: Instant, at: Option<Instant>) -> Option<u64> {
        at.map(|at| at.duration_since(start).as_secs())
    }

    #[test]
    fn a_standby_is_as_old_as_the_newest_end_that_it_has_replayed() {
        let (start, ends) = seen(&[100, 200, 300]);
        let holds = |position| seconds(start, ends.holds_all_before(position));
        assert_eq!([99, 100, 299, 9_999].map(holds), [None, Some(1), Some(2), Some(3)]);
        let behind = |position| seconds(start, ends.goes_on_since(position));
        assert_eq!([99, 100, 299, 300].map(behind), [Some(1), Some(2), Some(3), None]);
        assert_eq!(seconds(start, ends.latest()), Some(3));
    }

    #[test]
    fn while_nothing_is_written_a_standby_that_has_all_stays_fresh() {
        let (start, ends) = seen(&[100; 600]);
        assert_eq!(seconds(start, ends.holds_all_before(100)), Some(600));
        assert_eq!(ends.goes_on_since(100), None);
        assert!(ends.ends.len() <= 31);
    }

    #[test]
    fn another_log_voids_what_was_known_of_the_former() {
        let (start, ends) = seen(&[500, 300]);
        assert_eq!(seconds(start, ends.holds_all_before(400)), Some(2));
        assert_eq!(ends.holds_all_before(200), None);
    }

    #[test]
    fn nothing_is_known_of_a_primary_that_was_never_asked() {
        let (_, ends) = seen(&[]);
        assert_eq!((ends.latest(), ends.holds_all_before(1), ends.goes_on_since(1)), (None, None, None));
    }
}
