//! Stabilisation: a recommendation is followed only as far as the ones of its window agree.

use super::{Reason, Recommendation};

/// The count after stabilisation, and why it is not the one asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stable {
    pub(super) replicas: u64,
    pub(super) reason: Reason,
    pub(super) wait_ms: Option<u64>,
}

/// Down to the highest recommendation of the down window, up to the lowest of the up window.
pub(super) fn stabilize(
    current: u64,
    desired: u64,
    recommendations: &[Recommendation],
    (up_window_ms, down_window_ms): (u64, u64),
    now_ms: u64,
) -> Stable {
    let within = |window_ms: u64| {
        // A recommendation from the future counts as made now.
        recommendations.iter().filter(move |r| now_ms.saturating_sub(r.at_ms) < window_ms)
    };
    let most_up = within(up_window_ms).map(|r| r.replicas).fold(desired, u64::min);
    let least_down = within(down_window_ms).map(|r| r.replicas).fold(desired, u64::max);
    let replicas = if current < most_up { most_up } else { current.min(least_down) };
    let reason = if desired < current { Reason::StabilizingDown } else { Reason::StabilizingUp };
    // The wait ends when the last recommendation that forbids any move leaves its window.
    let (window_ms, forbids): (u64, fn(u64, u64) -> bool) =
        if desired < current { (down_window_ms, |r, n| r >= n) } else { (up_window_ms, |r, n| r <= n) };
    let last = within(window_ms).filter(|r| forbids(r.replicas, current)).map(|r| r.at_ms).max();
    let wait_ms = last.map(|at| window_ms.saturating_sub(now_ms.saturating_sub(at)));
    Stable { replicas, reason, wait_ms }
}
