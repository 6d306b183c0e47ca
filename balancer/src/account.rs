//! What nginx logged for each request, added up.
//!
//! A line is `status addresses;statuses;seconds`. After a retry these are lists, separated by `, ` or ` : `. Where there
//! was no task to send the request to, the address is the name of an upstream.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use crate::outlier::Answers;

/// Bounds of the histogram, in seconds.
pub const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// A task that got nothing for so long is gone.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// What one task did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Upstream {
    /// What it answered.
    pub answers: Answers,
    /// Time of all of it.
    pub seconds: f64,
    last: Instant,
}

/// Since the companion's start.
#[derive(Debug, Default)]
pub struct Account {
    /// Answers to clients with a status of 1xx, 2xx and so on.
    pub classes: [u64; 5],
    /// Requests that the limit refused.
    pub limited: u64,
    /// Tries beyond the first of a request.
    pub retries: u64,
    /// By the time of each request's last try; the last bucket has no bound.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// Time of all last tries.
    pub seconds: f64,
    /// By task.
    pub upstreams: BTreeMap<Ipv4Addr, Upstream>,
    recent: HashMap<Ipv4Addr, Answers>,
}

impl Account {
    /// Adds a line. One that is none counts for nothing.
    pub fn add(&mut self, line: &str, now: Instant) {
        let _ = self.try_add(line, now);
    }

    fn try_add(&mut self, line: &str, now: Instant) -> Option<()> {
        let (status, rest) = line.split_once(' ')?;
        let status: usize = status.parse().ok().filter(|status| (100..600).contains(status))?;
        let mut lists = rest.split(';').map(|list| list.split(" : ").flat_map(|part| part.split(", ")));
        let (addresses, mut statuses, mut seconds) = (lists.next()?, lists.next()?, lists.next()?);
        self.classes[status / 100 - 1] += 1;
        let (mut tries, mut last) = (0, None);
        for address in addresses {
            let (status, seconds) = (statuses.next().unwrap_or("-"), seconds.next().unwrap_or("-"));
            last = seconds.parse().ok().filter(|seconds: &f64| seconds.is_finite());
            let Some(address) = address.split_once(':').and_then(|(address, _)| address.parse().ok()) else { continue };
            tries += 1;
            self.add_try(address, status, last.unwrap_or(0.0), now);
        }
        if tries == 0 {
            self.limited += u64::from(status == 429);
            return Some(());
        }
        self.retries += tries - 1;
        if let Some(seconds) = last {
            self.buckets[BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len())] += 1;
            self.seconds += seconds;
        }
        Some(())
    }

    fn add_try(&mut self, address: Ipv4Addr, status: &str, seconds: f64, now: Instant) {
        let failed = status.starts_with('5');
        let none = Upstream { answers: Answers::default(), seconds: 0.0, last: now };
        let upstream = self.upstreams.entry(address).or_insert(none);
        upstream.answers.count(failed);
        upstream.seconds += seconds;
        upstream.last = now;
        self.recent.entry(address).or_default().count(failed);
    }

    /// What the tasks answered since the last call; tasks of long ago are forgotten.
    pub fn take_recent(&mut self, now: Instant) -> HashMap<Ipv4Addr, Answers> {
        self.upstreams.retain(|_, upstream| now.duration_since(upstream.last) <= FORGET_AFTER);
        std::mem::take(&mut self.recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(lines: &[&str]) -> Account {
        let mut account = Account::default();
        lines.iter().for_each(|line| account.add(line, Instant::now()));
        account
    }

    fn upstream(account: &Account, n: u8) -> (u64, u64, f64) {
        let upstream = account.upstreams[&Ipv4Addr::new(10, 0, 0, n)];
        (upstream.answers.requests, upstream.answers.failures, upstream.seconds)
    }

    #[test]
    fn answers_are_counted_by_class_time_and_task() {
        let account = account(&["200 10.0.0.1:3000;200;0.004", "404 10.0.0.2:3000;404;0.030", "429 -;-;-", "403 ;;"]);
        assert_eq!(account.classes, [0, 1, 0, 3, 0]);
        assert_eq!((account.limited, account.retries), (1, 0));
        assert_eq!((account.buckets[0], account.buckets[3], account.seconds), (1, 1, 0.034));
        assert_eq!(upstream(&account, 2), (1, 0, 0.03));
    }

    #[test]
    fn each_try_counts_for_its_task_and_the_last_for_the_time() {
        let account =
            account(&["200 10.0.0.1:3000, 10.0.0.2:3000 : 10.0.0.2:3000;502, 504 : 200;0.001, 15.000 : 0.200"]);
        assert_eq!((account.retries, account.classes[1], account.seconds), (2, 1, 0.2));
        assert_eq!((upstream(&account, 1), upstream(&account, 2)), ((1, 1, 0.001), (2, 1, 15.2)));
    }

    #[test]
    fn where_there_was_no_task_none_failed() {
        let account = account(&["503 api : api_any;502 : 502;0.000 : 0.000"]);
        assert_eq!((account.classes[4], account.retries, account.upstreams.len()), (1, 0, 0));
        assert_eq!(account.buckets, [0; 12]);
    }

    #[test]
    fn what_is_no_line_counts_for_nothing() {
        let account = account(&["", "xxx", "999 a;b;c", "200", "99 10.0.0.1:1;200;1", "200 10.0.0.1:1;200"]);
        assert_eq!((account.classes, account.upstreams.len()), ([0; 5], 0));
    }

    #[test]
    fn recent_answers_are_taken_once_and_old_tasks_forgotten() {
        let (start, mut account) = (Instant::now(), Account::default());
        account.add("500 10.0.0.1:3000;500;0.001", start);
        account.add("200 10.0.0.1:3000;200;0.001", start);
        let recent = account.take_recent(start);
        assert_eq!(recent[&Ipv4Addr::new(10, 0, 0, 1)], Answers { requests: 2, failures: 1 });
        assert!(account.take_recent(start + Duration::from_secs(601)).is_empty() && account.upstreams.is_empty());
    }
}
