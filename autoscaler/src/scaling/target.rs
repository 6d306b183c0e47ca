//! Counts that follow from a value: a share brought to its target, a total shared out.

use super::{Vote, policy::MOST_REPLICAS};

/// Within this share of the target nothing happens.
pub(super) const DEAD_BAND: f64 = 0.1;

/// Of a quotient that rounding errors have lifted over a whole number.
const ROUNDING: f64 = 1e-9;

/// More when a share is over its target, fewer when it is under it, by more than the dead band.
pub(super) fn vote(value: f64, target: f64) -> Vote {
    let ratio = value / target;
    if ratio > 1.0 + DEAD_BAND + ROUNDING {
        Vote::Up
    } else if ratio < 1.0 - DEAD_BAND - ROUNDING {
        Vote::Down
    } else {
        Vote::Stay
    }
}

/// The count at which the use of `replicas` at `percent` is at most `target` percent each.
/// Example: 3 at 50 % with a target of 30 % are 5.
pub(super) fn goal(percent: f64, target: f64, replicas: u64) -> u64 {
    share_out(percent * replicas as f64, target)
}

/// Replicas for a total: 950 requests per second at 100 each are 10. It does not depend on
/// the present count, so it cannot swing.
pub(super) fn share_out(total: f64, per_replica: f64) -> u64 {
    let quotient = total / per_replica;
    // The cast saturates; the bound keeps later sums from overflowing.
    ((quotient - quotient * ROUNDING).ceil() as u64).min(MOST_REPLICAS)
}
