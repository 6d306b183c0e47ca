//! When a user may send its next request. Pure: the time is an argument.
//!
//! A fixed pace counts from start to start. A user that waits longer for an answer than its
//! pace skips the starts it missed: it never sends a burst to catch up.

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use rand::{Rng, RngExt};

/// How a user spaces its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pace {
    /// From the start of a request to the start of the next.
    Fixed(Duration),
    /// From an answer to the next request, drawn evenly from these milliseconds.
    Think(RangeInclusive<u64>),
}

/// One user's place in time.
#[derive(Debug, Clone)]
pub struct Pacer {
    pace: Pace,
    next: Instant,
}

impl Pacer {
    /// The first start is drawn from one interval, so that users who arrive at regular times
    /// do not send in step.
    pub fn new(pace: Pace, now: Instant, rng: &mut impl Rng) -> Self {
        let span = match &pace {
            Pace::Fixed(interval) => *interval,
            Pace::Think(range) => Duration::from_millis(*range.end()),
        };
        Self { next: now + span.mul_f64(rng.random_range(0.0..1.0)), pace }
    }

    /// The earliest start of the next request.
    #[must_use]
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Notes that the answer to the request of [`Self::next`] came at `now`. Returns the share
    /// of requests that could not be offered because of the wait.
    ///
    /// With an interval of 100 ms, start at 0 and answer at 30: next start at 100, nothing lost.
    /// Answer at 250: next start at 250 instead of 100, so 1.5 requests are lost.
    pub fn answered(&mut self, now: Instant, rng: &mut impl Rng) -> f64 {
        match &self.pace {
            Pace::Think(range) => {
                self.next = now + Duration::from_millis(rng.random_range(range.clone()));
                0.0
            }
            Pace::Fixed(interval) => {
                let due = self.next + *interval;
                self.next = due.max(now);
                self.next.duration_since(due).div_duration_f64(*interval)
            }
        }
    }

    /// Puts the next start off, after a failure that an immediate repetition would only add to.
    pub fn put_off(&mut self, until: Instant) {
        self.next = self.next.max(until);
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn pacer(pace: Pace) -> (Pacer, Instant, SmallRng) {
        let mut rng = SmallRng::seed_from_u64(1);
        let pacer = Pacer::new(pace, Instant::now(), &mut rng);
        let first = pacer.next();
        (pacer, first, rng)
    }

    #[test]
    fn quick_answers_leave_the_pace_as_it_is() {
        let (mut pacer, first, mut rng) = pacer(Pace::Fixed(MS(100)));
        for n in 1..=50 {
            let answer = pacer.next() + MS(n);
            assert_eq!(pacer.answered(answer, &mut rng), 0.0);
            assert_eq!(pacer.next(), first + MS(100 * n));
        }
    }

    #[test]
    fn a_slow_answer_skips_starts_and_is_not_caught_up() {
        let (mut pacer, first, mut rng) = pacer(Pace::Fixed(MS(100)));
        assert_eq!(pacer.answered(first + MS(250), &mut rng), 1.5);
        assert_eq!(pacer.next(), first + MS(250));
        assert_eq!(pacer.answered(first + MS(260), &mut rng), 0.0);
        assert_eq!(pacer.next(), first + MS(350));
    }

    #[test]
    fn users_that_start_together_do_not_send_together() {
        let now = Instant::now();
        let mut rng = SmallRng::seed_from_u64(7);
        let mut firsts: Vec<_> = (0..20).map(|_| Pacer::new(Pace::Fixed(MS(100)), now, &mut rng).next()).collect();
        assert!(firsts.iter().all(|first| *first >= now && *first < now + MS(100)));
        firsts.sort();
        firsts.dedup();
        assert!(firsts.len() > 15, "{firsts:?}");
    }

    #[test]
    fn a_think_time_starts_at_the_answer() {
        let (mut pacer, first, mut rng) = pacer(Pace::Think(20..=30));
        let answer = first + MS(500);
        assert_eq!(pacer.answered(answer, &mut rng), 0.0);
        assert!(pacer.next() >= answer + MS(20) && pacer.next() <= answer + MS(30));
    }
}
