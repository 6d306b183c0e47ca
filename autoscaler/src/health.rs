//! How the autoscaler is: what `/health` answers, and what the dashboard says at its top.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    board::{Board, Rounds},
    history::Keeper,
};

/// More than all time limits of one round together, for a Swarm that answers slowly.
const PATIENCE_MS: u64 = 60_000;

/// The verdict, and its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// In one word.
    pub status: Condition,
    /// What ails it, a sentence each.
    pub why: Vec<String>,
}

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// All is well.
    Ok,
    /// The loop turns, but something is missing: a restart would mend nothing.
    Degraded,
    /// The loop itself stands still.
    Stalled,
}

/// How it is now.
#[must_use]
pub fn assess(board: &Board, keeper: Option<&Keeper>, interval: Duration, now_ms: u64) -> Health {
    let rounds = board.rounds();
    let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    let stalled = rounds
        .last_ms
        .is_some_and(|last| now_ms.saturating_sub(last) > interval_ms.saturating_mul(3).saturating_add(PATIENCE_MS));
    let mut why = why(&rounds, stalled, now_ms);
    why.extend(keeper.iter().flat_map(|keeper| keeper.troubles()));
    let status = match (stalled, why.is_empty()) {
        (true, _) => Condition::Stalled,
        (false, true) => Condition::Ok,
        (false, false) => Condition::Degraded,
    };
    Health { status, why }
}

fn why(rounds: &Rounds, stalled: bool, now_ms: u64) -> Vec<String> {
    let stalled = stalled.then(|| "no round has ended for too long".to_owned());
    let first = rounds.last_ms.is_none().then(|| "the first round has not ended".to_owned());
    let blind = rounds.last_ms.and_then(|_| blind(rounds, now_ms));
    [stalled, first, rounds.swarm_error.clone(), blind].into_iter().flatten().collect()
}

/// What is wrong with the newest snapshot; a collector that answers may still repeat itself.
fn blind(rounds: &Rounds, now_ms: u64) -> Option<String> {
    let cause = rounds.collector_error.as_ref().map_or(String::new(), |error| format!(": {error}"));
    match rounds.snapshot_at_ms {
        None => Some(format!("there is no snapshot{cause}")),
        Some(at) if !rounds.snapshot_fresh => {
            let age = now_ms.saturating_sub(at).div_ceil(1000);
            Some(format!("the snapshot of {age} s ago is stale, nothing is scaled{cause}"))
        }
        Some(_) => rounds.collector_error.clone(),
    }
}
