//! How far one action goes.

use super::{Algorithm, Metric};

/// A resource in such use has no more to give, whatever its threshold is.
const SATURATED_PERCENT: f64 = 95.0;

/// Far over: saturated, or half as much again as the threshold.
pub(super) fn is_far_over(metric: Metric, value: f64, up: f64) -> bool {
    value >= 1.5 * up || (metric.is_share() && value >= SATURATED_PERCENT)
}

/// The count after one scale-up. `ups` is the number of scale-ups in a row before it.
///
/// Exponential: half as many again (2 → 3, 4 → 6); from the second in a row on, and when far
/// over, twice as many (4 → 8).
pub(super) fn up(algorithm: Algorithm, n: u64, far: bool, ups: u32) -> u64 {
    match algorithm {
        Algorithm::Linear | Algorithm::Target => n.saturating_add(1),
        Algorithm::Exponential if far || ups > 0 => n.saturating_mul(2).max(1),
        Algorithm::Exponential => n.saturating_add(n.div_ceil(2)).max(1),
    }
}

/// One action towards a goal that is known.
pub(super) fn towards(algorithm: Algorithm, n: u64, goal: u64, ups: u32) -> u64 {
    if algorithm == Algorithm::Target {
        goal
    } else if goal > n {
        let far = goal as f64 >= 1.5 * n as f64;
        up(algorithm, n, far, ups).min(goal)
    } else {
        n.saturating_sub(1).max(goal)
    }
}
