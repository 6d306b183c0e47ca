//! From forecasts of work to the fewest replicas that would carry it.

use std::collections::BTreeMap;

use super::{
    Forecast, Metric, Policy, Reading, Reason, Rule, TaskState, combine::Combined, decision::Outlook, observed::MOST,
    target::share_out,
};

/// Work that comes in, and what one replica carries of it at its threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// All of it: cores, requests per second, connections.
    pub total: f64,
    /// What one replica carries at its threshold.
    pub per_replica: f64,
    /// What one replica has of it; `None` when that has no limit of its own.
    pub whole: Option<f64>,
    /// Servers that carry it beside the replicas: a primary beside its standbys.
    others: u64,
}

/// The work behind each metric that has any: memory, latency and errors are none.
#[must_use]
pub fn works(policy: &Policy, reading: &Reading, n: u64, now_ms: u64) -> BTreeMap<Metric, Work> {
    policy.rules().filter_map(|(metric, rule)| Some((metric, work(metric, rule, reading, n, now_ms)?))).collect()
}

fn work(metric: Metric, rule: Rule, reading: &Reading, n: u64, now_ms: u64) -> Option<Work> {
    let (total, whole, others) = match metric {
        Metric::Cpu => {
            let (used, limit) = cores(reading, now_ms)?;
            (used, Some(limit), 0)
        }
        Metric::Requests => {
            let http = reading.http.filter(|http| reading.is_fresh(http.at_ms, now_ms))?;
            (http.per_second?, None, 0)
        }
        Metric::Connections => {
            let pool = reading.connections.filter(|pool| pool.servers > 0 && reading.is_fresh(pool.at_ms, now_ms))?;
            (pool.used, Some(pool.limit / pool.servers as f64), pool.servers.saturating_sub(n))
        }
        _ => return None,
    };
    let per_replica = match rule {
        Rule::Band { up, .. } | Rule::Ceiling { up } | Rule::Target { target: up } => whole? * up / 100.0,
        Rule::PerReplica { per_replica } => per_replica,
    };
    let sound = (0.0..=MOST).contains(&total) && per_replica.is_finite() && per_replica > 0.0;
    sound.then_some(Work { total, per_replica, whole, others })
}

/// Cores in use by all running tasks, young ones too, and the mean limit; `None` when the use
/// of some is not known: a sum with a gap is no sum.
fn cores(reading: &Reading, now_ms: u64) -> Option<(f64, f64)> {
    let running = reading.tasks.iter().filter(|task| task.state == TaskState::Running);
    let (mut used, mut limit, mut count) = (0.0, 0.0, 0.0);
    for task in running {
        let sample = task.cpu.filter(|s| s.is_sound() && reading.is_fresh(s.at_ms, now_ms))?;
        (used, limit, count) = (used + sample.used, limit + sample.limit, count + 1.0);
    }
    (count > 0.0).then(|| (used, limit / count))
}

/// What each forecast comes to in replicas.
pub(super) fn outlooks(
    policy: &Policy,
    reading: &Reading,
    forecasts: &BTreeMap<Metric, Forecast>,
    n: u64,
    now_ms: u64,
) -> BTreeMap<Metric, Outlook> {
    if !policy.forecast {
        return BTreeMap::new();
    }
    let outlook = |(metric, work): (Metric, Work)| {
        let forecast = forecasts.get(&metric).filter(|f| reading.is_fresh(f.at_ms, now_ms))?;
        let expected = forecast.expected + forecast.margin;
        let sound = expected.is_finite() && expected >= 0.0;
        let floor = sound.then(|| share_out(expected, work.per_replica).saturating_sub(work.others))?;
        Some((metric, Outlook { forecast: *forecast, floor, acts: forecast.is_trusted() }))
    };
    works(policy, reading, n, now_ms).into_iter().filter_map(outlook).collect()
}

/// The recommendation with the highest trusted floor under it. It only ever raises.
pub(super) fn raise(combined: Combined, outlooks: &BTreeMap<Metric, Outlook>, n: u64) -> Combined {
    let floor = outlooks.values().filter(|outlook| outlook.acts).map(|outlook| outlook.floor).max();
    match floor {
        Some(floor) if floor > combined.replicas => {
            let reason = match floor {
                floor if floor > n => Reason::Forecast,
                floor if floor == n => Reason::ForecastForbidsDown,
                _ => combined.reason,
            };
            Combined { replicas: floor, reason }
        }
        _ => combined,
    }
}
