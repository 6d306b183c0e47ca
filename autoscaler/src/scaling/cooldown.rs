//! Cooldown: what the last action forbids. It must not stop a rescue, so a further scale-up
//! only waits until the replicas of the last one were ready and proved too few.

use super::{History, Policy, Reading, Reason, TaskState};

/// What is waited for, and how long; `None` when it is not a matter of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) reason: Reason,
    pub(super) wait_ms: Option<u64>,
}

/// For a replica to become ready, when the cooldown is shorter. Also long enough for an image
/// to be pulled on an ordinary line.
const PATIENCE_MS: u64 = 60_000;

/// Whether going from `n` to `wanted`, for this `reason`, has to wait.
pub(super) fn check(
    policy: &Policy,
    reading: &Reading,
    history: &History,
    (n, wanted): (u64, u64),
    reason: Reason,
    now_ms: u64,
) -> Option<Held> {
    let last = history.last?;
    let since = now_ms.saturating_sub(last.at_ms);
    let left = |period: u64| Some(period.saturating_sub(since)).filter(|left| *left > 0);
    if wanted < n || last.is_down() {
        return left(policy.cooldown_ms).map(|left| Held { reason: Reason::Cooldown, wait_ms: Some(left) });
    }
    if let Some(left) = left(policy.up_cooldown_ms) {
        return Some(Held { reason: Reason::UpCooldown, wait_ms: Some(left) });
    }
    // A replica that never becomes ready must not forbid a rescue for ever.
    left(policy.cooldown_ms.max(PATIENCE_MS))?;
    let live = || reading.tasks.iter().filter(|task| task.is_live(policy.warm_up_ms, now_ms));
    if (live().count() as u64) < n {
        return Some(Held { reason: Reason::WaitingForReplicas, wait_ms: None });
    }
    let ready_at = live().map(|task| task.since_ms).filter(|since| *since >= last.at_ms).max().unwrap_or(last.at_ms);
    (measured_from(reading, reason) <= ready_at).then_some(Held { reason: Reason::WaitingForSample, wait_ms: None })
}

/// The earliest moment that is part of what asks for more. Requests are counted over a window,
/// which must not reach back behind the last step; the warm-up sees to that for the others.
fn measured_from(reading: &Reading, reason: Reason) -> u64 {
    match (reason, reading.http) {
        (Reason::ResponseTimeHigh | Reason::ErrorRateHigh, Some(http)) => http.at_ms.saturating_sub(http.window_ms),
        _ => reading.taken_at_ms,
    }
}

/// Whether a task has waited for a place for so long that more of them would wait too.
pub(super) fn stuck(reading: &Reading, now_ms: u64) -> bool {
    reading.tasks.iter().any(|t| t.state == TaskState::Pending && now_ms.saturating_sub(t.since_ms) > PATIENCE_MS)
}
