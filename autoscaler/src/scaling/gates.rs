//! What comes before any metric: modes, pauses, redeploys, bounds, updates, humans.

use super::{History, Mode, Observed, Policy, Reason, Rollout};

/// What a gate rules.
pub(super) struct Ruling {
    pub(super) wanted: u64,
    pub(super) reason: Reason,
    pub(super) wait_ms: Option<u64>,
}

/// The first gate that has something to say; `None` leaves it to the metrics.
pub(super) fn check(policy: &Policy, observed: &Observed, history: &History, now_ms: u64) -> Option<Ruling> {
    let n = observed.replicas;
    let bounds = policy.bounds;
    let rule = |wanted, reason| Some(Ruling { wanted, reason, wait_ms: None });
    if observed.mode != Mode::Replicated {
        return rule(0, Reason::NotReplicated);
    }
    if let Some(until) = history.paused_until_ms.filter(|until| *until > now_ms) {
        return Some(Ruling { wanted: n, reason: Reason::Paused, wait_ms: Some(until - now_ms) });
    }
    if n == 0 && bounds.min() > 0 {
        return rule(n, Reason::SwitchedOff);
    }
    // Before the update gate: a redeploy is often an update too, and until its end the
    // service would have to live with the file's number under full load.
    if let Some(before) = observed.before_redeploy.map(|before| bounds.clamp(before)).filter(|before| *before > n) {
        return rule(before, Reason::RestoredAfterRedeploy);
    }
    if n < bounds.min() {
        return rule(bounds.min(), Reason::BelowMinimum);
    }
    if observed.rollout != Rollout::Idle {
        return rule(n, Reason::Updating);
    }
    if n > bounds.max() {
        return rule(bounds.max(), Reason::AboveMaximum);
    }
    let manual = history.manual.filter(|manual| manual.replicas == n)?;
    // A time that lies ahead counts as now: a wrong clock must not stretch the hold.
    let left = policy.hold_ms.saturating_sub(now_ms.saturating_sub(manual.at_ms));
    (left > 0).then_some(Ruling { wanted: n, reason: Reason::Manual, wait_ms: Some(left) })
}
