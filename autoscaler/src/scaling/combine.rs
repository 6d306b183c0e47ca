//! From what each metric proposes to one recommendation.

use std::collections::BTreeMap;

use super::{Metric, Policy, Proposal, Reason, Rule, Vote, target::DEAD_BAND};

/// What the metrics ask for together, before the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Combined {
    pub(super) replicas: u64,
    pub(super) reason: Reason,
}

/// After a scale-down, use must stay below this share of the upper threshold.
const MARGIN: f64 = 0.9;

/// Up when any metric asks for it: the largest. Down only when all agree: the largest again.
pub(super) fn combine(policy: &Policy, proposals: &BTreeMap<Metric, Proposal>, n: u64) -> Combined {
    let stay = |reason| Combined { replicas: n, reason };
    if let Some(up) = largest_up(proposals, n) {
        return up;
    }
    let voted = |vote| proposals.values().any(|p| p.vote == vote);
    if voted(Vote::Up) {
        // Only errors vote up without a count, once they have survived enough scale-ups.
        return stay(Reason::ErrorsNotLoad);
    }
    if !voted(Vote::Down) {
        return stay(if voted(Vote::Absent) { Reason::MetricMissing } else { Reason::Steady });
    }
    if proposals.get(&Metric::ErrorRate).is_some_and(|p| p.vote == Vote::Stay) {
        return stay(Reason::ErrorsForbidDown);
    }
    if voted(Vote::Stay) {
        return stay(Reason::Steady);
    }
    if voted(Vote::Absent) {
        return stay(Reason::MetricMissing);
    }
    let goal = proposals.values().filter_map(|p| p.replicas).max().unwrap_or(n.saturating_sub(1));
    let low = |replicas| Combined { replicas, reason: Reason::AllLow };
    let lowest = policy.bounds.clamp(goal);
    if lowest >= n {
        return low(goal);
    }
    // The fewest replicas from the goal up that would not be too few at once.
    (lowest..n).find(|m| !would_bounce(proposals, n, *m)).map_or(stay(Reason::WouldBounce), low)
}

fn largest_up(proposals: &BTreeMap<Metric, Proposal>, n: u64) -> Option<Combined> {
    let ups = proposals.iter().filter(|(_, p)| p.vote == Vote::Up);
    let counts = ups.filter_map(|(metric, p)| Some((*metric, p.replicas.filter(|r| *r > n)?)));
    // Of equal ones the first in the order of metrics.
    let (metric, replicas) = counts.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    Some(Combined { replicas, reason: high(metric) })
}

/// Whether the load, spread over `m` instead of `n`, comes near an upper threshold.
/// Example: 3 replicas at 45 % would be 2 at 67.5 %, over 0.9 × 70 %.
fn would_bounce(proposals: &BTreeMap<Metric, Proposal>, n: u64, m: u64) -> bool {
    proposals.iter().filter(|(metric, _)| metric.is_share()).any(|(metric, p)| {
        let most = match p.rule {
            Rule::Band { up, .. } => MARGIN * up,
            Rule::Target { target } => (1.0 + DEAD_BAND) * target,
            _ => return false,
        };
        let Some(value) = p.cautious.or(p.value) else { return false };
        let before = p.measured + p.missing;
        // Servers may outnumber the replicas: a primary takes reads beside its standbys. Tasks
        // beyond the count are on their way out.
        let others = if metric.is_of_tasks() { 0 } else { before.saturating_sub(n) };
        let after = m + others;
        // Without any standby the primary takes their connections; other work would find nobody.
        let nobody = after == 0 && *metric != Metric::Connections;
        nobody && value > 0.0 || value * before as f64 / after.max(1) as f64 >= most
    })
}

fn high(metric: Metric) -> Reason {
    match metric {
        Metric::Cpu => Reason::CpuHigh,
        Metric::Memory => Reason::MemoryHigh,
        Metric::ResponseTime => Reason::ResponseTimeHigh,
        Metric::ErrorRate => Reason::ErrorRateHigh,
        Metric::Connections => Reason::ConnectionsHigh,
        Metric::Cache => Reason::CacheHigh,
        Metric::Requests => Reason::RequestsHigh,
    }
}
