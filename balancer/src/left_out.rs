//! Which tasks get no requests, and why.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

/// Why a task gets no requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It does not answer, or refuses connections.
    Silent,
    /// It answers with failures, and the others do not.
    Failing,
}

impl Reason {
    /// As a label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Failing => "failing",
        }
    }
}

/// A task that was silent for so long is not merely late.
const SURELY: Duration = Duration::from_secs(2);

/// Of the tasks that there are, those that are left out, but never more than half of them: then it is more likely that all
/// are overloaded or that this balancer is wrong, and the rest could not carry the load anyway. Late answers must not bring
/// a dead task back, so those that are surely silent stay out as long as they are no more than half.
///
/// Of two tasks one has been silent for 9 s and the other for 0.6 s: only the first is left out.
#[must_use]
pub fn left_out(
    known: &BTreeSet<Ipv4Addr>,
    silent: impl Fn(Ipv4Addr) -> Option<Duration>,
    failing: impl Fn(Ipv4Addr) -> bool,
) -> BTreeMap<Ipv4Addr, Reason> {
    let most = known.len() / 2;
    let of = |reason: &dyn Fn(Ipv4Addr) -> Option<Reason>| {
        known.iter().filter_map(|address| Some((*address, reason(*address)?))).collect::<BTreeMap<_, _>>()
    };
    let sick =
        of(&|address| silent(address).map(|_| Reason::Silent).or_else(|| failing(address).then_some(Reason::Failing)));
    let surely = of(&|address| silent(address).filter(|time| *time >= SURELY).map(|_| Reason::Silent));
    [sick, surely].into_iter().find(|out| out.len() <= most).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(n: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, n)
    }

    /// `silent` has for how many seconds.
    fn out_of(tasks: u8, silent: &[(u8, u64)], failing: &[u8]) -> Vec<(u8, Reason)> {
        let known = (1..=tasks).map(task).collect();
        let time = |address| silent.iter().find(|(n, _)| task(*n) == address).map(|(_, s)| Duration::from_secs(*s));
        let out = left_out(&known, time, |address| failing.iter().any(|n| task(*n) == address));
        out.into_iter().map(|(address, reason)| (address.octets()[3], reason)).collect()
    }

    #[test]
    fn the_sick_are_left_out_and_a_task_that_is_gone_is_none() {
        assert_eq!(out_of(4, &[(1, 0)], &[1, 2]), [(1, Reason::Silent), (2, Reason::Failing)]);
        assert_eq!(out_of(2, &[(2, 0)], &[]), [(2, Reason::Silent)]);
        assert_eq!(out_of(2, &[(7, 9)], &[8]), []);
    }

    #[test]
    fn when_more_than_half_would_be_left_out_only_the_surely_silent_are() {
        assert_eq!(out_of(2, &[(1, 9), (2, 0)], &[]), [(1, Reason::Silent)]);
        assert_eq!(out_of(3, &[(1, 2), (2, 0)], &[3]), [(1, Reason::Silent)]);
    }

    #[test]
    fn when_these_are_more_than_half_nobody_is() {
        for (tasks, silent) in [(1, &[(1, 9)][..]), (2, &[(1, 9), (2, 9)]), (3, &[(1, 9), (2, 9)]), (0, &[])] {
            assert_eq!(out_of(tasks, silent, &[]), [], "{tasks}");
        }
    }
}
