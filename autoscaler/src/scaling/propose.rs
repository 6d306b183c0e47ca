//! What each metric proposes, taken by itself.

use std::collections::BTreeMap;

use super::{
    Algorithm, History, Http, Metric, Policy, Pool, Proposal, Reading, Rule, Vote, algorithm,
    missing::{Tally, share},
    observed::MOST,
    target::{self, share_out},
};

/// Errors that survive so many scale-ups are not load.
pub(super) const MOST_ERROR_STEPS: u32 = 3;

/// The proposals of all metrics that the policy names.
pub(super) fn all(
    policy: &Policy,
    reading: &Reading,
    history: &History,
    n: u64,
    now_ms: u64,
) -> BTreeMap<Metric, Proposal> {
    let one = |(metric, rule)| {
        let heard = hear(metric, rule, policy, reading, n, now_ms);
        (metric, heard.into_proposal(metric, rule, policy.algorithm, history, n))
    };
    policy.rules().map(one).collect()
}

/// A vote before it becomes a number of replicas.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Heard {
    vote: Vote,
    value: Option<f64>,
    cautious: Option<f64>,
    /// The count at which the metric would be content; `None` when it knows only a direction.
    goal: Option<u64>,
    tally: Option<Tally>,
    servers: u64,
}

impl Heard {
    fn bare(vote: Vote, value: Option<f64>) -> Self {
        Self { vote, value, cautious: None, goal: None, tally: None, servers: 0 }
    }

    /// A metric that knows its goal: the vote is the way there.
    fn going(self, goal: u64, n: u64) -> Self {
        let vote = match goal {
            goal if goal > n => Vote::Up,
            goal if goal < n => Vote::Down,
            _ => Vote::Stay,
        };
        Self { vote, goal: Some(goal), ..self }
    }

    fn into_proposal(self, metric: Metric, rule: Rule, pace: Algorithm, history: &History, n: u64) -> Proposal {
        let decisive = self.cautious.or(self.value);
        let replicas = match (self.vote, self.goal, rule) {
            (Vote::Up | Vote::Down, Some(goal), _) => Some(algorithm::towards(pace, n, goal, history.ups)),
            // Errors are seldom cured by replicas, so they never get more than one at a time.
            (Vote::Up, ..) if metric == Metric::ErrorRate && history.error_ups >= MOST_ERROR_STEPS => None,
            (Vote::Up, ..) if metric == Metric::ErrorRate => Some(n.saturating_add(1)),
            (Vote::Up, _, Rule::Band { up, .. } | Rule::Ceiling { up }) => {
                let far = decisive.is_some_and(|value| algorithm::is_far_over(metric, value, up));
                Some(algorithm::up(pace, n, far, history.ups))
            }
            // It agrees with however many the others want to remove.
            (Vote::Down, ..) if pace == Algorithm::Target => None,
            (Vote::Down, ..) => Some(n.saturating_sub(1)),
            _ => None,
        };
        Proposal {
            vote: self.vote,
            value: self.value,
            cautious: self.cautious.filter(|_| self.cautious != self.value),
            rule,
            replicas,
            measured: self.tally.map_or(self.servers, |t| t.measured),
            missing: self.tally.map_or(0, |t| t.missing),
            newborn: self.tally.map_or(0, |t| t.newborn),
        }
    }
}

fn hear(metric: Metric, rule: Rule, policy: &Policy, reading: &Reading, n: u64, now_ms: u64) -> Heard {
    if !rule.fits(metric) {
        return Heard::bare(Vote::Absent, None);
    }
    let tally = |pick| Tally::of(reading, n, policy.warm_up_ms, now_ms, pick);
    let http = || reading.http.filter(|http| reading.is_fresh(http.at_ms, now_ms));
    let pool = |pool: Option<Pool>| pool.filter(|pool| reading.is_fresh(pool.at_ms, now_ms));
    match metric {
        Metric::Cpu => from_tally(rule, tally(|task| task.cpu), n),
        Metric::Memory => from_tally(rule, tally(|task| task.memory), n),
        Metric::ResponseTime => from_http(rule, http(), policy.min_requests, |http| http.p95_ms),
        Metric::ErrorRate => from_http(rule, http(), policy.min_requests, |http| http.error_percent),
        Metric::Requests => from_total(rule, http().and_then(|http| http.per_second), n),
        Metric::Connections => match rule {
            Rule::PerReplica { .. } => from_total(rule, pool(reading.connections).map(|pool| pool.used), n),
            _ => from_pool(rule, pool(reading.connections), n),
        },
        Metric::Cache => from_pool(rule, pool(reading.cache), n),
    }
}

