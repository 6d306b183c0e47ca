//! Tasks that fail while the others do not.
//!
//! nginx sees a 500 as an answer like any other, and one that comes quickly, so such a task even gets more requests than
//! the rest. Failures that all tasks share are not its fault: then nobody is taken out.

use std::{
    collections::{HashMap, VecDeque},
    net::Ipv4Addr,
    time::{Duration, Instant},
};

/// Answers are judged over this time.
const WINDOW: Duration = Duration::from_secs(3);
/// Fewer answers than this say nothing.
const FEWEST: u64 = 5;
/// For how long a task is taken out the first time, then twice that and so on.
const BASE: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(60);
/// A task that was well for so long begins at the first time again.
const FORGIVEN: Duration = Duration::from_secs(300);

/// What one task answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers {
    /// All requests that were sent to it.
    pub requests: u64,
    /// Of these, those without an answer or with a 5xx.
    pub failures: u64,
}

impl Answers {
    /// Counts one more.
    pub fn count(&mut self, failed: bool) {
        self.requests += 1;
        self.failures += u64::from(failed);
    }

    fn add(self, other: Self) -> Self {
        Self { requests: self.requests + other.requests, failures: self.failures + other.failures }
    }
}

#[derive(Debug, Clone, Copy)]
struct Ejection {
    until: Instant,
    times: u32,
}

/// What the tasks answered lately, and which were taken out for it.
#[derive(Debug, Default)]
pub struct Outliers {
    recent: VecDeque<(Instant, HashMap<Ipv4Addr, Answers>)>,
    ejected: HashMap<Ipv4Addr, Ejection>,
}

impl Outliers {
    /// Takes in what was answered since the last call.
    pub fn observe(&mut self, answers: HashMap<Ipv4Addr, Answers>, now: Instant) {
        self.recent.push_back((now, answers));
        while self.recent.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.recent.pop_front();
        }
        self.ejected.retain(|_, ejection| now < ejection.until + FORGIVEN);
        let mut sums = HashMap::<Ipv4Addr, Answers>::new();
        for (address, answers) in self.recent.iter().flat_map(|(_, answers)| answers) {
            let sum = sums.entry(*address).or_default();
            *sum = sum.add(*answers);
        }
        for (address, own) in &sums {
            let others = sums.iter().filter(|(other, _)| *other != address);
            let others = others.fold(Answers::default(), |sum, (_, answers)| sum.add(*answers));
            if is_outlier(*own, others) && !self.is_out(*address, now) {
                let times = self.ejected.get(address).map_or(1, |before| before.times + 1);
                let until = now + (BASE * times).min(LONGEST);
                self.ejected.insert(*address, Ejection { until, times });
                tracing::warn!(%address, failures = own.failures, requests = own.requests,
                    "a task fails and the others do not: it is left out");
            }
        }
        // What an ejected task answered before must not take it out again when it comes back.
        for (_, answers) in &mut self.recent {
            answers.retain(|address, _| self.ejected.get(address).is_none_or(|ejection| ejection.until <= now));
        }
    }

    /// Whether the task is out for its failures.
    #[must_use]
    pub fn is_out(&self, address: Ipv4Addr, now: Instant) -> bool {
        self.ejected.get(&address).is_some_and(|ejection| now < ejection.until)
    }
}

/// Half of its own answers are failures, and at most a tenth of the others'.
fn is_outlier(own: Answers, others: Answers) -> bool {
    own.requests >= FEWEST
        && others.requests >= FEWEST
        && own.failures * 2 >= own.requests
        && others.failures * 10 <= others.requests
}

#[cfg(test)]
mod tests {
    use super::*;

    const SICK: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const WELL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn answers(sick: (u64, u64), well: (u64, u64)) -> HashMap<Ipv4Addr, Answers> {
        [(SICK, sick), (WELL, well)]
            .map(|(address, (requests, failures))| (address, Answers { requests, failures }))
            .into()
    }

    #[test]
    fn a_task_that_fails_alone_is_out_for_longer_each_time() {
        let (start, mut outliers) = (Instant::now(), Outliers::default());
        let mut out_at = Vec::new();
        let mut was_out = false;
        for tick in 0..200 {
            let now = start + Duration::from_millis(500) * tick;
            let out = outliers.is_out(SICK, now);
            if out && !was_out {
                out_at.push(tick / 2);
            }
            was_out = out;
            outliers.observe(if out { answers((0, 0), (9, 0)) } else { answers((9, 9), (9, 0)) }, now);
        }
        assert!(!outliers.is_out(WELL, start));
        // Out at 0 s for 10 s, then for 20 and 30 s.
        assert_eq!(out_at, [0, 10, 30, 60]);
    }

    #[test]
    fn failures_that_all_share_and_few_answers_take_nobody_out() {
        let now = Instant::now();
        for (sick, well) in [((9, 9), (9, 9)), ((9, 9), (9, 1)), ((4, 4), (9, 0)), ((9, 4), (9, 0)), ((9, 9), (4, 0))] {
            let mut outliers = Outliers::default();
            outliers.observe(answers(sick, well), now);
            assert!(!outliers.is_out(SICK, now), "{sick:?} {well:?}");
        }
    }

    #[test]
    fn answers_add_up_over_the_window_and_no_longer() {
        let (start, mut outliers) = (Instant::now(), Outliers::default());
        outliers.observe(answers((3, 3), (9, 0)), start);
        outliers.observe(answers((1, 1), (9, 0)), start + Duration::from_secs(4));
        outliers.observe(answers((3, 3), (9, 0)), start + Duration::from_secs(6));
        assert!(!outliers.is_out(SICK, start + Duration::from_secs(6)));
        outliers.observe(answers((1, 1), (9, 0)), start + Duration::from_secs(7));
        assert!(outliers.is_out(SICK, start + Duration::from_secs(7)));
    }
}
