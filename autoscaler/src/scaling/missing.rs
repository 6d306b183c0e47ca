//! Sums over replicas, with the ones that cannot be judged counted against the direction of
//! the vote: a missing replica is fully used when the vote is down, idle when it is up.

use super::{Reading, Sample, Task, TaskState};

/// The use of a resource over the replicas of a service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tally {
    used: f64,
    limit: f64,
    /// Live replicas with a sample.
    pub(super) measured: u64,
    /// Live replicas without one, and those that are asked for and not even listed.
    pub(super) missing: u64,
    /// Replicas that are paid for but not live.
    pub(super) newborn: u64,
}

impl Tally {
    /// Adds up what `pick` finds in the tasks, for a service of `n` replicas.
    pub(super) fn of(
        reading: &Reading,
        n: u64,
        warm_up_ms: u64,
        now_ms: u64,
        pick: fn(&Task) -> Option<Sample>,
    ) -> Self {
        let mut tally = Self { used: 0.0, limit: 0.0, measured: 0, missing: 0, newborn: 0 };
        let wanted = reading.tasks.iter().filter(|task| task.state != TaskState::Stopping);
        for task in wanted {
            if !task.is_live(warm_up_ms, now_ms) {
                tally.newborn += 1;
                continue;
            }
            match pick(task).filter(|s| s.is_sound() && reading.is_fresh(s.at_ms, now_ms)) {
                Some(sample) => {
                    tally.used += sample.used;
                    tally.limit += sample.limit;
                    tally.measured += 1;
                }
                None => tally.missing += 1,
            }
        }
        // The list of tasks lags behind the count that was asked for, or has a gap. Nothing is
        // known of these, not even that they are young.
        tally.missing += n.saturating_sub(tally.measured + tally.missing + tally.newborn);
        tally
    }

    /// Used share of the measured replicas, percent; `None` when nothing was measured.
    /// Sum over sum: 0.3 of 0.5 cores and 0.1 of 1.0 cores are 0.4 of 1.5, 27 %.
    pub(super) fn percent(&self) -> Option<f64> {
        share(self.used, self.limit)
    }

    /// The same with missing and newborn replicas as idle ones.
    pub(super) fn percent_if_idle(&self) -> Option<f64> {
        share(self.used, self.limit + self.mean_limit() * (self.missing + self.newborn) as f64)
    }

    /// The same with missing replicas as ones at `full` percent.
    pub(super) fn percent_if_full(&self, full: f64) -> Option<f64> {
        let limit = self.mean_limit() * self.missing as f64;
        share(self.used + limit * full / 100.0, self.limit + limit)
    }

    fn mean_limit(&self) -> f64 {
        if self.measured == 0 { 0.0 } else { self.limit / self.measured as f64 }
    }
}

/// `used` in percent of `limit`; `None` when that is no number.
pub(super) fn share(used: f64, limit: f64) -> Option<f64> {
    Some(100.0 * (used / limit)).filter(|percent| percent.is_finite() && *percent >= 0.0)
}