fn from_total(rule: Rule, total: Option<f64>, n: u64) -> Heard {
    match (rule, total.filter(|total| sound(*total))) {
        (Rule::PerReplica { per_replica }, Some(total)) => {
            Heard::bare(Vote::Stay, Some(total)).going(share_out(total, per_replica), n)
        }
        _ => Heard::bare(Vote::Absent, None),
    }
}

fn from_tally(rule: Rule, tally: Tally, n: u64) -> Heard {
    let value = tally.percent();
    let Some(percent) = value else {
        return Heard { tally: Some(tally), ..Heard::bare(Vote::Absent, None) };
    };
    let first = vote(rule, percent);
    let cautious = match first {
        Vote::Up => tally.percent_if_idle(),
        Vote::Down => tally.percent_if_full(full(rule)),
        _ => value,
    };
    // Where the replicas that cannot be judged could turn the vote, there is none.
    let second = cautious.map_or(Vote::Stay, |percent| vote(rule, percent));
    let vote = if first == second { first } else { Vote::Stay };
    let heard = Heard { vote, value, cautious, goal: None, tally: Some(tally), servers: 0 };
    match (vote, rule, cautious) {
        (Vote::Up, Rule::Target { target }, Some(percent)) => {
            let replicas = tally.measured + tally.missing + tally.newborn;
            heard.going(target::goal(percent, target, replicas).max(n), n)
        }
        (Vote::Down, Rule::Target { target }, Some(percent)) => {
            // Newborn replicas are left out: their use says nothing yet.
            heard.going(target::goal(percent, target, tally.measured + tally.missing).min(n), n)
        }
        _ => heard,
    }
}

/// What a missing replica is taken to use when the vote is down, percent.
fn full(rule: Rule) -> f64 {
    match rule {
        Rule::Target { target } => target.max(100.0),
        _ => 100.0,
    }
}

fn from_http(rule: Rule, http: Option<Http>, min_requests: f64, pick: fn(&Http) -> Option<f64>) -> Heard {
    let Some(http) = http.filter(|http| sound(http.requests)) else {
        return Heard::bare(Vote::Absent, None);
    };
    let enough = http.requests >= min_requests && http.requests > 0.0;
    match (pick(&http), enough) {
        (Some(value), true) if sound(value) => Heard::bare(vote(rule, value), Some(value)),
        // With requests in the window there must be a value.
        (_, true) => Heard::bare(Vote::Absent, None),
        // A few failures are no reason to grow, but none to shrink either.
        (Some(value), false) if matches!(rule, Rule::Ceiling { up } if value > up) => {
            Heard::bare(Vote::Stay, Some(value))
        }
        (value, false) => Heard::bare(Vote::Silent, value.filter(|value| sound(*value))),
    }
}

fn from_pool(rule: Rule, pool: Option<Pool>, n: u64) -> Heard {
    let pool = pool.filter(Pool::is_sound);
    let percent = pool.and_then(|pool| share(pool.used, pool.limit));
    let (Some(pool), Some(percent)) = (pool, percent) else {
        return Heard::bare(Vote::Absent, None);
    };
    let heard = Heard { servers: pool.servers, ..Heard::bare(vote(rule, percent), Some(percent)) };
    match (heard.vote, rule) {
        (Vote::Up | Vote::Down, Rule::Target { target }) => {
            // Servers that are not replicas of this service: a primary beside its standbys.
            let others = pool.servers.saturating_sub(n);
            let goal = target::goal(percent, target, pool.servers).saturating_sub(others);
            heard.going(if heard.vote == Vote::Up { goal.max(n) } else { goal.min(n) }, n)
        }
        _ => heard,
    }
}

fn vote(rule: Rule, value: f64) -> Vote {
    match rule {
        Rule::Band { up, .. } | Rule::Ceiling { up } if value > up => Vote::Up,
        Rule::Band { down, .. } if value <= down => Vote::Down,
        Rule::Band { .. } => Vote::Stay,
        Rule::Ceiling { .. } => Vote::Silent,
        Rule::Target { target } => target::vote(value, target),
        Rule::PerReplica { .. } => Vote::Absent,
    }
}

fn sound(value: f64) -> bool {
    (0.0..=MOST).contains(&value)
}
