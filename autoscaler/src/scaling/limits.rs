//! The last limits: bounds, step sizes, and room on the nodes.

use super::{Observed, Policy, Reading, Reason, cooldown};

/// The count within the limits, and the limit that cut it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limited {
    pub(super) replicas: u64,
    pub(super) held_by: Option<Reason>,
}

/// Cuts `wanted` down to what is allowed and possible.
pub(super) fn limit(policy: &Policy, observed: &Observed, reading: &Reading, wanted: u64, now_ms: u64) -> Limited {
    let n = observed.replicas;
    if wanted > n && cooldown::stuck(reading, now_ms) {
        return Limited { replicas: n, held_by: Some(Reason::NoRoom) };
    }
    let highest = policy.step_up.map_or(u64::MAX, |step| n.saturating_add(step));
    let lowest = policy.step_down.map_or(0, |step| n.saturating_sub(step));
    let stepped = wanted.min(highest).max(lowest);
    // Less room than there are replicas is no reason to remove any.
    let placed = stepped.min(observed.room.map_or(u64::MAX, |room| room.max(n)));
    let held_by = match placed {
        placed if placed < stepped => Some(Reason::NoRoom),
        _ => (stepped != wanted).then_some(Reason::StepLimit),
    };
    Limited { replicas: policy.bounds.clamp(placed), held_by }
}
