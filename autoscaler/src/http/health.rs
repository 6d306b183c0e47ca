//! `/health`: 200 while the loop turns, even when it is blind or without a history: a restart
//! would mend neither. 503 only when the loop itself stands still.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::json;

use super::Shown;
use crate::{board::Rounds, clock, history::Keeper};

/// More than all time limits of one round together, for a Swarm that answers slowly.
const PATIENCE_MS: u64 = 60_000;

pub(super) async fn health(State(shown): State<Shown>) -> impl IntoResponse {
    let rounds = shown.board.rounds();
    let now_ms = clock::now_ms();
    let interval_ms = u64::try_from(shown.interval.as_millis()).unwrap_or(u64::MAX);
    let stalled = rounds
        .last_ms
        .is_some_and(|last| now_ms.saturating_sub(last) > interval_ms.saturating_mul(3).saturating_add(PATIENCE_MS));
    let mut why = why(&rounds, stalled, now_ms);
    why.extend(shown.keeper.iter().flat_map(Keeper::troubles));
    let state = if why.is_empty() { "ok" } else { "degraded" };
    let status = if stalled { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let body = json!({
        "status": if stalled { "stalled" } else { state },
        "why": why,
        "version": env!("CARGO_PKG_VERSION"),
        "last_round_ms": rounds.last_ms,
        "snapshot_age_seconds": rounds.snapshot_at_ms.map(|at| now_ms.saturating_sub(at) as f64 / 1000.0),
        "services": shown.board.services().len(),
    });
    (status, Json(body))
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
