//! How old the reads of a standby can be. Pure.
//!
//! The primary is asked each second where its log ends. A standby that has replayed such a position has
//! every change that was acknowledged before the question was sent. That needs neither clocks that agree
//! nor the standby's own idea of its lag, which is nothing while it is cut off.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// Longer than any lag that is put up with.
const KEPT: Duration = Duration::from_secs(30);

/// Where the primary's log ended, and when that was asked; the oldest first.
#[derive(Debug, Default)]
pub(super) struct Positions(VecDeque<(Instant, i64)>);

impl Positions {
    /// Takes in an answer of the primary.
    pub(super) fn note(&mut self, asked: Instant, position: i64) {
        // A log that is shorter than before is another one: what was known of the former is void.
        if self.0.back().is_some_and(|(_, last)| *last > position) {
            self.0.clear();
        }
        self.0.push_back((asked, position));
        while self.0.front().is_some_and(|(at, _)| asked.duration_since(*at) > KEPT) {
            self.0.pop_front();
        }
    }

    /// When the primary was last asked.
    pub(super) fn latest(&self) -> Option<Instant> {
        self.0.back().map(|(asked, _)| *asked)
    }

    /// The moment before which every acknowledged change is part of the log up to `position`; `None`
    /// when that is longer ago than is remembered.
    pub(super) fn holds_all_before(&self, position: i64) -> Option<Instant> {
        self.0.iter().rev().find(|(_, end)| *end <= position).map(|(asked, _)| *asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, start: Instant) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_standby_is_as_old_as_the_newest_end_that_it_has_replayed() {
        let (start, mut positions) = (Instant::now(), Positions::default());
        assert_eq!(positions.holds_all_before(100), None);
        for (second, end) in [(1, 100), (2, 200), (3, 300)] {
            positions.note(at(second, start), end);
        }
        assert_eq!(positions.holds_all_before(99), None);
        assert_eq!(positions.holds_all_before(100), Some(at(1, start)));
        assert_eq!(positions.holds_all_before(299), Some(at(2, start)));
        assert_eq!(positions.holds_all_before(9_999), Some(at(3, start)));
        assert_eq!(positions.latest(), Some(at(3, start)));
    }

    #[test]
    fn while_nothing_is_written_a_standby_that_has_all_stays_fresh() {
        let (start, mut positions) = (Instant::now(), Positions::default());
        for second in 0..600 {
            positions.note(at(second, start), 100);
        }
        assert_eq!(positions.holds_all_before(100), Some(at(599, start)));
        assert!(positions.0.len() <= 31);
    }

    #[test]
    fn another_log_voids_what_was_known_of_the_former() {
        let (start, mut positions) = (Instant::now(), Positions::default());
        positions.note(at(1, start), 500);
        positions.note(at(2, start), 300);
        assert_eq!(positions.holds_all_before(400), Some(at(2, start)));
        assert_eq!(positions.holds_all_before(200), None);
    }
}
