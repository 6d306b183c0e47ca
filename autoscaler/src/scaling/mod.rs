//! The thinking: what a service's replica count should be, and why.
//!
//! Pure and synchronous: no clock, no I/O, no logging. Time comes in as Unix milliseconds.
//! The live loop, the dry run, the `decide` command and the simulator all call
//! [`decide`](crate::scaling::decide).
//!
//! ```
//! use autoscaler::scaling::{decide, Action, History, Observed, Policy, Reason};
//!
//! let policy: Policy = serde_json::from_str(
//!     r#"{"bounds": {"min": 2, "max": 10}, "metrics": {"cpu": {"up": 70, "down": 20}}}"#,
//! )?;
//! let observed: Observed = serde_json::from_str(
//!     r#"{"replicas": 2, "reading": {"taken_at_ms": 600000, "interval_ms": 5000, "tasks": [
//!         {"state": "running", "since_ms": 0, "cpu": {"used": 0.45, "limit": 0.5, "at_ms": 599000}},
//!         {"state": "running", "since_ms": 0, "cpu": {"used": 0.40, "limit": 0.5, "at_ms": 599000}}]}}"#,
//! )?;
//! let decision = decide(&policy, &observed, &History::default(), 600_000);
//! assert_eq!((decision.action, decision.wanted), (Action::Up, 3)); // 0.85 of 1.0 cores is 85 %
//! assert_eq!(decision.reason, Reason::CpuHigh);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

/// What an operator asks for.
pub mod policy;

/// When a metric asks for more or fewer.
pub mod rule;

/// What is known about one service at one moment.
pub mod observed;

/// What was done and recommended before.
pub mod history;

/// What the work will be.
pub mod forecast;

/// What a service's rounds teach about the time to come.
pub mod foresight;

/// The fewest replicas that will carry it.
pub mod floor;

/// The answer, and everything that led to it.
pub mod decision;

/// The answer as one sentence for people.
pub mod explain;

mod algorithm;
mod combine;
mod cooldown;
mod gates;
mod limits;
mod missing;
mod propose;
mod stabilize;
mod target;

pub use decision::{Action, Decision, Outlook, Proposal, Reason, Vote};
pub use forecast::{Forecast, Forecaster};
pub use foresight::Foresight;
pub use history::{History, Manual, Recommendation, Step};
pub use observed::{Http, Mode, Observed, Pool, Reading, Rollout, Sample, Task, TaskState};
pub use policy::{Algorithm, Bounds, Policy, PolicyError};
pub use rule::{Metric, Rule};

/// The value of each metric that the policy names and the reading has, in the metric's unit.
#[must_use]
pub fn readings(policy: &Policy, reading: &Reading, n: u64, now_ms: u64) -> BTreeMap<Metric, f64> {
    let heard = propose::all(policy, reading, &History::default(), n, now_ms);
    heard.into_iter().filter_map(|(metric, proposal)| Some((metric, proposal.value?))).collect()
}

/// Decides how many replicas a service should have at `now_ms`.
///
/// The same arguments always give the same answer. Missing or stale data may hold or raise,
/// never lower.
#[must_use]
pub fn decide(policy: &Policy, observed: &Observed, history: &History, now_ms: u64) -> Decision {
    let n = observed.replicas;
    let mut decision = Decision::holding(observed, Reason::Steady);
    if let Some(ruling) = gates::check(policy, observed, history, now_ms) {
        return decision.settle(ruling.wanted, ruling.reason).waiting(ruling.wait_ms);
    }
    let Some(reading) = observed.reading.as_ref() else {
        return decision.hold(Reason::NoData);
    };
    if reading.is_stale(now_ms) {
        return decision.hold(Reason::StaleData);
    }
    decision.proposals = propose::all(policy, reading, history, n, now_ms);
    decision.outlooks = floor::outlooks(policy, reading, &history.forecasts, n, now_ms);
    let combined = floor::raise(combine::combine(policy, &decision.proposals, n), &decision.outlooks, n);
    let recommended = policy.bounds.clamp(combined.replicas);
    decision.recommended = recommended;
    decision.recommended_reason = combined.reason;
    if recommended == n {
        let bound = match combined.replicas {
            wanted if wanted > n => Reason::AtMaximum,
            wanted if wanted < n => Reason::AtMinimum,
            // One less than none is none.
            _ if combined.reason == Reason::AllLow => Reason::AtMinimum,
            _ => combined.reason,
        };
        return decision.hold(bound);
    }
    let stable = stabilize::stabilize(n, recommended, &history.recommendations, policy.windows(), now_ms);
    if stable.replicas == n {
        return decision.hold(stable.reason).waiting(stable.wait_ms);
    }
    if let Some(held) = cooldown::check(policy, reading, history, (n, stable.replicas), combined.reason, now_ms) {
        return decision.hold(held.reason).waiting(held.wait_ms);
    }
    let limited = limits::limit(policy, observed, reading, stable.replicas, now_ms);
    decision.held_by = limited.held_by.or((combined.replicas > recommended).then_some(Reason::AtMaximum));
    if limited.replicas == n {
        let held_by = limited.held_by.unwrap_or(Reason::Steady);
        return decision.hold(held_by);
    }
    let reason = decision.recommended_reason;
    decision.settle(limited.replicas, reason)
}
